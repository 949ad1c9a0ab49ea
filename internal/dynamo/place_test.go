package dynamo_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/owt-signal/owt-signal/internal/dynamo"
	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// TestPlaces: a place is one invocation's at a time, until it leaves it or its time is
// over; it may take it anew.
func TestPlaces(t *testing.T) {
	engine, ctx := newSockets(t), t.Context()
	s := dynamo.New(engine.client, engine.table)
	now := lane.At(time.Now())
	for _, step := range []struct {
		by    string
		place int
		after time.Duration
		taken bool
	}{
		{"a", 1, 0, true}, {"b", 1, 0, false}, {"b", 2, 0, true}, {"a", 1, time.Second, true}, // anew
		{"b", 1, time.Second + signal.PlaceLife - 1, false}, {"b", 1, time.Second + signal.PlaceLife, true}, {"a", 1, time.Second + signal.PlaceLife, false},
	} {
		at := now.Add(step.after)
		if taken, err := s.TakePlace(ctx, step.place, step.by, at.Add(signal.PlaceLife), at); err != nil || taken != step.taken {
			t.Errorf("%+v: %t, %v", step, taken, err)
		}
	}
	for _, by := range []string{"nobody", "b"} {
		if err := s.LeavePlace(ctx, 2, by); err != nil {
			t.Fatal(err)
		}
		if taken, err := s.TakePlace(ctx, 2, "c", now.Add(signal.PlaceLife), now); err != nil || taken != (by == "b") {
			t.Errorf("after %s has left: %t, %v", by, taken, err)
		}
	}
	var got atomic.Int64
	var wg sync.WaitGroup
	for n := range 20 {
		wg.Go(func() {
			if taken, _ := s.TakePlace(ctx, 3, fmt.Sprint(n), now.Add(signal.PlaceLife), now); taken {
				got.Add(1)
			}
		})
	}
	if wg.Wait(); got.Load() != 1 {
		t.Errorf("%d have taken one place", got.Load())
	}
}
