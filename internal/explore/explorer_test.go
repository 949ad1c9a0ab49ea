// Package explore goes through every interleaving of the effects of a few
// invocations of the real service: each write, read, post and answer is a step,
// and each kind of fault may happen once, anywhere. The records are the memory
// store's. What an invocation does next is found by running the service again on
// what the invocation has observed; worlds are told apart by the records, and by
// what each invocation has observed.
//
// Where a config does not let it pass (slow, late), time passes only while every
// invocation waits: a frame-long delay is a fault like any other.
package explore

import (
	"context"
	"fmt"
	"strings"

	"github.com/owt-signal/owt-signal/internal/memory"
	"github.com/owt-signal/owt-signal/internal/signal"
)

// sender is what one of the sending connections does.
type sender struct {
	user    signal.UserName
	auth    bool  // it has to authenticate; otherwise it has
	at      int64 // with that number
	numbers []int64
	again   []int64 // numbers that it sends once it is welcome

	session string
	resume  signal.ConnectionID // the session's connection before
	ends    bool                // its token ends after a tick
}

// config is one bounded world that is explored completely.
type config struct {
	name    string
	senders []sender
	moves   bool  // bob's name is taken over by connection Y
	faults  fault // each may occur once, anywhere
	slow    int   // ticks that may pass while somebody is at work
	late    bool  // one frame, whichever, comes as late as it likes, or never
	after   int64 // this frame comes once all else has come to rest
	small   bool  // also by default
}

// explorer explores a config.
type explorer struct {
	config
	only    string // the promise that is judged; empty: all
	ids     uint64
	dead    *history // of a call that has crashed
	expires [maxConns]signal.Instant
	result
}

// result is what an exploration has found.
type result struct {
	states, steps int
	bad           string
	trace         []string
}

// start is when worlds begin; any time will do.
const start = signal.Instant(1_800_000_000_000)

// line is where the order of a connection's messages is judged: with the other
// connections of its session.
func (x *explorer) line(i int) int {
	if i < len(x.senders) && x.senders[i].session != "" {
		return 0
	}
	return min(i, maxLines-1)
}

// begin is where the worlds of the config start: one, or one for each frame
// that may be late.
func (x *explorer) begin() []*world {
	x.ids, x.dead = 1, &history{id: 1}
	w := &world{store: memory.New(), now: start, faults: x.config.faults, slow: x.config.slow}
	for i, s := range x.senders {
		if x.connect(w, i, s); s.auth {
			x.join(w, x.authenticates(i, s), plan{auth: true})
		}
		for _, n := range s.numbers {
			x.join(w, x.sends(i, n), plan{number: n, last: x.after != 0 && n == x.after})
		}
		for _, n := range s.again {
			x.join(w, x.sends(i, n), plan{number: n, welcome: true})
		}
	}
	x.connect(w, connX, sender{user: bob})
	if x.moves {
		y := sender{user: bob, auth: true}
		x.connect(w, connY, y)
		p := plan{program: x.authenticates(connY, y), auth: true, of: w.n}
		w.calls[w.n] = call{plan: p}
		w.n++
	}
	if !x.config.late {
		return []*world{w}
	}
	return w.delayed()
}

// connect has a connection be there from the start, authenticated or not.
func (x *explorer) connect(w *world, i int, s sender) {
	ctx := context.Background()
	c := signal.Connection{
		Peer: peer(i), Since: start.Add(-tick) + signal.Instant(i), Expires: start.Add(signal.ConnectionLife), Session: s.session, Lane: signal.NewLane(),
	}
	if err := w.store.Admit(ctx, c); err != nil {
		panic(err)
	}
	if !s.auth {
		x.opened(w, i, s)
	}
	if s.ends {
		x.expires[i] = start.Add(tick)
	}
	w.noted(i)
}

// opened has a connection have authenticated: by the service, undisturbed.
func (x *explorer) opened(w *world, i int, s sender) {
	p := x.authenticates(i, s)
	at := p.root(start, &x.ids)
	for at.next.kind != ended {
		k := &walker{explorer: x, w: w, at: at, sly: true}
		o := observation{now: start}
		if at.next.kind == storeCall {
			o = k.commit(w, at.next)
			o.now = start
		}
		at = at.then(o, &x.ids)
	}
}

func peer(i int) signal.Peer { return signal.Peer{ID: connName[i], Protocol: signal.JSON} }

// authenticates is the invocation that brings a connection's token.
func (x *explorer) authenticates(i int, s sender) *program {
	in := signal.Authenticate{Number: s.at, Token: string(s.user)}
	if s.ends {
		in.Token += " ends"
	}
	if s.session != "" {
		in.Early, in.Session = true, &signal.Session{ID: s.session, Resume: s.resume, First: 1}
	}
	return newProgram(string(connName[i])+"*", i, func(r *replay) { r.receive(peer(i), in) })
}

