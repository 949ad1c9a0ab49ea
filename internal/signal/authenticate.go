package signal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"unicode/utf8"
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
		return s.fail(ctx, p, "", in, err)
	case s.leftToOthers(c) && in.Number != NoNumber:
		return reply(Denied{in.Number, c.Bar.Code})
	case c.Barred(s.Clock.Now()):
		return s.expire(ctx, c, answering(in.Number))
	case c.Lane.Opened():
		return s.authenticateAgain(ctx, c, in)
	}
	id, err := s.identify(ctx, c, in)
	if err != nil {
		return s.fail(ctx, c.Peer, "", in, err)
	}
	return s.enter(ctx, c, id, in)
}

// identify asks the authenticator whose token it is.
func (s *Service) identify(ctx context.Context, c Connection, in Authenticate) (Identity, error) {
	switch {
	case in.Malformed, len(in.Token) > MaxToken, !utf8.ValidString(in.Token):
		return Identity{}, fmt.Errorf("read token: %w", ErrRefused)
	case in.Token == "" && s.Access.Anonymous:
		return Identity{User: s.anonymousUser()}, nil
	case in.Token == "":
		return Identity{}, errNoToken
	case s.Access.Authenticator == nil:
		return Identity{}, fmt.Errorf("nobody is let in: %w", ErrRefused)
	}
	id, err := s.Access.Authenticator.Authenticate(ctx, Credentials{Token: in.Token, Client: c.Client})
	if err != nil {
		return Identity{}, err
	}
	if err := id.Check(); err != nil {
		return Identity{}, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	if id.Expires != 0 && id.Expires <= s.Clock.Now() {
		return Identity{}, fmt.Errorf("%w: it has expired", ErrRefused)
	}
	return id, nil
}

// enter claims the name and opens the lane.
func (s *Service) enter(ctx context.Context, c Connection, id Identity, in Authenticate) Reply {
	number, user := in.Number, id.User
	if id.Expires >= c.Expires { // no connection lasts that long
		id.Expires = 0
	}
	claimed, superseded, err := s.claim(ctx, c, id)
	if err != nil {
		s.supersede(ctx, superseded...)
	}
	switch {
	case errors.Is(err, ErrNewerClaim):
		s.supersede(ctx, c.Peer)
		return Reply{}
	case err != nil:
		return s.fail(ctx, c.Peer, user, in, err)
	}
	if number > 0 { // a reconnect: frames sent just before may still be on their way
		_ = s.Clock.Sleep(ctx, Settle)
	}
	from, resumed := startAt(number), false
	if in.Session != nil {
		from, resumed, err = s.lane(ctx, c, user, *in.Session)
	}
	from.FullAt = max(from.FullAt, claimed.FullAt)
	w := s.work(c)
	var opened Move
	if err == nil {
		opened, err = w.open(ctx, id, from)
	}
	switch {
	case errors.Is(err, errOpened):
		if w.conn.User != user {
			_, _ = s.Store.Release(ctx, user, c.ID, claimed.FullAt)
		}
		s.supersede(ctx, superseded...)
		return s.authenticateAgain(ctx, w.conn, in)
	case errors.Is(err, errBarred): // refused by a repeated invocation
		_, _ = s.Store.Release(ctx, user, c.ID, claimed.FullAt)
		s.supersede(ctx, superseded...)
		return s.expire(ctx, w.conn, answering(number))
	case err != nil:
		s.supersede(ctx, superseded...)
		return s.fail(ctx, c.Peer, user, in, err)
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
func (s *Service) claim(ctx context.Context, c Connection, id Identity) (claimed Claimed, superseded []Peer, err error) {
	claim := Claim{User: id.User, Peer: c.Peer, At: c.Since, Until: c.Expires, Epoch: s.randomID()}
	if id.Expires != 0 {
		claim.Until = id.Expires
	}
	var full FullAt // the fullest account of what the user has sent
	for range claimTries {
		claimed, err = s.Store.Claim(ctx, claim)
		switch {
		case err != nil:
			return claimed, superseded, err
		case claimed.Owner.ID == c.ID:
			s.Count(MetricClaims, 1)
			claimed.FullAt = max(full, claimed.FullAt)
			return claimed, superseded, nil
		}
		owner := claimed.Owner
		s.Log.InfoContext(ctx, "takeover", "connection", owner.ID, "user", id.User)
		was, err := s.Store.Drop(ctx, owner.ID)
		if err != nil && !errors.Is(err, ErrNoConnection) {
			return claimed, superseded, fmt.Errorf("fence connection %s: %w", owner.ID, err)
		}
		s.Count(MetricTakeovers, 1)
		superseded = append(superseded, owner)
		full = max(full, was.Lane.FullAt)
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
func (s *Service) fail(ctx context.Context, p Peer, user UserName, in Authenticate, err error) Reply {
	level := slog.LevelInfo
	if codeOf(err) == CodeUnavailable {
		level = slog.LevelError // a fault of ours, or of whom we ask
	}
	s.Log.Log(ctx, level, "authentication failed", "connection", p.ID, "error", err)
	var last Event = Refused{in.Number, codeOf(err)}
	if in.Number == NoNumber && !in.Early {
		last = Closing{codeOf(err)}
	}
	return s.refuse(ctx, p, user, last, codeOf(err))
}

// authenticateAgain answers an authentication on a connection that has one: it
// is one user for its life. Being numbered, the frame has its place in the
// order.
func (s *Service) authenticateAgain(ctx context.Context, c Connection, in Authenticate) Reply {
	again := Frame{Confirm: true}
	repeated := in.Number == c.Lane.Open && in.Number != NoNumber
	if !repeated && (in.Malformed || in.Token != "") {
		switch id, err := s.identify(ctx, c, in); {
		case err != nil && codeOf(err) != CodeWrongToken:
			again.Code = codeOf(err)
		case err != nil, id.User != c.User:
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
