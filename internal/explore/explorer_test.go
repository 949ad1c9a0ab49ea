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
	"slices"
	"strings"

	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// sender is what one of the sending connections does.
type sender struct {
	user    signal.UserName
	auth    bool  // it has to authenticate; otherwise it has
	at      int64 // with that number
	numbers []int64
	frames  [][]int64 // numbers that it sends several in a frame
	again   []int64   // numbers that it sends once it is welcome
	reused  []int64   // numbers that it gives to another message, too

	session string
	resume  signal.ConnectionID // the session's connection before
	ends    bool                // its token ends after a tick
	has     *signal.Since       // what it has got, if it recovers
}

// config is one bounded world that is explored completely.
type config struct {
	name    string
	senders []sender
	moves   bool  // bob's name is taken over by connection Y
	two     bool  // even numbers go to carol, on connection Y
	batches bool  // clients take several in a frame
	faults  fault // each may occur once, anywhere
	slow    int   // ticks that may pass while somebody is at work
	late    bool  // one frame, whichever, comes as late as it likes, or never
	after   int64 // this frame comes once all else has come to rest
	leaves  bool  // the first sender has left: its frames and $disconnect come at once
	small   bool  // also by default

	recovers bool  // receivers' clients do. Bob's link has died unnoticed, and he comes back on Y
	since    int64 // he has got that much before
}

// explorer explores a config.
type explorer struct {
	config
	only string // the promise that is judged; empty: all
	ids  uint64
	dead *history // of a call that has crashed
	result
}

// result is what an exploration has found.
type result struct {
	states, steps int
	bad           string
	trace         []string
}

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
	x.ids, x.dead = 2, &history{id: 1, ran: true}
	w := &world{faults: x.config.faults, slow: x.config.slow}
	for i, s := range x.senders {
		if x.connect(w, i, s); s.auth {
			x.join(w, x.authenticates(i, s), plan{auth: true})
		}
		for _, n := range s.numbers {
			x.join(w, x.sends(i, n), plan{numbers: bit(n), last: x.after != 0 && n == x.after})
		}
		for _, ns := range s.frames {
			x.join(w, x.sends(i, ns...), plan{numbers: bit(ns...)})
		}
		for _, n := range s.again {
			x.join(w, x.sends(i, n), plan{numbers: bit(n), welcome: true})
		}
		for _, n := range s.reused {
			x.join(w, x.sendsOther(i, n), plan{numbers: bit(n)})
		}
	}
	if x.leaves {
		x.join(w, newProgram("$disconnect", connA, func(r *replay) { _ = r.service().Disconnect(context.Background(), connName[connA]) }), plan{})
	}
	x.connect(w, connX, sender{user: bob})
	if x.moves || x.recovers {
		y := sender{user: bob, auth: true, has: x.has(w)}
		x.connect(w, connY, y)
		p := plan{program: x.authenticates(connY, y), auth: true, of: w.n, since: x.since}
		w.calls[w.n] = call{plan: p}
		w.n++
	}
	if x.two {
		x.connect(w, x.carols(), sender{user: carol})
	}
	if x.asksAgain() {
		w.calls[w.n] = call{plan: plan{program: x.asks(w), of: w.n, last: true, welcome: true}}
		w.n++
	}
	if !x.config.late {
		return []*world{w}
	}
	return w.delayed()
}

// connect has a connection be there from the start, authenticated or not.
func (x *explorer) connect(w *world, i int, s sender) {
	w.conns[i] = newRecord(signal.Connection{
		Peer: x.peer(i), Since: present.Add(-tick) + lane.Instant(i), Expires: present.Add(signal.ConnectionLife), Session: s.session, Lane: lane.New(),
	})
	if !s.auth {
		x.opened(w, x.authenticates(i, s))
	}
	if s.ends {
		c := w.conns[i].Connection
		c.Until = present.Add(tick / 2)
		w.conns[i] = newRecord(c)
	}
}

// opened has a connection have authenticated: by the service, undisturbed.
func (x *explorer) opened(w *world, p *program) {
	for at := p.root(&x.ids); len(at.waiting()) > 0; {
		e := at.waiting()[0]
		k := &walker{explorer: x, w: w, at: at, sly: true}
		var o observation
		if e.kind == storeCall {
			o = k.commit(w, *e)
		}
		o.now = present
		at = at.then(e, o, &x.ids)
	}
}

// peer is a connection as its record has it.
func (x *explorer) peer(i int) signal.Peer {
	p := peer(i)
	p.Batches = x.batches
	p.Recovers = x.recovers && i >= len(x.senders)
	return p
}

// peer is a connection as API Gateway's event has it.
func peer(i int) signal.Peer { return signal.Peer{ID: connName[i], Protocol: signal.JSON} }

// authenticates is the invocation that brings a connection's token.
func (x *explorer) authenticates(i int, s sender) *program {
	in := signal.Authenticate{Number: s.at, Token: string(s.user), Handshake: s.at == unknownStart, Since: s.has}
	if s.session != "" {
		in.Handshake, in.Start, in.Session = true, lane.StartAfter(0), &signal.Session{ID: s.session, Resume: s.resume}
	}
	return newProgram(string(connName[i])+"*", i, func(r *replay) { r.receive(peer(i), in) })
}

// to is the receiver of number n.
func (x *explorer) to(n int64) signal.UserName {
	if x.two && n%2 == 0 {
		return carol
	}
	return bob
}

