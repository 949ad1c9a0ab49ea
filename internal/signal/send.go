package signal

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// The path of a message, from the top down: sendNumbered submits it to the sender's
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
	// lookTries is how often who gives up tries to read what others have answered.
	lookTries = 3
	// maxDrain is how long an invocation posts frames of others before it leaves
	// what follows to them; handover is how long it gives them.
	maxDrain = 20 * time.Second
	handover = 50 * time.Millisecond
	// muchHeld is from how many held frames on a lane is looked at before a message is
	// taken: where there are gaps, most are refused.
	muchHeld = 16
)

// sendNumbered sends a message that goes in the order of the numbers. Its ack may
// come from another invocation. It takes no more memory than the invocation does.
func (s *Service) sendNumbered(ctx context.Context, p Peer, in Send) Reply {
	v := s.invocation(Connection{Peer: p, Lane: lane.New()})
	v.scarce = in.Scarce
	v.own[0] = lane.Numbered{N: in.Number, Frame: in.Frame}
	r := v.sendRun(v.changes.announcing(ctx), p, v.own[:], in.Look)
	r.After = s.announced(&v.changes, r.After)
	return r
}

// sendRun sends messages with consecutive numbers.
func (v *invocation) sendRun(ctx context.Context, p Peer, run []lane.Numbered, look bool) Reply {
	a, err := v.submit(ctx, run, look)
	r := v.answer(ctx, p, run, a, err)
	r.Seen, r.Look = v.seen, !v.conn.Lane.Opened() || len(v.conn.Lane.Held) >= muchHeld
	r.User = v.conn.Lane.Opened() && err == nil
	if err == nil && a.Move.Guard.Early {
		r.Early = a.Move.Change.Grows()
	}
	r.Refused = errors.Is(err, ErrNoConnection) || errors.Is(err, errRevoked) ||
		err == nil && a.Move.Kind == "" && (!v.conn.Lane.Opened() || slices.ContainsFunc(a.Finished, lane.Finished.Busy))
	return r
}

// answer answers messages for which that was decided.
func (v *invocation) answer(ctx context.Context, p Peer, run []lane.Numbered, a lane.Arrival, err error) Reply {
	switch {
	case errors.Is(err, ErrNoConnection):
		return v.rejectRun(p, run)
	case errors.Is(err, errMisread):
		return Reply{Speaks: v.conn.Protocol}
	case errors.Is(err, errRevoked):
		return v.endRevoked(ctx, v.conn, closing, run...)
	case err != nil:
		v.Log.ErrorContext(ctx, "send failed", "connection", p.ID, "error", err)
		return v.giveUp(ctx, run, codeOf(err))
	case !v.conn.Lane.Opened() && len(a.Finished) > 0 && !v.scarce:
		return v.refuseEarly(ctx, a.Finished)
	}
	r := v.finished(a.Finished)
	switch {
	case len(a.Move.Run) > 0:
		r = r.and(v.postFirstRun(ctx, a.Move.Run, run))
	case len(a.Pending) > 0:
		r = r.and(v.stored(a.Pending))
	case slices.ContainsFunc(a.Finished, lane.Finished.Busy):
		r.After = v.helpNow()
	}
	return r
}

// finished answers frames of which the lane knows how they ended.
func (v *invocation) finished(frames []lane.Finished) Reply {
	r := v.reply()
	for _, f := range frames {
		if v.conn.mayHaveCome() {
			f.Code = lane.CodeServer // not known
		}
		r.Events = append(r.Events, v.ack(f.Numbered, f.Code))
	}
	return r
}

// invocation is what one invocation of a function does on the lane of one
// connection.
type invocation struct {
	*Service
	id       string           // as a holder of the lease
	conn     Connection       // the record as last seen
	observed lane.Observed    // what it has seen of the lane
	expired  bool             // its lease may have expired: it posts no more
	lost     bool             // another invocation has expired its lease, and answers
	acked    func() bool      // waits for the acks under way; false: the sender is gone. Nil: there were none
	own      [1]lane.Numbered // room for what most frames bring,
	one      [1]stream        // and for the streams of most runs
	mayHold  []int64          // frames that it may have held, unknown to it
	seen     bool             // conn is the record, as it once was
	changes  announcements
	scarce   bool // it holds nothing before the authentication
	lingering
}

