package client

import (
	"encoding/json"
	"maps"
	"slices"
	"time"
)

// Message is what another user sent.
type Message struct {
	From string          // the sender's name
	Data json.RawMessage // as it was sent, byte for byte
	// Epoch and Seq are the message's place among all those for this user: Seq
	// is one more than the last unless one between was not delivered
	// ([Options.OnGap]). A new epoch counts anew.
	Epoch string
	Seq   int64
	// Session and Number are the sender's own, if it has a session.
	Session string
	Number  int64
}

// Gap is messages for this user, by their Seq, that have not come in time:
// lost with a connection, or never posted. A sender may have been told that
// such a message was not delivered, or it may have come under a later Seq.
type Gap struct {
	Epoch string
	First int64
	// Last is zero if the server has begun to count anew, and nobody knows how many
	// messages there were; there may have been none.
	Last int64
}

// maxSessions is how many sessions of senders are remembered at least: of those
// that have sent last.
const maxSessions = 2048

// inbox puts messages in their order and drops repeated ones. The zero value
// has seen nothing.
type inbox struct {
	wait   time.Duration // how long a message is kept back for those before it
	epoch  string
	next   int64                 // the lowest seq that was neither handed out nor given up
	routed int64                 // up to here messages were meant for connections before the newest
	held   map[int64]heldMessage // came early

	// delivered is the highest number of each sender's session that was handed
	// out, which suffices: they come in order. The older half is dropped when
	// the newer one is full.
	delivered, deliveredBefore map[sender]int64
}

type heldMessage struct {
	Message
	at time.Time
}

type sender struct{ from, session string }

// arrivals are what can be handed out, in order, and the gaps before and
// between.
type arrivals struct {
	messages []Message
	gaps     []Gap
	dropped  int // messages that are late, or repeated
}

// welcome is told where the server's count stands on a new connection. Messages
// up to there may yet come on others, unless it is alone.
func (b *inbox) welcome(epoch string, seq int64, alone bool) arrivals {
	var a arrivals
	if epoch != b.epoch {
		if b.epoch != "" {
			for len(b.held) > 0 { // all that will come of that epoch
				b.giveUp(&a, b.lowest()-1)
			}
			a.gaps = append(a.gaps, Gap{Epoch: b.epoch, First: b.next})
		}
		b.epoch, b.next = epoch, seq+1
	}
	if b.routed = seq; alone {
		b.giveUp(&a, seq)
	}
	return a
}

// alone is told that no connection but the newest is left.
func (b *inbox) alone() arrivals {
	var a arrivals
	b.giveUp(&a, b.routed)
	return a
}

// receive takes a message.
func (b *inbox) receive(m Message, now time.Time) arrivals {
	var a arrivals
	_, held := b.held[m.Seq]
	switch {
	case m.Epoch != b.epoch: // one that has ended, and its order with it
		b.handOut(&a, m)
	case m.Seq < b.next || held:
		a.dropped++
	default:
		if b.held == nil {
			b.held = make(map[int64]heldMessage)
		}
		b.held[m.Seq] = heldMessage{m, now}
		b.run(&a)
	}
	return a
}

// expire gives up what has been waited for long enough.
func (b *inbox) expire(now time.Time) arrivals {
	var a arrivals
	for t := b.deadline(); !t.IsZero() && !now.Before(t); t = b.deadline() {
		b.giveUp(&a, b.lowest()-1)
	}
	return a
}

// deadline is when the next gap is given up; zero if there is none.
func (b *inbox) deadline() time.Time {
	var t time.Time
	for _, h := range b.held {
		if due := h.at.Add(b.wait); t.IsZero() || due.Before(t) {
			t = due
		}
	}
	return t
}

// giveUp hands out what there is up to seq, and what follows without a gap.
func (b *inbox) giveUp(a *arrivals, seq int64) {
	for b.next <= seq {
		last := seq
		if len(b.held) > 0 {
			last = min(seq, b.lowest()-1)
		}
		a.gaps = append(a.gaps, Gap{b.epoch, b.next, last})
		b.next = last + 1
		b.run(a)
	}
}

// run hands out the unbroken run of held messages.
func (b *inbox) run(a *arrivals) {
	for {
		h, ok := b.held[b.next]
		if !ok {
			return
		}
		delete(b.held, b.next)
		b.next++
		b.handOut(a, h.Message)
	}
}

// handOut hands out a message, unless it was handed out under another seq before.
func (b *inbox) handOut(a *arrivals, m Message) {
	if m.Session != "" && b.seen(sender{m.From, m.Session}, m.Number) {
		a.dropped++
		return
	}
	a.messages = append(a.messages, m)
}

// seen reports whether the session's number, or a higher one, was handed out,
// and notes it.
func (b *inbox) seen(s sender, number int64) bool {
	last, ok := b.delivered[s]
	if !ok {
		last = b.deliveredBefore[s]
	}
	if b.delivered == nil || !ok && len(b.delivered) == maxSessions {
		b.delivered, b.deliveredBefore = make(map[sender]int64), b.delivered
	}
	b.delivered[s] = max(last, number)
	return number <= last
}

// lowest is the lowest seq that is held; there must be one.
func (b *inbox) lowest() int64 { return slices.Min(slices.Collect(maps.Keys(b.held))) }