// sends is the invocation of a frame. The data of its messages says which they are.
func (x *explorer) sends(i int, ns ...int64) *program {
	var batch signal.Sends
	for _, n := range ns {
		batch = append(batch, signal.Send{Number: n, Frame: lane.Frame{To: string(x.to(n)), Data: []byte{byte(x.line(i)), byte(n)}}})
	}
	var in signal.Input = batch
	if len(batch) == 1 {
		in = batch[0]
	}
	p := newProgram(fmt.Sprint(connName[i], ns), i, func(r *replay) { r.receive(peer(i), in) })
	p.several = len(batch) > 1
	return p
}

// sendsOther is the invocation of another message under a number.
func (x *explorer) sendsOther(i int, n int64) *program {
	in := signal.Send{Number: n, Frame: lane.Frame{To: string(x.to(n)), Data: []byte{byte(x.line(i)), byte(n), 'o'}}}
	return newProgram(fmt.Sprint(connName[i], n, " for another"), i, func(r *replay) { r.receive(peer(i), in) })
}

func newProgram(name string, conn int, run func(*replay)) *program {
	return &program{name: name, conn: conn, run: run, known: make(map[uint64]*history)}
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
	if i, e := x.alone(w); e != nil {
		k := &walker{explorer: x, w: w, i: i, at: w.calls[i].at}
		k.take(e)
		return append(k.out, x.crashes(w, i)...), false
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
	if !slices.ContainsFunc(out, func(s step) bool { return !s.looks }) && w.slow == 0 {
		out = out[:min(1, len(out))] // in which order they look does not matter
	}
	if w.late != nil {
		whims = append(whims, x.lands(w))
	}
	switch {
	case len(out) == 0 && sleeps && w.ticks < enough: // nothing else to do: time passes
		whims = append(whims, step{label: ".. time passes", w: x.passes(w)})
	case len(out) == 0:
		out = x.last(w)
		atRest = len(out) == 0
	case w.slow > 0:
		later := x.passes(w)
		later.slow--
		whims = append(whims, step{label: ".. time passes", w: later})
	}
	return append(out, whims...), atRest
}

// enough is how many ticks anything may take.
const enough = 30

// alone is an effect, and of which invocation, that does not matter to any other,
// nor do they to it: an ack, since those that are given are a set; a last word that
// nobody waits for; a read of what does not change; the end of a record that has
// ended. So it may be done first, alone, and every other order leads to the same
// worlds. Not so where an ack may find the sender's socket gone, but for sockets
// that are closed because their connection has ended already; or time may pass
// before what follows on it.
func (x *explorer) alone(w *world) (int, *effect) {
	if w.slow > 0 {
		return 0, nil
	}
	for i, c := range w.calls[:w.n] {
		if c.at == nil {
			continue
		}
		for _, e := range c.at.waiting() {
			if x.commutes(w, *e) {
				return i, e
			}
		}
	}
	return 0, nil
}

func (x *explorer) commutes(w *world, e effect) bool {
	switch {
	case e.kind == answer:
		return true
	case e.kind == post:
		switch e.event.(type) {
		case signal.Superseded, signal.Closing:
			return true
		default:
			return !delivers(e.event) && w.faults&goneAck == 0 && !w.gone[w.conn(e.conn)]
		}
	case e.name == "routes":
		return !x.moves && x.config.faults&goneTo == 0
	case e.name == "ends":
		r := w.conns[w.conn(e.conn)]
		return r == nil || r.Ended
	default:
		return false
	}
}

// long is how many ticks a frame that comes last waits: until what has died looks
// so by any clock.
const long = int((lane.LeaseTimeout+lane.ClockBound)/tick) + 2

// last is the frame that comes once all else has come to rest, and has been so
// for long.
func (x *explorer) last(w *world) []step {
	for i, c := range w.calls[:w.n] {
		if c.at == nil && c.last {
			for range long {
				w = x.passes(w)
			}
			return x.steps(w, i)
		}
	}
	return nil
}

func (x *explorer) tokensEnd() bool {
	return slices.ContainsFunc(x.senders, func(s sender) bool { return s.ends })
}

// explore goes through all worlds of the config, depth first. Each is judged
// once; a way that leads back to itself would be an endless run, and counts as a
// stall.
func (x *explorer) explore() result {
	onPath := make(map[uint64]bool) // every world seen: is it on the path?
	for _, w := range x.begin() {
		x.dive(w, onPath)
	}
	return x.result
}

func (x *explorer) dive(w *world, onPath map[uint64]bool) {
	h := w.hash()
	if on, seen := onPath[h]; seen && w.bad == "" {
		if on {
			x.judge("stall: a run without end")
		}
		return
	}
	onPath[h] = true
	x.states++
	steps, atRest := x.nexts(w)
	switch {
	case w.bad != "":
		x.judge(w.bad)
	case atRest:
		x.judge(x.stalled(w))
	}
	for _, s := range steps {
		if x.bad != "" {
			return
		}
		x.result.steps++
		if x.dive(s.w, onPath); x.bad != "" {
			x.trace = append(x.trace, fmt.Sprintf("%-60s%s", s.label, s.w))
		}
	}
	onPath[h] = false
}

// judge notes what is bad, if that is judged.
func (x *explorer) judge(bad string) {
	if strings.HasPrefix(bad, x.only) {
		x.bad = bad
	}
}
