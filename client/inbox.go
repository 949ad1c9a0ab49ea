package client

import (
	"encoding/json"
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
	Epoch       string
	First, Last int64
}

// maxSessions is how many sessions of senders are remembered at least: of those
// that have sent last.
const maxSessions = 2048

// inbox puts messages in their order and drops repeated ones. The zero value
// has seen nothing.
type inbox struct {
	wait  time.Duration // how long a gap is waited for
	epoch string
	next  int64 // the lowest seq that was neither handed out nor given up

	held map[int64]heldMessage // came early
	// known is the highest seq that there is according to the server, which it
	// said at knownAt.
	known   int64
	knownAt time.Time

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

// welcome is told where the server's count stands on a new connection. If there
// is another one still, messages up to there may yet come on it; otherwise they
// cannot.
func (b *inbox) welcome(epoch string, seq int64, another bool, now time.Time) arrivals {
	var a arrivals
	switch {
	case epoch != b.epoch:
		b.begin(&a, epoch, seq+1)
	case another:
		if b.known < seq {
			b.known, b.knownAt = seq, now
		}
	default:
		b.giveUp(&a, seq)
	}
	return a
}

// alone is told that no connection but the newest, whose welcome said seq, is
// left.
func (b *inbox) alone(epoch string, seq int64) arrivals {
	var a arrivals
	if epoch == b.epoch {
		b.giveUp(&a, seq)
	}
	return a
}

// begin turns to another epoch. What is held of the one before is all that will
// come of it.
func (b *inbox) begin(a *arrivals, epoch string, next int64) {
	if b.epoch != "" {
		b.giveUp(a, b.highest())
	}
	b.epoch, b.next, b.known = epoch, next, 0
}

// receive takes a message.
func (b *inbox) receive(m Message, now time.Time) arrivals {
	var a arrivals
	if m.Epoch != b.epoch {
		b.begin(&a, m.Epoch, m.Seq)
	}
	_, held := b.held[m.Seq]
	switch {
	case m.Seq < b.next || held:
		a.dropped++
	case m.Seq == b.next:
		b.handOut(&a, m)
		b.run(&a)
	default:
		if b.held == nil {
			b.held = make(map[int64]heldMessage)
		}
		b.held[m.Seq] = heldMessage{m, now}
	}
	return a
}

// expire gives up the gaps that have been waited for long enough.
func (b *inbox) expire(now time.Time) arrivals {
	var a arrivals
	for {
		deadline := b.deadline()
		if deadline.IsZero() || now.Before(deadline) {
			return a
		}
		if lowest, ok := b.lowest(); ok {
			b.giveUp(&a, lowest-1)
		} else {
			b.giveUp(&a, b.known)
		}
	}
}

// deadline is when the gap that is waited for is given up; zero if there is
// none. Whatever comes after a gap shows it.
func (b *inbox) deadline() time.Time {
	var since time.Time
	if b.known >= b.next {
		since = b.knownAt
	}
	for _, h := range b.held {
		if since.IsZero() || h.at.Before(since) {
			since = h.at
		}
	}
	if since.IsZero() {
		return since
	}
	return since.Add(b.wait)
}

// giveUp hands out what there is up to seq, and what follows without a gap.
func (b *inbox) giveUp(a *arrivals, seq int64) {
	for b.next <= seq {
		first := b.next
		upTo := seq
		if lowest, ok := b.lowest(); ok {
			upTo = min(seq, lowest-1)
		}
		if first <= upTo {
			a.gaps = append(a.gaps, Gap{b.epoch, first, upTo})
			b.next = upTo + 1
		}
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
		b.handOut(a, h.Message)
	}
}

// handOut hands out the next message, unless it was handed out under another
// seq before.
func (b *inbox) handOut(a *arrivals, m Message) {
	b.next = m.Seq + 1
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

func (b *inbox) lowest() (seq int64, ok bool) {
	for s := range b.held {
		if !ok || s < seq {
			seq, ok = s, true
		}
	}
	return seq, ok
}

// highest is the last seq that is held, or known to be.
func (b *inbox) highest() int64 {
	seq := b.known
	for s := range b.held {
		seq = max(seq, s)
	}
	return seq
}

// bySeq sorts messages that came before it was known where the count stands.
func bySeq(messages []Message) {
	slices.SortStableFunc(messages, func(a, b Message) int { return int(a.Seq - b.Seq) })
}
