package signal

import (
	"context"
	"errors"
)

// routeTries is how often a message is routed: once more if the receiver's
// connection is found gone, for it may have come back on another.
const routeTries = 2

// send brings a message on its way. What has a number goes in the order of
// the numbers, and its ack may come from another invocation; what has none
// goes at once, and nobody is told how it ends.
func (s *Service) send(ctx context.Context, p Peer, in Send) Reply {
	if in.Number == NoNumber {
		return s.sendUnnumbered(ctx, p, in.Frame)
	}
	w := s.work(Connection{Peer: p, Lane: NewLane()})
	run, step, err := w.bring(ctx, in.Number, in.Frame)
	switch {
	case errors.Is(err, ErrNoConnection):
		return s.nobody(ctx, p, in.Number)
	case errors.Is(err, errBarred):
		return w.tooLate(ctx, in, step)
	case err != nil:
		s.Log.ErrorContext(ctx, "send failed", "connection", p.ID, "error", err)
		return reply(w.ack(Numbered{in.Number, in.Frame}, codeOf(err)))
	case step.Settled:
		return reply(w.ack(Numbered{in.Number, in.Frame}, step.Code))
	case len(run) == 0:
		return w.stored(in.Number)
	}
	return w.sendRun(ctx, run, in.Number)
}

// sendRun posts the run that begins with, or holds, the frame own, and answers
// for that; all others are acked by post.
func (w *work) sendRun(ctx context.Context, run []Numbered, own int64) Reply {
	codes, next, ok := w.turn(ctx, run, true)
	var r Reply
	var others []Numbered
	var theirs []Code
	for i, f := range run {
		if f.N == own {
			r.Events = []Event{w.ack(f, codes[i])}
			continue
		}
		others, theirs = append(others, f), append(theirs, codes[i])
	}
	if len(others) > 0 || len(next) > 0 || ok && len(w.conn.Lane.Held) > 0 {
		r.After = func(ctx context.Context) {
			w.tell(ctx, others, theirs)
			if ok {
				w.carry(ctx, next)
			}
		}
	}
	return r
}

// stored answers for frame n, which is held or in another invocation's hands.
// If this invocation holds it, and it is the lowest or the lane needs help at
// once, it watches over it.
func (w *work) stored(n int64) Reply {
	r := reply(Stored{n})
	if w.conn.Lane.Held[n].By != w.me {
		return r
	}
	lowest, _ := w.conn.Lane.lowest()
	if lowest == n || w.conn.Lane.Watch(n, w.me, w.Clock.Now()).Move != nil {
		r.After = func(ctx context.Context) {
			if run := w.watch(ctx, n); len(run) > 0 {
				w.carry(ctx, run)
			}
		}
	}
	return r
}

// sendUnnumbered sends a message without a place in any order.
func (s *Service) sendUnnumbered(ctx context.Context, p Peer, f Frame) Reply {
	c, err := s.Store.Inspect(ctx, p.ID, s.Clock.Now())
	if errors.Is(err, ErrNoConnection) {
		return s.nobody(ctx, p, NoNumber)
	}
	if err != nil {
		return reply(Failed{codeOf(err)})
	}
	if c.Barred(s.Clock.Now()) {
		return s.expire(ctx, c, closing)
	}
	if c.User == "" {
		return reply(Failed{CodeUnknownUser})
	}
	switch ok, err := s.work(c).spendOne(ctx); {
	case err != nil:
		return reply(Failed{codeOf(err)})
	case !ok:
		return reply(Failed{CodeBusy})
	}
	if code := s.deliver(ctx, c, Numbered{NoNumber, f}, func(context.Context) bool { return true }); code != OK {
		return reply(Failed{code})
	}
	return Reply{}
}

// deliver posts one frame to its receiver and says how that ended. It asks
// ready just before it posts.
func (s *Service) deliver(ctx context.Context, from Connection, f Numbered, ready func(context.Context) bool) Code {
	if f.Code != OK || f.Confirm {
		return f.Code
	}
	for range routeTries {
		r, err := s.Store.Route(ctx, f.To, s.Clock.Now())
		if err != nil {
			if !errors.Is(err, ErrOffline) {
				s.Log.ErrorContext(ctx, "route failed", "user", f.To, "error", err)
			}
			return codeOf(err)
		}
		if !ready(ctx) {
			return CodeServer
		}
		err = s.Pusher.Post(ctx, r.Peer, Delivery{from.User, f.Data, r.Epoch, r.Seq, from.Session, f.N})
		if !errors.Is(err, ErrGone) {
			if err != nil {
				s.Log.WarnContext(ctx, "delivery failed", "user", f.To, "connection", r.Peer.ID, "error", err)
			}
			return codeOf(err)
		}
		s.vanish(ctx, f.To, r.Peer.ID)
	}
	return CodeUnreachable
}

// query answers whether a user is online, to those who have authenticated.
func (s *Service) query(ctx context.Context, p Peer, in Query) Reply {
	now := s.Clock.Now()
	c, err := s.Store.Inspect(ctx, p.ID, now)
	switch {
	case errors.Is(err, ErrNoConnection):
		return s.nobody(ctx, p, NoNumber)
	case err != nil:
		return reply(Failed{codeOf(err)})
	case c.Barred(now):
		return s.expire(ctx, c, closing)
	case c.User == "":
		return reply(Failed{CodeUnknownUser})
	}
	_, err = s.Store.Owner(ctx, in.User, now)
	if err != nil && !errors.Is(err, ErrOffline) {
		return reply(Failed{codeOf(err)})
	}
	return reply(Presence{in.User, err == nil})
}
