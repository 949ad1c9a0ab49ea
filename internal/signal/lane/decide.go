package lane

import (
	"slices"
	"time"
)

// Decision is what an invocation does next that answers for a frame.
type Decision struct {
	Action Action
	Move   *Move         // of MakeMove
	Wait   time.Duration // of LookAgain
}

// Action is the kind of a decision.
type Action int

// The actions that there are.
const (
	Pending   Action = iota // nothing: another invocation has the frame, and acknowledges it
	LookAgain               // look at the lane again after Wait
	MakeMove                // make Move
)

func makeMove(m Move) Decision { return Decision{Action: MakeMove, Move: &m} }
func lookAgain(until time.Duration) Decision {
	return Decision{Action: LookAgain, Wait: until + time.Millisecond}
}

// Arrival is what an invocation does about frames that it submits.
type Arrival struct {
	// Move is to be made before anything is answered; without a Kind: none is. If it
	// takes a lease, the frames that are in neither list below are in its run.
	Move     Move
	Finished []Finished // to be acknowledged
	Pending  []Numbered // whoever takes them acknowledges them: they are held, or another invocation has them
}

// Refused returns the arrival of frames that are not held after all.
func (a Arrival) Refused() Arrival {
	for _, f := range a.Move.Change.Hold {
		a.Finished = append(a.Finished, Finished{Numbered{f.N, f.Frame}, CodeBusy})
		a.Pending = slices.DeleteFunc(a.Pending, func(p Numbered) bool { return p.N == f.N })
	}
	a.Move = Move{}
	return a
}

// Finished is a frame that has ended, and how.
type Finished struct {
	Numbered
	Code Code
}

// Busy reports whether there was no room for it.
func (f Finished) Busy() bool { return f.Code == CodeBusy }

// DecideArrival decides what invocation id, which submits frames with consecutive
// numbers and has observed o, does on a lane that has refused a move for them.
func (l Lane) DecideArrival(run []Numbered, id string, o Observed, now Instant) Arrival {
	a, fresh := l.Known(run)
	if l.Opened() && o.expired(l, now) && slices.ContainsFunc(run, l.unfinished) {
		return Arrival{Move: l.Expire(id)}
	}
	fresh = slices.DeleteFunc(fresh, func(f Numbered) bool {
		far := l.farAhead(f.N)
		if far {
			a.Finished = append(a.Finished, Finished{f, CodeBusy})
		}
		return far
	})
	if len(fresh) == 0 {
		return a
	}
	if l.Opened() && l.Idle() {
		if run, end := l.with(fresh).run(l.Taken); contains(run, fresh[0].N) {
			a.Move, a.Pending = l.take(KindTake, run, end, id, now), nil // what is held lies between
			return a
		}
	}
	l.arriveEarly(&a, fresh, id, now)
	return a
}

// Known parts frames that are submitted into those that the lane knows, and fresh
// ones.
func (l Lane) Known(run []Numbered) (a Arrival, fresh []Numbered) {
	for _, f := range run {
		_, held := l.Held[f.N]
		switch {
		case l.Reused(f):
			a.Finished = append(a.Finished, Finished{f, l.Answer(f)})
		case held: // submitted before, by a repeated invocation
			a.Pending = append(a.Pending, f)
		case f.N <= l.Done:
			a.Finished = append(a.Finished, Finished{f, l.Answer(f)})
		case f.N <= l.Taken && l.undelivered(f.N) != OK: // left out of the run that is under way: too late
			a.Finished = append(a.Finished, Finished{f, l.undelivered(f.N)})
		case f.N <= l.Taken:
			a.Pending = append(a.Pending, f)
		default:
			fresh = append(fresh, f)
		}
	}
	return a, fresh
}

// unfinished reports whether a frame is neither held nor finished.
func (l Lane) unfinished(f Numbered) bool {
	_, held := l.Held[f.N]
	return !held && f.N > l.Done
}

// arriveEarly has as many frames held as there is room for.
func (l Lane) arriveEarly(a *Arrival, frames []Numbered, id string, now Instant) {
	n := l.room(frames)
	if n > 0 {
		a.Move = hold(frames[:n], id, now)
		a.Move.Guard.Early = !l.Opened()
	}
	a.Pending = append(a.Pending, frames[:n]...)
	for _, f := range frames[n:] {
		a.Finished = append(a.Finished, Finished{f, CodeBusy})
	}
}

// DecideWatch decides what invocation id does that answers for frame n and has
// observed o: it watches until n is finished, and helps if no other invocation
// does.
func (l Lane) DecideWatch(n int64, id string, o Observed, now Instant) Decision {
	lowest, some := l.Lowest()
	switch {
	case !l.Opened():
		return Decision{Action: Pending} // whoever opens the lane takes the frame
	case o.expired(l, now):
		return makeMove(l.Expire(id))
	case n <= l.Done || !some && l.Idle():
		return Decision{Action: Pending}
	case !l.Idle():
		return lookAgain(LeaseTimeout - o.leased(l, now))
	}
	if run, end := l.run(l.Taken); len(run) > 0 {
		return makeMove(l.take(KindAdopt, run, end, id, now))
	}
	timeout, waited, age := l.gapTimeout(), o.waited(lowest, now), now.Sub(l.Held[lowest].At)
	switch {
	case waited > timeout, age > timeout+ClockBound:
		return makeMove(l.skip(lowest, id))
	case lowest < n && age <= timeout:
		return Decision{Action: Pending} // the gap is watched by whoever brought that frame
	default:
		return lookAgain(timeout - waited)
	}
}

// DecideIdle decides what invocation id does that waits until the lane is idle
// and has observed o.
func (l Lane) DecideIdle(id string, o Observed, now Instant) Decision {
	switch {
	case l.Idle():
		return Decision{Action: Pending}
	case o.expired(l, now):
		return makeMove(l.Expire(id))
	default:
		return lookAgain(LeaseTimeout - o.leased(l, now))
	}
}

// DecideLeave decides what an invocation does that ends a connection once what was
// sent on it has come, and has observed o. On one that has not authenticated nothing
// but what is held is waited for.
func (l Lane) DecideLeave(o Observed, now Instant) Decision {
	quiet := o.leased(l, now)
	if len(l.Held) == 0 && l.Idle() && (quiet >= ReorderWindow || !l.Opened()) {
		return Decision{Action: Pending}
	}
	return lookAgain(ReorderWindow - quiet)
}

// gapTimeout returns how long the lowest held frame waits for the numbers
// before it. Where it is not known whether there are any, it is not long.
func (l Lane) gapTimeout() time.Duration {
	if l.startUnknown() {
		return ReorderWindow
	}
	return GapTimeout
}

func contains(run []Numbered, n int64) bool {
	return slices.ContainsFunc(run, func(f Numbered) bool { return f.N == n })
}
