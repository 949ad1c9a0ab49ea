package explore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal"
)

// tick is how much time passes at a time: longer than all that is meant to be
// short, and as long as a post may take from the taking of its turn to its
// acceptance. Two are longer than an owner may be silent, one is not.
const tick = signal.BeginWithin + signal.PostWithin

var (
	errLost   = errors.New("the answer was lost")
	errSilent = errors.New("no answer in time")
)

// step is something that may happen in a world, and the world that it leads to.
type step struct {
	label string
	w     *world
}

// walker collects the steps that a call may do next.
type walker struct {
	*explorer
	w   *world
	i   int      // the call
	at  *history // where it stands
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
		if c.welcome && !w.welcomed[c.conn] {
			return nil
		}
		k.at = c.root(w.now, &x.ids)
		begun := *w
		begun.faults &^= cost
		begun.calls[i].at = k.at
		k.w = &begun
		if w.slow > 0 {
			k.out = append(k.out, step{c.name + " begins", &begun})
		}
	}
	for k.at.next.kind == sleeping {
		if !k.wakes() {
			return k.out
		}
		k.at = k.at.then(observation{now: k.w.now}, &x.ids)
	}
	k.take(k.at.next)
	return k.out
}

// wakes reports whether a call that sleeps may go on. A pause in which it only
// waits for a record to change ends when that has changed, or time has passed:
// another look would show nothing new. Any other may end at any time.
func (k *walker) wakes() bool {
	h := k.at
	if !polls[h.next.sleep] || h.seen.err != nil || k.w.now != h.seen.now {
		return true
	}
	for at := h; at != nil; at = at.parent {
		if at.seen.of != 0 {
			return at.seen.of != k.w.conns[k.w.conn(at.seen.conn.ID)]
		}
	}
	return true
}

// polls are the pauses of an invocation that looks at a record again and again.
var polls = map[time.Duration]bool{
	20 * time.Millisecond: true, 40 * time.Millisecond: true, 80 * time.Millisecond: true, 160 * time.Millisecond: true, 250 * time.Millisecond: true,
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
	o.now = w.now
	at := k.at.then(o, &k.ids)
	w.calls[k.i].at = at
	k.out = append(k.out, step{w.calls[k.i].name + " " + what, &w})
}

func (k *walker) take(e effect) {
	switch e.kind {
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
	case ended, sleeping:
	}
}

// store is one call of the store.
func (k *walker) store(e effect) {
	what := e.name
	if e.move != nil && len(e.move.Run) > 0 {
		what += fmt.Sprint(" ", numbers(e.move.Run))
	}
	k.do(what, 0, func(w *world) observation { return k.commit(w, e) })
	if !e.write {
		return
	}
	k.do(what+", answer lost", lostMove, func(w *world) observation {
		k.commit(w, e)
		return observation{err: errLost}
	})
	k.do(what+", late", lateDup, func(w *world) observation {
		w.late = &lateWrite{e, k.i, k.at.id}
		return observation{err: errLost}
	})
}

// commit makes the call of the store, and judges what it did.
func (k *walker) commit(w *world, e effect) observation {
	if e.write {
		w.store = w.store.Clone()
	}
	o := e.call(w.store)
	if e.conn != "" {
		i := w.conn(e.conn)
		if e.write {
			w.noted(i)
		}
		if o.conn.ID != "" {
			o.of = w.conns[i]
		}
	}
	switch {
	case e.claim != nil && o.err == nil && o.claimed.Owner.ID == e.claim.Peer.ID:
		k.claimed(w, *e.claim)
	case e.user != "" && e.write && e.claim == nil && o.made:
		w.users[user(e.user)] = ownership{}
	case e.move != nil && !k.sly:
		k.moved(w, e, o)
	}
	return o
}

func (k *walker) claimed(w *world, c signal.Claim) {
	u := &w.users[user(c.User)]
	if u.owner != "" && u.owner != c.Peer.ID {
		w.lost[w.conn(u.owner)] = true
	}
	*u = ownership{c.Peer.ID, hashOf(c)}
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
	_, delivery := e.event.(signal.Delivery)
	switch {
	case k.w.gone[i]:
		k.do("finds gone "+to, 0, func(*world) observation { return observation{err: signal.ErrGone} })
		return
	case delivery && k.w.now.Sub(k.at.seen.now) > tick:
		k.do("gives up the post "+to, 0, fails(errSilent))
		return
	}
	k.do("posts "+to, 0, accept(nil))
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
	if w.faults&crash == 0 || c.over() || c.at == nil && c.of != i {
		return nil
	}
	out := *w
	out.faults &^= crash
	x.inHand(&out, i)
	out.calls[i].at = x.dead
	return []step{{c.name + " crashes", &out}}
}

// lands is the late write taking effect, or not.
func (x *explorer) lands(w *world) step {
	out := *w
	out.late = nil
	k := &walker{explorer: x, w: &out, i: w.late.call}
	k.commit(&out, w.late.effect)
	return step{".. lands " + w.late.name, &out}
}

// passes is the world one tick later.
func (w *world) passes() *world {
	out := *w
	out.now = w.now.Add(tick)
	return &out
}

func numbers(run []signal.Numbered) (out []int64) {
	for _, f := range run {
		out = append(out, f.N)
	}
	return out
}

func (w *world) opened(i int) (signal.Connection, bool) {
	c, err := w.store.Inspect(context.Background(), connName[i], w.now)
	return c, err == nil
}
