// Package sim runs the real domain code on the real memory store in a world of
// its own: one seed decides everything that happens in it. Invocations start in
// any order, overlap, repeat, crash at any step and run into their deadline;
// stores and sockets fail in every way that they may; clients reconnect, take
// over and vanish. A checker that sees what every socket got and what every
// sender was told judges the promises of docs/guarantees.md.
//
// Time is virtual. Only one process runs at a time, from one port call to the
// next, so a seed replays exactly.
package sim

import (
	"container/heap"
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// World is the schedule: what is to happen, in the order of its time.
type World struct {
	rng     *rand.Rand
	now     time.Duration // since the world began
	queue   events
	serial  int // of events, so that those of one time have an order
	current *strand
	steps   int

	trace func(string) // nil: none
}

// epoch is when a world begins; any time will do.
const epoch = lane.Instant(1_800_000_000_000)

// maxSteps ends a world that does not end by itself: a live-lock.
const maxSteps = 1_000_000

func newWorld(seed uint64) *World {
	return &World{rng: rand.New(rand.NewPCG(seed, 0x6f77742d7369676e))}
}

// event is something that happens at a time.
type event struct {
	at     time.Duration
	serial int
	do     func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].serial < e[j].serial
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) } //nolint:forcetypeassert // only heap calls it
func (e *events) Pop() any {
	last := len(*e) - 1
	x := (*e)[last]
	*e = (*e)[:last]
	return x
}

// after lets something happen after d.
func (w *World) after(d time.Duration, do func()) {
	w.serial++
	heap.Push(&w.queue, event{w.now + d, w.serial, do})
}

// run lets everything happen until end, or until nothing is left.
func (w *World) run(end time.Duration) {
	for len(w.queue) > 0 && w.queue[0].at <= end {
		if w.steps++; w.steps > maxSteps {
			panic(fmt.Sprintf("the world does not end: %d steps, %v", w.steps, w.now))
		}
		e, _ := heap.Pop(&w.queue).(event)
		w.now = e.at
		e.do()
	}
	w.now = max(w.now, end)
}

// process is an invocation: code that runs until it waits. What it does side by
// side are several strands, which die together.
type process struct {
	name    string
	skew    time.Duration // of its machine's clock
	frail   bool          // may crash
	strands []*strand
	looked  map[state]time.Duration // when it first saw who watches a user, in a state
}

// strand is what runs in a process from one end to the other.
type strand struct {
	*process
	next    func() (struct{}, bool)
	stop    func()
	yield   func(struct{}) bool
	ended   bool
	waiting []*strand // for its end
}

// killed unwinds a strand of a process that has crashed.
type killed struct{}

// spawn starts a process after d, which is killed if it is not done within
// limit.
func (w *World) spawn(d, limit time.Duration, p *process, body func()) {
	w.strand(d, p, func() {
		body()
		p.end(w.current) // what is under way beside is lost
	})
	w.after(d+limit, func() { w.kill(p, "deadline") })
}

// strand starts a strand of a process after d.
func (w *World) strand(d time.Duration, p *process, body func()) *strand {
	st := &strand{process: p}
	st.next, st.stop = iter.Pull(func(yield func(struct{}) bool) {
		st.yield = yield
		defer func() {
			st.ended = true
			if v := recover(); v != nil {
				if _, ok := v.(killed); !ok {
					panic(v)
				}
			}
		}()
		body()
		for _, other := range st.waiting {
			w.after(0, func() { w.resume(other) })
		}
	})
	p.strands = append(p.strands, st)
	w.after(d, func() { w.resume(st) })
	return st
}

// beside is the service's [signal.Service.Beside].
func (w *World) beside(f func()) (wait func()) {
	st := w.strand(0, w.current.process, f)
	return func() {
		if !st.ended {
			st.waiting = append(st.waiting, w.current)
			w.suspend()
		}
	}
}

func (w *World) resume(st *strand) {
	if st.ended {
		return
	}
	before := w.current
	w.current = st
	st.next()
	w.current = before
}

func (w *World) kill(p *process, why string) {
	if p.over() {
		return
	}
	w.tracef("%s: %s", p.name, why)
	p.end(nil)
}

// over reports whether all that the process does has ended.
func (p *process) over() bool {
	return !slices.ContainsFunc(p.strands, func(st *strand) bool { return !st.ended })
}

// end ends all strands but one.
func (p *process) end(but *strand) {
	for _, st := range p.strands {
		if st != but && !st.ended {
			st.stop()
			st.ended = true
		}
	}
}

// wait suspends the strand that runs for d.
func (w *World) wait(d time.Duration) {
	st := w.current
	w.after(d, func() { w.resume(st) })
	w.suspend()
}

// suspend suspends the strand that runs until it is resumed.
func (w *World) suspend() {
	if !w.current.yield(struct{}{}) {
		panic(killed{})
	}
}

// crash ends the process that runs.
func (w *World) crash() {
	w.tracef("%s: crash", w.current.name)
	w.current.end(w.current)
	panic(killed{})
}

// Now implements [signal.Clock], as the machine of the process that runs has
// it.
func (w *World) Now() lane.Instant {
	now := w.now
	if w.current != nil {
		now += w.current.skew
	}
	return epoch.Add(now)
}

// Sleep implements [signal.Clock].
func (w *World) Sleep(_ context.Context, d time.Duration) error {
	w.wait(d)
	return nil
}

// chance is true with probability p.
func (w *World) chance(p float64) bool { return p > 0 && w.rng.Float64() < p }

// upTo returns a random time below d.
func (w *World) upTo(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return time.Duration(w.rng.Int64N(int64(d)))
}

// latency is typically around d, rarely many times that.
func (w *World) latency(d time.Duration) time.Duration {
	l := d/2 + w.upTo(d)
	if w.chance(0.02) {
		l += w.upTo(20 * d)
	}
	return l
}

func (w *World) tracef(format string, args ...any) {
	if w.trace != nil {
		who := "-"
		if w.current != nil {
			who = w.current.name
		}
		w.trace(fmt.Sprintf("%10.3f %-12s ", w.now.Seconds()*1000, who) + fmt.Sprintf(format, args...))
	}
}