func (s *Service) invocation(c Connection) *invocation {
	return &invocation{Service: s, id: s.randomID(), conn: c}
}

// submit brings frames with consecutive numbers to the lane. It returns what was
// decided about them, with the move that was made for it; if that has a run, it is
// now this invocation's to post. If it is to look first, it tries nothing that the
// lane would refuse.
func (v *invocation) submit(ctx context.Context, run []lane.Numbered, look bool) (lane.Arrival, error) {
	now := v.Clock.Now()
	p, a := v.conn.Peer, lane.Arrival{Move: lane.Take(run, v.id, now)}
	if look {
		err := v.reload(ctx)
		now = v.Clock.Now()
		switch {
		case err != nil:
			return lane.Arrival{}, err
		case v.misread(p, v.conn):
			return lane.Arrival{}, errMisread
		case v.conn.Revoked(now):
			return lane.Arrival{}, errRevoked
		}
		a = v.arrival(run, now)
	}
	var takes []lane.Arrival
	for range decideTries {
		if a.Move.Kind == "" {
			return a, nil
		}
		before, kind := v.conn.Lane, a.Move.Kind
		u := updateBy(a.Move)
		u.Speaks = v.alike(p)
		made, err := v.update(ctx, u, now)
		if err == nil && v.misread(p, v.conn) {
			return lane.Arrival{}, errMisread
		}
		if err != nil && !errors.Is(err, errRevoked) {
			return lane.Arrival{}, err
		}
		for _, take := range takes { // one may have taken effect late, after it was refused
			if !made && take.Move.Made(v.conn.Lane) {
				return take, nil
			}
		}
		switch {
		case err != nil:
			return lane.Arrival{}, err
		case kind == lane.KindTake && !made:
			takes = append(takes, a)
		case made && kind == lane.KindExpire:
			v.ackExpired(ctx, before)
		case made:
			v.Count(MetricHeld, len(a.Move.Change.Hold))
			return a, nil
		}
		now = v.Clock.Now()
		a = v.arrival(run, now)
	}
	return lane.Arrival{}, ErrContended
}

// arrival decides about frames that this invocation submits.
func (v *invocation) arrival(run []lane.Numbered, now lane.Instant) lane.Arrival {
	a := v.conn.Lane.DecideArrival(run, v.id, v.observed, now)
	if v.scarce && a.Move.Guard.Early {
		a = a.Refused()
	}
	return v.leaveToOthers(a)
}

// leaveToOthers makes frames pending that others acknowledge.
func (v *invocation) leaveToOthers(a lane.Arrival) lane.Arrival {
	a.Finished = slices.DeleteFunc(a.Finished, func(f lane.Finished) bool {
		others := v.answeredByAnother(f.Numbered, f.Code)
		if others {
			a.Pending = append(a.Pending, f.Numbered)
		}
		return others
	})
	return a
}

// answeredByAnother reports whether a frame that this invocation submits, which has
// ended with code, is acknowledged by another: by whoever took it from the lane,
// where this one may have held it. A number that was given up is acknowledged by nobody.
func (v *invocation) answeredByAnother(f lane.Numbered, code lane.Code) bool {
	return code != lane.CodeServer && f.N <= v.conn.Lane.Taken && slices.Contains(v.mayHold, f.N) && !v.conn.Lane.Reused(f)
}

