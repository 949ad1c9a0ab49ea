package faults

import (
	"context"

	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// Store delays calls. A call whose context ends meanwhile has an error, which
// means that its outcome is not known.
func (f *Faults) Store(next signal.Store) signal.Store {
	if f == nil {
		return next
	}
	return &store{f, next}
}

type store struct {
	*Faults
	next signal.Store
}

// call is what all calls have in common.
func (s *store) call(ctx context.Context, call func() error) error {
	step(ctx)
	return s.stores.late(ctx, s.spec.SlowStore, call)
}

// Create implements [signal.ConnectionStore].
func (s *store) Create(ctx context.Context, c signal.Connection) error {
	return s.call(ctx, func() error { return s.next.Create(ctx, c) })
}

// Get implements [signal.ConnectionStore].
func (s *store) Get(ctx context.Context, id signal.ConnectionID, now lane.Instant) (c signal.Connection, err error) {
	err = s.call(ctx, func() error { c, err = s.next.Get(ctx, id, now); return err })
	return c, err
}

// Update implements [signal.ConnectionStore].
func (s *store) Update(ctx context.Context, id signal.ConnectionID, u signal.Update, now lane.Instant) (c signal.Connection, made bool, err error) {
	err = s.call(ctx, func() error { c, made, err = s.next.Update(ctx, id, u, now); return err })
	return c, made, err
}

// GetEnded implements [signal.ConnectionStore].
func (s *store) GetEnded(ctx context.Context, id signal.ConnectionID, now lane.Instant) (c signal.Connection, err error) {
	err = s.call(ctx, func() error { c, err = s.next.GetEnded(ctx, id, now); return err })
	return c, err
}

// End implements [signal.ConnectionStore].
func (s *store) End(ctx context.Context, id signal.ConnectionID, now lane.Instant) (c signal.Connection, err error) {
	err = s.call(ctx, func() error { c, err = s.next.End(ctx, id, now); return err })
	return c, err
}

// Delete implements [signal.ConnectionStore].
func (s *store) Delete(ctx context.Context, id signal.ConnectionID, now lane.Instant) error {
	return s.call(ctx, func() error { return s.next.Delete(ctx, id, now) })
}

// Scan implements [signal.ConnectionStore].
func (s *store) Scan(ctx context.Context, of signal.Segment, now lane.Instant, each func(signal.Connection)) error {
	return s.call(ctx, func() error { return s.next.Scan(ctx, of, now, each) })
}

// Claim implements [signal.UserStore].
func (s *store) Claim(ctx context.Context, claim signal.Claim) (c signal.Claimed, err error) {
	err = s.call(ctx, func() error { c, err = s.next.Claim(ctx, claim); return err })
	return c, err
}

// Release implements [signal.UserStore].
func (s *store) Release(ctx context.Context, user signal.UserName, id signal.ConnectionID, tat lane.TAT) (released bool, err error) {
	err = s.call(ctx, func() error { released, err = s.next.Release(ctx, user, id, tat); return err })
	return released, err
}

// Route implements [signal.UserStore].
func (s *store) Route(ctx context.Context, user signal.UserName, now lane.Instant) (r signal.Route, err error) {
	err = s.call(ctx, func() error { r, err = s.next.Route(ctx, user, now); return err })
	return r, err
}

// Owner implements [signal.UserStore].
func (s *store) Owner(ctx context.Context, user signal.UserName, now lane.Instant) (p signal.Peer, err error) {
	err = s.call(ctx, func() error { p, err = s.next.Owner(ctx, user, now); return err })
	return p, err
}
