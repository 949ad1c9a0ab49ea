package signal

import (
	"context"
	"errors"

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

// rejectUnknown answers on a connection without a record, and closes it. It has
// lost its name: the invocation that claimed that may have died before it could
// tell, and an ignorant client would reconnect, and take the name back.
func (s *Service) rejectUnknown(ctx context.Context, p Peer, number int64) Reply {
	if number != NoNumber {
		s.post(ctx, p, Ack{number, s.recordedOutcome(ctx, p.ID, number)})
	}
	s.post(ctx, p, Superseded{})
	s.close(ctx, p)
	return Reply{}
}

// recordedOutcome returns how a number ended that comes on a connection that
// has ended. A session may have sent it before.
func (s *Service) recordedOutcome(ctx context.Context, id ConnectionID, number int64) lane.Code {
	c, err := s.getEnded(ctx, id)
	switch {
	case err == nil && number <= c.Lane.Done:
		return c.Lane.Outcome(number)
	case err != nil && !errors.Is(err, ErrNoConnection):
		return lane.CodeServer // not known
	default:
		return lane.CodeUnknownUser
	}
}
