package lane

import (
	"slices"
	"time"
)

// Decision is what an invocation does next about a frame.
type Decision struct {
	Action Action
	Move   *Move         // of MakeMove
	Code   Code          // of Finished
	Wait   time.Duration // of LookAgain
}

// Action is the kind of a decision.
type Action int

// The actions that there are.
const (
	Pending   Action = iota // nothing: another invocation has the frame, and acknowledges it
	Finished                // acknowledge the frame with Code
	LookAgain               // look at the lane again after Wait
	MakeMove                // make Move
)

func makeMove(m Move) Decision    { return Decision{Action: MakeMove, Move: &m} }
func finished(code Code) Decision { return Decision{Action: Finished, Code: code} }
func lookAgain(until time.Duration) Decision {
	return Decision{Action: LookAgain, Wait: until + time.Millisecond}
}

// DecideArrival decides what invocation id, which submits frame n and has
// observed o, does on a lane that has refused a move for it.
func (l Lane) DecideArrival(n int64, f Frame, id string, o Observed, now Instant) Decision {
	_, held := l.Held[n]
	switch {
	case held:
		return Decision{Action: Pending} // submitted before, by a repeated invocation
	case n <= l.Done:
		return finished(l.Outcome(n))
	case l.Opened() && o.expired(l, now):
		return makeMove(l.Expire(id))
	case n <= l.Taken && l.undelivered(n) != OK:
		return finished(l.undelivered(n)) // left out of the run that is under way: too late
	case n <= l.Taken:
		return Decision{Action: Pending}
	}
	if l.Opened() && l.Idle() {
		if run, end := l.with(n, f).run(l.Taken); contains(run, n) {
			return makeMove(l.take(KindTake, run, end, id, now))
		}
	}
	if !l.room(f) {
		return finished(CodeBusy)
	}
	return makeMove(hold(n, f, id, now))
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
	case lowest < n:
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
