package signal

import (
	"context"
	"encoding/hex"
	"log/slog"
	"slices"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// Service is the signaling service. All its state is in the records of its
// store: any number of Services over the same records are one.
type Service struct {
	Store  Store
	Pusher Pusher
	Prober Prober              // for [Service.Keepalive]; nil: connections that it does not ping are not looked at
	Pings  func(Protocol) bool // whether a client expects the server to ping; nil: none does
	// Alike returns the protocols whose clients send frames of the same form as
	// those of p, which may be p's own; nil: those of all.
	Alike  func(p Protocol) []Protocol
	Access Access
	ICE    ICEServers // nil: there are none
	Clock  Clock
	Rate   lane.Rate // of a user's messages; zero: no limit
	// AuthenticateWithin is how long a connection may last without having
	// authenticated; zero: as long as it likes.
	AuthenticateWithin time.Duration
	// RecoverFor is for how long what is posted to a client that recovers is kept, at
	// least [MinRecoverFor]; zero: nothing is.
	RecoverFor time.Duration
	Refusals   RefusalStore // nil: nobody is refused
	Backends   BackendStore // nil: there are none, and nothing that they ask for may be called
	PlaceStore PlaceStore   // nil: any number of invocations may linger
	Places     int          // how many may
	PingRate   int          // connections that keepalive visits per second; zero: [PingRate]
	Random     func([]byte) // fills a slice with unpredictable bytes
	Meter      Meter        // nil: nothing is counted
	// Beside begins f beside its caller, and returns what waits until it is done;
	// nil: in a goroutine.
	Beside func(f func()) (wait func())
	Log    *slog.Logger
}

// After is work that follows an answer. It begins once the handler has
// returned, and what it posts may overtake the answer; its context ends when
// the invocation must. It may be nil.
type After func(ctx context.Context)

// Reply is the answer to an input.
type Reply struct {
	Events []Event
	// Posted is what the client has sent before, in its lobby, and is to be received
	// now, in this order.
	Posted [][]byte
	After  After
	// Speaks, if not empty, says that nothing was done: the frame has the form of
	// another protocol than this, which the connection speaks.
	Speaks Protocol
	// Seen: the record was read or written, and says whether it is better to look at
	// the lane before the next message: the client has not authenticated, or much is
	// held.
	Seen, Look bool
	// Refused: nothing was done but to read. User: it was a user's message, for which
	// there was no room.
	Refused, User bool
	// Early is how many bytes are held now of what came before the authentication.
	Early int
	to    Peer // as the record has it; zero: not known
}

func reply(events ...Event) Reply { return Reply{Events: events} }

// Speaks returns the protocol that a connection speaks, as its handshake has fixed
// it.
func (s *Service) Speaks(ctx context.Context, id ConnectionID) (Protocol, error) {
	c, err := s.Store.GetEnded(ctx, id, s.Clock.Now())
	return c.Protocol, err
}

// alike returns the protocols whose clients may have sent a frame that has the form
// of p's; nil: all.
func (s *Service) alike(p Peer) []Protocol {
	if s.Alike == nil {
		return nil
	}
	return s.Alike(p.Protocol)
}

// misread reports whether a frame, which was read by its form in the protocol of p,
// has another form than those of the connection.
func (s *Service) misread(p Peer, c Connection) bool {
	alike := s.alike(p)
	return alike != nil && !slices.Contains(alike, c.Protocol)
}

// reply returns the answer to whom the lane belongs, with nothing in it yet.
func (v *invocation) reply() Reply { return Reply{to: v.conn.Peer} }

// refused returns r, of what was refused.
func (r Reply) refused() Reply {
	r.Refused = true
	return r
}

// and returns both answers in one.
func (r Reply) and(o Reply) Reply {
	if len(r.Events) == 0 {
		r.Events = o.Events
	} else {
		r.Events = append(r.Events, o.Events...)
	}
	if r.to.ID == "" {
		r.to = o.to
	}
	if o.Seen {
		r.Seen, r.Look = true, o.Look
	}
	r.Refused, r.User, r.Early = r.Refused || o.Refused, r.User || o.User, r.Early+o.Early
	switch first, then := r.After, o.After; {
	case first == nil:
		r.After = then
	case then != nil:
		r.After = func(ctx context.Context) { first(ctx); then(ctx) }
	}
	if r.Speaks == "" {
		r.Speaks = o.Speaks
	}
	return r
}

// Receive does what a client asks. It never fails: what goes wrong becomes
// part of the answer. The peer's protocol may be a guess by the frame's form.
func (s *Service) Receive(ctx context.Context, p Peer, in Input) Reply {
	var r Reply
	if m, ok := in.(Send); ok && m.Number != NoNumber {
		s.Count(MetricMessages, 1)
		r = s.sendNumbered(ctx, p, m)
	} else {
		a := new(announcements)
		r = s.receive(a.announcing(ctx), p, in)
		r.After = s.announced(a, r.After)
	}
	r.Events = r.to.batched(r.Events)
	for _, e := range r.Events {
		s.countAnswer(e)
	}
	return r
}

// receive does what is not [Service.sendNumbered]'s.
func (s *Service) receive(ctx context.Context, p Peer, in Input) Reply {
	switch in := in.(type) {
	case Send:
		s.Count(MetricMessages, 1)
		return s.sendUnnumbered(ctx, p, Sends{in})
	case Sends:
		s.Count(MetricMessages, len(in))
		return s.sendBatch(ctx, p, in)
	case Join:
		return s.join(ctx, p, in)
	case Authenticate:
		return s.authenticate(ctx, p, in)
	case Recover:
		return s.recover(ctx, p, in)
	case Query:
		return s.query(ctx, p, in)
	case Watch:
		return s.watchUser(ctx, p, in.User)
	case Unwatch:
		return s.unwatchUser(ctx, p, in.User)
	case QueryICE:
		return s.queryICE(ctx, p)
	case Probe:
		return s.probe(ctx, p)
	case Upgrade:
		return s.upgrade(ctx, p)
	case Leave:
		return s.leave(ctx, p)
	case Unreadable:
		return s.refuse(ctx, p, "", ConnectionRefused{NoNumber, in.Code}, in.Code).refused()
	default:
		return reply(RequestFailed{Code: lane.CodeClient})
	}
}

// Failure returns the answers to an input that the server could not deal with for a
// fault of its own. The input is nil if it could not even be read.
func (s *Service) Failure(in Input) []Event {
	s.Count(MetricFailures, 1)
	each := []Input{in}
	if batch, ok := in.(Sends); ok {
		each = each[:0]
		for _, m := range batch {
			each = append(each, m)
		}
	}
	answers := make([]Event, len(each))
	for i, in := range each {
		answers[i] = failure(in)
		s.countAnswer(answers[i])
	}
	return answers
}

func failure(in Input) Event {
	switch in := in.(type) {
	case Send:
		if in.Number != NoNumber {
			return Ack{in.Number, lane.CodeServer}
		}
		if in.AckAs != nil {
			return Ack{*in.AckAs, lane.CodeServer}
		}
	case Authenticate:
		if in.Number != NoNumber {
			return ConnectionRefused{in.Number, lane.CodeServer}
		}
	}
	return RequestFailed{lane.CodeServer, About(in)}
}

// randomID returns a name that no two invocations, and no two epochs, share.
func (s *Service) randomID() string {
	var b [8]byte
	s.Random(b[:])
	return hex.EncodeToString(b[:])
}

// post sends events whose failure changes nothing.
func (s *Service) post(ctx context.Context, p Peer, events ...Event) {
	for _, e := range p.batched(events) {
		_ = s.tell(ctx, p, e)
	}
}

// tell sends an event, and logs it if that fails.
func (s *Service) tell(ctx context.Context, p Peer, e Event) error {
	s.countAnswer(e)
	err := s.Pusher.Post(ctx, p, e)
	if err != nil {
		s.Log.InfoContext(ctx, "post failed", "connection", p.ID, "error", err)
	}
	return err
}

func (s *Service) close(ctx context.Context, p Peer) {
	if err := s.Pusher.Close(ctx, p); err != nil {
		s.Log.WarnContext(ctx, "close failed", "connection", p.ID, "error", err)
	}
}
