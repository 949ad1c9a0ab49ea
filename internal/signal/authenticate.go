package signal

import (
	"context"
	"errors"
	"fmt"
)

// errOpened: the lane is open; a repeated invocation got there first.
var errOpened = errors.New("connection has authenticated already")

// authenticate makes a connection somebody. The one that owned the name before
// is fenced off, told, and closed.
func (s *Service) authenticate(ctx context.Context, p Peer, in Authenticate) Reply {
	c, err := s.Store.Inspect(ctx, p.ID, s.Clock.Now())
	switch {
	case errors.Is(err, ErrNoConnection):
		return s.nobody(ctx, p, in.Number)
	case err != nil:
		return s.fail(ctx, p, in.Number, err)
	case c.Lane.Opened():
		return s.authenticateAgain(ctx, c, in)
	}
	user, err := s.identify(ctx, in)
	if err != nil {
		return s.fail(ctx, c.Peer, in.Number, err)
	}
	return s.enter(ctx, c, user, in)
}

// identify asks the authenticator for the name of the user.
func (s *Service) identify(ctx context.Context, in Authenticate) (UserName, error) {
	if in.Malformed {
		return "", fmt.Errorf("read token: %w", ErrRefused)
	}
	user, err := s.Authenticator.Authenticate(ctx, in.Token)
	if err != nil {
		return "", err
	}
	if err := CheckUserName(user); err != nil {
		return "", fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return user, nil
}

// enter claims the name and opens the lane.
func (s *Service) enter(ctx context.Context, c Connection, user UserName, in Authenticate) Reply {
	number := in.Number
	claimed, err := s.Store.Claim(ctx, Claim{
		User: user, Peer: c.Peer, At: s.Clock.Now(), Until: c.Expires, Epoch: s.randomID(),
	})
	if errors.Is(err, ErrNewerClaim) {
		s.supersede(ctx, c.Peer)
		return Reply{}
	}
	if err != nil {
		return s.fail(ctx, c.Peer, number, err)
	}
	if claimed.Before != nil {
		s.fence(ctx, *claimed.Before, user)
	}
	if number > 0 { // a reconnect: frames sent just before may still be on their way
		_ = s.Clock.Sleep(ctx, Settle)
	}
	w := s.work(c)
	run, err := w.open(ctx, user, number)
	switch {
	case errors.Is(err, errOpened):
		if w.conn.User != user {
			s.release(ctx, user, c.ID)
		}
		return s.authenticateAgain(ctx, w.conn, in)
	case err != nil:
		s.release(ctx, user, c.ID)
		return s.fail(ctx, c.Peer, number, err)
	}
	s.Log.InfoContext(ctx, "authenticated", "connection", c.ID, "user", user)
	return Reply{
		Events: []Event{Welcome{number, user, claimed.Epoch, claimed.Seq}},
		After: func(ctx context.Context) {
			if claimed.Before != nil {
				s.supersede(ctx, *claimed.Before)
			}
			w.carry(ctx, run)
		},
	}
}

// fence makes a superseded connection nobody. From then on it can send no
// more; that it receives no more the claim has seen to.
func (s *Service) fence(ctx context.Context, before Peer, user UserName) {
	s.Log.InfoContext(ctx, "takeover", "connection", before.ID, "user", user)
	if _, err := s.Store.Drop(ctx, before.ID); err != nil && !errors.Is(err, ErrNoConnection) {
		s.Log.ErrorContext(ctx, "fence failed", "connection", before.ID, "error", err)
	}
}

// supersede tells a connection that it has lost its name, and closes it.
func (s *Service) supersede(ctx context.Context, p Peer) {
	if _, err := s.Store.Drop(ctx, p.ID); err != nil && !errors.Is(err, ErrNoConnection) {
		s.Log.ErrorContext(ctx, "drop failed", "connection", p.ID, "error", err)
	}
	s.post(ctx, p, Superseded{})
	s.close(ctx, p)
}

// fail refuses a connection that could not authenticate.
func (s *Service) fail(ctx context.Context, p Peer, number int64, err error) Reply {
	s.Log.InfoContext(ctx, "authentication failed", "connection", p.ID, "error", err)
	return s.refuse(ctx, p, number, codeOf(err))
}

// authenticateAgain answers an authentication on a connection that has one: it
// is one user for its life. Being numbered, the frame has its place in the
// order.
func (s *Service) authenticateAgain(ctx context.Context, c Connection, in Authenticate) Reply {
	again := Frame{Confirm: true}
	if in.Number != c.Lane.Open || in.Number == NoNumber {
		if user, err := s.identify(ctx, in); (in.Malformed || in.Token != "") && (err != nil || user != c.User) {
			again = Frame{Code: CodeUnsupported}
		}
	}
	switch {
	case in.Number != NoNumber && in.Number != c.Lane.Open:
		return s.send(ctx, c.Peer, Send{in.Number, again})
	case again.Confirm:
		return reply(Welcome{Number: in.Number, User: c.User})
	default:
		return reply(Failed{again.Code})
	}
}
