package signal

import (
	"context"
	"encoding/hex"
	"errors"
	"log/slog"
	"time"
)

// Service is the signaling service. All its state is in the records of its
// store: any number of Services over the same records are one.
type Service struct {
	Store  Store
	Pusher Pusher
	Prober Prober // for [Service.Keepalive]; nil: connections that it does not ping are not looked at
	Access Access
	Clock  Clock
	Rate   Rate // of a user's messages; zero: no limit
	// AuthenticateWithin is how long a connection may be nobody's; zero: as long
	// as it lasts.
	AuthenticateWithin time.Duration
	PingRate           int          // connections that keepalive visits per second; zero: [PingRate]
	Random             func([]byte) // fills a slice with unpredictable bytes
	Meter              Meter        // nil: nobody counts
	Log                *slog.Logger
}

// After is work that follows an answer. It begins once the handler has
// returned, and what it posts may overtake the answer; its context ends when
// the invocation must. It may be nil.
type After func(ctx context.Context)

// Reply is the answer to an input.
type Reply struct {
	Events []Event
	After  After
}

func reply(events ...Event) Reply { return Reply{Events: events} }

// Receive does what a client asks. It never fails: what goes wrong becomes
// part of the answer. The peer's protocol may be a guess by the frame's form.
func (s *Service) Receive(ctx context.Context, p Peer, in Input) Reply {
	r := s.receive(ctx, p, in)
	for _, e := range r.Events {
		s.told(e)
	}
	return r
}

func (s *Service) receive(ctx context.Context, p Peer, in Input) Reply {
	switch in := in.(type) {
	case Send:
		s.Count(MetricMessages, 1)
		return s.send(ctx, p, in)
	case Join:
		return s.join(ctx, p)
	case Authenticate:
		return s.authenticate(ctx, p, in)
	case Query:
		return s.query(ctx, p, in)
	case Leave:
		return s.leave(ctx, p)
	case Reject:
		return s.refuse(ctx, p, "", Refused{NoNumber, in.Code}, in.Code)
	default:
		return reply(Failed{CodeClient})
	}
}

// Failure is the answer to an input that the server could not deal with for a
// fault of its own. The input is nil if it could not even be read.
func (s *Service) Failure(in Input) Event {
	s.Count(MetricFailures, 1)
	e := failure(in)
	s.told(e)
	return e
}

func failure(in Input) Event {
	switch in := in.(type) {
	case Send:
		if in.Number != NoNumber {
			return Ack{in.Number, CodeServer}
		}
	case Authenticate:
		if in.Number != NoNumber {
			return Refused{in.Number, CodeServer}
		}
	}
	return Failed{CodeServer}
}

// randomID is a name that no two invocations, and no two epochs, share.
func (s *Service) randomID() string {
	var b [8]byte
	s.Random(b[:])
	return hex.EncodeToString(b[:])
}

// refuse ends a connection that cannot be served. What is held of it is
// answered, too. The user is the one whose name it may own already, if any.
func (s *Service) refuse(ctx context.Context, p Peer, user UserName, last Event, code Code) Reply {
	s.Log.InfoContext(ctx, "refused", "connection", p.ID, "code", int(code))
	s.Count(MetricRefusals, 1)
	return s.bar(ctx, Connection{Peer: p, User: user, Lane: NewLane()}, last, code, CodeUnknownUser)
}

// nobody answers on a connection without a record, and closes it. It has lost
// its name: whoever took that may not have come to tell it, and without being
// told its client would reconnect, and take the name back.
func (s *Service) nobody(ctx context.Context, p Peer, number int64) Reply {
	if number != NoNumber {
		s.post(ctx, p, Ack{number, s.lastWord(ctx, p.ID, number)})
	}
	s.post(ctx, p, Superseded{})
	s.close(ctx, p)
	return Reply{}
}

// lastWord is how a number ended that comes on a connection that has ended. A
// session may have sent it before.
func (s *Service) lastWord(ctx context.Context, id ConnectionID, number int64) Code {
	c, err := s.Store.Recall(ctx, id, s.Clock.Now())
	switch {
	case err == nil && number <= c.Lane.Done:
		return c.Lane.Outcome(number)
	case err != nil && !errors.Is(err, ErrNoConnection):
		return CodeServer // nobody knows
	default:
		return CodeUnknownUser
	}
}

// post sends what nobody waits for.
func (s *Service) post(ctx context.Context, p Peer, e Event) {
	s.told(e)
	if err := s.Pusher.Post(ctx, p, e); err != nil {
		s.Log.InfoContext(ctx, "post failed", "connection", p.ID, "error", err)
	}
}

func (s *Service) close(ctx context.Context, p Peer) {
	if err := s.Pusher.Close(ctx, p); err != nil {
		s.Log.WarnContext(ctx, "close failed", "connection", p.ID, "error", err)
	}
}
