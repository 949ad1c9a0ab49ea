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

// Gap is messages for this user, by their Seq, that have not come in time, and that
// the server does not have any more: lost with a connection, or never posted. A
// sender may have been told that such a message was not delivered, or it may have
// come under a later Seq.
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
	routed int64                 // up to here messages can only come on connections before the newest
	alone  bool                  // there is none of these
	held   map[int64]heldMessage // came early
	spans  []span                // what the server says of numbers from next on
	recovery

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

// span is numbers that do not come.
type span struct {
	first, last int64
	lost        bool // they may have been messages
}

// arrivals are what can be handed out, in order, and the gaps before and
// between.
type arrivals struct {
	messages []Message
	gaps     []Gap
	dropped  int // messages that are late, or repeated, or come again
}

// lose adds a gap, to the one before if that goes on.
func (a *arrivals) lose(epoch string, first, last int64) {
	if n := len(a.gaps); n > 0 && a.gaps[n-1].Epoch == epoch && a.gaps[n-1].Last == first-1 {
		a.gaps[n-1].Last = last
		return
	}
	a.gaps = append(a.gaps, Gap{epoch, first, last})
}

// standing is where the server's count stands when it welcomes a connection.
type standing struct {
	epoch string
	seq   int64         // the highest number
	from  int64         // the lowest that is sent again; zero: none is
	keeps time.Duration // how long it keeps what it has sent; zero: not at all
}

// welcome is told where the server's count stands on a new connection. What is not
// sent again on it may yet come on others, unless it is alone.
func (b *inbox) welcome(s standing, alone bool, now time.Time) arrivals {
	var a arrivals
	if s.from == 0 {
		s.from = s.seq + 1
	}
	if s.epoch != b.epoch {
		if b.epoch != "" {
			for len(b.held) > 0 { // all that will come of that epoch
				b.giveUp(&a, b.lowest()-1)
			}
			a.gaps = append(a.gaps, Gap{Epoch: b.epoch, First: b.next})
		}
		b.epoch, b.next, b.spans = s.epoch, s.from, nil
	}
	b.recovery.welcome(s, now)
	b.routed, b.alone = 0, alone
	b.noMore(&a, s.from-1)
	return a
}

// noMore notes that up to seq no more is to come on the newest connection.
func (b *inbox) noMore(a *arrivals, seq int64) {
	if b.routed = max(b.routed, seq); b.alone {
		b.giveUp(a, b.routed)
	}
	b.settle()
}

// onlyNewest is told that no connection but the newest is left.
func (b *inbox) onlyNewest() arrivals {
	var a arrivals
	b.alone = true
	b.giveUp(&a, b.routed)
	return a
}

// take takes a message, or what the server says of some.
func (b *inbox) take(f frame, now time.Time) arrivals {
	switch f.Type {
	case typeMessage:
		return b.receive(f.message(), now)
	case typeReplayed:
		return b.replayed(f.Epoch, f.Seq, now)
	default:
		return b.announce(f.Epoch, span{f.Seq, f.Last, f.Type == typeLost}, now)
	}
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
		b.progress(m.Seq, now)
		b.run(&a)
		b.makeRoom(&a, now)
	}
	return a
}

// announce takes what the server says of numbers that do not come.
func (b *inbox) announce(epoch string, s span, now time.Time) arrivals {
	var a arrivals
	if epoch == b.epoch && b.next <= s.last && s.first <= s.last && len(b.spans) < maxHeld {
		b.spans = append(b.spans, s)
		b.progress(s.first, now)
		b.run(&a)
	}
	return a
}

// expire gives up what has been waited for long enough, and cannot be asked for.
func (b *inbox) expire(now time.Time) arrivals {
	var a arrivals
	if b.unanswered(now) {
		b.noMore(&a, b.question.last)
	}
	for b.overdue(now) && (!b.asks() || b.lowest()-1 <= b.routed) {
		b.giveUp(&a, b.lowest()-1)
	}
	return a
}

// overdue reports whether what is held has waited for long enough, but for a question.
func (b *inbox) overdue(now time.Time) bool {
	return !b.question.open() && len(b.held) > 0 && !now.Before(b.deadline())
}

// deadline is when there is something to do: to give up a gap, or to ask for it;
// zero if there is nothing.
func (b *inbox) deadline() time.Time {
	switch {
	case b.question.open():
		return b.question.due
	case len(b.held) > 0:
		return b.oldest().Add(b.patience(b.wait))
	default:
		return time.Time{}
	}
}

// oldest is when the first of what is held came; there must be some.
func (b *inbox) oldest() time.Time {
	var t time.Time
	for _, h := range b.held {
		if t.IsZero() || h.at.Before(t) {
			t = h.at
		}
	}
	return t
}

// giveUp hands out what there is up to seq, and what follows without a gap.
func (b *inbox) giveUp(a *arrivals, seq int64) {
	for b.next <= seq {
		last := min(seq, b.beforeHeld(seq))
		for _, s := range b.spans {
			if s.first > b.next {
				last = min(last, s.first-1)
			}
		}
		a.lose(b.epoch, b.next, last)
		b.next = last + 1
		b.run(a)
	}
}

// run hands out the unbroken run of held messages, and of numbers that do not come.
func (b *inbox) run(a *arrivals) {
	for {
		h, ok := b.held[b.next]
		i := slices.IndexFunc(b.spans, func(s span) bool { return s.first <= b.next && b.next <= s.last })
		switch {
		case ok:
			delete(b.held, b.next)
			b.next++
			b.handOut(a, h.Message)
		case i >= 0: // but for what has come of them all the same
			last := b.beforeHeld(b.spans[i].last)
			if b.spans[i].lost {
				a.lose(b.epoch, b.next, last)
			}
			b.next = last + 1
		default:
			b.settle()
			return
		}
	}
}

// settle forgets what was said or asked of numbers that are past.
func (b *inbox) settle() {
	b.spans = slices.DeleteFunc(b.spans, func(s span) bool { return s.last < b.next })
	if b.question.last < b.next || b.question.last <= b.routed {
		b.question = question{}
	}
}

// beforeHeld is seq, or, if one up to there is held, the number before the lowest.
func (b *inbox) beforeHeld(seq int64) int64 {
	if len(b.held) == 0 {
		return seq
	}
	return min(seq, b.lowest()-1)
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
