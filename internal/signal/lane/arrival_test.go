package lane

import (
	"fmt"
	"strings"
	"testing"
)

// What comes together is taken, held or answered together.
func TestArriveTogether(t *testing.T) {
	for _, c := range []struct {
		name              string
		before            func(l *Lane)
		come              []int64
		run               string
		finished, pending string
	}{
		{"in order", func(*Lane) {}, []int64{1, 2, 3}, "1 2 3", "", ""},
		{"early", func(*Lane) {}, []int64{2, 3}, "", "", "2 3"},
		{"before what is held", func(l *Lane) { l.Apply(hold(framesOf(3, 4), "a", start)) }, []int64{1, 2}, "1 2", "", ""},
		{"before what is held, and one of it was refused", func(l *Lane) { l.Apply(hold(framesOf(2, 4), "a", start)) }, []int64{1, 2, 3}, "1 2 3 4", "", ""},
		{"around what is held, early", func(l *Lane) { l.Apply(hold(framesOf(3), "a", start)) }, []int64{2, 3, 4}, "", "", "3 2 4"},
		{"again, and more", func(l *Lane) {
			l.Apply(Take(framesOf(1, 2), "a", start))
			finish(l, "a", start, Undelivered{2, 2, CodeUnreachable})
		}, []int64{1, 2, 3, 4}, "3 4", "1:0 2:2201", ""},
		{"again, and more, while it is posted", func(l *Lane) { l.Apply(Take(framesOf(1, 2), "a", start)) }, []int64{1, 2, 3}, "", "", "1 2 3"},
		{"too late for a run, and after it", func(l *Lane) {
			*l = New()
			l.Apply(hold(framesOf(1, 3), "a", start))
			l.Apply(l.Start(StartAt(7).Lane(), "a", start))
		}, []int64{2, 3, 4}, "", "2:2100", "3 4"},
		{"as many as there is room for", func(l *Lane) {
			for n := int64(9); len(l.Held) < MaxHeld-2; n++ {
				l.Apply(hold(framesOf(n), "a", start))
			}
		}, []int64{2, 3, 4, 5}, "", "4:2102 5:2102", "2 3"},
		{"as many bytes as there is room for", func(l *Lane) {
			l.Apply(hold([]Numbered{{9, Frame{Data: make([]byte, MaxHeldBytes-2*framesOf(2)[0].Len())}}}, "a", start))
		}, []int64{2, 3, 4}, "", "4:2102", "2 3"},
		{"where there is no room", func(l *Lane) {
			l.Apply(hold([]Numbered{{9, Frame{Data: make([]byte, MaxHeldBytes)}}}, "a", start))
		}, []int64{2, 3}, "", "2:2102 3:2102", ""},
		{"when a lease has long expired", func(l *Lane) {
			l.Apply(Take(framesOf(1), "a", start.Add(-LeaseTimeout-beyond)))
		}, []int64{1, 2, 3}, "2 3", "1:2100", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, _ := opened(StartAt(0))
			c.before(&l)
			held := len(l.Held)
			run, a := arriveTogether(t, &l, "me", start, c.come...)
			var ended []string
			for _, f := range a.Finished {
				ended = append(ended, fmt.Sprintf("%d:%d", f.N, int(f.Code)))
			}
			if got := fmt.Sprint(listed(run), ended, listed(a.Pending)); got != fmt.Sprint(c.run, strings.Fields(c.finished), c.pending) {
				t.Errorf("run, finished, pending: %s\nwant %s", got, fmt.Sprint(c.run, strings.Fields(c.finished), c.pending))
			}
			if holds := a.Move.Kind == KindHold; holds != (len(l.Held) > held) || l.Size > MaxHeldBytes || len(l.Held) > MaxHeld {
				t.Errorf("%d frames were held, %d are, of %d bytes", held, len(l.Held), l.Size)
			}
		})
	}
}

// Each frame of those that come together is answered in one way, whatever the lane.
func TestEachArrivalHasOneAnswer(t *testing.T) {
	for _, l := range lanes() {
		for first := int64(1); first <= 8; first++ {
			for last := first; last <= 8; last++ {
				var come []int64
				for n := first; n <= last; n++ {
					come = append(come, n)
				}
				a := l.DecideArrival(framesOf(come...), "me", seen(l, start), start)
				answers := make(map[int64]int)
				for _, f := range a.Finished {
					answers[f.N]++
				}
				for _, f := range a.Pending {
					answers[f.N]++
				}
				if a.Move.Kind != "" && !l.Allows(a.Move) {
					t.Errorf("%+v: %v is refused", l, a.Move)
				}
				for _, f := range a.Move.Run {
					answers[f.N]++
				}
				for _, n := range come {
					if answers[n] != 1 {
						t.Errorf("%+v, of %v: %d has %d answers", l, come, n, answers[n])
					}
				}
			}
		}
	}
}

// lanes are all that have finished and taken a few numbers, and hold some of those
// that follow.
func lanes() (all []Lane) {
	for done := range int64(4) {
		for taken := done; taken < done+3; taken++ {
			for set := range 16 {
				l, _ := opened(StartAt(0))
				l.Done, l.Taken, l.LeasedAt = done, taken, start
				for i := range int64(4) {
					if set&(1<<i) != 0 {
						l.Apply(hold(framesOf(taken+1+i), "a", start))
					}
				}
				all = append(all, l)
			}
		}
	}
	return all
}
