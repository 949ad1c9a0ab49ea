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

// ask makes a call that has an answer.
func ask[T any](ctx context.Context, s *store, call func() (T, error)) (answer T, err error) {
	err = s.call(ctx, func() error { answer, err = call(); return err })
	return answer, err
}

// Create implements [signal.ConnectionStore].
func (s *store) Create(ctx context.Context, c signal.Connection) error {
	return s.call(ctx, func() error { return s.next.Create(ctx, c) })
}

// Get implements [signal.ConnectionStore].
func (s *store) Get(ctx context.Context, id signal.ConnectionID, now lane.Instant) (signal.Connection, error) {
	return ask(ctx, s, func() (signal.Connection, error) { return s.next.Get(ctx, id, now) })
}

// Update implements [signal.ConnectionStore].
func (s *store) Update(ctx context.Context, id signal.ConnectionID, u signal.Update, now lane.Instant) (c signal.Connection, made bool, err error) {
	err = s.call(ctx, func() error { c, made, err = s.next.Update(ctx, id, u, now); return err })
	return c, made, err
}

// GetEnded implements [signal.ConnectionStore].
func (s *store) GetEnded(ctx context.Context, id signal.ConnectionID, now lane.Instant) (signal.Connection, error) {
	return ask(ctx, s, func() (signal.Connection, error) { return s.next.GetEnded(ctx, id, now) })
}

// Fetch implements [signal.ConnectionStore].
func (s *store) Fetch(ctx context.Context, id signal.ConnectionID, run []lane.Numbered) ([]lane.Numbered, error) {
	return ask(ctx, s, func() ([]lane.Numbered, error) { return s.next.Fetch(ctx, id, run) })
}

// End implements [signal.ConnectionStore].
func (s *store) End(ctx context.Context, id signal.ConnectionID, now lane.Instant) (signal.Connection, error) {
	return ask(ctx, s, func() (signal.Connection, error) { return s.next.End(ctx, id, now) })
}

// Delete implements [signal.ConnectionStore].
func (s *store) Delete(ctx context.Context, id signal.ConnectionID, now lane.Instant) error {
	return s.call(ctx, func() error { return s.next.Delete(ctx, id, now) })
}

// Scan implements [signal.ConnectionStore].
func (s *store) Scan(ctx context.Context, of signal.Segment, now lane.Instant, each func(signal.Connection), owed func(signal.UserName)) error {
	return s.call(ctx, func() error { return s.next.Scan(ctx, of, now, each, owed) })
}

// Claim implements [signal.UserStore].
func (s *store) Claim(ctx context.Context, claim signal.Claim) (signal.Claimed, error) {
	return ask(ctx, s, func() (signal.Claimed, error) { return s.next.Claim(ctx, claim) })
}

// Release implements [signal.UserStore].
func (s *store) Release(ctx context.Context, user signal.UserName, id signal.ConnectionID, tat lane.TAT) (signal.Released, error) {
	return ask(ctx, s, func() (signal.Released, error) { return s.next.Release(ctx, user, id, tat) })
}

// CreateLobby implements [signal.LobbyStore].
func (s *store) CreateLobby(ctx context.Context, l signal.Lobby) error {
	return s.call(ctx, func() error { return s.next.CreateLobby(ctx, l) })
}

// GetLobby implements [signal.LobbyStore].
func (s *store) GetLobby(ctx context.Context, id signal.LobbyID, now lane.Instant) (signal.Lobby, error) {
	return ask(ctx, s, func() (signal.Lobby, error) { return s.next.GetLobby(ctx, id, now) })
}

// UpdateLobby implements [signal.LobbyStore].
func (s *store) UpdateLobby(ctx context.Context, id signal.LobbyID, m signal.LobbyMove, now lane.Instant) (l signal.Lobby, made bool, err error) {
	err = s.call(ctx, func() error { l, made, err = s.next.UpdateLobby(ctx, id, m, now); return err })
	return l, made, err
}

// Keep implements [signal.HistoryStore].
func (s *store) Keep(ctx context.Context, user signal.UserName, post []signal.Delivery, until lane.Instant) (bool, error) {
	return ask(ctx, s, func() (bool, error) { return s.next.Keep(ctx, user, post, until) })
}

// Void implements [signal.HistoryStore].
func (s *store) Void(ctx context.Context, user signal.UserName, epoch string, seq int64, until lane.Instant) error {
	return s.call(ctx, func() error { return s.next.Void(ctx, user, epoch, seq, until) })
}

// History implements [signal.HistoryStore].
func (s *store) History(ctx context.Context, user signal.UserName, epoch string, first, last int64) ([]signal.Kept, error) {
	return ask(ctx, s, func() ([]signal.Kept, error) { return s.next.History(ctx, user, epoch, first, last) })
}

// Standing implements [signal.HistoryStore].
func (s *store) Standing(ctx context.Context, user signal.UserName, now lane.Instant) (signal.Claimed, error) {
	return ask(ctx, s, func() (signal.Claimed, error) { return s.next.Standing(ctx, user, now) })
}

// Route implements [signal.UserStore].
func (s *store) Route(ctx context.Context, user signal.UserName, messages int, now lane.Instant) (signal.Route, error) {
	return ask(ctx, s, func() (signal.Route, error) { return s.next.Route(ctx, user, messages, now) })
}

// Owner implements [signal.UserStore].
func (s *store) Owner(ctx context.Context, user signal.UserName, now lane.Instant) (signal.Peer, error) {
	return ask(ctx, s, func() (signal.Peer, error) { return s.next.Owner(ctx, user, now) })
}

// Watch implements [signal.PresenceStore].
func (s *store) Watch(ctx context.Context, user signal.UserName, by signal.ConnectionID, now lane.Instant) (signal.Presence, error) {
	return ask(ctx, s, func() (signal.Presence, error) { return s.next.Watch(ctx, user, by, now) })
}

// Unwatch implements [signal.PresenceStore].
func (s *store) Unwatch(ctx context.Context, user signal.UserName, by signal.ConnectionID) error {
	return s.call(ctx, func() error { return s.next.Unwatch(ctx, user, by) })
}

// Watchers implements [signal.PresenceStore].
func (s *store) Watchers(ctx context.Context, user signal.UserName, now lane.Instant) (p signal.Presence, peers []signal.Peer, err error) {
	err = s.call(ctx, func() error { p, peers, err = s.next.Watchers(ctx, user, now); return err })
	return p, peers, err
}

// Told implements [signal.PresenceStore].
func (s *store) Told(ctx context.Context, user signal.UserName, at int64) error {
	return s.call(ctx, func() error { return s.next.Told(ctx, user, at) })
}
