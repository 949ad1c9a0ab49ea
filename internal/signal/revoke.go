package signal

import (
	"context"
	"errors"

	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// revokedByAnother reports whether another invocation has revoked the
// connection, tells its client why and closes it, unless it must have died
// since.
func (s *Service) revokedByAnother(c Connection) bool {
	return c.Revocation.Code != lane.OK && s.Clock.Now().Sub(c.Revocation.At) <= lane.LeaseTimeout
}

// endRevoked ends a connection that may do nothing new, unless another
// invocation does. A frame that was submitted is answered, too.
func (s *Service) endRevoked(ctx context.Context, c Connection, last func(lane.Code) Event, submitted ...lane.Numbered) Reply {
	if s.revokedByAnother(c) {
		for _, f := range submitted {
			s.invocation(c).answerRevoked(ctx, f)
		}
		return Reply{}
	}
	code := lane.CodeWrongToken
	switch {
	case c.Revocation.Code != lane.OK:
		code = c.Revocation.Code
	case c.User == "":
		code = lane.CodeUnknownUser // it has not authenticated in time
	}
	s.Log.InfoContext(ctx, "connection is revoked", "connection", c.ID, "user", c.User, "code", int(code))
	return s.revoke(ctx, c, last(code), code, code, submitted...)
}

// closing returns the last event where nothing is to be answered.
func closing(c lane.Code) Event { return Closing{c} }

// refused returns the last event where a client was not served yet.
func refused(c lane.Code) Event { return ConnectionRefused{NoNumber, c} }

// refusal returns the last event where an authentication is to be answered.
func (in Authenticate) refusal(c lane.Code) Event {
	if in.Number == NoNumber && !in.Handshake {
		return closing(c)
	}
	return ConnectionRefused{in.Number, c}
}

// revoke ends a connection: first it may do nothing by any clock, then its name
// is released. What it holds is answered with the code held, what was submitted
// after that, and the last event tells its client.
//
// The record stays until the socket has gone: on whatever comes meanwhile the
// client is told why, and not that another connection has taken the name.
func (s *Service) revoke(ctx context.Context, c Connection, last Event, code, held lane.Code, submitted ...lane.Numbered) Reply {
	v := s.invocation(c)
	frames, err := v.markRevoked(ctx, code)
	if err == nil {
		for _, f := range submitted {
			v.answerRevoked(ctx, f)
		}
	}
	if err == nil && v.conn.Revocation.By != v.id && s.revokedByAnother(v.conn) {
		return Reply{}
	}
	user := c.User
	if user == "" {
		user = v.conn.User
	}
	if errors.Is(err, ErrNoConnection) {
		err = nil // it has ended already
	}
	if err == nil && user != "" {
		_, err = s.release(ctx, user, c.ID, v.conn.Lane.TAT)
	}
	if err != nil {
		s.Log.WarnContext(ctx, "ending a connection failed", "connection", c.ID, "error", err)
	}
	if v.conn.mayHaveCome() {
		frames = nil
	}
	for _, f := range frames {
		s.post(ctx, v.conn.Peer, v.ack(f, held))
	}
	if s.farewell(ctx, v.conn.Peer, user, last) {
		s.endGone(ctx, user, c.ID)
	}
	return Reply{}
}

// markRevoked revokes the connection, whatever clock it is judged by, and
// returns what it held. Of several invocations that try, one is given that to
// answer for.
func (v *invocation) markRevoked(ctx context.Context, why lane.Code) ([]lane.Numbered, error) {
	var held []lane.Numbered
	for range decideTries {
		if v.conn.Revocation.Code != lane.OK {
			if v.conn.Revocation.By != v.id {
				held = nil
			}
			return held, nil
		}
		u := updateBy(v.conn.Lane.Revoke())
		u.Revocation = &Revocation{why, v.id, v.Clock.Now()}
		held = u.Change.Unhold
		if _, err := v.update(ctx, u); err != nil {
			return nil, err // it may have been taken before the connection ended, or is still held
		}
	}
	return nil, ErrContended
}

// answerRevoked answers a frame that was submitted to a lane whose connection is
// revoked by now, so that nothing new is taken: one that had been taken before is
// answered as always, and by whoever has it.
func (v *invocation) answerRevoked(ctx context.Context, f lane.Numbered) {
	code := lane.CodeWrongToken
	if v.conn.User == "" {
		code = lane.CodeUnknownUser
	}
	switch {
	case f.N <= v.conn.Lane.Done, v.conn.Lane.Reused(f):
		code = v.conn.Lane.Answer(f)
	case f.N <= v.conn.Lane.Taken:
		return
	case v.conn.mayHaveCome():
		return
	}
	v.post(ctx, v.conn.Peer, v.ack(f, code))
}
