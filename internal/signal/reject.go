package signal

import (
	"context"
	"errors"

	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// rejectVersion tells a client that its version is not served.
func (s *Service) rejectVersion(ctx context.Context, h Handshake) {
	s.Log.InfoContext(ctx, "version not supported", "connection", h.Peer.ID, "type", h.Client.Type, "version", h.Client.Version)
	s.Count(MetricRefusals, 1)
	if !s.sendOpen(ctx, h.Peer) {
		s.close(ctx, h.Peer)
		return
	}
	s.farewell(ctx, h.Peer, "", ConnectionRefused{NoNumber, lane.CodeUnsupported})
}

// refuseVersion tells the same to one that has been in a lobby.
func (s *Service) refuseVersion(ctx context.Context, h Handshake) {
	s.Log.InfoContext(ctx, "version not supported", "connection", h.Peer.ID, "type", h.Client.Type, "version", h.Client.Version)
	s.refuse(ctx, h.Peer, "", ConnectionRefused{NoNumber, lane.CodeUnsupported}, lane.CodeUnsupported)
}

// refuse ends a connection that cannot be served. What is held of it is
// answered, too. The user is the one whose name it may own already, if any.
func (s *Service) refuse(ctx context.Context, p Peer, user UserName, last Event, code lane.Code) Reply {
	s.Log.InfoContext(ctx, "refused", "connection", p.ID, "code", int(code))
	s.Count(MetricRefusals, 1)
	return s.revoke(ctx, Connection{Peer: p, User: user, Lane: lane.New()}, last, code, lane.CodeUnknownUser)
}

// refuseEarly ends a connection that has sent more than a lane holds before it has
// authenticated.
func (v *invocation) refuseEarly(ctx context.Context, frames []lane.Finished) Reply {
	v.Log.InfoContext(ctx, "too much before the authentication", "connection", v.conn.ID)
	v.Count(MetricRefusals, 1)
	v.Service.post(ctx, v.conn.Peer, v.finished(frames).Events...)
	return v.revoke(ctx, v.conn, ConnectionRefused{NoNumber, lane.CodeBusy}, lane.CodeBusy, lane.CodeUnknownUser)
}

// rejectEnded answers on a connection that has ended, and closes it. It has lost
// its name: the invocation that claimed that may have died before it could tell,
// and an ignorant client would reconnect, and take the name back.
func (s *Service) rejectEnded(ctx context.Context, p Peer) Reply {
	err := s.tell(ctx, p, Superseded{})
	if !errors.Is(err, ErrGone) {
		s.closeSuperseded(ctx, []superseded{{p, err == nil}})
	}
	return Reply{}
}

// rejectRun answers numbers that come on a connection that has ended. They may have
// come before; if an invocation has them, that is waited for. A number that no
// invocation had taken by the connection's end is never posted; but one of a
// session may come again where that goes on, and is answered there.
func (v *invocation) rejectRun(p Peer, run []lane.Numbered) Reply {
	return Reply{After: func(ctx context.Context) {
		err := v.awaitIdle(ctx)
		var acks []Event
		for _, f := range run {
			code := lane.CodeServer
			switch c := v.conn; {
			case err != nil: // it ended too long ago, or this is not known
			case f.N <= c.Lane.Done:
				code = c.Lane.Answer(f)
				if v.answeredByAnother(f, code) {
					continue
				}
			case c.Session != "":
				continue
			case c.Ended:
				code = lane.CodeUnknownUser
			}
			acks = append(acks, Ack{f.N, code})
		}
		v.post(ctx, v.conn.Peer, acks...)
		v.rejectEnded(ctx, p)
	}}
}
