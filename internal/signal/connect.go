package signal

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Handshake is what a client brings when it connects.
type Handshake struct {
	Peer   Peer
	Client Client
	Token  *string // nil if the client authenticates later
	// Malformed: there was a token that could not be read.
	Malformed bool
	Session   *Session
}

// greetings is how long to wait before each new try to greet a connection: it
// cannot be reached before API Gateway has taken the answer to its handshake.
var greetings = []time.Duration{
	5 * time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond, 40 * time.Millisecond,
	80 * time.Millisecond, 160 * time.Millisecond, 320 * time.Millisecond, 640 * time.Millisecond,
}

// Connect admits a client. An error means that the handshake must fail; what
// is wrong with the client itself it is told afterwards, in its protocol,
// because browsers cannot read the status of a failed handshake.
func (s *Service) Connect(ctx context.Context, h Handshake) (After, error) {
	if !s.Access.Versions.Accept(h.Client) {
		return func(ctx context.Context) { s.turnAway(ctx, h) }, nil
	}
	now := s.Clock.Now()
	c := Connection{Peer: h.Peer, Since: now, Expires: now.Add(ConnectionLife), Lane: NewLane()}
	c.Early = h.Token != nil && h.Peer.Protocol == EIO4
	if s.AuthenticateWithin > 0 {
		c.Until = now.Add(s.AuthenticateWithin)
	}
	if s.Access.Needs().Client {
		c.Client = h.Client
	}
	if h.Session != nil {
		c.Session = h.Session.ID
	}
	if err := s.Store.Admit(ctx, c); err != nil {
		s.Count(MetricFailures, 1)
		return nil, fmt.Errorf("admit connection %s: %w", h.Peer.ID, err)
	}
	s.Count(MetricConnects, 1)
	return func(ctx context.Context) { s.begin(ctx, h) }, nil
}

// turnAway tells a client that its version is not served.
func (s *Service) turnAway(ctx context.Context, h Handshake) {
	s.Log.InfoContext(ctx, "version not supported", "connection", h.Peer.ID, "type", brief(h.Client.Type), "version", brief(h.Client.Version))
	s.Count(MetricRefusals, 1)
	if s.greet(ctx, h.Peer) {
		s.post(ctx, h.Peer, Refused{NoNumber, CodeUnsupported})
	}
	s.close(ctx, h.Peer)
}

// brief is what a log needs of a client's word for itself.
func brief(value string) string {
	if len(value) > MaxClientValue {
		return value[:MaxClientValue] + "…"
	}
	return value
}

// joinWithin bounds how long a client waits to be let in that authenticates with
// its handshake: longer than an authenticator may take, and well below the 29 s
// that API Gateway waits for the answer to a frame.
const joinWithin = 15 * time.Second

// join lets a client in that was admitted, once it has authenticated, if it does
// so with its handshake: one that is refused must not take itself for connected
// before it is told. So must not one without a record.
func (s *Service) join(ctx context.Context, p Peer) Reply {
	began := s.Clock.Now()
	for pause := watchFirst; ; pause = min(2*pause, watchMost) {
		c, err := s.Store.Inspect(ctx, p.ID, s.Clock.Now())
		now := s.Clock.Now()
		switch {
		case errors.Is(err, ErrNoConnection), err == nil && c.Bar.Code != OK:
			return Reply{} // told by others why it is not served
		case err == nil && c.Barred(now):
			return s.expire(ctx, c, closing)
		case err == nil && (!c.Early || c.Lane.Opened()):
			return reply(Joined{p.ID})
		case err == nil && now.Sub(began) >= joinWithin:
			err = ErrBusy
		}
		if err == nil {
			err = s.Clock.Sleep(ctx, pause)
		}
		if err != nil {
			s.Log.ErrorContext(ctx, "join failed", "connection", p.ID, "error", err)
			s.Count(MetricFailures, 1)
			s.close(ctx, p) // its client comes again
			return Reply{}
		}
	}
}

// begin greets a client whose socket is just being opened, and authenticates
// it if it brought a token.
func (s *Service) begin(ctx context.Context, h Handshake) {
	if !s.greet(ctx, h.Peer) {
		s.close(ctx, h.Peer) // first, lest it is taken for superseded: it is to come again
		s.vanish(ctx, "", h.Peer.ID)
		return
	}
	s.post(ctx, h.Peer, Admitted{h.Peer.ID})
	if h.Token == nil {
		return
	}
	in := Authenticate{Number: NoNumber, Token: *h.Token, Malformed: h.Malformed, Early: true, Session: h.Session}
	if h.Peer.Protocol == JSON {
		in.Number = 0 // its messages are numbered from 1
	}
	r := s.authenticate(ctx, h.Peer, in)
	for _, e := range r.Events {
		s.post(ctx, h.Peer, e)
	}
	if r.After != nil {
		r.After(ctx)
	}
}

// greet says the first words on a connection.
func (s *Service) greet(ctx context.Context, p Peer) bool {
	for try := 0; ; try++ {
		err := s.Pusher.Post(ctx, p, Opened{p.ID})
		switch {
		case err == nil:
			return true
		case !errors.Is(err, ErrGone) || try == len(greetings):
			s.Log.InfoContext(ctx, "greet failed", "connection", p.ID, "error", err)
			return false
		case s.Clock.Sleep(ctx, greetings[try]) != nil:
			return false
		}
	}
}

// Disconnect ends a connection, if that has not been done.
func (s *Service) Disconnect(ctx context.Context, id ConnectionID) error {
	_, err := s.end(ctx, "", id)
	return err
}

// end ends a connection: first it is nobody, then its name is free. The other
// way round, one that dies in between would leave a connection that can send
// under a name that another may claim. The user may be empty if it is not
// known; then it is that of the record, if there is one. It returns that record.
func (s *Service) end(ctx context.Context, user UserName, id ConnectionID) (Connection, error) {
	c, err := s.Store.Drop(ctx, id)
	if err != nil && !errors.Is(err, ErrNoConnection) {
		return c, fmt.Errorf("drop connection %s: %w", id, err)
	}
	if user == "" {
		user = c.User
	}
	if user == "" {
		return c, nil
	}
	released, err := s.Store.Release(ctx, user, id, c.Lane.FullAt)
	if err != nil {
		return c, fmt.Errorf("release the name of connection %s: %w", id, err)
	}
	s.Log.InfoContext(ctx, "connection ended", "connection", id, "user", user, "released", released)
	return c, nil
}

// leave ends a connection as its client wishes.
func (s *Service) leave(ctx context.Context, p Peer) Reply {
	if err := s.Disconnect(ctx, p.ID); err != nil {
		s.Log.WarnContext(ctx, "leave failed", "connection", p.ID, "error", err)
	}
	s.close(ctx, p)
	return Reply{}
}

// vanish ends a connection that was found gone. What fails of it is tried again
// by whoever finds it next.
func (s *Service) vanish(ctx context.Context, user UserName, id ConnectionID) {
	c, err := s.end(ctx, user, id)
	if err != nil {
		s.Log.WarnContext(ctx, "ending a connection that is gone failed", "connection", id, "user", user, "error", err)
	}
	if c.ID != "" { // otherwise somebody else found it
		s.Count(MetricGone, 1)
	}
}
