package signal

import (
	"context"

	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// rejectVersion tells a client that its version is not served.
func (s *Service) rejectVersion(ctx context.Context, h Handshake) {
	s.Log.InfoContext(ctx, "version not supported", "connection", h.Peer.ID, "type", brief(h.Client.Type), "version", brief(h.Client.Version))
	s.Count(MetricRefusals, 1)
	if s.sendOpen(ctx, h.Peer) {
		s.post(ctx, h.Peer, ConnectionRefused{NoNumber, lane.CodeUnsupported})
	}
	s.close(ctx, h.Peer)
}

// brief returns what a log needs of a client's word for itself.
func brief(value string) string {
	if len(value) > MaxClientValue {
		return value[:MaxClientValue] + "…"
	}
	return value
}

// refuse ends a connection that cannot be served. What is held of it is
// answered, too. The user is the one whose name it may own already, if any.
func (s *Service) refuse(ctx context.Context, p Peer, user UserName, last Event, code lane.Code) Reply {
	s.Log.InfoContext(ctx, "refused", "connection", p.ID, "code", int(code))
	s.Count(MetricRefusals, 1)
	return s.revoke(ctx, Connection{Peer: p, User: user, Lane: lane.New()}, last, code, lane.CodeUnknownUser)
}

// rejectEnded answers on a connection that has ended, and closes it. It has lost
// its name: the invocation that claimed that may have died before it could tell,
// and an ignorant client would reconnect, and take the name back.
func (s *Service) rejectEnded(ctx context.Context, p Peer) Reply {
	s.post(ctx, p, Superseded{})
	s.close(ctx, p)
	return Reply{}
}

// rejectNumber answers a number that comes on a connection that has ended. It may
// have come before.
func (s *Service) rejectNumber(p Peer, n int64) Reply {
	return Reply{After: func(ctx context.Context) {
		s.post(ctx, p, Ack{n, s.invocation(Connection{Peer: p}).endedOutcome(ctx, n)})
		s.rejectEnded(ctx, p)
	}}
}

// endedOutcome returns how number n of a connection that has ended did end. If
// an invocation has it, that is waited for. 2120 is certain: what was not taken
// before never is.
func (v *invocation) endedOutcome(ctx context.Context, n int64) lane.Code {
	err := v.awaitIdle(ctx)
	switch c := v.conn; {
	case err == nil && n <= c.Lane.Done:
		return c.Lane.Outcome(n)
	case err == nil && c.Ended && c.Next == "":
		return c.notTaken(lane.CodeUnknownUser)
	default: // it ended too long ago, or its session goes on, where n may have come again
		return lane.CodeServer
	}
}
