package lane

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

const start = Instant(1_000_000)

func frameOf(n int64) Frame { return Frame{To: "bob", Data: fmt.Append(nil, n)} }

func framesOf(ns ...int64) (frames []Numbered) {
	for _, n := range ns {
		frames = append(frames, Numbered{n, frameOf(n)})
	}
	return frames
}

// pending: another invocation has the frame.
var pending = Decision{Action: Pending}

// opened is a lane that was opened at a start, with the given frames sent
// before.
func opened(at Start, before ...int64) (Lane, []Numbered) {
	l := New()
	for _, n := range before {
		l.Apply(hold(framesOf(n), "early", start))
	}
	m := l.Start(at.Lane(), "opener", start)
	l.Apply(m)
	return l, m.Run
}

func listed(run []Numbered) string {
	var s []string
	for _, f := range run {
		if string(f.Data) != fmt.Sprint(f.N) {
			s = append(s, "foreign data under ")
		}
		s = append(s, fmt.Sprint(f.N))
	}
	return strings.Join(s, " ")
}

// rest is why an invocation has nothing to post of a frame that it brought: another
// one has it, or it has ended.
type rest struct {
	ended bool
	code  Code
}

// arrive brings a frame to the lane as an invocation does: blindly first, then
// as the lane says. It returns what has to be posted, or why nothing has.
func arrive(t *testing.T, l *Lane, n int64, me string, now Instant) ([]Numbered, rest) {
	t.Helper()
	run, a := arriveTogether(t, l, me, now, n)
	if len(a.Finished) > 0 {
		return nil, rest{true, a.Finished[0].Code}
	}
	return run, rest{}
}

// arriveTogether brings several frames in one.
func arriveTogether(t *testing.T, l *Lane, me string, now Instant, ns ...int64) ([]Numbered, Arrival) {
	t.Helper()
	a := Arrival{Move: Take(framesOf(ns...), me, now)}
	for range 10 {
		if a.Move.Kind == "" {
			return nil, a
		}
		if l.Allows(a.Move) {
			if l.Apply(a.Move); a.Move.Kind != KindExpire {
				return a.Move.Run, a
			}
		}
		a = l.DecideArrival(framesOf(ns...), me, Observed{}, now)
	}
	t.Fatalf("frames %v do not come to rest on %+v", ns, l)
	return nil, Arrival{}
}

// seen is what an invocation has observed that has looked at the lane at a time.
func seen(l Lane, at Instant) Observed { return Observed{}.Look(l, at) }

func finish(l *Lane, me string, now Instant, faults ...Undelivered) []Numbered {
	m := l.Finish(faults, true, me, now)
	l.Apply(m)
	return m.Run
}

func TestOpening(t *testing.T) {
	for _, c := range []struct {
		name   string
		at     Start
		before []int64
		run    string
		turn   int64 // where the lane stands once the run is finished
		late   []int64
	}{
		{"first authentication", StartAt(0), nil, "", 0, nil},
		{"nothing known of the start", Start{}, nil, "", -1, nil},
		{"start at 0, sent while the handshake went on", Start{}, []int64{1, 0}, "0 1", 1, nil},
		{"a start that cannot be known waits", Start{}, []int64{5}, "", -1, nil},
		{"flushed before the authentication", StartAt(424), []int64{423, 422}, "422 423", 424, []int64{0, 421}},
		{"flushed around the authentication", StartAt(424), []int64{425, 423, 422}, "422 423 425", 425, nil},
		{"one is still on its way", StartAt(424), []int64{422}, "422", 422, nil},
		{"a gap among those before", StartAt(424), []int64{420, 423}, "420 423", 424, []int64{421, 422}},
		{"after a number, lower ones are not taken", StartAfter(5), []int64{5, 6}, "6", 6, nil},
		{"beyond a gap", StartAt(0), []int64{2, 3}, "", 0, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, run := opened(c.at, c.before...)
			if got := listed(run); got != c.run {
				t.Errorf("run %q, want %q", got, c.run)
			}
			finish(&l, "opener", start)
			if !l.Idle() || l.Taken != c.turn {
				t.Errorf("lane stands at %d, want %d", l.Taken, c.turn)
			}
			for _, n := range c.late {
				if _, step := arrive(t, &l, n, "late", start); !step.ended || step.code == OK {
					t.Errorf("late frame %d: %+v", n, step)
				}
			}
			for _, f := range run {
				if _, step := arrive(t, &l, f.N, "again", start); !step.ended || step.code != OK {
					t.Errorf("repeated frame %d: %+v", f.N, step)
				}
			}
		})
	}
}

