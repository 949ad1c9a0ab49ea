package signal

import (
	"context"
	"errors"

	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// ack returns the answer to a frame that ended with code.
func (v *invocation) ack(f lane.Numbered, code lane.Code) Event {
	switch {
	case f.Asks == lane.AsksName && code == lane.OK:
		return Welcome{Number: f.N, User: v.conn.User}
	case f.Asks == lane.AsksName:
		return AuthenticationDenied{f.N, code}
	case f.Asks == lane.AsksICE && code == lane.OK:
		return ICEAnswer{f.N, v.ICEFor(v.conn.User)}
	default:
		return Ack{f.N, code}
	}
}

// ackAll posts the acks of a run to its sender, one after the other, beside what
// the invocation does next: after those of the runs before, and none once the
// sender's connection was found gone.
func (v *invocation) ackAll(ctx context.Context, p posted) {
	if p.answered || len(p.run) == 0 {
		return
	}
	acks := make([]Event, len(p.run))
	for i, f := range p.run {
		acks[i] = v.ack(f, p.codes[i])
	}
	to, before, ok := v.conn, v.acked, false
	wait := v.beside(func() {
		if before != nil && !before() {
			return
		}
		if ok = v.postAll(ctx, to, acks...); !ok {
			v.awaitSent(ctx, to.ID) // its client may have left right after it sent more
			v.endGone(ctx, to.User, to.ID)
		}
	})
	v.acked = func() bool { wait(); return ok }
}

// after returns work that ends once all acks are out.
func (v *invocation) after(work After) After {
	return func(ctx context.Context) {
		work(ctx)
		v.leavePlace(ctx)
		if v.acked != nil {
			v.acked()
		}
	}
}

// ackExpired acknowledges the numbers whose outcome was lost with a lease:
// before is the lane as it was when that expired.
func (v *invocation) ackExpired(ctx context.Context, before lane.Lane) {
	v.Count(MetricExpired, 1)
	v.Log.WarnContext(ctx, "lease expired", "connection", v.conn.ID, "from", before.Done+1, "to", before.Taken)
	var acks []Event
	for _, n := range before.Lost() {
		acks = append(acks, Ack{n, lane.CodeServer})
	}
	v.postToSender(ctx, v.conn, acks...)
}

// postToSender posts to the connection of a lane, and ends it if that is gone.
func (s *Service) postToSender(ctx context.Context, c Connection, events ...Event) {
	if !s.postAll(ctx, c, events...) {
		s.endGone(ctx, c.User, c.ID)
	}
}

// postAll posts to the connection of a lane, and reports false if that is gone;
// then it posts no more.
func (s *Service) postAll(ctx context.Context, c Connection, events ...Event) bool {
	for _, e := range c.batched(events) {
		s.countAnswer(e)
		err := s.Pusher.Post(ctx, c.Peer, e)
		if errors.Is(err, ErrGone) {
			return false
		}
		if err != nil {
			s.Log.WarnContext(ctx, "ack failed", "connection", c.ID, "error", err)
		}
	}
	return true
}
