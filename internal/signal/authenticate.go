package signal

import (
	"context"
	"errors"
	"fmt"
)

// errOpened: the lane is open; a repeated invocation got there first.
var errOpened = errors.New("connection has authenticated already")

// claimTries bounds how often a claim meets a new owner. Each time means that
// another connection has got the name meanwhile.
const claimTries = 64

// authenticate makes a connection somebody. The one that owned the name before
// is fenced off, told, and closed.
func (s *Service) authenticate(ctx context.Context, p Peer, in Authenticate) Reply {
	c, err := s.Store.Inspect(ctx, p.ID, s.Clock.Now())
	switch {
	case errors.Is(err, ErrNoConnection):
		return s.nobody(ctx, p, in.Number)
	case err != nil:
		return s.fail(ctx, p, "", in.Number, err)
	case c.Lane.Opened():
		return s.authenticateAgain(ctx, c, in)
	}
	user, err := s.identify(ctx, in)
	if err != nil {
		return s.fail(ctx, c.Peer, "", in.Number, err)
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
	claimed, superseded, err := s.claim(ctx, c, user)
	if err != nil {
		s.supersede(ctx, superseded...)
	}
	switch {
	case errors.Is(err, ErrNewerClaim):
		s.supersede(ctx, c.Peer)
		return Reply{}
	case err != nil:
		return s.fail(ctx, c.Peer, user, number, err)
	}
	if number > 0 { // a reconnect: frames sent just before may still be on their way
		_ = s.Clock.Sleep(ctx, Settle)
	}
	from, resumed := startAt(number), false
	if in.Session != nil {
		from, resumed, err = s.lane(ctx, c, user, *in.Session)
	}
	w := s.work(c)
	var opened Move
	if err == nil {
		opened, err = w.open(ctx, user, from)
	}
	switch {
	case errors.Is(err, errOpened):
		if w.conn.User != user {
			_, _ = s.Store.Release(ctx, user, c.ID)
		}
		s.supersede(ctx, superseded...)
		return s.authenticateAgain(ctx, w.conn, in)
	case err != nil:
		s.supersede(ctx, superseded...)
		return s.fail(ctx, c.Peer, user, number, err)
	}
	s.Log.InfoContext(ctx, "authenticated", "connection", c.ID, "user", user)
	return Reply{
		Events: []Event{Welcome{number, user, claimed.Epoch, claimed.Seq, c.Session, resumed}},
		After: func(ctx context.Context) {
			s.supersede(ctx, superseded...)
			for _, f := range opened.Repeated {
				w.toSender(ctx, w.ack(f, from.Outcome(f.N)))
			}
			w.carry(ctx, opened.Run)
		},
	}
}

// claim claims the name for the connection. Whoever owns it is made nobody
// before, so that from the moment the claim commits the name has one owner, even
// if this invocation gets no further; and is returned, to be told.
func (s *Service) claim(ctx context.Context, c Connection, user UserName) (claimed Claimed, superseded []Peer, err error) {
	claim := Claim{User: user, Peer: c.Peer, At: c.Since, Until: c.Expires, Epoch: s.randomID()}
	for range claimTries {
		claimed, err = s.Store.Claim(ctx, claim)
		switch {
		case err != nil:
			return claimed, superseded, err
		case claimed.Owner.ID == c.ID:
			s.Count(MetricClaims, 1)
			return claimed, superseded, nil
		}
		owner := claimed.Owner
		s.Log.InfoContext(ctx, "takeover", "connection", owner.ID, "user", user)
		if _, err = s.Store.Drop(ctx, owner.ID); err != nil && !errors.Is(err, ErrNoConnection) {
			return claimed, superseded, fmt.Errorf("fence connection %s: %w", owner.ID, err)
		}
		s.Count(MetricTakeovers, 1)
		superseded = append(superseded, owner)
		claim.Expect = owner.ID
	}
	return claimed, superseded, fmt.Errorf("claim name: %w", ErrBusy)
}

// supersede tells connections that they have lost their name, and closes them.
func (s *Service) supersede(ctx context.Context, peers ...Peer) {
	for _, p := range peers {
		if _, err := s.Store.Drop(ctx, p.ID); err != nil && !errors.Is(err, ErrNoConnection) {
			s.Log.ErrorContext(ctx, "drop failed", "connection", p.ID, "error", err)
		}
		s.post(ctx, p, Superseded{})
		s.close(ctx, p)
	}
}

// fail refuses a connection that could not authenticate.
func (s *Service) fail(ctx context.Context, p Peer, user UserName, number int64, err error) Reply {
	s.Log.InfoContext(ctx, "authentication failed", "connection", p.ID, "error", err)
	return s.refuse(ctx, p, user, number, codeOf(err))
}

// authenticateAgain answers an authentication on a connection that has one: it
// is one user for its life. Being numbered, the frame has its place in the
// order.
func (s *Service) authenticateAgain(ctx context.Context, c Connection, in Authenticate) Reply {
	again := Frame{Confirm: true}
	if in.Number != c.Lane.Open || in.Number == NoNumber {
		if user, err := s.identify(ctx, in); (in.Malformed || in.Token != "") && (err != nil || user != c.User) {
			again.Code = CodeUnsupported
		}
	}
	switch {
	case in.Number != NoNumber && in.Number != c.Lane.Open:
		return s.send(ctx, c.Peer, Send{in.Number, again})
	case again.Code == OK:
		return reply(Welcome{Number: in.Number, User: c.User})
	default:
		return reply(Failed{again.Code})
	}
}
