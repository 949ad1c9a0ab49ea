package faults

import (
	"context"

	"github.com/owt-signal/owt-signal/internal/signal"
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

// Admit implements [signal.ConnectionStore].
func (s *store) Admit(ctx context.Context, c signal.Connection) error {
	return s.call(ctx, func() error { return s.next.Admit(ctx, c) })
}

// Inspect implements [signal.ConnectionStore].
func (s *store) Inspect(ctx context.Context, id signal.ConnectionID, now signal.Instant) (c signal.Connection, err error) {
	err = s.call(ctx, func() error { c, err = s.next.Inspect(ctx, id, now); return err })
	return c, err
}

// Move implements [signal.ConnectionStore].
func (s *store) Move(ctx context.Context, id signal.ConnectionID, m signal.Move, now signal.Instant) (c signal.Connection, made bool, err error) {
	err = s.call(ctx, func() error { c, made, err = s.next.Move(ctx, id, m, now); return err })
	return c, made, err
}

// Drop implements [signal.ConnectionStore].
func (s *store) Recall(ctx context.Context, id signal.ConnectionID, now signal.Instant) (c signal.Connection, err error) {
	err = s.call(ctx, func() error { c, err = s.next.Recall(ctx, id, now); return err })
	return c, err
}

// Drop implements [signal.ConnectionStore].
func (s *store) Drop(ctx context.Context, id signal.ConnectionID) (c signal.Connection, err error) {
	err = s.call(ctx, func() error { c, err = s.next.Drop(ctx, id); return err })
	return c, err
}

// Each implements [signal.ConnectionStore].
func (s *store) Each(ctx context.Context, of signal.Segment, now signal.Instant, each func(signal.Connection)) error {
	return s.call(ctx, func() error { return s.next.Each(ctx, of, now, each) })
}

// Claim implements [signal.UserStore].
func (s *store) Claim(ctx context.Context, claim signal.Claim) (c signal.Claimed, err error) {
	err = s.call(ctx, func() error { c, err = s.next.Claim(ctx, claim); return err })
	return c, err
}

// Release implements [signal.UserStore].
func (s *store) Release(ctx context.Context, user signal.UserName, id signal.ConnectionID, full signal.FullAt) (released bool, err error) {
	err = s.call(ctx, func() error { released, err = s.next.Release(ctx, user, id, full); return err })
	return released, err
}

// Route implements [signal.UserStore].
func (s *store) Route(ctx context.Context, user signal.UserName, now signal.Instant) (r signal.Route, err error) {
	err = s.call(ctx, func() error { r, err = s.next.Route(ctx, user, now); return err })
	return r, err
}

// Owner implements [signal.UserStore].
func (s *store) Owner(ctx context.Context, user signal.UserName, now signal.Instant) (p signal.Peer, err error) {
	err = s.call(ctx, func() error { p, err = s.next.Owner(ctx, user, now); return err })
	return p, err
}
