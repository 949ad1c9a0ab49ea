package lane

import (
	"testing"
	"time"
)

// How far the clock of who looks may be off: within the bound, and just past it.
const (
	within = ClockBound
	beyond = ClockBound + time.Millisecond
)

// Who comes upon a lease of another machine expires it only if that is too old by
// any clock within the bound. Who has watched it for its time does, by whatever
// clock.
func TestLeaseIsJudgedByTheOwnClock(t *testing.T) {
	l, _ := opened(StartAt(0))
	arrive(t, &l, 1, "holder", start)
	ahead := start.Add(LeaseTimeout + within)
	if d := l.DecideArrival(framesOf(2), "b", Observed{}, ahead); d.Move.Kind != KindHold {
		t.Errorf("an arrival whose clock is within the bound: %+v", d)
	}
	if d := l.DecideArrival(framesOf(1), "b", Observed{}, ahead); d.Move.Kind != "" || len(d.Pending) != 1 || !l.LooksExpired(ahead) {
		t.Errorf("a repeat whose clock is within the bound: %+v", d)
	}
	if d := l.DecideArrival(framesOf(2), "b", Observed{}, start.Add(LeaseTimeout+beyond)); d.Move.Kind != KindExpire {
		t.Errorf("beyond the bound: %+v", d)
	}
	for _, clock := range []Instant{start.Add(-within), start, ahead} {
		o := seen(l, clock)
		if d := l.DecideWatch(2, "b", o, clock.Add(LeaseTimeout)); clock < ahead && d.Action != LookAgain {
			t.Errorf("a watcher, at the end of the timeout: %+v", d)
		}
		if d := l.DecideWatch(2, "b", o, clock.Add(LeaseTimeout)+1); d.Action != MakeMove || d.Move.Kind != KindExpire {
			t.Errorf("a watcher, past the timeout: %+v", d)
		}
	}
}

// Time in which a watcher could not look does not count: the store was out, for the
// holder, too.
func TestBlindTimeDoesNotCount(t *testing.T) {
	l, _ := opened(StartAt(0))
	arrive(t, &l, 1, "holder", start)
	arrive(t, &l, 3, "a", start)
	o := seen(l, start).Look(l, start.Add(BlindAfter)) // just not blind
	back := start.Add(BlindAfter + BlindAfter + 2*time.Second)
	o = o.Look(l, back) // blind for 2 s
	end := start.Add(LeaseTimeout + 2*time.Second)
	if d := l.DecideWatch(3, "a", o, end); d.Action != LookAgain {
		t.Errorf("before its time without those: %+v", d)
	}
	d := l.DecideWatch(3, "a", o, end+1)
	if d.Action != MakeMove || d.Move.Kind != KindExpire {
		t.Fatalf("past it: %+v", d)
	}
	l.Apply(*d.Move)
	if d := l.DecideWatch(3, "a", o, end); d.Action != LookAgain {
		t.Errorf("of a gap, before its time: %+v", d)
	}
	if d := l.DecideWatch(3, "a", o, end+1); d.Action != MakeMove || d.Move.Kind != KindSkip {
		t.Errorf("of a gap, past it: %+v", d)
	}
}

// A lease that changed is watched anew.
func TestObservedLeaseChanges(t *testing.T) {
	l, _ := opened(StartAt(0))
	arrive(t, &l, 1, "holder", start)
	o := seen(l, start)
	l.Apply(l.Renew("holder", start.Add(LeaseTimeout)))
	late := start.Add(LeaseTimeout) + 1
	if d := l.DecideIdle("b", o, late); d.Action != LookAgain {
		t.Errorf("judged by what was seen of the lease before: %+v", d)
	}
	o = o.Look(l, late)
	if d := l.DecideIdle("b", o, late.Add(LeaseTimeout)); d.Action != LookAgain {
		t.Errorf("renewed meanwhile: %+v", d)
	}
	d := l.DecideIdle("b", o, late.Add(LeaseTimeout)+1)
	if d.Action != MakeMove || d.Move.Kind != KindExpire {
		t.Fatalf("not renewed any more: %+v", d)
	}
	l.Apply(*d.Move)
	if d := l.DecideIdle("b", o, late); d.Action != Pending {
		t.Errorf("idle: %+v", d)
	}
}

// So is a gap. Each held frame has its own time, since it was first seen.
func TestGapIsMeasuredByTheOwnClock(t *testing.T) {
	l, _ := opened(StartAt(0))
	arrive(t, &l, 2, "a", start.Add(-within/2)) // by a clock that is behind
	o := seen(l, start).Look(l, start.Add(GapTimeout/4))
	arrive(t, &l, 4, "b", start.Add(within)) // by one that is ahead
	o = o.Look(l, start.Add(GapTimeout/2)).Look(l, start.Add(GapTimeout*3/4))
	now := start.Add(GapTimeout)
	if d := l.DecideWatch(2, "a", o, now); d.Action != LookAgain {
		t.Fatalf("before its time: %+v", d)
	}
	if d := l.DecideWatch(4, "b", o, now); d.Action != LookAgain {
		t.Errorf("one whose watcher looks dead: %+v", d)
	}
	for _, gap := range []struct {
		held int64
		end  Instant
	}{{2, now + 1}, {4, start.Add(GapTimeout*3/2) + 1}} {
		n, end := gap.held, gap.end
		d := l.DecideWatch(n, "a", o, end)
		if d.Action != MakeMove || d.Move.Kind != KindSkip {
			t.Fatalf("past the time: %+v", d)
		}
		l.Apply(*d.Move)
		d = l.DecideWatch(n, "a", o, end)
		l.Apply(*d.Move)
		finish(&l, "a", end)
		o = o.Look(l, end)
	}
	if l.Done != 4 {
		t.Errorf("lane %+v", l)
	}
	// A gap is left to whoever watches over it, unless that looks dead. Whoever comes
	// upon one that is older than any clock may say need not wait.
	arrive(t, &l, 6, "a", start)
	for off, action := range map[time.Duration]Action{
		GapTimeout: Pending, GapTimeout + time.Millisecond: LookAgain, GapTimeout + within: LookAgain, GapTimeout + beyond: MakeMove,
	} {
		at := start.Add(off)
		if d := l.DecideWatch(7, "c", Observed{}, at); d.Action != action {
			t.Errorf("%v after it was held: %+v", off, d)
		}
		if stuck := l.LooksStuck(at); stuck != (action != Pending) {
			t.Errorf("%v after it was held: looks stuck: %v", off, stuck)
		}
	}
}
