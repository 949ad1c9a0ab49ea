package signal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// Expel ends the connection of a user, if it is online, and refuses the user for so
// long, at most [MaxRefusal]; zero: not at all. It reports whether there was a
// connection, and until when the user is refused; zero: it is not.
//
// The refusal is written before it is looked who owns the name, and read after the name
// is claimed: a client that connects meanwhile meets one of them.
func (s *Service) Expel(ctx context.Context, user UserName, refuse time.Duration) (online bool, until lane.Instant, err error) {
	if refuse > 0 {
		until = s.Clock.Now().Add(refuse)
		if err := s.refuseUntil(ctx, user, until); err != nil {
			return false, 0, err
		}
	}
	owner, err := s.owner(ctx, user)
	if errors.Is(err, ErrOffline) {
		return false, until, nil
	}
	if err != nil {
		return false, until, fmt.Errorf("get owner: %w", err)
	}
	s.Log.InfoContext(ctx, "expelled", "connection", owner.ID, "user", user)
	s.announcingIn(ctx, nil, func(ctx context.Context) {
		s.revoke(ctx, Connection{Peer: owner, User: user, Lane: lane.New()}, closing(lane.CodeWrongToken), lane.CodeWrongToken, lane.CodeWrongToken)
	})
	if now, err := s.owner(ctx, user); err == nil && now.ID == owner.ID {
		return true, until, fmt.Errorf("end connection %s: it is still online", owner.ID)
	}
	return true, until, nil
}

// Readmit ends the refusal of a user.
func (s *Service) Readmit(ctx context.Context, user UserName) error {
	return s.refuseUntil(ctx, user, 0)
}

func (s *Service) refuseUntil(ctx context.Context, user UserName, until lane.Instant) error {
	err := s.untilKnown(ctx, func(lane.Instant) error { return s.Backends.Refuse(ctx, user, until) })
	if err != nil {
		return fmt.Errorf("refuse user: %w", err)
	}
	return nil
}

// claimUnlessRefused claims a name for a user who is not refused. It is looked before,
// so that one who is refused changes nothing by trying, and again after: see
// [Service.Expel].
func (s *Service) claimUnlessRefused(ctx context.Context, c Connection, id Identity) (claimed Claimed, superseded []Peer, err error) {
	if err := s.checkRefusal(ctx, id.User); err != nil {
		return claimed, nil, err
	}
	claimed, superseded, err = s.claim(ctx, c, id)
	if err == nil {
		err = s.checkRefusal(ctx, id.User)
	}
	return claimed, superseded, err
}

// checkRefusal returns an error if a user is refused: [ErrRefused], or that this is not
// known.
func (s *Service) checkRefusal(ctx context.Context, user UserName) error {
	if s.Refusals == nil {
		return nil
	}
	var until lane.Instant
	err := s.untilKnown(ctx, func(now lane.Instant) (err error) {
		until, err = s.Refusals.RefusedUntil(ctx, user, now)
		return err
	})
	switch {
	case err != nil:
		return fmt.Errorf("read refusal: %w", err)
	case until != 0:
		return fmt.Errorf("%w: a backend has the user refused", ErrRefused)
	}
	return nil
}
