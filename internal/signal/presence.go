package signal

import (
	"context"
	"errors"

	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// query answers whether a user is online, to those who have authenticated.
func (s *Service) query(ctx context.Context, p Peer, in Query) Reply {
	now := s.Clock.Now()
	c, err := s.get(ctx, p.ID)
	switch {
	case errors.Is(err, ErrNoConnection):
		return s.rejectEnded(ctx, p).refused()
	case err != nil:
		return reply(RequestFailed{codeOf(err)})
	case s.misread(p, c):
		return Reply{Speaks: c.Protocol}
	case c.Revoked(now):
		return s.endRevoked(ctx, c, closing).refused()
	case c.User == "":
		return reply(RequestFailed{lane.CodeUnknownUser}).refused()
	}
	_, err = s.Store.Owner(ctx, in.User, now)
	if err != nil && !errors.Is(err, ErrOffline) {
		return reply(RequestFailed{codeOf(err)})
	}
	return reply(Presence{in.User, err == nil})
}
