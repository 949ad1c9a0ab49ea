package emf

import (
	"context"
	"time"

	"github.com/owt-signal/owt-signal/internal/apigw"
	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
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

// Create implements [signal.ConnectionStore].
func (s store) Create(ctx context.Context, c signal.Connection) error {
	defer s.took(s.metrics.now())
	return s.Store.Create(ctx, c)
}

// Get implements [signal.ConnectionStore].
func (s store) Get(ctx context.Context, id signal.ConnectionID, now lane.Instant) (signal.Connection, error) {
	defer s.took(s.metrics.now())
	return s.Store.Get(ctx, id, now)
}

// Update implements [signal.ConnectionStore].
func (s store) Update(ctx context.Context, id signal.ConnectionID, u signal.Update, now lane.Instant) (signal.Connection, bool, error) {
	defer s.took(s.metrics.now())
	return s.Store.Update(ctx, id, u, now)
}

// End implements [signal.ConnectionStore].
func (s store) End(ctx context.Context, id signal.ConnectionID) (signal.Connection, error) {
	defer s.took(s.metrics.now())
	return s.Store.End(ctx, id)
}

// GetEnded implements [signal.ConnectionStore].
func (s store) GetEnded(ctx context.Context, id signal.ConnectionID, now lane.Instant) (signal.Connection, error) {
	defer s.took(s.metrics.now())
	return s.Store.GetEnded(ctx, id, now)
}

// Claim implements [signal.UserStore].
func (s store) Claim(ctx context.Context, c signal.Claim) (signal.Claimed, error) {
	defer s.took(s.metrics.now())
	return s.Store.Claim(ctx, c)
}

// Release implements [signal.UserStore].
func (s store) Release(ctx context.Context, user signal.UserName, id signal.ConnectionID, tat lane.TAT) (bool, error) {
	defer s.took(s.metrics.now())
	return s.Store.Release(ctx, user, id, tat)
}

// Route implements [signal.UserStore].
func (s store) Route(ctx context.Context, user signal.UserName, now lane.Instant) (signal.Route, error) {
	defer s.took(s.metrics.now())
	return s.Store.Route(ctx, user, now)
}

// Owner implements [signal.UserStore].
func (s store) Owner(ctx context.Context, user signal.UserName, now lane.Instant) (signal.Peer, error) {
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
