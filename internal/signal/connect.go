package signal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// Handshake is what a client sends when it connects, as its protocol has read
// it.
type Handshake struct {
	Peer   Peer
	Client Client
	Token  *string // nil if the client authenticates later, by [Authenticate]
	// Malformed: there was a token that could not be read.
	Malformed bool
	// JoinsLate: the client asks to join ([Join]), and is answered only once its
	// token was accepted.
	JoinsLate bool
	// Unasked: the client may wait to be joined without asking for it.
	Unasked bool
	// Unsupported: the client is of a version that is not served, whatever
	// [Access] says.
	Unsupported bool
	UserAgent   string     // the header: what the client's program says that it is
	Start       lane.Start // where its numbers begin, if it authenticates now
	Session     *Session
	Since       *Since          // what it has, if it recovers; nil: it does not say
	Lobby       *LobbyHandshake // nil: the client has not been in one
	// At is since when the connection is, by API Gateway's clock, which is the same
	// for all of an API's connections; zero: by the clock of this machine.
	At lane.Instant
}

// openPauses are the pauses before each new try to send the first frame: a
// connection cannot be reached before API Gateway has taken the answer to its
// handshake.
var openPauses = []time.Duration{
	5 * time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond, 40 * time.Millisecond,
	80 * time.Millisecond, 160 * time.Millisecond, 320 * time.Millisecond, 640 * time.Millisecond,
}

// Connect creates the record of a connection. An error means that the handshake
// must fail; what is wrong with the client itself it is told afterwards, in its
// protocol, because browsers cannot read the status of a failed handshake. What
// follows sends the first frames, once the connection has taken over from its
// lobby, if it does.
func (s *Service) Connect(ctx context.Context, h Handshake) (After, error) {
	accepted := !h.Unsupported && s.Access.Versions.Accept(h.Client.Type, h.Client.Version)
	follows := h.Token != nil || !accepted
	switch {
	case h.Lobby != nil:
		if err := s.claimLobby(ctx, h, follows); err != nil {
			return nil, err
		}
	case !accepted:
		return func(ctx context.Context) { s.rejectVersion(ctx, h) }, nil
	}
	if s.RecoverFor == 0 {
		h.Peer.Recovers, h.Since = false, nil
	}
	if h.At == 0 {
		h.At = s.Clock.Now()
	}
	c := Connection{Peer: h.Peer, JoinsLate: h.JoinsLate, Since: h.At, Expires: h.At.Add(ConnectionLife), Lane: lane.New()}
	if s.AuthenticateWithin > 0 {
		c.Until = h.At.Add(s.AuthenticateWithin)
	}
	if s.Access.Needs().Client {
		c.Client = h.Client
	}
	if h.Session != nil {
		c.Session = h.Session.ID
	}
	if h.Lobby != nil {
		c.Lobby, c.JoinsLate = h.Lobby.ID, c.JoinsLate || !accepted
	}
	if err := s.Store.Create(ctx, c); err != nil { // not again: it might take effect once the connection has ended
		s.Count(MetricFailures, 1)
		return nil, fmt.Errorf("create connection %s: %w", h.Peer.ID, err)
	}
	s.Count(MetricConnects, 1)
	if h.Lobby != nil && !follows {
		return nil, nil // [Service.upgrade] does
	}
	return func(ctx context.Context) {
		s.announcingIn(ctx, nil, func(ctx context.Context) { s.afterConnect(ctx, h, accepted) })
	}, nil
}

// afterConnect sends the first frames on a connection whose socket is just
// being opened, and authenticates its client if that has sent a token.
func (s *Service) afterConnect(ctx context.Context, h Handshake, accepted bool) {
	switch s.begin(ctx, h) {
	case begun:
	case leftToUpgrade:
		return
	case notBegun:
		s.close(ctx, h.Peer) // first, lest it is taken for superseded: it is to connect again
		s.endGone(ctx, "", h.Peer.ID)
		return
	}
	if !accepted {
		s.refuseVersion(ctx, h)
		return
	}
	s.post(ctx, h.Peer, Admitted{h.Peer.ID})
	if h.Token == nil {
		if h.Unasked {
			s.post(ctx, h.Peer, Joined{h.Peer.ID})
		}
		return
	}
	r := s.authenticate(ctx, h.Peer, Authenticate{
		Number: NoNumber, Token: *h.Token, Malformed: h.Malformed, Handshake: true, Joins: h.JoinsLate, AwaitsJoin: h.JoinsLate && !h.Unasked,
		Start: h.Start, Session: h.Session, Since: h.Since,
	})
	for _, e := range r.Events {
		s.post(ctx, h.Peer, e)
	}
	if r.After != nil {
		r.After(ctx)
	}
}

