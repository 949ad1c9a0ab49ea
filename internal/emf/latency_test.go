package emf_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/owt-signal/owt-signal/internal/memory"
	"github.com/owt-signal/owt-signal/internal/signal"
)

// calls are calls of a store and of @connections operations that fail and take
// time: the nth one takes[n-1], or n ms.
type calls struct {
	signal.Store
	clock *clock // nil: no time passes
	takes []time.Duration
	made  int
}

var errCall = errors.New("of the call")

func (c *calls) call() error {
	took := time.Duration(c.made+1) * time.Millisecond
	if c.made < len(c.takes) {
		took = c.takes[c.made]
	}
	c.made++
	if c.clock != nil {
		c.clock.pass(took)
	}
	return errCall
}

func (c *calls) End(context.Context, signal.ConnectionID) (signal.Connection, error) {
	return signal.Connection{}, c.call()
}

// sockets are calls of @connections operations.
type sockets struct{ *calls }

func (s sockets) Post(context.Context, string, signal.ConnectionID, []byte) error { return s.call() }
func (s sockets) Get(context.Context, string, signal.ConnectionID) error          { return s.call() }
func (s sockets) Delete(context.Context, string, signal.ConnectionID) error       { return s.call() }

// TestMeasured: each call is measured once, and what is not one record or one
// post is not.
func TestMeasured(t *testing.T) {
	m, out, c := newMetrics("s")
	s, connections := m.Store(memory.New()), m.Connections(sockets{&calls{clock: c}})
	ctx := t.Context()
	for name, test := range map[string]struct {
		call         func() error
		store, posts int
	}{
		"create":    {func() error { return s.Create(ctx, signal.Connection{}) }, 1, 0},
		"read":      {func() error { _, err := s.Get(ctx, "c", 1); return err }, 1, 0},
		"update":    {func() error { _, _, err := s.Update(ctx, "c", signal.Update{}, 1); return err }, 1, 0},
		"end":       {func() error { _, err := s.End(ctx, "c"); return err }, 1, 0},
		"get ended": {func() error { _, err := s.GetEnded(ctx, "c", 1); return err }, 1, 0},
		"claim":     {func() error { _, err := s.Claim(ctx, signal.Claim{}); return err }, 1, 0},
		"release":   {func() error { _, err := s.Release(ctx, "u", "c", 0); return err }, 1, 0},
		"route":     {func() error { _, err := s.Route(ctx, "u", 1); return err }, 1, 0},
		"owner":     {func() error { _, err := s.Owner(ctx, "u", 1); return err }, 1, 0},
		"scan":      {func() error { return s.Scan(ctx, signal.Segment{Of: 1}, 1, func(signal.Connection) {}) }, 0, 0},
		"post":      {func() error { return connections.Post(ctx, "", "c", nil) }, 0, 1},
		"get":       {func() error { return connections.Get(ctx, "", "c") }, 0, 0},
		"delete":    {func() error { return connections.Delete(ctx, "", "c") }, 0, 0},
	} {
		out.Reset()
		var err error
		m.End(func() { err = test.call() })
		var told struct{ StoreLatency, PostLatency []float64 }
		if out.Len() > 0 {
			check(t, out.Bytes())
			if err := json.Unmarshal(out.Bytes(), &told); err != nil {
				t.Fatal(err)
			}
		}
		if len(told.StoreLatency) != test.store || len(told.PostLatency) != test.posts {
			t.Errorf("%s: told %s", name, out)
		}
		if wraps := errors.Is(err, errCall); wraps != (name == "post" || name == "get" || name == "delete") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}