// sends is the invocation of a message to bob. Its data says which it is.
func (x *explorer) sends(i int, n int64) *program {
	in := signal.Send{Number: n, Frame: signal.Frame{To: bob, Data: []byte{byte(x.line(i)), byte(n)}}}
	return newProgram(fmt.Sprint(connName[i], n), i, func(r *replay) { r.receive(peer(i), in) })
}

func newProgram(name string, conn int, run func(*replay)) *program {
	return &program{name: name, conn: conn, run: run, roots: make(map[signal.Instant]*history)}
}

// join adds an invocation, and its repeat.
func (x *explorer) join(w *world, p *program, c plan) {
	c.program, c.of = p, w.n
	w.calls[w.n] = call{plan: c}
	w.n++
	if x.config.faults&repeat != 0 && !c.last {
		c.program = newProgram(p.name+"'", p.conn, p.run)
		w.calls[w.n] = call{plan: c}
		w.n++
	}
}

// delayed are the worlds in each of which another frame may be late.
func (w *world) delayed() []*world {
	var out []*world
	for i, c := range w.calls[:w.n] {
		if c.auth || c.of != i || c.last {
			continue
		}
		late := *w
		late.calls[i].late = true
		out = append(out, &late)
	}
	return out
}

// nexts are all the steps that are possible in w. In a world at rest, where
// nothing happens any more without a fault, atRest is true.
func (x *explorer) nexts(w *world) (out []step, atRest bool) {
	if i, ok := x.alone(w); ok {
		return append(x.steps(w, i), x.crashes(w, i)...), false
	}
	var whims []step
	sleeps := false
	for i, c := range w.calls[:w.n] {
		whims = append(whims, x.crashes(w, i)...)
		switch {
		case c.at == nil && c.last:
		case c.at == nil && (c.late || c.of != i): // a repeat is a whim, too
			whims = append(whims, x.steps(w, i)...)
		case !c.over():
			steps := x.steps(w, i)
			sleeps = sleeps || c.at != nil && len(steps) == 0
			out = append(out, steps...)
		}
	}
	if w.late != nil {
		whims = append(whims, x.lands(w))
	}
	switch {
	case len(out) == 0 && sleeps && w.now.Sub(start) < enough: // nothing else to do: time passes
		whims = append(whims, step{".. time passes", w.passes()})
	case len(out) == 0:
		out = x.last(w)
		atRest = len(out) == 0
	case w.slow > 0:
		later := w.passes()
		later.slow--
		whims = append(whims, step{".. time passes", later})
	}
	return append(out, whims...), atRest
}

// enough is how long anything may take.
const enough = 30 * tick

// alone is an invocation whose next step is an ack, or a read of what does not
// change. That it is done does not matter to any other step, nor do they to it:
// so it may be done first, alone, and every other order leads to the same
// worlds. Not so where the ack may find the sender's socket gone, or time may
// pass before what follows on it.
func (x *explorer) alone(w *world) (int, bool) {
	if w.slow > 0 {
		return 0, false
	}
	for i, c := range w.calls[:w.n] {
		if c.at == nil {
			continue
		}
		switch e := c.at.next; {
		case e.kind == answer:
			return i, true
		case e.kind == post && w.faults&goneAck == 0:
			if _, delivery := e.event.(signal.Delivery); !delivery && !w.gone[w.conn(e.conn)] && !x.closes() {
				return i, true
			}
		case e.name == "routes" && !x.moves && x.config.faults&goneTo == 0:
			return i, true
		}
	}
	return 0, false
}

// closes reports whether sockets are closed in this config, so that it matters
// when one is posted to.
func (x *explorer) closes() bool {
	for _, s := range x.senders[1:] {
		if s.user == x.senders[0].user {
			return true
		}
	}
	return x.expires != [maxConns]signal.Instant{}
}

// last is the frame that comes once all else has come to rest, and has been so
// for long.
func (x *explorer) last(w *world) []step {
	for i, c := range w.calls[:w.n] {
		if c.at == nil && c.last {
			later := *w
			later.now = w.now.Add(2 * tick)
			return x.steps(&later, i)
		}
	}
	return nil
}

// explore goes through all worlds of the config, depth first. Each is judged
// once.
func (x *explorer) explore() result {
	seen := make(map[uint64]bool)
	for _, w := range x.begin() {
		x.dive(w, seen)
	}
	return x.result
}

func (x *explorer) dive(w *world, seen map[uint64]bool) {
	h := w.hash()
	if seen[h] && w.bad == "" {
		return
	}
	seen[h] = true
	x.states++
	steps, atRest := x.nexts(w)
	if bad := w.bad; bad != "" {
		x.bad = bad
	} else if atRest {
		if bad := x.stalled(w); strings.HasPrefix(bad, x.only) {
			x.bad = bad
		}
	}
	for _, s := range steps {
		if x.bad != "" {
			return
		}
		x.result.steps++
		if x.dive(s.w, seen); x.bad != "" {
			x.trace = append(x.trace, fmt.Sprintf("%-60s%s", s.label, s.w))
		}
	}
}