// beginning is how a connection has begun.
type beginning int

const (
	notBegun      beginning = iota
	begun                   // it can be sent to: it has got the first frame, or has taken over from the lobby, where its client got that
	leftToUpgrade           // too late to take over: [Service.upgrade] closes it
)

func (s *Service) begin(ctx context.Context, h Handshake) beginning {
	if h.Lobby != nil {
		return s.awaitUpgrade(ctx, h)
	}
	if s.sendOpen(ctx, h.Peer) {
		return begun
	}
	return notBegun
}

// sendOpen sends the first frame on a connection, and reports whether it was
// accepted.
func (s *Service) sendOpen(ctx context.Context, p Peer) bool {
	for try := 0; ; try++ {
		err := s.Pusher.Post(ctx, p, Opened{p.ID})
		switch {
		case err == nil:
			return true
		case !errors.Is(err, ErrGone) || try == len(openPauses):
			s.Log.InfoContext(ctx, "first frame failed", "connection", p.ID, "error", err)
			return false
		case s.Clock.Sleep(ctx, openPauses[try]) != nil:
			return false
		}
	}
}

// joinWithin bounds how long a client that authenticates with its handshake is
// waited for to ask to join: longer than it may take to reach a function, and well
// below what an invocation has.
const joinWithin = 15 * time.Second

// join answers a client that asks to join. One that authenticates with its
// handshake is answered where that is done, once it is known who it is: it must
// not take itself for connected before it is told that it was refused. Nor must
// one without a record.
func (s *Service) join(ctx context.Context, p Peer, in Join) Reply {
	c, err := s.get(ctx, p.ID)
	switch {
	case errors.Is(err, ErrNoConnection), err == nil && c.Revocation.Code != lane.OK:
		return Reply{} // whoever refused it tells it why
	case err != nil:
	case s.misread(p, c):
		return Reply{Speaks: c.Protocol}
	case c.Revoked(s.Clock.Now()) && c.User == "":
		return s.endRevoked(ctx, c, refused)
	case c.Revoked(s.Clock.Now()):
		return s.endRevoked(ctx, c, closing)
	case c.JoinsLate:
		err = s.invocation(c).markJoining(ctx)
	case in.Token != nil && !c.Lane.Opened():
		return s.authenticate(ctx, p, Authenticate{Number: NoNumber, Token: *in.Token, Malformed: in.Malformed, Handshake: true, Joins: true})
	default:
		return reply(Joined{p.ID})
	}
	if err != nil && !errors.Is(err, ErrNoConnection) {
		s.Log.ErrorContext(ctx, "join failed", "connection", p.ID, "error", err)
		s.Count(MetricFailures, 1)
		s.close(ctx, p) // its client connects again
	}
	return Reply{}
}

// markJoining records that the client has asked to join.
func (v *invocation) markJoining(ctx context.Context) error {
	for range decideTries {
		if v.conn.Joining {
			return nil
		}
		u := updateBy(v.conn.Lane.Stay())
		u.Joining = true
		if _, err := v.update(ctx, u); err != nil {
			return err
		}
	}
	return ErrContended
}

// awaitJoin waits until the client has asked to join: until then it cannot send,
// and must not be called online.
func (s *Service) awaitJoin(ctx context.Context, c Connection) (err error) {
	began := s.Clock.Now()
	v := s.awaiting()
	defer v.leavePlace(ctx)
	for pause := watchFirst; err == nil && !c.Joining; pause = min(2*pause, watchMost) {
		switch {
		case s.Clock.Now().Sub(began) >= joinWithin:
			return errNotJoined
		case !v.mayLinger(ctx):
			return fmt.Errorf("wait for the client to join: %w", ErrBusy)
		}
		if err = s.Clock.Sleep(ctx, pause); err == nil {
			c, err = s.get(ctx, c.ID)
		}
	}
	return err
}