// A straggler below the opening number is still posted as long as nothing that
// was sent after it has been.
func TestStragglerAfterOpening(t *testing.T) {
	l, _ := opened(StartAt(424), 421)
	finish(&l, "opener", start)
	if run, _ := arrive(t, &l, 423, "a", start); listed(run) != "423" {
		t.Fatalf("423 came to %q", listed(run))
	}
	finish(&l, "a", start)
	if _, step := arrive(t, &l, 422, "b", start); !step.ended || step.code != CodeServer {
		t.Errorf("422, when 423 has been posted: %+v", step)
	}
	if run, _ := arrive(t, &l, 425, "c", start); listed(run) != "425" {
		t.Errorf("425 came to %q", listed(run))
	}
	if _, step := arrive(t, &l, 424, "d", start); step.ended && step.code == OK {
		t.Error("a message with the authentication's number counts as delivered")
	}
}

// A frame that the run under way leaves out is told so at once: whoever carries
// the run does not know of it.
func TestTooLateForTheRunUnderWay(t *testing.T) {
	l, run := opened(StartAt(7), 1, 3)
	if listed(run) != "1 3" {
		t.Fatalf("run %q", listed(run))
	}
	if _, step := arrive(t, &l, 2, "late", start); !step.ended || step.code != CodeServer {
		t.Errorf("2, while 1 and 3 are being posted: %+v", step)
	}
}

// A repeated frame may be held before a gap below it is skipped; its other
// invocation must not take it then.
func TestHeldFrameIsNotTakenBlindly(t *testing.T) {
	l, _ := opened(StartAt(0))
	arrive(t, &l, 2, "a", start)
	late := start.Add(LeaseTimeout) + 1
	l.Apply(*l.DecideWatch(2, "a", seen(l, start), late).Move)
	if run, step := arrive(t, &l, 2, "again", late); len(run) > 0 || step != (rest{}) {
		t.Errorf("taken again: %q, %+v", listed(run), step)
	}
}

func TestInOrder(t *testing.T) {
	l, _ := opened(StartAt(0))
	for n := int64(1); n <= 3; n++ {
		if run, _ := arrive(t, &l, n, "me", start); listed(run) != fmt.Sprint(n) {
			t.Fatalf("frame %d came to %q", n, listed(run))
		}
		finish(&l, "me", start)
	}
	if l.Done != 3 || !l.Idle() {
		t.Fatalf("lane %+v", l)
	}
}

func TestEarlyFramesAreTakenAlong(t *testing.T) {
	l, _ := opened(StartAt(0))
	arrive(t, &l, 1, "holder", start)
	for _, n := range []int64{4, 2, 3, 6} {
		if run, step := arrive(t, &l, n, "holder", start); len(run) > 0 || step.ended {
			t.Fatalf("frame %d: run %q, %+v", n, listed(run), step)
		}
	}
	if got := listed(finish(&l, "holder", start)); got != "2 3 4" {
		t.Fatalf("taken along: %q", got)
	}
	if next := finish(&l, "holder", start); len(next) > 0 || l.Done != 4 {
		t.Fatalf("beyond the gap: %q, lane %+v", listed(next), l)
	}
	if run, _ := arrive(t, &l, 5, "filler", start); listed(run) != "5" {
		t.Fatalf("the gap's filler comes to %q", listed(run))
	}
	if got := listed(finish(&l, "filler", start)); got != "6" {
		t.Fatalf("the gap's filler takes along %q", got)
	}
	if len(l.Held) != 0 || l.Size != 0 {
		t.Fatalf("still held: %+v", l)
	}
}

