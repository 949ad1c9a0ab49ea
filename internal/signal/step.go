package signal

import (
	"cmp"
	"slices"
	"time"
)

// Step is what to do next about a lane: make a move, or, if there is none,
// what there is to know instead.
type Step struct {
	Move *Move
	// Settled: the frame is finished, with Code. Otherwise, and without a move,
	// it is in somebody's hands, who will tell the sender.
	Settled bool
	Code    Code
	// Wait is how long until the lane is worth another look; zero: no need.
	Wait time.Duration
}

func move(m Move) Step       { return Step{Move: &m} }
func settled(code Code) Step { return Step{Settled: true, Code: code} }

var inHand = Step{}

// Take is the move for number n when nothing is out of the ordinary: the lane
// is idle just below n, and n not held: a repeated invocation may have held it
// before a gap below it was skipped. It is made unseen; if it fails, the lane
// comes back and [Lane.Arrive] decides.
func Take(n int64, f Frame, me string, now Instant) Move {
	return Move{
		Kind:   KindTake,
		Guard:  Guard{Done: n - 1, Turn: n - 1, Held: Any, Vacant: []int64{n}, Valid: true},
		Change: Change{Done: n - 1, Turn: n, Owner: me, TurnAt: now},
		Run:    []Numbered{{n, f}},
	}
}

// Arrive decides what the invocation me does with frame n, which it carries,
// on a lane as a failed move has shown it.
func (l Lane) Arrive(n int64, f Frame, me string, now Instant) Step {
	_, held := l.Held[n]
	switch {
	case held:
		return inHand // brought before, by a repeated invocation
	case n <= l.Done:
		return settled(l.Outcome(n))
	case l.Opened() && l.dead(now):
		return move(l.overtake(me))
	case n <= l.Turn && l.fault(n) != OK:
		return settled(l.fault(n)) // left out of the run that is under way: too late
	case n <= l.Turn:
		return inHand
	}
	if l.Opened() && l.Idle() {
		if run, end := l.with(n, f).run(l.Turn); contains(run, n) {
			return move(l.take(KindTake, run, end, me, now))
		}
	}
	if !l.room(f) {
		return settled(CodeBusy)
	}
	return move(l.hold(n, f, me, now))
}

// Watch decides what the invocation me does that answers for the held frame n:
// it watches until n is finished, and helps if nobody else does.
func (l Lane) Watch(n int64, me string, now Instant) Step {
	lowest, some := l.lowest()
	switch {
	case !l.Opened():
		return inHand // whoever opens the lane takes the frame along
	case !l.Idle() && l.dead(now):
		return move(l.overtake(me))
	case n <= l.Done || !some && l.Idle():
		return inHand
	case !l.Idle():
		return Step{Wait: l.TurnAt.Add(Patience).Sub(now) + time.Millisecond}
	}
	if run, end := l.run(l.Turn); len(run) > 0 {
		return move(l.take(KindAdopt, run, end, me, now))
	}
	if left := l.Held[lowest].At.Add(l.patience()).Sub(now); left >= 0 {
		if lowest < n {
			return inHand // the gap is watched by whoever brought that frame
		}
		return Step{Wait: left + time.Millisecond}
	}
	return move(l.skip(lowest, me))
}

// patience is how long the lowest held frame waits for the numbers before it.
// Where nobody knows whether there are any, it is not long.
func (l Lane) patience() time.Duration {
	if l.Turn == UnknownStart && l.Open == UnknownStart {
		return Settle
	}
	return Patience
}

// startAt is a lane at rest that was opened by number at and knows nothing of
// lower ones.
func startAt(at int64) Lane {
	l := Lane{Open: at, Forgotten: unopened}
	l.Done = l.past(UnknownStart)
	l.Turn = l.Done
	return l
}

// startAfter is a lane at rest whose lowest number is the one after at.
func startAfter(at int64) Lane { return Lane{Open: at, Done: at, Turn: at, Forgotten: unopened} }

// Opened by user, the lane goes on where from stands, which is at rest, and
// takes along what was sent before: the held frames that may follow. Those that
// from has finished are repeats.
func (l Lane) open(user UserName, from Lane, me string, now Instant) Move {
	held := len(l.Held)
	var repeated []Numbered
	for n, h := range l.Held {
		if n <= from.Done {
			repeated = append(repeated, Numbered{n, h.Frame})
		}
	}
	slices.SortFunc(repeated, func(a, b Numbered) int { return cmp.Compare(a.N, b.N) })
	from.Held = l.without(repeated)
	run, end := from.run(from.Done)
	m := Move{
		Kind:  KindOpen,
		Guard: Guard{Done: unopened, Turn: unopened, Held: held, Valid: true},
		Change: Change{
			Done: from.Done, Turn: end, Owner: me, TurnAt: now,
			Opening: &Opening{User: user, At: from.Open}, Unhold: slices.Concat(repeated, run), Faults: from.passed(from.Done, run, nil), FullAt: from.FullAt,
		},
		Run:      run,
		Repeated: repeated,
	}
	if m.Change.Faults == nil && (len(from.Faults) > 0 || from.Forgotten != unopened) {
		m.Change.Faults = &Faults{from.Faults, from.Forgotten}
	}
	return m
}

