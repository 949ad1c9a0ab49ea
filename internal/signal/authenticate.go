package signal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// claimTries bounds how often a claim meets a new owner. Each time means that
// another connection has got the name meanwhile.
const claimTries = 64

// authenticate makes a connection a user's. The one that owned the name before
// is fenced off, told, and closed.
func (s *Service) authenticate(ctx context.Context, p Peer, in Authenticate) Reply {
	c, err := s.get(ctx, p.ID)
	switch {
	case errors.Is(err, ErrNoConnection):
		if in.Number != NoNumber {
			s.post(ctx, p, AuthenticationDenied{in.Number, lane.CodeUnknownUser})
		}
		return s.rejectEnded(ctx, p)
	case err != nil:
		return s.refuseAuthentication(ctx, p, "", in, err)
	case s.misread(p, c):
		return Reply{Speaks: c.Protocol}
	case s.revokedByAnother(c) && in.Number != NoNumber:
		return reply(AuthenticationDenied{in.Number, c.Revocation.Code})
	case c.Revoked(s.Clock.Now()):
		return s.endRevoked(ctx, c, in.refusal)
	case c.Lane.Opened() && in.Handshake:
		return Reply{} // whoever has opened it tells where its numbers and its session stand
	case c.Lane.Opened():
		return s.authenticateAgain(ctx, c, in)
	}
	id, err := s.identify(ctx, c, in)
	if err == nil && in.AwaitsJoin {
		err = s.awaitJoin(ctx, c)
	}
	if err != nil {
		return s.refuseAuthentication(ctx, c.Peer, "", in, err)
	}
	if in.Joins { // before anything is delivered to it
		s.post(ctx, c.Peer, Joined{c.ID})
		in.Handshake = false // what fails from now on ends a connection that is joined
	}
	return s.claimAndOpen(ctx, c, id, in)
}