func TestRepeats(t *testing.T) {
	l, _ := opened(StartAt(0))
	arrive(t, &l, 1, "holder", start)
	if run, step := arrive(t, &l, 1, "again", start); len(run) > 0 || step != (rest{}) {
		t.Errorf("while its lease is held: %+v", step)
	}
	arrive(t, &l, 3, "holder", start)
	if run, step := arrive(t, &l, 3, "again", start); len(run) > 0 || step != (rest{}) {
		t.Errorf("while it is held: %+v", step)
	}
	finish(&l, "holder", start, Undelivered{1, 1, CodeUnreachable})
	if _, step := arrive(t, &l, 1, "again", start); !step.ended || step.code != CodeUnreachable {
		t.Errorf("after it failed: %+v", step)
	}
	arrive(t, &l, 2, "holder", start)
	finish(&l, "holder", start)
	if _, step := arrive(t, &l, 2, "again", start); !step.ended || step.code != OK {
		t.Errorf("after it was delivered: %+v", step)
	}
}

func TestExpiredLease(t *testing.T) {
	l, _ := opened(StartAt(0))
	arrive(t, &l, 1, "dead", start)
	alive := start.Add(LeaseTimeout)
	if run, _ := arrive(t, &l, 2, "b", alive); len(run) > 0 {
		t.Fatalf("expired at the end of the timeout, not past it: %q", listed(run))
	}
	if step := l.DecideWatch(2, "b", seen(l, start), alive); step.Action == MakeMove || step.Wait <= 0 {
		t.Fatalf("the watcher does not wait: %+v", step)
	}
	dead := alive + 1
	step := l.DecideWatch(2, "b", seen(l, start), dead)
	if step.Action != MakeMove || step.Move.Kind != KindExpire {
		t.Fatalf("the watcher does not expire the lease: %+v", step)
	}
	stale := l.Finish(nil, true, "dead", dead)
	l.Apply(*step.Move)
	if l.Allows(stale) {
		t.Error("the holder of an expired lease may finish")
	}
	if l.Outcome(1) != CodeServer {
		t.Errorf("its number ended with %v", l.Outcome(1))
	}
	step = l.DecideWatch(2, "b", seen(l, start), dead)
	if step.Action != MakeMove || step.Move.Kind != KindAdopt || listed(step.Move.Run) != "2" {
		t.Fatalf("what it left is not adopted: %+v", step)
	}
	// A renewed lease is held.
	l.Apply(*step.Move)
	l.Apply(l.Renew("b", dead.Add(LeaseTimeout)))
	if l.LooksExpired(dead.Add(2 * LeaseTimeout)) {
		t.Error("a renewed lease counts as expired")
	}
}

func TestGap(t *testing.T) {
	l, _ := opened(StartAt(0))
	arrive(t, &l, 1, "a", start)
	finish(&l, "a", start)
	arrive(t, &l, 3, "holder", start)
	if step := l.DecideWatch(3, "holder", seen(l, start), start.Add(LeaseTimeout)); step.Wait <= 0 {
		t.Fatalf("at the end of its patience: %+v", step)
	}
	late := start.Add(LeaseTimeout) + 1
	step := l.DecideWatch(3, "holder", seen(l, start), late)
	if step.Action != MakeMove || step.Move.Kind != KindSkip {
		t.Fatalf("past its patience: %+v", step)
	}
	l.Apply(*step.Move)
	if step = l.DecideWatch(3, "holder", seen(l, start), late); step.Action != MakeMove || listed(step.Move.Run) != "3" {
		t.Fatalf("after the gap was skipped: %+v", step)
	}
	l.Apply(*step.Move)
	finish(&l, "holder", late)
	if _, step := arrive(t, &l, 2, "late", late); !step.ended || step.code == OK {
		t.Errorf("the number that was skipped: %+v", step)
	}
	if step := l.DecideWatch(3, "holder", seen(l, start), late); step != pending {
		t.Errorf("when all is done the watcher goes on: %+v", step)
	}
}