// take takes run, which leaves the lane at end, from an idle lane.
func (l Lane) take(kind Kind, run []Numbered, end int64, me string, now Instant) Move {
	return Move{
		Kind:   kind,
		Guard:  Guard{Done: l.Done, Turn: l.Turn, Held: len(l.Held), Valid: true},
		Change: Change{Done: l.Done, Turn: end, Owner: me, TurnAt: now, Unhold: l.heldOf(run), Faults: l.passed(l.Turn, run, nil)},
		Run:    run,
	}
}

// finish ends the turn of owner me with the faults that came of it, and takes
// the unbroken run that follows, unless the owner wants no more.
func (l Lane) finish(faults []Fault, more bool, me string, now Instant) Move {
	m := Move{
		Kind:   KindFinish,
		Guard:  Guard{Done: l.Done, Turn: l.Turn, Owner: me, Held: len(l.Held)},
		Change: Change{Done: l.Turn, Turn: l.Turn, Owner: me},
	}
	if more {
		if run, end := l.run(l.Turn); len(run) > 0 {
			m.Run, m.Change.Unhold, m.Guard.Valid = run, run, true
			m.Change.Turn, m.Change.TurnAt = end, now
		}
	}
	m.Change.Faults = l.passed(l.Turn, m.Run, faults)
	return m
}

// hold keeps frame n. Nothing but the lane's standing is asked, so that frames
// held at the same time do not hinder each other.
func (l Lane) hold(n int64, f Frame, me string, now Instant) Move {
	return Move{
		Kind:   KindHold,
		Guard:  Guard{Done: l.Done, Turn: l.Turn, Held: Any, Vacant: []int64{n}, Valid: true},
		Change: Change{Done: l.Done, Turn: l.Turn, Hold: &HeldFrame{n, Held{Frame: f, By: me, At: now}}},
	}
}

// renew says that owner me is still at work. The turn's time is asked for, so
// that a write that takes effect late does not turn it back.
func (l Lane) renew(me string, now Instant) Move {
	return Move{
		Kind:   KindRenew,
		Guard:  Guard{Done: l.Done, Turn: l.Turn, Owner: me, TurnAt: l.TurnAt, Held: Any, Valid: true},
		Change: Change{Done: l.Done, Turn: l.Turn, Owner: me, TurnAt: now},
	}
}

// overtake ends the turn of a dead owner. Its numbers count as undelivered:
// some may have been posted, and none is posted again.
func (l Lane) overtake(me string) Move {
	return Move{
		Kind:  KindOvertake,
		Guard: Guard{Done: l.Done, Turn: l.Turn, Owner: l.Owner, TurnAt: l.TurnAt, Held: Any},
		Change: Change{Done: l.Turn, Turn: l.Turn, Owner: me,
			Faults: l.passed(l.Turn, nil, []Fault{{l.Done + 1, l.Turn, CodeServer}})},
	}
}

// skip gives up the numbers between the lane's turn and lowest, which have not
// come in time.
func (l Lane) skip(lowest int64, me string) Move {
	return Move{
		Kind:  KindSkip,
		Guard: Guard{Done: l.Done, Turn: l.Turn, Held: len(l.Held)},
		Change: Change{Done: lowest - 1, Turn: lowest - 1, Owner: me,
			Faults: l.passed(l.Turn, nil, []Fault{{l.Turn + 1, lowest - 1, CodeServer}})},
	}
}

// bar lets go of all that is held. What an owner at work has taken it may still
// finish.
func (l Lane) bar(b Bar) Move {
	held := make([]Numbered, 0, len(l.Held))
	for n, h := range l.Held {
		held = append(held, Numbered{n, h.Frame})
	}
	slices.SortFunc(held, func(a, b Numbered) int { return cmp.Compare(a.N, b.N) })
	return Move{
		Kind:   KindBar,
		Guard:  Guard{Done: l.Done, Turn: l.Turn, Held: len(l.Held)},
		Change: Change{Done: l.Done, Turn: l.Turn, Unhold: held, Bar: &b},
	}
}

// givenUp is how many numbers a skip gives up. Those that may never have been
// sent on this connection are none, and no client has more than MaxHeld on
// their way.
func (l Lane) givenUp(skip Move) int {
	if l.Turn == UnknownStart && l.Open == UnknownStart {
		return 0
	}
	return int(min(max(0, skip.Change.Done-max(l.Turn, l.Open)), MaxHeld))
}

// passed is what the lane remembers after faults and after run was taken at
// turn: numbers that run leaves out are too late from now on. Nil: no change.
func (l Lane) passed(turn int64, run []Numbered, faults []Fault) *Faults {
	for _, f := range run {
		if f.N > turn+1 {
			faults = append(faults, Fault{turn + 1, f.N - 1, CodeServer})
		}
		turn = f.N
	}
	if len(faults) == 0 {
		return nil
	}
	list, forgotten := l.faulted(faults...)
	return &Faults{list, forgotten}
}

// heldOf is those of run that are held, not carried.
func (l Lane) heldOf(run []Numbered) []Numbered {
	held := make([]Numbered, 0, len(run))
	for _, f := range run {
		if _, ok := l.Held[f.N]; ok {
			held = append(held, f)
		}
	}
	return held
}

func contains(run []Numbered, n int64) bool {
	for _, f := range run {
		if f.N == n {
			return true
		}
	}
	return false
}