// identify asks the authenticator whose token it is.
func (s *Service) identify(ctx context.Context, c Connection, in Authenticate) (Identity, error) {
	switch {
	case in.Malformed, len(in.Token) > MaxToken, !isText(in.Token):
		return Identity{}, fmt.Errorf("read token: %w", ErrRefused)
	case in.Token == "" && s.Access.Anonymous:
		return Identity{User: s.anonymousUser()}, nil
	case in.Token == "":
		return Identity{}, errNoToken
	case s.Access.Authenticator == nil:
		return Identity{}, fmt.Errorf("nobody may connect: %w", ErrRefused)
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

// claimAndOpen claims the name and opens the lane.
func (s *Service) claimAndOpen(ctx context.Context, c Connection, id Identity, in Authenticate) Reply {
	user := id.User
	if id.Expires >= c.Expires { // no connection lasts that long
		id.Expires = 0
	}
	claimed, superseded, err := s.claimUnlessRefused(ctx, c, id)
	if err != nil {
		s.supersede(ctx, superseded...)
	}
	switch {
	case errors.Is(err, ErrNewerClaim):
		s.supersede(ctx, c.Peer)
		return Reply{}
	case err != nil:
		return s.refuseAuthentication(ctx, c.Peer, user, in, err)
	}
	if in.Number > 0 { // a reconnect: frames sent just before may still be on their way
		_ = s.Clock.Sleep(ctx, lane.ReorderWindow)
	}
	from, resumed, err := s.startLane(ctx, c, user, in)
	from.TAT = max(from.TAT, claimed.TAT)
	recovery := s.recovery(c.Peer, in.Since, claimed)
	v := s.invocation(c)
	var opened lane.Move
	if err == nil {
		opened, err = v.open(ctx, id, from)
	}
	switch {
	case errors.Is(err, ErrNewerClaim): // of the session
		_, _ = s.release(ctx, user, c.ID, claimed.TAT)
		s.supersede(ctx, append(superseded, c.Peer)...)
		return Reply{}
	case errors.Is(err, errOpened):
		if v.conn.User != user {
			_, _ = s.release(ctx, user, c.ID, claimed.TAT)
		}
		s.supersede(ctx, superseded...)
		if in.Handshake && v.conn.User == user { // perhaps by this invocation, if the answer was lost
			return reply(Welcome{in.Number, user, claimed.Epoch, claimed.Seq, c.Session, resumed, recovery, s.ICEFor(user)})
		}
		return s.authenticateAgain(ctx, v.conn, in)
	case errors.Is(err, errRevoked): // refused by a repeated invocation
		_, _ = s.release(ctx, user, c.ID, claimed.TAT)
		s.supersede(ctx, superseded...)
		return s.endRevoked(ctx, v.conn, in.refusal)
	case err != nil:
		s.supersede(ctx, superseded...)
		return s.refuseAuthentication(ctx, c.Peer, user, in, err)
	}
	s.Log.InfoContext(ctx, "authenticated", "connection", c.ID, "user", user)
	return Reply{
		Seen:   true,
		Events: []Event{Welcome{in.Number, user, claimed.Epoch, claimed.Seq, c.Session, resumed, recovery, s.ICEFor(user)}},
		After: v.after(func(ctx context.Context) {
			if claimed.Owed {
				s.changed(ctx, user)
			}
			left := s.tellSuperseded(ctx, superseded)
			replayed := v.replayBeside(ctx, recovery, claimed)
			for _, f := range opened.Repeated {
				s.postToSender(ctx, v.conn, v.ack(f, from.Answer(f)))
			}
			v.drain(ctx, opened.Run)
			replayed()
			s.closeSuperseded(ctx, left)
		}),
	}
}

// claim claims the name for the connection. Whoever owns it is ended before, so
// that from the moment the claim commits the name has one owner, even if this
// invocation gets no further; and is returned, to be told.
func (s *Service) claim(ctx context.Context, c Connection, id Identity) (claimed Claimed, superseded []Peer, err error) {
	claim := Claim{User: id.User, Peer: c.Peer, At: c.Since, Until: c.Expires, Epoch: s.randomID(), Now: s.Clock.Now()}
	if id.Expires != 0 {
		claim.Until = id.Expires
	}
	var tat lane.TAT // the latest of those that the user's connections have left
	for range claimTries {
		err = s.untilKnown(ctx, func(lane.Instant) error {
			claimed, err = s.Store.Claim(ctx, claim)
			return err
		})
		switch {
		case err != nil:
			return claimed, superseded, err
		case claimed.Owner.ID == c.ID:
			s.Count(MetricClaims, 1)
			claimed.TAT = max(tat, claimed.TAT)
			return claimed, superseded, nil
		}
		owner := claimed.Owner
		s.Log.InfoContext(ctx, "takeover", "connection", owner.ID, "user", id.User)
		was, err := s.end(ctx, owner.ID)
		if err != nil && !errors.Is(err, ErrNoConnection) {
			return claimed, superseded, fmt.Errorf("fence connection %s: %w", owner.ID, err)
		}
		s.Count(MetricTakeovers, 1)
		superseded = append(superseded, owner)
		tat = max(tat, was.Lane.TAT)
		claim.Expect = owner.ID
	}
	return claimed, superseded, fmt.Errorf("claim name: %w", ErrContended)
}

// open opens the lane for a user where from stands. The move tells what was
// sent before and is to be posted now. errOpened if the lane is open already.
func (v *invocation) open(ctx context.Context, id Identity, from lane.Lane) (lane.Move, error) {
	for range decideTries {
		m := v.conn.Lane.Start(from, v.id, v.Clock.Now())
		u := updateBy(m)
		u.Opening = &Opening{User: id.User, Until: id.Expires, Attributes: id.Attributes}
		made, err := v.update(ctx, u, v.Clock.Now())
		switch {
		case err != nil:
			return lane.Move{}, err
		case made:
			return m, nil
		case v.conn.Lane.Opened():
			return lane.Move{}, errOpened
		}
	}
	return lane.Move{}, ErrContended
}

// refuseAuthentication refuses a connection that could not authenticate.
func (s *Service) refuseAuthentication(ctx context.Context, p Peer, user UserName, in Authenticate, err error) Reply {
	level := slog.LevelInfo
	if codeOf(err) == lane.CodeUnavailable {
		level = slog.LevelError // a fault of ours, or of whom we ask
	}
	s.Log.Log(ctx, level, "authentication failed", "connection", p.ID, "error", err)
	return s.refuse(ctx, p, user, in.refusal(codeOf(err)), codeOf(err))
}

// authenticateAgain answers an authentication on a connection that has one: it
// belongs to one user for its life. Being numbered, the frame has its place in
// the order.
func (s *Service) authenticateAgain(ctx context.Context, c Connection, in Authenticate) Reply {
	again := lane.Frame{Asks: lane.AsksName}
	repeated := in.start().Began(c.Lane)
	if !repeated && (in.Malformed || in.Token != "") {
		switch id, err := s.identify(ctx, c, in); {
		case err != nil && codeOf(err) != lane.CodeWrongToken:
			again.Code = codeOf(err)
		case err != nil, id.User != c.User:
			again.Code = lane.CodeUnsupported
		}
	}
	switch {
	case in.Number != NoNumber && in.Number != c.Lane.Open:
		return s.sendNumbered(ctx, c.Peer, Send{Number: in.Number, Frame: again})
	case again.Code == lane.OK:
		return reply(Welcome{Number: in.Number, User: c.User})
	default:
		return reply(RequestFailed{Code: again.Code})
	}
}
