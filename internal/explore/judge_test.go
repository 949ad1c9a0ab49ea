package explore

import (
	"fmt"
	"slices"
	"strings"

	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// breaks notes a broken promise.
func (x *explorer) breaks(w *world, format string, args ...any) {
	if bad := fmt.Sprintf(format, args...); strings.HasPrefix(bad, x.only) && w.bad == "" {
		w.bad = bad
	}
}

// moved judges a move of a lane.
func (k *walker) moved(w *world, e effect, o observation) {
	i := w.conn(e.conn)
	t := &w.told[k.line(i)]
	c := w.calls[k.i]
	if !c.auth && c.conn == i {
		t.reached |= c.numbers
		if rec := w.conns[i]; rec != nil && !rec.Lane.Opened() {
			for n := range rec.Lane.Held {
				t.early |= c.numbers & bit(n)
			}
		}
	}
	if !o.made {
		return
	}
	takesOn := len(e.move.Run) > 0 || len(e.move.Change.Hold) > 0
	if w.lost[i] && takesOn {
		k.breaks(w, "fence: %s on connection %s after the claim that superseded it", e.move.Kind, connName[i])
	}
	if r := w.conns[i]; takesOn && r != nil && r.Until != 0 && r.Until <= e.since && e.move.Opening == nil {
		k.breaks(w, "expiry: %s on connection %s, whose token has ended", e.move.Kind, connName[i])
	}
}

// hears is what a socket gets.
func (k *walker) hears(w *world, i int, e signal.Event) {
	switch e := e.(type) {
	case signal.Batch:
		for _, one := range e {
			k.hears(w, i, one)
		}
	case signal.Delivery:
		if !k.recovers || k.place(w, i, e) {
			k.delivered(w, e)
		}
	case signal.Void, signal.Lost, signal.Replayed:
		k.announced(w, i, e)
	case signal.Welcome:
		w.welcomed[i] = true
	case signal.Ack:
		if i < connX {
			k.acked(w, i, e)
		}
	}
}

// delivered judges a message that a receiver's socket has. Its data says which
// it is: the sender's line, and the number.
func (k *walker) delivered(w *world, d signal.Delivery) {
	t, n := &w.told[d.Data[0]], int64(d.Data[1])
	switch {
	case t.accepted&bit(n) != 0:
		k.breaks(w, "once: %d is posted twice", n)
	case slices.ContainsFunc(list(t.accepted), func(later int64) bool { return later > n && k.to(later) == k.to(n) }):
		k.breaks(w, "order: %d is posted after %v", n, list(t.accepted))
	case t.rejected&bit(n) != 0 && k.senders[0].session == "":
		k.breaks(w, "truth: %d is posted, though the sender was told that it was not", n)
	}
	t.accepted |= bit(n)
}

// unheard: whether a message was accepted is not known to its sender.
func (k *walker) unheard(w *world, e signal.Event) {
	switch e := e.(type) {
	case signal.Batch:
		for _, one := range e {
			k.unheard(w, one)
		}
	case signal.Delivery:
		w.told[e.Data[0]].unknown |= bit(int64(e.Data[1]))
	}
}

func (k *walker) acked(w *world, i int, a signal.Ack) {
	t, n := &w.told[k.line(i)], a.Number
	if slices.Contains(k.senders[i].reused, n) {
		k.ackedReused(w, t, a)
		return
	}
	switch {
	case k.movedOn(w, i): // its client listens to the next connection
		t.rejected |= bit(n)
	case a.Code == lane.CodeUnknownUser:
		t.rejected |= bit(n)
		if t.accepted&bit(n) != 0 {
			k.breaks(w, "truth: the sender is told that %d was not posted, a socket has it", n)
		}
	case a.Code == lane.OK:
		k.once(w, t.ok, n)
		t.ok |= bit(n)
		if t.accepted&bit(n) == 0 {
			k.breaks(w, "truth: %d is acked, no socket has it", n)
		}
		k.voidOrAcked(w)
	default:
		if a.Code != lane.CodeServer { // which an invocation may also say that does not know who else does
			k.once(w, t.fail, n)
		}
		t.fail |= bit(n)
		if k.faultless(w) && !k.straggler(t, i, n) {
			k.breaks(w, "truth: %d failed with %d, though nothing was at fault", n, a.Code)
		}
	}
	if both := t.ok & t.fail &^ bit(k.senders[i].reused...); both != 0 {
		k.breaks(w, "truth: %v acked as delivered and as failed", list(both))
	}
}

// ackedReused judges an answer to one of two messages under a number, of which one is
// posted: the other's says that it is not.
func (k *walker) ackedReused(w *world, t *facts, a signal.Ack) {
	switch n := bit(a.Number); {
	case a.Code != lane.OK:
		t.fail |= n
	case t.ok&n != 0:
		k.breaks(w, "truth: two messages under %d are acked, one was posted", a.Number)
	case t.accepted&n == 0:
		k.breaks(w, "truth: %d is acked, no socket has it", a.Number)
	default:
		t.ok |= n
	}
}

// once judges an answer to a number, of which told have been answered alike: one
// is enough, unless an invocation or a client has repeated it.
func (k *walker) once(w *world, told uint16, n int64) {
	if told&bit(n) != 0 && k.config.faults&repeat == 0 && k.senders[0].session == "" {
		k.breaks(w, "answer: %d is acked twice, though nothing was repeated", n)
	}
}

// movedOn reports whether the session of a connection has gone on to another.
func (x *explorer) movedOn(w *world, i int) bool {
	return x.senders[i].session != "" && slices.ContainsFunc(w.calls[:w.n], func(c call) bool {
		return c.auth && c.conn > i && c.conn < connX && c.at != nil
	})
}

// straggler reports whether n lies below the opening number and came after it.
func (k *walker) straggler(t *facts, i int, n int64) bool {
	return n < k.senders[i].at && t.early&bit(n) == 0
}

// faultless reports whether nothing has been at fault so far.
func (x *explorer) faultless(w *world) bool {
	return w.faults == x.config.faults && w.slow == x.config.slow && !x.config.late && !x.tokensEnd()
}

// inHand leaves in the dark what a call that crashes had in hand.
func (x *explorer) inHand(w *world, i int) {
	c := w.calls[i]
	if c.conn >= connX {
		return
	}
	t := &w.told[x.line(c.conn)]
	if !c.auth {
		t.unknown |= c.numbers
	}
	for at := c.at; at != nil && at.parent != nil; at = at.parent {
		if e := at.did; e.move != nil && (at.seen.made || at.seen.err != nil) {
			for _, f := range e.move.Run {
				t.unknown |= bit(f.N)
			}
			if e.move.Kind == lane.KindExpire {
				done, _ := e.move.Guard.Done.Value()
				for n := max(0, done+1); n <= e.move.Change.Done; n++ {
					t.unknown |= bit(n)
				}
			}
		}
	}
	if c.at == nil {
		return
	}
	for _, e := range c.at.waiting() {
		if e.move == nil {
			continue
		}
		for _, f := range e.move.Run {
			t.unknown |= bit(f.N)
		}
	}
}

// stalled says what has been left undone in a world at rest.
func (x *explorer) stalled(w *world) string {
	for _, c := range w.calls[:w.n] {
		if c.at != nil && !c.over() {
			return fmt.Sprintf("stall: %s never ends", c.name)
		}
	}
	for i := range x.senders {
		if bad := x.undone(w, i); bad != "" {
			return bad
		}
	}
	if lost := w.told[0].reached &^ w.told[0].accepted; x.leaves && lost != 0 && x.faultless(w) {
		return fmt.Sprintf("leaving: %v, sent before, are not posted, though nothing was at fault", list(lost))
	}
	if bad := x.missed(w); bad != "" {
		return bad
	}
	return x.nameless(w)
}

// undone says what has been left undone on one connection, if that is living and,
// of a session, was welcome. What a crashed invocation had in hand may be, until
// the next frame comes.
func (x *explorer) undone(w *world, i int) string {
	c, there := w.living(i)
	t := w.told[x.line(i)]
	crashed := x.config.faults&crash != 0 && w.faults&crash == 0
	if !there || w.gone[i] || x.movedOn(w, i) || x.senders[i].session != "" && !w.welcomed[i] || !c.Lane.Opened() && crashed {
		return ""
	}
	var excused uint16
	if crashed && (x.after == 0 || t.unknown&bit(x.after) != 0) {
		excused = t.unknown | ^t.reached
	}
	for n := c.Lane.Done + 1; n <= c.Lane.Taken; n++ {
		if excused&bit(n) == 0 {
			return fmt.Sprintf("stall: %d is never finished", n)
		}
	}
	for n := range c.Lane.Held {
		if excused&bit(n) == 0 {
			return fmt.Sprintf("stall: %d is held for ever", n)
		}
	}
	if open := t.reached &^ (t.ok | t.fail | t.rejected | t.unknown); open != 0 {
		return fmt.Sprintf("stall: the sender is never told of %v", list(open))
	}
	for _, n := range x.senders[i].reused {
		if x.faultless(w) && (t.ok&bit(n) == 0 || t.fail&bit(n) == 0) {
			return fmt.Sprintf("truth: of two messages under %d one is not answered", n)
		}
	}
	return ""
}

// nameless says which name ended up with a connection that has no record. After
// a crash that may be; it lasts until a message for the name finds the socket
// gone.
func (x *explorer) nameless(w *world) string {
	if x.config.faults&crash != 0 {
		return ""
	}
	for i, o := range w.users {
		if o == nil || o.free {
			continue
		}
		if _, there := w.living(w.conn(o.Peer.ID)); !there {
			return fmt.Sprintf("name: %s is owned by connection %s, which has no record", userName[i], o.Peer.ID)
		}
	}
	return ""
}
