package signal

import (
	"context"
	"errors"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// The path of a message, from the top down: send submits it to the sender's
// lane; if the lane has given it to this invocation, postRun (run.go) posts it
// and what follows it, and drain continues with what came meanwhile. Otherwise
// the frame is held on the lane for the invocation that holds the lease, and is
// watched.

// How an invocation works.
const (
	// renewTries is how often a lease is renewed before a post.
	renewTries = 3
	// decideTries bounds how often an invocation decides anew because the lane
	// has changed meanwhile. Each time means that another one got on.
	decideTries = 64
	// watchFirst and watchMost are the pauses between two looks at a lane.
	watchFirst = 20 * time.Millisecond
	watchMost  = 250 * time.Millisecond
	// maxDrain is how long an invocation posts frames of others before it leaves
	// what follows to them; handover is how long it gives them.
	maxDrain = 20 * time.Second
	handover = 50 * time.Millisecond
)

// send sends a message. One with a number goes in the order of the numbers,
// and its ack may come from another invocation; one without goes at once, and
// is answered only if it fails.
func (s *Service) send(ctx context.Context, p Peer, in Send) Reply {
	if in.Number == NoNumber {
		return s.sendUnnumbered(ctx, p, in)
	}
	v := s.invocation(Connection{Peer: p, Lane: lane.New()})
	run, decision, err := v.submit(ctx, in.Number, in.Frame)
	switch {
	case errors.Is(err, ErrNoConnection):
		return v.rejectNumber(p, in.Number)
	case errors.Is(err, errMisread):
		return Reply{Speaks: v.conn.Protocol}
	case errors.Is(err, errRevoked):
		return v.endRevoked(ctx, v.conn, closing, lane.Numbered{N: in.Number, Frame: in.Frame})
	case err != nil:
		s.Log.ErrorContext(ctx, "send failed", "connection", p.ID, "error", err)
		return v.giveUp(in, codeOf(err))
	case decision.Action == lane.Finished:
		if v.conn.mayHaveCome() {
			decision.Code = lane.CodeServer // not known
		}
		return reply(v.ack(lane.Numbered{N: in.Number, Frame: in.Frame}, decision.Code))
	case len(run) == 0:
		return v.stored(in.Number)
	}
	return v.postFirstRun(ctx, run, in.Number)
}

// invocation is what one invocation of a function does on the lane of one
// connection.
type invocation struct {
	*Service
	id       string        // as a holder of the lease
	conn     Connection    // the record as last seen
	observed lane.Observed // what it has seen of the lane
	expired  bool          // its lease may have expired: it posts no more
	lost     bool          // another invocation has expired its lease, and answers
	lingered bool          // it has stayed to watch over a held frame
	mayHold  bool          // a hold of its frame may have been made, unknown to it
	acked    func() bool   // waits for the acks under way; false: the sender is gone. Nil: there were none
	one      [1]stream     // room for those of most runs
}

func (s *Service) invocation(c Connection) *invocation {
	return &invocation{Service: s, id: s.randomID(), conn: c}
}

// submit brings frame n to the lane. It returns the run that is now this
// invocation's to post, or, if there is none, the decision that says why.
func (v *invocation) submit(ctx context.Context, n int64, f lane.Frame) ([]lane.Numbered, lane.Decision, error) {
	p, m := v.conn.Peer, lane.Take(n, f, v.id, v.Clock.Now())
	var takes []lane.Move
	for range decideTries {
		before := v.conn.Lane
		u := updateBy(m)
		u.Speaks = v.alike(p)
		made, err := v.update(ctx, u)
		if err == nil && v.misread(p, v.conn) {
			return nil, lane.Decision{}, errMisread
		}
		if err != nil && !errors.Is(err, errRevoked) {
			return nil, lane.Decision{}, err
		}
		for _, take := range takes { // one may have taken effect late, after it was refused
			if !made && take.Made(v.conn.Lane) {
				return take.Run, lane.Decision{}, nil
			}
		}
		if err != nil {
			return nil, lane.Decision{}, err
		}
		if m.Kind == lane.KindTake && !made {
			takes = append(takes, m)
		}
		if made {
			switch m.Kind {
			case lane.KindTake:
				return m.Run, lane.Decision{}, nil
			case lane.KindHold:
				v.Count(MetricHeld, 1)
				return nil, lane.Decision{Action: lane.Pending}, nil
			case lane.KindExpire:
				v.ackExpired(ctx, before)
			}
		}
		d := v.decideArrival(n, f)
		if d.Action == lane.Finished && v.answeredByAnother(d.Code) {
			d = lane.Decision{Action: lane.Pending}
		}
		if d.Action != lane.MakeMove {
			return nil, d, nil
		}
		m = *d.Move
	}
	return nil, lane.Decision{Action: lane.Finished, Code: lane.CodeBusy}, nil
}

// answeredByAnother reports whether the frame that this invocation submits, which
// has ended with code, is acknowledged by another: by whoever took it from the
// lane, where this one may have held it. A number that was given up is acknowledged by nobody.
func (v *invocation) answeredByAnother(code lane.Code) bool {
	return v.mayHold && code != lane.CodeServer
}

// update makes an update, once, even if an answer is lost. Either way conn is
// the record as it is now. errRevoked if the connection may not make it any
// more; any error but the store's named ones means that after [knownWithin] it is
// not known whether the update was made.
func (v *invocation) update(ctx context.Context, u Update) (made bool, err error) {
	for t := v.tries(); ; {
		c, ok, err := v.Store.Update(ctx, v.conn.ID, u, v.Clock.Now())
		switch {
		case t.another(ctx, err):
			v.mayHold = v.mayHold || u.Change.Hold != nil
			continue
		case err != nil:
			return false, err
		}
		v.see(c)
		made = ok || u.Made(c.Lane)
		if !made && u.NotRevoked && c.Revoked(v.Clock.Now()) {
			return false, errRevoked
		}
		return made, nil
	}
}

// see takes in the record as it was read.
func (v *invocation) see(c Connection) {
	v.conn = c
	v.observed = v.observed.Look(c.Lane, v.Clock.Now())
}

func (v *invocation) decideArrival(n int64, f lane.Frame) lane.Decision {
	return v.conn.Lane.DecideArrival(n, f, v.id, v.observed, v.Clock.Now())
}

func (v *invocation) decideWatch(n int64) lane.Decision {
	return v.conn.Lane.DecideWatch(n, v.id, v.observed, v.Clock.Now())
}

// giveUp answers a frame of which it is not known whether the lane has it. It
// may still be delivered; but it is not answered otherwise, for the connection
// ends with that: its client connects again.
func (v *invocation) giveUp(in Send, code lane.Code) Reply {
	r := reply(v.ack(lane.Numbered{N: in.Number, Frame: in.Frame}, code))
	if code == lane.CodeUnavailable {
		r.After = func(ctx context.Context) { v.close(ctx, v.conn.Peer) }
	}
	return r
}

// postFirstRun posts the run that submitting frame own has given to this
// invocation. The ack of own is the answer; those of all others are posted, and
// so is its own if it takes longer than an answer may until it is known.
func (v *invocation) postFirstRun(ctx context.Context, run []lane.Numbered, own int64) Reply {
	p := v.postRun(ctx, run)
	next, ok, err := v.finish(ctx, &p, true)
	if err != nil {
		return v.answerLater(p)
	}
	var r Reply
	if p.answered {
		return r
	}
	var others posted
	for i, f := range run {
		if f.N == own {
			r.Events = []Event{v.ack(f, p.codes[i])}
			continue
		}
		others.run, others.codes = append(others.run, f), append(others.codes, p.codes[i])
	}
	if len(others.run) > 0 || len(next) > 0 || ok && len(v.conn.Lane.Held) > 0 {
		r.After = v.goOn(others, next, ok)
	}
	return r
}

// answerLater answers nothing, finishes a run and acknowledges it.
func (v *invocation) answerLater(p posted) Reply {
	return Reply{After: v.after(func(ctx context.Context) {
		if next, ok := v.finishAndAck(ctx, p, true); ok {
			v.drain(ctx, next)
		}
	})}
}

// goOn acknowledges what was finished, and goes on with what follows, unless the
// lease is not this invocation's any more.
func (v *invocation) goOn(finished posted, next []lane.Numbered, ok bool) After {
	return v.after(func(ctx context.Context) {
		v.ackAll(ctx, finished)
		if ok {
			v.drain(ctx, next)
		}
	})
}

// mayPost reports whether the lease lasts long enough to start a post now, and
// renews it where it must.
func (v *invocation) mayPost(ctx context.Context) bool {
	for range renewTries {
		switch {
		case v.expired:
			return false
		case v.mayStart(v.conn.Lane.LeasedAt):
			return true
		}
		if made, err := v.renew(ctx, v.Clock.Now()); err != nil || !made {
			v.lost = err == nil && v.conn.Lane.Holder != v.id
			break
		}
	}
	v.expired = true
	return false
}

// mayStart reports whether a post may start now under a lease that was taken or
// renewed at that time; or under a number that was reserved then.
func (s *Service) mayStart(at lane.Instant) bool {
	return s.Clock.Now().Sub(at) <= lane.PostStartWithin
}

// renew renews the lease, if need be on the lane of a connection that has ended
// meanwhile: what was taken is finished.
func (v *invocation) renew(ctx context.Context, now lane.Instant) (made bool, err error) {
	u := updateBy(v.conn.Lane.Renew(v.id, now))
	u.Ended = v.conn.Ended
	made, err = v.update(ctx, u)
	if errors.Is(err, ErrNoConnection) && !u.Ended {
		u.Ended = true
		return v.update(ctx, u)
	}
	return made, err
}

// finish finishes a run that was posted, and takes the run that follows, unless
// more is false; ok is false if the lease is not this invocation's any more. If
// another one has expired it, that one answers. An error means that it is not known yet how the run
// ended: nothing may be answered.
func (v *invocation) finish(ctx context.Context, p *posted, more bool) (next []lane.Numbered, ok bool, err error) {
	for range decideTries {
		now := v.Clock.Now()
		m := v.conn.Lane.Spending(v.conn.Lane.Finish(p.undelivered, more, v.id, now), v.Rate, p.spent, now)
		u := updateBy(m)
		u.Ended = v.conn.Ended
		made, err := v.update(ctx, u)
		switch {
		case errors.Is(err, ErrNoConnection) && !u.Ended:
			v.conn.Ended, v.conn.Lane.Held, more = true, nil, false // what is held is given up
			continue
		case errors.Is(err, ErrNoConnection):
			return nil, false, nil // nobody else can answer
		case errors.Is(err, errRevoked):
			more = false // what is held is given up
			continue
		case err != nil:
			p.tried = append(p.tried, m)
			return nil, false, err
		case made:
			return m.Run, !u.Ended, nil
		}
		for _, m := range p.tried {
			if m.Made(v.conn.Lane) {
				return m.Run, !u.Ended, nil
			}
		}
		if v.conn.Lane.Holder != v.id || v.conn.Lane.Taken != p.taken {
			p.answered = v.lost || p.contradicted(v.conn.Lane)
			return nil, false, nil
		}
	}
	return nil, false, ErrContended
}

// finishAndAck finishes a run, however long it takes until that is known, and
// acknowledges it. If the invocation's time ends before, it acknowledges
// nothing: whoever expires its lease does. It returns the run that was taken
// with that, and false if the lease is not this invocation's any more.
func (v *invocation) finishAndAck(ctx context.Context, p posted, more bool) (next []lane.Numbered, ok bool) {
	for {
		next, ok, err := v.finish(ctx, &p, more)
		switch {
		case err == nil:
			v.ackAll(ctx, p)
			return next, ok
		case ctx.Err() != nil:
			v.Log.WarnContext(ctx, "finish failed", "connection", v.conn.ID, "error", err)
			return nil, false
		}
	}
}

// drain posts run and what follows, until nothing is held that this invocation
// answers for.
func (v *invocation) drain(ctx context.Context, run []lane.Numbered) {
	began := v.Clock.Now()
	for {
		more := v.Clock.Now().Sub(began) < maxDrain
		for len(run) > 0 {
			next, ok := v.finishAndAck(ctx, v.postRun(ctx, run), more)
			if !ok {
				return
			}
			run, more = next, v.Clock.Now().Sub(began) < maxDrain
		}
		n, held := v.conn.Lane.Lowest()
		if !held {
			return
		}
		if !more {
			began = v.Clock.Now()
			if v.Clock.Sleep(ctx, handover) != nil || v.reload(ctx) != nil {
				return
			}
		}
		if run = v.watch(ctx, n); len(run) == 0 {
			return
		}
	}
}

// stored answers for frame n, which is held, or another invocation has it. If
// this invocation holds it, and it is the lowest, or the lane needs help at once,
// or whoever holds the lease looks dead, it watches over it; and over one that
// another has taken, if that looks dead, and nobody watches for the sake of a held
// frame.
func (v *invocation) stored(n int64) Reply {
	r := reply(Stored{n})
	lowest, some := v.conn.Lane.Lowest()
	holds, dead := v.conn.Lane.Held[n].By == v.id, v.conn.Lane.LooksExpired(v.Clock.Now())
	if holds && (lowest == n || dead || v.decideWatch(n).Action == lane.MakeMove) || !some && dead {
		r.After = v.after(func(ctx context.Context) {
			if run := v.watch(ctx, n); len(run) > 0 {
				v.drain(ctx, run)
			}
		})
	}
	return r
}

// watch answers for the held frame n until it is finished, whatever fails
// meanwhile. It returns a run that this invocation has taken, if it had to.
func (v *invocation) watch(ctx context.Context, n int64) []lane.Numbered {
	pause := watchFirst
	for ctx.Err() == nil {
		d := v.decideWatch(n)
		switch d.Action {
		case lane.Pending, lane.Finished:
			return nil
		case lane.MakeMove:
			run, done, err := v.help(ctx, *d.Move)
			if done {
				return run
			}
			if err == nil {
				continue
			}
			d.Wait = pause
		}
		if !v.lingered {
			v.lingered = true
			v.Count(MetricLingered, 1)
		}
		if v.Clock.Sleep(ctx, min(d.Wait, pause)) != nil || errors.Is(v.reload(ctx), ErrNoConnection) {
			return nil
		}
		pause = min(2*pause, watchMost)
	}
	return nil
}

// help makes a move of one that watches. It is done if that has taken a run, or
// if the connection has ended or is revoked.
func (v *invocation) help(ctx context.Context, m lane.Move) (run []lane.Numbered, done bool, err error) {
	before := v.conn.Lane
	made, err := v.update(ctx, updateBy(m))
	switch {
	case errors.Is(err, ErrNoConnection):
		return nil, true, nil
	case errors.Is(err, errRevoked):
		v.endRevoked(ctx, v.conn, closing)
		return nil, true, nil
	case !made:
	case m.Kind == lane.KindExpire:
		v.ackExpired(ctx, before)
	case m.Kind == lane.KindSkip:
		v.Count(MetricSkipped, before.Skipped(m))
	case m.Kind == lane.KindAdopt:
		return m.Run, true, nil
	}
	return nil, false, err
}

// reload reads the record anew.
func (v *invocation) reload(ctx context.Context) error {
	c, err := v.get(ctx, v.conn.ID)
	if err == nil {
		v.see(c)
	}
	return err
}

// sendUnnumbered sends a message without a place in any order.
func (s *Service) sendUnnumbered(ctx context.Context, p Peer, in Send) Reply {
	c, err := s.get(ctx, p.ID)
	switch {
	case errors.Is(err, ErrNoConnection):
		s.ackAs(ctx, p, in, lane.CodeUnknownUser)
		return s.rejectEnded(ctx, p)
	case err != nil:
		return in.answer(codeOf(err))
	case s.misread(p, c):
		return Reply{Speaks: c.Protocol}
	case c.Revoked(s.Clock.Now()):
		s.ackAs(ctx, p, in, lane.CodeWrongToken)
		return s.endRevoked(ctx, c, closing)
	case c.User == "":
		return in.answer(lane.CodeUnknownUser)
	}
	v := s.invocation(c)
	taken, err := v.takeUnnumbered(ctx, in.ID)
	switch {
	case errors.Is(err, errRevoked):
		s.ackAs(ctx, p, in, lane.CodeWrongToken)
		return s.endRevoked(ctx, v.conn, closing)
	case err != nil:
		return in.answer(codeOf(err))
	case !taken:
		return Reply{} // a repeated invocation was first, and answers
	}
	return in.answer(s.postUnnumbered(ctx, c, in.Frame))
}

// ackAs answers a message without a number that is to be answered in any case, on a
// connection that ends.
func (s *Service) ackAs(ctx context.Context, p Peer, in Send, code lane.Code) {
	if in.AckAs != nil {
		s.post(ctx, p, Ack{*in.AckAs, code})
	}
}

// answer returns the answer to a message without a number.
func (in Send) answer(code lane.Code) Reply {
	switch {
	case in.AckAs != nil:
		return reply(Ack{*in.AckAs, code})
	case code != lane.OK:
		return reply(RequestFailed{code})
	default:
		return Reply{}
	}
}

// takeUnnumbered takes a message without a number, and from the sender's bucket.
// It reports false if another invocation for the same message has taken it;
// [ErrBusy] if the bucket is empty.
func (v *invocation) takeUnnumbered(ctx context.Context, id string) (bool, error) {
	for range decideTries {
		l, now := v.conn.Lane, v.Clock.Now()
		taken, mine := l.TookUnnumbered(id, v.id)
		switch {
		case taken:
			return mine, nil
		case !v.Rate.Allows(l.TAT, 0, now):
			return false, ErrBusy
		case id == "" && !v.Rate.Limited():
			return true, nil
		}
		if made, err := v.update(ctx, updateBy(l.TakeUnnumbered(id, v.id, v.Rate, now))); err != nil || made {
			return made, err
		}
	}
	return false, ErrContended
}