// update makes an update, once, even if an answer is lost. Either way conn is
// the record as it is now. errRevoked if the connection may not make it any
// more; any error but the store's named ones means that after [knownWithin] it is
// not known whether the update was made.
func (v *invocation) update(ctx context.Context, u Update, now lane.Instant) (made bool, err error) {
	var c Connection
	err = v.untilKnownFrom(ctx, now, func(now lane.Instant) (err error) {
		c, made, err = v.Store.Update(ctx, v.conn.ID, u, now)
		if codeOf(err) == lane.CodeUnavailable {
			for _, f := range u.Change.Hold {
				v.mayHold = append(v.mayHold, f.N)
			}
		}
		return err
	})
	if err != nil {
		return false, err
	}
	v.see(&c)
	made = made || u.Made(c.Lane)
	if !made && u.NotRevoked && c.Revoked(v.Clock.Now()) {
		return false, errRevoked
	}
	return made, nil
}

// see takes in the record as it was read.
func (v *invocation) see(c *Connection) {
	v.conn, v.seen = *c, true
	v.observed = v.observed.Look(c.Lane, v.Clock.Now())
}

func (v *invocation) decideWatch(n int64) lane.Decision {
	return v.conn.Lane.DecideWatch(n, v.id, v.observed, v.Clock.Now())
}

// giveUp answers frames that could not be brought to the lane. If it is not known
// whether it has them, they may still be delivered; but they are not answered
// otherwise, for the connection ends with that: its client connects again. If it
// has not, because its key is written too much, they are refused, but for those that
// a repeated invocation has brought: reads are served all the same.
func (v *invocation) giveUp(ctx context.Context, run []lane.Numbered, code lane.Code) Reply {
	r, fresh := v.reply(), run
	switch {
	case code == lane.CodeUnavailable:
		if fresh = v.unanswered(ctx, run); len(fresh) > 0 {
			r.After = func(ctx context.Context) { v.close(ctx, v.conn.Peer) }
		}
	case code == lane.CodeBusy && v.reload(ctx) == nil:
		var a lane.Arrival
		a, fresh = v.conn.Lane.Known(run)
		a = v.leaveToOthers(a)
		r = v.finished(a.Finished)
		if len(a.Pending) > 0 {
			r = r.and(v.stored(a.Pending))
		}
	}
	for _, f := range fresh {
		r.Events = append(r.Events, v.ack(f, code))
	}
	return r
}

// unanswered returns a run without the frames that another invocation has answered
// meanwhile, as far as a look tells.
func (v *invocation) unanswered(ctx context.Context, run []lane.Numbered) []lane.Numbered {
	if len(v.mayHold) == 0 {
		return run
	}
	c, err := v.Store.Get(ctx, v.conn.ID, v.Clock.Now())
	for try := 1; err != nil && try < lookTries && v.Clock.Sleep(ctx, retryFirst) == nil; try++ {
		c, err = v.Store.Get(ctx, v.conn.ID, v.Clock.Now())
	}
	if err != nil {
		return run
	}
	v.see(&c)
	return slices.DeleteFunc(slices.Clone(run), func(f lane.Numbered) bool {
		return f.N <= c.Lane.Done && v.answeredByAnother(f, c.Lane.Answer(f))
	})
}