// Without a known start the first numbers wait only until they have settled.
func TestUnknownStartSettles(t *testing.T) {
	l, _ := opened(Start{})
	arrive(t, &l, 8, "a", start)
	arrive(t, &l, 7, "b", start)
	if step := l.DecideWatch(7, "b", seen(l, start), start.Add(ReorderWindow)); step.Wait <= 0 || step.Wait > 2*time.Millisecond {
		t.Fatalf("before it has settled: %+v", step)
	}
	now := start.Add(ReorderWindow) + 1
	l.Apply(*l.DecideWatch(7, "b", seen(l, start), now).Move)
	step := l.DecideWatch(7, "b", seen(l, start), now)
	if step.Action != MakeMove || listed(step.Move.Run) != "7 8" {
		t.Fatalf("when it has settled: %+v", step)
	}
}

// After a reconnect it is known which number follows the authentication's.
func TestKnownStartIsWaitedFor(t *testing.T) {
	l, _ := opened(StartAt(160))
	arrive(t, &l, 162, "a", start)
	if step := l.DecideWatch(162, "a", seen(l, start), start.Add(LeaseTimeout)); step.Wait <= 0 {
		t.Errorf("162 does not wait for 161: %+v", step)
	}
	if run, _ := arrive(t, &l, 161, "b", start); listed(run) != "161 162" {
		t.Errorf("161 came to %q", listed(run))
	}
}

func TestWatchersShareTheWork(t *testing.T) {
	l, _ := opened(StartAt(0))
	arrive(t, &l, 5, "a", start)
	arrive(t, &l, 3, "b", start)
	if step := l.DecideWatch(5, "a", seen(l, start), start); step != pending {
		t.Errorf("a higher frame is watched although a lower one is: %+v", step)
	}
	if step := l.DecideWatch(3, "b", seen(l, start), start); step.Wait <= 0 {
		t.Errorf("the lowest frame is not watched: %+v", step)
	}
}

func TestHoldingIsBounded(t *testing.T) {
	l, _ := opened(StartAt(0))
	for n := range int64(MaxHeld) {
		if _, step := arrive(t, &l, n+2, "me", start); step.ended {
			t.Fatalf("frame %d of %d: %+v", n+1, MaxHeld, step)
		}
	}
	if _, step := arrive(t, &l, MaxHeld+2, "me", start); !step.ended || step.code != CodeBusy {
		t.Errorf("one more than %d: %+v", MaxHeld, step)
	}
	arrive(t, &l, 1, "me", start)
	if run := finish(&l, "me", start); len(run) != MaxHeld {
		t.Errorf("the frame that all wait for takes %d along", len(run))
	}
}

// TestHoldingEarlyIsBounded: before the authentication there is less room, by frames
// and by bytes; what fits is all there afterwards.
func TestHoldingEarlyIsBounded(t *testing.T) {
	l := New()
	for n := range int64(MaxEarly) {
		if _, step := arrive(t, &l, n+1, "me", start); step.ended {
			t.Fatalf("frame %d of %d: %+v", n+1, MaxEarly, step)
		}
	}
	if _, step := arrive(t, &l, MaxEarly+1, "me", start); !step.ended || step.code != CodeBusy {
		t.Errorf("one more than %d: %+v", MaxEarly, step)
	}
	late := hold(framesOf(MaxEarly+1), "late", start) // decided where there was room
	late.Guard.Early = true
	if l.Allows(late) {
		t.Errorf("one more than %d is held by one who has seen fewer", MaxEarly)
	}
	if run := l.Start(StartAt(0).Lane(), "me", start).Run; len(run) != MaxEarly {
		t.Errorf("the authentication takes %d along", len(run))
	}

	for size, fits := range map[int]bool{MaxEarlyBytes: true, MaxEarlyBytes + 1: false} {
		l, frame := New(), Numbered{1, Frame{Data: make([]byte, size)}}
		a := l.DecideArrival([]Numbered{frame}, "me", Observed{}, start)
		if held := a.Move.Kind == KindHold; held != fits || held && !l.Allows(a.Move) {
			t.Errorf("%d bytes are held: %v", size, held)
		}
	}
}

