package emf

import (
	"context"
	"time"

	"github.com/owt-signal/owt-signal/internal/apigw"
	"github.com/owt-signal/owt-signal/internal/signal"
)

// The latencies, in milliseconds, of calls that succeed or fail.
const (
	StoreLatency = "StoreLatency" // one record read or written
	PostLatency  = "PostLatency"  // one frame posted to a connection
)

// Store measures the calls of next.
func (m *Metrics) Store(next signal.Store) signal.Store {
	if m == nil {
		return next
	}
	return store{next, m}
}

// store measures what reads or writes one record. Each, which reads many and
// waits for whoever takes them, it leaves to its embedded store.
type store struct {
	signal.Store
	metrics *Metrics
}

func (s store) took(start time.Time) { s.metrics.observe(StoreLatency, start) }

// Admit implements [signal.ConnectionStore].
func (s store) Admit(ctx context.Context, c signal.Connection) error {
	defer s.took(s.metrics.now())
	return s.Store.Admit(ctx, c)
}

// Inspect implements [signal.ConnectionStore].
func (s store) Inspect(ctx context.Context, id signal.ConnectionID, now signal.Instant) (signal.Connection, error) {
	defer s.took(s.metrics.now())
	return s.Store.Inspect(ctx, id, now)
}

// Move implements [signal.ConnectionStore].
func (s store) Move(ctx context.Context, id signal.ConnectionID, m signal.Move, now signal.Instant) (signal.Connection, bool, error) {
	defer s.took(s.metrics.now())
	return s.Store.Move(ctx, id, m, now)
}

// Drop implements [signal.ConnectionStore].
func (s store) Drop(ctx context.Context, id signal.ConnectionID) (signal.Connection, error) {
	defer s.took(s.metrics.now())
	return s.Store.Drop(ctx, id)
}

// Recall implements [signal.ConnectionStore].
func (s store) Recall(ctx context.Context, id signal.ConnectionID, now signal.Instant) (signal.Connection, error) {
	defer s.took(s.metrics.now())
	return s.Store.Recall(ctx, id, now)
}

// Claim implements [signal.UserStore].
func (s store) Claim(ctx context.Context, c signal.Claim) (signal.Claimed, error) {
	defer s.took(s.metrics.now())
	return s.Store.Claim(ctx, c)
}

// Release implements [signal.UserStore].
func (s store) Release(ctx context.Context, user signal.UserName, id signal.ConnectionID, full signal.FullAt) (bool, error) {
	defer s.took(s.metrics.now())
	return s.Store.Release(ctx, user, id, full)
}

// Route implements [signal.UserStore].
func (s store) Route(ctx context.Context, user signal.UserName, now signal.Instant) (signal.Route, error) {
	defer s.took(s.metrics.now())
	return s.Store.Route(ctx, user, now)
}

// Owner implements [signal.UserStore].
func (s store) Owner(ctx context.Context, user signal.UserName, now signal.Instant) (signal.Peer, error) {
	defer s.took(s.metrics.now())
	return s.Store.Owner(ctx, user, now)
}

// Connections measures the posts of next.
func (m *Metrics) Connections(next apigw.Connections) apigw.Connections {
	if m == nil {
		return next
	}
	return connections{next, m}
}

type connections struct {
	apigw.Connections
	metrics *Metrics
}

// Post implements [apigw.Connections].
func (c connections) Post(ctx context.Context, endpoint string, id signal.ConnectionID, frame []byte) error {
	defer c.metrics.observe(PostLatency, c.metrics.now())
	return c.Connections.Post(ctx, endpoint, id, frame)
}
