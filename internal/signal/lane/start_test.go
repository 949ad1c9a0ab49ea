package lane

import (
	"testing"
	"time"
)

// A lane opens where its client's numbers begin: unknown, at a number, after
// one. Each is told from the others, whatever the number is.
func TestStart(t *testing.T) {
	for _, c := range []struct {
		name  string
		start Start
		open  int64
		done  int64
		first []int64 // each may be the first that is taken
		wait  time.Duration
	}{
		{"unknown", Start{}, beforeAll, beforeAll, []int64{0}, ReorderWindow},
		{"at 0", StartAt(0), 0, 0, []int64{1}, GapTimeout},
		{"at 7", StartAt(7), 7, beforeAll, []int64{0, 3, 8}, GapTimeout},
		{"after 0", StartAfter(0), 0, 0, []int64{1}, GapTimeout},
		{"after 7", StartAfter(7), 7, 7, []int64{8}, GapTimeout},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := c.start.Lane()
			if l.Open != c.open || l.Done != c.done || !l.Idle() || !l.Opened() {
				t.Fatalf("lane %+v", l)
			}
			if known := c.start != (Start{}); c.start.Began(l) != known || known && c.start.Began(StartAt(c.open+1).Lane()) {
				t.Errorf("began there: %v", c.start.Began(l))
			}
			for _, n := range c.first {
				if d := l.DecideArrival(framesOf(n), "me", Observed{}, start); d.Move.Kind != KindTake {
					t.Errorf("frame %d: %+v", n, d)
				}
			}
			l.Apply(hold(framesOf(20), "me", start))
			if d := l.DecideWatch(20, "me", seen(l, start), start); d.Action != LookAgain || d.Wait != c.wait+time.Millisecond {
				t.Errorf("frame 20 waits %v, want %v", d.Wait, c.wait)
			}
		})
	}
}

// The zero guard asks for nothing, and each of its conditions for one value.
func TestGuard(t *testing.T) {
	for _, l := range []Lane{New(), {}, {Open: 3, Done: 5, Taken: 7, Holder: "a", LeasedAt: start, TAT: 9, Held: map[int64]Held{9: {}}}} {
		if !l.Allows(Move{}) {
			t.Errorf("the zero guard refuses %+v", l)
		}
	}
	l := Lane{Done: -1, Taken: -1, Held: map[int64]Held{2: {}}}
	for name, c := range map[string]struct {
		holds, fails Guard
	}{
		"done":   {Guard{Done: Is(int64(-1))}, Guard{Done: Is(int64(0))}},
		"taken":  {Guard{Taken: Is(int64(-1))}, Guard{Taken: Is(int64(0))}},
		"holder": {Guard{Holder: Is("")}, Guard{Holder: Is("a")}},
		"lease":  {Guard{LeasedAt: Is(Instant(0))}, Guard{LeasedAt: Is(start)}},
		"held":   {Guard{Held: Is(1)}, Guard{Held: Is(0)}},
		"bucket": {Guard{TAT: Is(TAT(0))}, Guard{TAT: Is(TAT(1))}},
		"vacant": {Guard{Vacant: []int64{1}}, Guard{Vacant: []int64{2}}},
	} {
		if !l.Allows(Move{Guard: c.holds}) || l.Allows(Move{Guard: c.fails}) {
			t.Errorf("%s: %v %v", name, l.Allows(Move{Guard: c.holds}), l.Allows(Move{Guard: c.fails}))
		}
	}
}
