package signal

import (
	"context"
	"errors"

	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// Verify reads the record of a connection whose client has sent what needs none,
// and ends the connection where any other frame would: if its record has ended,
// is revoked, or has not authenticated in time. Open reports that it goes on;
// until is when it must be verified again, zero: never.
func (s *Service) Verify(ctx context.Context, p Peer) (until lane.Instant, open bool) {
	now := s.Clock.Now()
	c, err := s.Store.Get(ctx, p.ID, now) // once: a ping does not wait until the store is back
	switch {
	case errors.Is(err, ErrNoConnection):
		s.rejectEnded(ctx, p)
		return 0, false
	case err != nil:
		return now, true
	case c.Revoked(now):
		s.announcingIn(ctx, nil, func(ctx context.Context) { s.endRevoked(ctx, c, closing) })
		return 0, false
	default:
		return c.Until, true
	}
}
