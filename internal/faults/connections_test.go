package faults_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/owt-signal/owt-signal/internal/faults"
	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

func TestPostsAreDelayed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 40 * time.Millisecond
		s := &sockets{}
		c := inject(faults.Spec{Delay: most, Seed: 1}).Connections(s)
		for name, call := range map[string]func() error{
			"post":   func() error { return c.Post(t.Context(), "", "c", nil) },
			"get":    func() error { return c.Get(t.Context(), "", "c") },
			"delete": func() error { return c.Delete(t.Context(), "", "c") },
		} {
			s.reset()
			late := 0 // how often the effect was at once, and the answer late
			for i := range 200 {
				start := time.Now()
				if err := call(); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(start); took > most {
					t.Fatalf("%s took %v", name, took)
				}
				if s.posted[i].at.Equal(start) {
					late++
				}
			}
			if late < 60 || late > 140 {
				t.Errorf("%s: the answer was late in %d of 200", name, late)
			}
		}
	})
}

// TestPostsOvertake sees that posts of different invocations overtake one
// another, and those that one makes one after the other do not.
func TestPostsOvertake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sockets{}
		c := inject(faults.Spec{Delay: 40 * time.Millisecond, Seed: 1}).Connections(s)
		var all sync.WaitGroup
		for i := range 10 {
			all.Go(func() {
				for n := range 20 {
					_ = c.Post(t.Context(), "", "c", fmt.Appendf(nil, "%d %02d", i, n))
				}
			})
			time.Sleep(time.Millisecond)
		}
		all.Wait()
		frames := s.frames()
		if slices.IsSorted(frames) {
			t.Error("in the order of their invocations")
		}
		slices.SortStableFunc(frames, func(a, b string) int { return int(a[0]) - int(b[0]) })
		if !slices.IsSorted(frames) || len(frames) != 200 {
			t.Errorf("posts of one invocation: %q", frames)
		}
	})
}

func TestThrottle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sockets{}
		c := inject(faults.Spec{Throttle: 1}).Connections(s)
		start := time.Now()
		err := c.Post(t.Context(), "", "c", nil)
		if took := time.Since(start); !errors.Is(err, signal.ErrBusy) || took != 400*time.Millisecond || len(s.posted) != 0 {
			t.Errorf("%v after %v, posted %d", err, took, len(s.posted))
		}
		if err := c.Delete(t.Context(), "", "c"); err != nil {
			t.Errorf("delete: %v", err)
		}
	})
}

func TestThrottledAtTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sockets{}
		c := inject(faults.Spec{Throttle: 0.5, Seed: 1}).Connections(s)
		busy, later := 0, 0
		for range 1000 {
			start := time.Now()
			err := c.Post(t.Context(), "", "c", nil)
			switch {
			case errors.Is(err, signal.ErrBusy):
				busy++
			case err != nil:
				t.Fatal(err)
			case time.Since(start) > 0:
				later++
			}
		}
		if len(s.posted) != 1000-busy || busy < 80 || busy > 170 || later < 300 || later > 450 {
			t.Errorf("of 1000 posts %d busy, %d accepted, %d of these later", busy, len(s.posted), later)
		}
	})
}

// TestPostIsGivenUp sees that no post is begun or awaited for longer than a
// lane's owner may take.
func TestPostIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sockets{}
		c := inject(faults.Spec{Delay: faults.MaxDelay, Throttle: 0.6, Seed: 1}).Connections(s)
		outcomes := make(map[error]int)
		for range 500 {
			before, start := len(s.posted), time.Now()
			err := c.Post(t.Context(), "", "c", nil)
			if took := time.Since(start); took > lane.PostWithin {
				t.Fatalf("took %v", took)
			}
			for _, known := range []error{nil, signal.ErrBusy, context.DeadlineExceeded} {
				if errors.Is(err, known) {
					outcomes[known]++
				}
			}
			if sent := len(s.posted) > before; err == nil && !sent || errors.Is(err, signal.ErrBusy) && sent {
				t.Fatalf("%v, sent: %v", err, sent)
			}
		}
		if outcomes[nil] == 0 || outcomes[context.DeadlineExceeded] == 0 {
			t.Error(outcomes)
		}
	})
}

func TestErrorsOfConnectionsPass(t *testing.T) {
	c := inject(faults.Spec{Delay: time.Millisecond}).Connections(&sockets{err: signal.ErrGone})
	if err := c.Post(t.Context(), "", "c", nil); !errors.Is(err, signal.ErrGone) {
		t.Error(err)
	}
	if err := c.Get(t.Context(), "", "c"); !errors.Is(err, signal.ErrGone) {
		t.Error(err)
	}
	if err := c.Delete(t.Context(), "", "c"); !errors.Is(err, signal.ErrGone) {
		t.Error(err)
	}
}