// TestFarAhead: a number further above what is held than a client has on its way is
// refused, and nothing is written; but not where nothing is held, lest a client
// whose messages were refused never gets on.
func TestFarAhead(t *testing.T) {
	const far = 1000
	l, _ := opened(StartAt(0))
	if _, step := arrive(t, &l, far, "me", start); step.ended {
		t.Errorf("the first: %+v", step)
	}
	for n, refused := range map[int64]bool{2: false, far - 1: false, far + MaxHeld: false, far + MaxHeld + 1: true, 1 << 50: true} {
		_, a := arriveTogether(t, &l, "me", start, n)
		if got := len(a.Finished) == 1 && a.Finished[0].Busy() && a.Move.Kind == ""; got != refused {
			t.Errorf("%d above %d: %+v", n, far, a)
		}
		l.Held = map[int64]Held{far: l.Held[far]}
		l.Size = l.Held[far].Len()
	}
	early := New()
	early.Apply(hold(framesOf(1), "me", start))
	if early.farAhead(far) {
		t.Error("before the authentication it is not known where a client begins")
	}
}

func TestUndeliveredIsBounded(t *testing.T) {
	l, _ := opened(StartAt(0))
	for n := int64(1); n <= 2*(MaxUndelivered+2); n++ {
		arrive(t, &l, n, "me", start)
		if n%2 == 0 {
			finish(&l, "me", start, Undelivered{n, n, CodeUnreachable})
		} else {
			finish(&l, "me", start)
		}
	}
	if len(l.Undelivered) != MaxUndelivered {
		t.Fatalf("%d faults are remembered", len(l.Undelivered))
	}
	for n := int64(1); n <= l.Taken; n++ {
		switch code := l.Outcome(n); {
		case n%2 == 0 && code == OK:
			t.Errorf("%d failed, and counts as delivered", n)
		case n%2 == 1 && n > l.OutcomesAfter && code != OK:
			t.Errorf("%d was delivered, and ended with %v", n, code)
		}
	}
	if l.OutcomesAfter != 4 {
		t.Errorf("forgotten up to %d", l.OutcomesAfter)
	}
}

func TestNeighbouringRunsAreOne(t *testing.T) {
	l := New()
	list := l.outcomes(Undelivered{1, 1, CodeServer}, Undelivered{2, 3, CodeServer}, Undelivered{4, 4, CodeBusy}, Undelivered{6, 5, CodeBusy})
	if want := []Undelivered{{1, 3, CodeServer}, {4, 4, CodeBusy}}; !slices.Equal(list.Undelivered, want) {
		t.Errorf("got %v, want %v", list, want)
	}
}

// One's own move is known again when its answer was lost, and nobody else's is
// taken for it.
func TestMade(t *testing.T) {
	l, _ := opened(StartAt(0))
	for _, step := range []struct {
		name string
		move func() Move
	}{
		{"take", func() Move { return Take(framesOf(1), "me", start) }},
		{"hold", func() Move { return hold(framesOf(3), "me", start) }},
		{"renew", func() Move { return l.Renew("me", start+1) }},
		{"finish", func() Move { return l.Finish(nil, true, "me", start) }},
		{"skip", func() Move { return l.skip(3, "me") }},
	} {
		m := step.move()
		if m.Made(l) {
			t.Errorf("%s counts as made before it was", step.name)
		}
		l.Apply(m)
		if !m.Made(l) {
			t.Errorf("%s is not known again", step.name)
		}
		if c := m.Change; c.Hold == nil {
			m.Change.Holder = "you"
		} else {
			m.Change.Hold = slices.Clone(c.Hold)
			m.Change.Hold[0].By = "you"
		}
		if m.Made(l) {
			t.Errorf("%s of another counts as one's own", step.name)
		}
	}
}
