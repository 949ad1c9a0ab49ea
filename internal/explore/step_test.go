package explore

import (
	"context"
	"errors"
	"fmt"

	"github.com/owt-signal/owt-signal/internal/memory"
	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// tick is how much time passes at a time: longer than all that is meant to be
// short, and as long as a post may take from the taking of the lease to its
// acceptance. Who looks once in a tick sees a lease expire after four, since of
// each no more than [lane.BlindAfter] counts as observed.
const tick = lane.PostStartWithin + lane.PostWithin

var (
	errLost   = errors.New("the answer was lost")
	errSilent = errors.New("no answer in time")
)

// step is something that may happen in a world, and the world that it leads to.
type step struct {
	label string
	w     *world
	looks bool // it only reads a record
}

// walker collects the steps that a call may do next.
type walker struct {
	*explorer
	w   *world
	i   int      // the call
	at  *history // where it stands
	e   *effect  // of it, whose answers are the steps
	sly bool     // it is not judged: before the world begins
	out []step
}

// steps are the steps of a call, but for its crash.
func (x *explorer) steps(w *world, i int) []step {
	k := &walker{explorer: x, w: w, i: i, at: w.calls[i].at}
	cost := fault(0)
	if k.at == nil {
		c := w.calls[i]
		if c.of != i {
			cost = repeat
			if w.calls[c.of].at == nil || w.faults&repeat == 0 {
				return nil // of two equal invocations the first is called the original
			}
		}
		if c.welcome && !w.welcomed[c.conn] || c.since > 0 && w.inbox[c.since] == nothing {
			return nil
		}
		k.at = c.root(&x.ids)
		begun := *w
		begun.faults &^= cost
		begun.calls[i].at = k.at
		k.w = &begun
		if w.slow > 0 {
			k.out = append(k.out, step{label: c.name + " begins", w: &begun})
		}
	}
	for at, waiting := k.at, k.at.waiting(); len(waiting) > 0; waiting = waiting[1:] {
		k.at = at
		k.wake(waiting[0])
	}
	return k.out
}

// wake takes the steps of a strand that waits for e, or, if it sleeps, of what it
// waits for then.
func (k *walker) wake(e *effect) {
	for e != nil && e.kind == sleeping {
		if !k.wakes(e) {
			return
		}
		k.at = k.at.then(e, observation{now: present}, &k.ids)
		e = k.at.waitsFor(e.strand)
	}
	if e != nil {
		k.take(e)
	}
}

// wakes reports whether a call that sleeps may go on. A pause in which it only
// waits for a record to change ends when that has changed, or time has passed:
// another look would show nothing new. Any other may end at any time.
func (k *walker) wakes(e *effect) bool {
	h := k.at.of(e.strand)
	if !e.polls() || h.seen.err != nil || e.since != present {
		return true
	}
	for at := h; at != nil; at = at.parent {
		if at.seen.of != 0 && at.did.strand == e.strand {
			if at.did.reads {
				return k.w.users[user(at.did.user)].hash != at.seen.of
			}
			r := k.w.conns[k.w.conn(at.seen.conn.ID)]
			return r == nil || r.hash != at.seen.of
		}
	}
	return true
}

// do adds a step: the effect's answer is what f makes of a new world. It costs a
// fault, if that is still to be had.
func (k *walker) do(what string, cost fault, f func(w *world) observation) {
	if k.w.faults&cost != cost {
		return
	}
	w := *k.w
	w.faults &^= cost
	o := f(&w)
	o.now = present
	w.calls[k.i].at = k.at.then(k.e, o, &k.ids)
	e := k.e
	k.out = append(k.out, step{w.calls[k.i].name + " " + what, &w, e.kind == storeCall && !e.write && (e.conn != "" || e.reads)})
}

func (k *walker) take(effect *effect) {
	k.e = effect
	switch e := *effect; e.kind {
	case storeCall:
		k.store(e)
	case post:
		k.post(e)
	case closing:
		k.do("closes "+string(e.conn), 0, func(w *world) observation {
			w.gone[w.conn(e.conn)] = true
			return observation{}
		})
	case answer:
		k.do(fmt.Sprintf("answers %T%+v", e.event, e.event), 0, func(w *world) observation {
			k.hears(w, w.conn(e.conn), e.event)
			return observation{}
		})
	case sleeping:
	}
}

// store is one call of the store.
func (k *walker) store(e effect) {
	what := e.name
	if e.move != nil && len(e.move.Run) > 0 {
		what += fmt.Sprint(" ", numbers(e.move.Run))
	}
	k.do(what, 0, func(w *world) observation { return k.commit(w, e) })
	if e.move == nil && !e.keeps {
		return
	}
	k.do(what+", answer lost", lostMove, func(w *world) observation {
		k.commit(w, e)
		return observation{err: errLost}
	})
	k.do(what+", late", lateDup, func(w *world) observation {
		w.late = &lateWrite{k.i, e.strand, k.at}
		return observation{err: errLost}
	})
}

// commit makes the call of the store, on one that has only the record that is
// called for, and judges what it did.
func (k *walker) commit(w *world, e effect) observation {
	if e.conn != "" {
		return k.commitConnection(w, e)
	}
	if k.recovers {
		return k.commitRecovering(w, e)
	}
	ctx, s, u := context.Background(), memory.New(), user(e.user)
	if o := w.users[u]; o != nil {
		if _, err := s.Claim(ctx, o.Claim); err != nil {
			panic(err)
		}
	}
	o := e.call(s)
	o.route.Seq = 0 // nothing that the service does depends on it
	switch {
	case e.claim != nil && o.err == nil && o.claimed.Owner.ID == e.claim.Peer.ID:
		if was := w.users[u]; was == nil || was.Peer.ID != e.claim.Peer.ID {
			if was != nil {
				w.lost[w.conn(was.Peer.ID)] = true
			}
			w.users[u] = newOwner(owner{Claim: *e.claim})
		}
	case e.claim == nil && e.write && o.made:
		w.users[u] = nil
	}
	return o
}

func (k *walker) commitConnection(w *world, e effect) observation {
	ctx, s, i := context.Background(), memory.New(), w.conn(e.conn)
	if r := w.conns[i]; r != nil {
		if err := s.Create(ctx, r.Connection); err != nil {
			panic(err)
		}
	}
	o := e.call(s)
	if e.write {
		w.conns[i] = nil
		if c, err := s.GetEnded(ctx, e.conn, present); err == nil {
			w.conns[i] = newRecord(c)
		}
	}
	if o.conn.ID != "" && w.conns[i] != nil {
		o.of = w.conns[i].hash
	}
	if e.move != nil && !k.sly {
		k.moved(w, e, o)
	}
	return o
}

// post is one message to a socket.
func (k *walker) post(e effect) {
	i := k.w.conn(e.conn)
	to := fmt.Sprintf("to %s %T%+v", e.conn, e.event, e.event)
	accept := func(err error) func(*world) observation {
		return func(w *world) observation { k.hears(w, i, e.event); return observation{err: err} }
	}
	fails := func(err error) func(*world) observation {
		return func(w *world) observation { k.unheard(w, e.event); return observation{err: err} }
	}
	delivery := delivers(e.event)
	switch {
	case k.w.gone[i]:
		k.do("finds gone "+to, 0, func(*world) observation { return observation{err: signal.ErrGone} })
		return
	case delivery && !k.w.calls[k.i].asks() && present.Sub(e.since) > tick:
		k.do("gives up the post "+to, 0, fails(errSilent))
		return
	}
	k.do("posts "+to, 0, accept(nil))
	if k.w.calls[k.i].asks() { // whose client would ask again
		return
	}
	cost := goneAck
	if delivery {
		cost = goneTo
		k.do("posts, outcome unknown, "+to, unknown, func(w *world) observation {
			k.unheard(w, e.event)
			return accept(errSilent)(w)
		})
		k.do("fails to post, outcome unknown, "+to, unknown, fails(errSilent))
	}
	k.do("finds newly gone "+to, cost, func(w *world) observation {
		w.gone[i] = true
		return observation{err: signal.ErrGone}
	})
}

// crashes are the ends of a call that may come at any time.
func (x *explorer) crashes(w *world, i int) []step {
	c := w.calls[i]
	if w.faults&crash == 0 || c.over() || c.asks() || c.at == nil && c.of != i {
		return nil
	}
	out := *w
	out.faults &^= crash
	x.inHand(&out, i)
	out.calls[i].at = x.dead
	return []step{{label: c.name + " crashes", w: &out}}
}

// lands is the late write taking effect, or not.
func (x *explorer) lands(w *world) step {
	out := *w
	out.late = nil
	e := w.late.effect()
	k := &walker{explorer: x, w: &out, i: w.late.call}
	k.commit(&out, *e)
	return step{label: ".. lands " + e.name, w: &out}
}

// passes is the world one tick later.
func (x *explorer) passes(w *world) *world {
	out := *w
	out.ticks++
	for i, r := range w.conns {
		if r != nil {
			out.conns[i] = newRecord(ticked(r.Connection))
		}
	}
	for i, c := range w.calls[:w.n] {
		if c.at != nil && !c.over() {
			out.calls[i].at = c.at.ticked(&x.ids)
		}
	}
	if w.late != nil {
		out.late = &lateWrite{w.late.call, w.late.strand, w.late.at.ticked(&x.ids)}
	}
	return &out
}

func numbers(run []lane.Numbered) (out []int64) {
	for _, f := range run {
		out = append(out, f.N)
	}
	return out
}
