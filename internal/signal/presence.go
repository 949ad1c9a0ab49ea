package signal

import (
	"context"
	"errors"

	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// query answers whether a user is online, to those who have authenticated.
func (s *Service) query(ctx context.Context, p Peer, in Query) Reply {
	if _, refused, ok := s.mayAsk(ctx, p, in.User); !ok {
		return refused
	}
	_, err := s.Store.Owner(ctx, in.User, s.Clock.Now())
	if err != nil && !errors.Is(err, ErrOffline) {
		return reply(RequestFailed{codeOf(err), in.User})
	}
	return reply(Presence{User: in.User, Online: err == nil})
}

// asker returns the connection of a client that asks for what only those may know
// who have authenticated; or, with false, the answer to one that may not. User is
// whom the question is about, if anybody.
func (s *Service) asker(ctx context.Context, p Peer, user UserName) (Connection, Reply, bool) {
	c, err := s.get(ctx, p.ID)
	switch {
	case errors.Is(err, ErrNoConnection):
		return c, s.rejectEnded(ctx, p).refused(), false
	case err != nil:
		return c, reply(RequestFailed{codeOf(err), user}), false
	case s.misread(p, c):
		return c, Reply{Speaks: c.Protocol}, false
	case c.Revoked(s.Clock.Now()):
		return c, s.endRevoked(ctx, c, closing).refused(), false
	case c.User == "":
		return c, reply(RequestFailed{lane.CodeUnknownUser, user}).refused(), false
	}
	return c, Reply{}, true
}
