package client

import (
	"cmp"
	"container/list"
	"slices"
	"time"
)

// outgoing is a message on its way.
type outgoing struct {
	to     string
	data   []byte       // JSON
	answer chan<- error // gets one answer; nil if nobody waits
	number int64        // zero: it was never on the wire
	sent   time.Time    // on this connection; zero: not yet
	asked  int          // how often it was sent again on this connection
	stored bool         // the server has it, and answers when its turn comes
	place  *list.Element
}

// size is what the message counts toward a limit in bytes.
func (m *outgoing) size() int { return len(m.to) + len(m.data) }

// outbox keeps what is not answered yet, in the order of Send. A message gets
// its number when it is first sent: one that is given up before leaves no gap.
// The zero value is empty.
type outbox struct {
	last    int64       // the highest number given
	flight  []*outgoing // have numbers, ascending
	wire    int         // how many of flight were sent on this connection
	bytes   int         // of those
	waiting list.List   // have none yet
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

// next is the message to send now, nil if there is none or the window is full:
// at most so many messages and bytes are unanswered, one message always may be.
func (o *outbox) next(now time.Time, messages, bytes int) *outgoing {
	var m *outgoing
	if o.wire < len(o.flight) {
		m = o.unsent()
	} else if front := o.waiting.Front(); front != nil {
		m = front.Value.(*outgoing)
	}
	if m == nil || o.wire > 0 && (o.wire >= messages || o.bytes+m.size() > bytes) {
		return nil
	}
	if m.number == 0 {
		o.waiting.Remove(m.place)
		o.last++
		m.number = o.last
		o.flight = append(o.flight, m)
	}
	m.sent = now
	o.wire++
	o.bytes += m.size()
	return m
}

func (o *outbox) unsent() *outgoing {
	for _, m := range o.flight {
		if m.sent.IsZero() {
			return m
		}
	}
	return nil
}

// answered takes out the message of that number, nil if it was answered before.
// If it was still to be sent again, something stays in its place ([outbox.fill]).
func (o *outbox) answered(number int64) *outgoing {
	i, ok := o.find(number)
	if !ok {
		return nil
	}
	m := o.flight[i]
	if m.sent.IsZero() {
		o.flight[i] = &outgoing{number: number}
		return m
	}
	o.flight = slices.Delete(o.flight, i, i+1)
	o.wire--
	o.bytes -= m.size()
	return m
}

func (o *outbox) find(number int64) (int, bool) {
	return slices.BinarySearchFunc(o.flight, number, func(m *outgoing, n int64) int { return cmp.Compare(m.number, n) })
}

// maxAsked is how often the wait for an answer doubles: each time that the same
// is sent again, lest a slow server gets more to do, and at once when the server
// has said that it has the message.
const maxAsked = 3

// due is when the message is to be sent again.
func (m *outgoing) due(timeout time.Duration) time.Time {
	doubled := min(m.asked, maxAsked)
	if m.stored {
		doubled = maxAsked
	}
	return m.sent.Add(timeout << doubled)
}

// overdue is what is to be sent again now, and counts as sent.
func (o *outbox) overdue(now time.Time, timeout time.Duration) []*outgoing {
	var late []*outgoing
	for _, m := range o.flight {
		if !m.sent.IsZero() && !now.Before(m.due(timeout)) {
			m.sent = now
			m.asked++
			late = append(late, m)
		}
	}
	return late
}

// deadline is when something is to be sent again; zero if nothing was sent.
func (o *outbox) deadline(timeout time.Duration) time.Time {
	var t time.Time
	for _, m := range o.flight {
		if due := m.due(timeout); !m.sent.IsZero() && (t.IsZero() || due.Before(t)) {
			t = due
		}
	}
	return t
}

// stored notes that the server has the message of that number.
func (o *outbox) stored(number int64) {
	if i, ok := o.find(number); ok {
		o.flight[i].stored = true
	}
}

// rewind is for a new connection: all that is unanswered is to be sent again.
func (o *outbox) rewind() {
	for _, m := range o.flight {
		m.sent, m.asked, m.stored = time.Time{}, 0, false
	}
	o.wire, o.bytes = 0, 0
}

// first is the lowest number that may be sent on the next connection.
func (o *outbox) first() int64 {
	if len(o.flight) > 0 {
		return o.flight[0].number
	}
	return o.last + 1
}

// fill puts something in the place of each number from first that was answered.
// A server that knows nothing of earlier connections would wait for it.
func (o *outbox) fill(first int64) {
	for n := first; n <= o.last; n++ {
		if i, there := o.find(n); !there {
			o.flight = slices.Insert(o.flight, i, &outgoing{number: n})
		}
	}
}

// receivers are those of what was sent before and is to be sent again.
func (o *outbox) receivers() []string {
	var all []string
	for _, m := range o.flight {
		if m.to != "" && !slices.Contains(all, m.to) {
			all = append(all, m.to)
		}
	}
	return all
}

// abandon takes out everything that was sent, and, if all, what was not.
func (o *outbox) abandon(all bool) []*outgoing {
	out := o.flight
	o.flight, o.wire, o.bytes = nil, 0, 0
	if all {
		for e := o.waiting.Front(); e != nil; e = e.Next() {
			out = append(out, e.Value.(*outgoing))
		}
		o.waiting.Init()
	}
	return out
}