// postFirstRun posts the run that submitting its own frames has given to this
// invocation. The acks of those are the answer; those of all others are posted,
// and so are its own if it takes longer than an answer may until they are known.
func (v *invocation) postFirstRun(ctx context.Context, run, own []lane.Numbered) Reply {
	p := v.postRun(ctx, run)
	next, ok, err := v.finish(ctx, &p, true)
	if err != nil {
		return v.answerLater(p)
	}
	r := v.reply()
	if p.answered {
		return r
	}
	var others posted
	for i, f := range run {
		if own[0].N <= f.N && f.N <= own[len(own)-1].N {
			r.Events = append(r.Events, v.ack(f, p.codes[i]))
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
func (v *invocation) mayPost(ctx context.Context, now lane.Instant) bool {
	for range renewTries {
		switch {
		case v.expired:
			return false
		case mayStart(v.conn.Lane.LeasedAt, now):
			return true
		}
		if made, err := v.renew(ctx, now); err != nil || !made {
			v.lost = err == nil && v.conn.Lane.Holder != v.id
			break
		}
		now = v.Clock.Now()
	}
	v.expired = true
	return false
}

// mayStart reports whether a post may start now under a lease that was taken or
// renewed at that time; or under a number that was reserved then.
func mayStart(at, now lane.Instant) bool {
	return now.Sub(at) <= lane.PostStartWithin
}

// renew renews the lease, if need be on the lane of a connection that has ended
// meanwhile: what was taken is finished.
func (v *invocation) renew(ctx context.Context, now lane.Instant) (made bool, err error) {
	u := updateBy(v.conn.Lane.Renew(v.id, now))
	u.Ended = v.conn.Ended
	made, err = v.update(ctx, u, now)
	if errors.Is(err, ErrNoConnection) && !u.Ended {
		u.Ended = true
		return v.update(ctx, u, v.Clock.Now())
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
		u.Ended, u.Spent, p.fetched = v.conn.Ended, p.fetched, nil
		made, err := v.update(ctx, u, now)
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
	next, ok = v.finishKnown(ctx, &p, more)
	v.ackAll(ctx, p)
	return next, ok
}

// finishKnown finishes a run, however long it takes until that is known; or leaves its
// answers to others when the invocation's time ends.
func (v *invocation) finishKnown(ctx context.Context, p *posted, more bool) (next []lane.Numbered, ok bool) {
	for {
		next, ok, err := v.finish(ctx, p, more)
		switch {
		case err == nil:
			return next, ok
		case ctx.Err() != nil:
			v.Log.WarnContext(ctx, "finish failed", "connection", v.conn.ID, "error", err)
			p.answered = true
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

// stored answers for frames that are held, or another invocation has them. If
// this invocation holds some, and the first of these is the lowest, or the lane
// needs help at once, or whoever holds the lease or watches over the lowest looks
// dead, it watches over it; and over one that another has taken, if that looks
// dead, and nobody watches for the sake of a held frame.
func (v *invocation) stored(frames []lane.Numbered) Reply {
	r, n, holds := v.reply(), frames[0].N, false
	for _, f := range frames {
		r.Events = append(r.Events, Stored{f.N})
		if mine := v.conn.Lane.Held[f.N].By == v.id; mine && (!holds || f.N < n) {
			n, holds = f.N, true
		}
	}
	lowest, some := v.conn.Lane.Lowest()
	dead := v.conn.Lane.LooksStuck(v.Clock.Now())
	if holds && (lowest == n || dead || v.decideWatch(n).Action == lane.MakeMove) || !some && dead {
		r.After = v.watchAndDrain(n)
	}
	return r
}

// helpNow returns the work of one that was refused because too much is held, if the
// lane needs help at once: nobody else may come.
func (v *invocation) helpNow() After {
	lowest, held := v.conn.Lane.Lowest()
	if !held || !v.conn.Lane.LooksStuck(v.Clock.Now()) && v.decideWatch(lowest).Action != lane.MakeMove {
		return nil
	}
	return v.watchAndDrain(lowest)
}

// watchAndDrain returns the work of one that answers for the held frame n, and goes on
// with what it has taken for that.
func (v *invocation) watchAndDrain(n int64) After {
	return v.after(func(ctx context.Context) {
		if run := v.watch(ctx, n); len(run) > 0 {
			v.drain(ctx, run)
		}
	})
}

// watch answers for the held frame n until it is finished, whatever fails
// meanwhile. It returns a run that this invocation has taken, if it had to.
func (v *invocation) watch(ctx context.Context, n int64) []lane.Numbered {
	pause := watchFirst
	for ctx.Err() == nil {
		d := v.decideWatch(n)
		switch d.Action {
		case lane.Pending:
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
		if !v.mayLinger(ctx) {
			return nil
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
	made, err := v.update(ctx, updateBy(m), v.Clock.Now())
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
		v.see(&c)
	}
	return err
}
