package client

import (
	"cmp"
	"container/list"
	"slices"
	"time"
)

const (
	// maxInFlightBytes is what the server holds of messages that came early: within
	// it, whatever is in flight finds room.
	maxInFlightBytes = 256 << 10
	// maxSpread is how far the numbers in flight may lie apart: of so many the server
	// knows which messages they were.
	maxSpread = 128
	// maxDoubled is how often the wait for an answer doubles.
	maxDoubled = 3
	// maxRetries is how often a message is sent again after a failure that may pass;
	// after CodeBusy, once.
	maxRetries = 2
	// retryPause is the pause before the first of these; the next is twice as long.
	retryPause = 250 * time.Millisecond
)

// outgoing is a message on its way.
type outgoing struct {
	to       string       // empty: a filler, which only takes its number's place
	data     []byte       // JSON
	answer   chan<- error // gets one answer; nil if nobody waits
	number   int64        // zero: it was never on the wire
	due      time.Time    // when it is sent again on this connection; zero: it was not sent on it
	repeats  int          // how often it was sent again on this connection for want of an answer
	failures int          // how often the answer was a failure that may pass
	pausing  bool         // since the last of these
	place    *list.Element
}

// size is what the message counts toward a limit in bytes.
func (m *outgoing) size() int { return len(m.to) + len(m.data) }

// outbox keeps what is not answered yet, in the order of Send. A message gets
// its number when it is first sent: one that is given up before leaves no gap.
type outbox struct {
	timeout time.Duration // for an answer; doubles with each repeat

	last    int64       // the highest number given
	flight  []*outgoing // have numbers, ascending
	wire    int         // how many of flight were sent on this connection
	bytes   int         // of those
	waiting list.List   // have none yet
	grace   *grace      // nil: no receiver is waited for
}

// add queues a message.
func (o *outbox) add(m *outgoing) { m.place = o.waiting.PushBack(m) }

// withdraw takes back a message that was never sent. It reports false if it
// was.
func (o *outbox) withdraw(m *outgoing) bool {
	if m.number != 0 {
		return false
	}
	o.waiting.Remove(m.place)
	return true
}

// next is the message to send now, nil if there is none, its receiver is waited
// for, or the window is full: at most so many messages, and maxInFlightBytes, are
// unanswered; one message always may be.
func (o *outbox) next(now time.Time, window int) *outgoing {
	var m *outgoing
	if o.wire < len(o.flight) {
		m = o.flight[slices.IndexFunc(o.flight, func(m *outgoing) bool { return m.due.IsZero() })]
	} else if front := o.waiting.Front(); front != nil && o.last+1-o.first() < maxSpread {
		m = front.Value.(*outgoing)
	}
	if m == nil || o.wire > 0 && (o.wire >= window || o.bytes+m.size() > maxInFlightBytes) ||
		!o.grace.allows(m.to, o.wire == 0, now) {
		return nil
	}
	if m.number == 0 {
		o.waiting.Remove(m.place)
		o.last++
		m.number = o.last
		o.flight = append(o.flight, m)
	}
	m.due = now.Add(o.timeout)
	o.wire++
	o.bytes += m.size()
	return m
}

// answered takes out the message of that number, nil if it was answered before.
// If fill, or if it was still to be sent again, a filler stays in its place; one
// answer to that is enough.
func (o *outbox) answered(number int64, fill bool) *outgoing {
	i, ok := o.find(number)
	if !ok {
		return nil
	}
	m := o.flight[i]
	if !m.due.IsZero() {
		o.wire--
		o.bytes -= m.size()
	}
	if fill && m.to != "" || m.due.IsZero() {
		o.flight[i] = &outgoing{number: number}
	} else {
		o.flight = slices.Delete(o.flight, i, i+1)
	}
	return m
}

// retry reports whether a message that has failed is sent again, after a pause.
func (o *outbox) retry(number int64, code Code, now time.Time) bool {
	i, ok := o.find(number)
	if !ok || !code.passing() || o.flight[i].to == "" {
		return false
	}
	m, most := o.flight[i], maxRetries
	if code == CodeBusy {
		most = 1
	}
	switch {
	case m.due.IsZero() || m.pausing: // it is sent again anyway
	case m.failures >= most:
		return false
	default:
		m.due, m.pausing = now.Add(retryPause<<m.failures), true
		m.failures++
	}
	return true
}

func (o *outbox) find(number int64) (int, bool) {
	return slices.BinarySearchFunc(o.flight, number, func(m *outgoing, n int64) int { return cmp.Compare(m.number, n) })
}

// overdue is what is to be sent again now, and counts as sent.
func (o *outbox) overdue(now time.Time) []*outgoing {
	var late []*outgoing
	for _, m := range o.flight {
		if m.due.IsZero() || now.Before(m.due) {
			continue
		}
		if m.repeats++; m.pausing {
			m.repeats, m.pausing = 0, false
		}
		m.due = now.Add(o.timeout << min(m.repeats, maxDoubled))
		late = append(late, m)
	}
	return late
}

// deadline is when something is to be sent again; zero if nothing was sent.
func (o *outbox) deadline() time.Time {
	var t time.Time
	for _, m := range o.flight {
		if !m.due.IsZero() && (t.IsZero() || m.due.Before(t)) {
			t = m.due
		}
	}
	return t
}

// stored notes that the server has the message of that number, and answers when
// its turn comes.
func (o *outbox) stored(number int64, now time.Time) {
	if i, ok := o.find(number); ok && !o.flight[i].due.IsZero() && !o.flight[i].pausing {
		o.flight[i].repeats = maxDoubled
		o.flight[i].due = now.Add(o.timeout << maxDoubled)
	}
}

// rewind is for a new connection: all that is unanswered is to be sent again.
func (o *outbox) rewind() {
	for _, m := range o.flight {
		m.due, m.repeats, m.pausing = time.Time{}, 0, false
	}
	o.wire, o.bytes, o.grace = 0, 0, nil
}

// first is the lowest number that may be sent on the next connection.
func (o *outbox) first() int64 {
	if len(o.flight) > 0 {
		return o.flight[0].number
	}
	return o.last + 1
}

// fill puts a filler in the place of each number from first that was answered.
// A server that knows nothing of earlier connections would wait for it.
func (o *outbox) fill(first int64) {
	for n := first; n <= o.last; n++ {
		if i, there := o.find(n); !there {
			o.flight = slices.Insert(o.flight, i, &outgoing{number: n})
		}
	}
}

// all is what was sent and is not answered, and then what was not sent.
func (o *outbox) all() []*outgoing {
	all := slices.Clone(o.flight)
	for e := o.waiting.Front(); e != nil; e = e.Next() {
		all = append(all, e.Value.(*outgoing))
	}
	return all
}

// abandon takes out everything that was sent, and, if all, what was not.
func (o *outbox) abandon(all bool) []*outgoing {
	out := o.flight
	if all {
		out = o.all()
		o.waiting.Init()
	}
	o.flight, o.wire, o.bytes = nil, 0, 0
	return out
}
