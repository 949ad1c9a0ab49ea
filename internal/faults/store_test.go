package faults_test

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/owt-signal/owt-signal/internal/faults"
	"github.com/owt-signal/owt-signal/internal/memory"
	"github.com/owt-signal/owt-signal/internal/signal"
)

func TestStoreIsSlow(t *testing.T) {
	const most = 20 * time.Millisecond
	for name, call := range map[string]func(ctx context.Context, s signal.Store) error{
		"create": func(ctx context.Context, s signal.Store) error { return s.Create(ctx, signal.Connection{}) },
		"get":    func(ctx context.Context, s signal.Store) error { _, err := s.Get(ctx, "c", 1); return err },
		"move": func(ctx context.Context, s signal.Store) error {
			_, _, err := s.Update(ctx, "c", signal.Update{}, 1)
			return err
		},
		"get ended": func(ctx context.Context, s signal.Store) error { _, err := s.GetEnded(ctx, "c", 0); return err },
		"end":       func(ctx context.Context, s signal.Store) error { _, err := s.End(ctx, "c", 0); return err },
		"delete":    func(ctx context.Context, s signal.Store) error { return s.Delete(ctx, "c", 0) },
		"each": func(ctx context.Context, s signal.Store) error {
			return s.Scan(ctx, signal.Segment{Of: 1}, 1, func(signal.Connection) {}, func(signal.UserName) {})
		},
		"claim":   func(ctx context.Context, s signal.Store) error { _, err := s.Claim(ctx, signal.Claim{}); return err },
		"release": func(ctx context.Context, s signal.Store) error { _, err := s.Release(ctx, "u", "c", 0); return err },
		"route":   func(ctx context.Context, s signal.Store) error { _, err := s.Route(ctx, "u", 1, 1); return err },
		"watch":   func(ctx context.Context, s signal.Store) error { _, err := s.Watch(ctx, "u", "c", 1); return err },
		"unwatch": func(ctx context.Context, s signal.Store) error { return s.Unwatch(ctx, "u", "c") },
		"told":    func(ctx context.Context, s signal.Store) error { return s.Told(ctx, "u", 1) },
		"watchers": func(ctx context.Context, s signal.Store) error {
			_, _, err := s.Watchers(ctx, "u", 1)
			return err
		},
		"owner": func(ctx context.Context, s signal.Store) error { _, err := s.Owner(ctx, "u", 1); return err },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				records := memory.New()
				s := inject(faults.Spec{SlowStore: most, Seed: 1}).Store(records)
				want := call(t.Context(), records)
				var longest time.Duration
				for range 100 {
					start := time.Now()
					if err := call(t.Context(), s); !errors.Is(err, want) {
						t.Fatalf("%v, not %v", err, want)
					}
					longest = max(longest, time.Since(start))
				}
				if longest < most*9/10 || longest > most {
					t.Errorf("longest %v", longest)
				}
			})
		})
	}
}

// TestSlowStoreEffects sees calls that had their effect though their caller
// learns nothing of it, and calls that had none.
func TestSlowStoreEffects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		records := memory.New()
		s := inject(faults.Spec{SlowStore: faults.MaxDelay, Seed: 1}).Store(records)
		effects := 0
		for i := range 100 {
			id := signal.ConnectionID(strconv.Itoa(i))
			ctx, cancel := context.WithTimeout(t.Context(), time.Microsecond)
			err := s.Create(ctx, signal.Connection{Peer: signal.Peer{ID: id}, Expires: 2})
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Fatal(err)
			}
			if _, err := records.Get(t.Context(), id, 1); err == nil {
				effects++
			}
		}
		if effects < 30 || effects > 70 {
			t.Errorf("%d of 100 had their effect", effects)
		}
	})
}
