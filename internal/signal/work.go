package signal

import (
	"context"
	"errors"
	"time"
)

// How an invocation goes about its work.
const (
	// moveTries is how often one write is tried whose outcome is not known.
	moveTries = 3
	moveRetry = 20 * time.Millisecond
	// arriveTries bounds how often an invocation decides anew because the lane
	// has changed meanwhile. Each time means that another one got on.
	arriveTries = 64
	// watchFirst and watchMost are the pauses between two looks at a lane.
	watchFirst = 20 * time.Millisecond
	watchMost  = 250 * time.Millisecond
	// maxStint is how long an owner takes frames along before it leaves those
	// that follow to others; handover is how long it gives them.
	maxStint = 20 * time.Second
	handover = 50 * time.Millisecond
)

// work is what one invocation does on the lane of one connection.
type work struct {
	*Service
	me   string     // the owner, as it stands in the lane
	conn Connection // the record as last seen
	lost bool       // another invocation may have overtaken this one: post no more
	// lingered: it has stayed to watch over a held frame.
	lingered bool
}

func (s *Service) work(c Connection) *work {
	return &work{Service: s, me: s.randomID(), conn: c}
}

// move makes a move, once, even if an answer is lost. Either way conn is the
// record as it is now. errBarred if the connection may not make it any more.
func (w *work) move(ctx context.Context, m Move) (made bool, err error) {
	for try := range moveTries {
		if try > 0 {
			if err := w.Clock.Sleep(ctx, moveRetry<<try); err != nil {
				return false, err
			}
		}
		var c Connection
		c, made, err = w.Store.Move(ctx, w.conn.ID, m, w.Clock.Now())
		if err == nil {
			w.conn = c
			made = made || m.Made(c.Lane)
			if !made && m.Guard.Valid && c.Barred(w.Clock.Now()) {
				return false, errBarred
			}
			return made, nil
		}
		if errors.Is(err, ErrNoConnection) {
			return false, err
		}
	}
	return false, err
}

// open opens the lane for a user where from stands. The move says what was sent
// before and is to be posted now. errOpened if the lane is open already.
func (w *work) open(ctx context.Context, id Identity, from Lane) (Move, error) {
	for range arriveTries {
		m := w.conn.Lane.open(id.User, from, w.me, w.Clock.Now())
		m.Change.Opening.Until, m.Change.Opening.Attributes = id.Expires, id.Attributes
		made, err := w.move(ctx, m)
		switch {
		case err != nil:
			return Move{}, err
		case made:
			return m, nil
		case w.conn.Lane.Opened():
			return Move{}, errOpened
		}
	}
	return Move{}, ErrBusy
}

// bring brings frame n to the lane. It returns the run that is now this
// invocation's to post, or, if there is none, the step that says why.
func (w *work) bring(ctx context.Context, n int64, f Frame) ([]Numbered, Step, error) {
	m := Take(n, f, w.me, w.Clock.Now())
	var takes []Move
	for range arriveTries {
		before := w.conn.Lane
		made, err := w.move(ctx, m)
		if err != nil && !errors.Is(err, errBarred) {
			return nil, Step{}, err
		}
		for _, take := range takes { // one may have taken effect late, after it was refused
			if !made && take.Made(w.conn.Lane) {
				return take.Run, Step{}, nil
			}
		}
		if err != nil {
			return nil, w.conn.Lane.Arrive(n, f, w.me, w.Clock.Now()), err
		}
		if m.Kind == KindTake && !made {
			takes = append(takes, m)
		}
		if made {
			switch m.Kind {
			case KindTake:
				return m.Run, Step{}, nil
			case KindHold:
				w.Count(MetricHeld, 1)
				return nil, inHand, nil
			case KindOvertake:
				w.tellOvertaken(ctx, before)
			}
		}
		step := w.conn.Lane.Arrive(n, f, w.me, w.Clock.Now())
		if step.Move == nil {
			return nil, step, nil
		}
		m = *step.Move
	}
	return nil, settled(CodeBusy), nil
}

// turn posts a run and finishes it. It returns how each frame ended, and the
// run taken along, if any; ok is false if the lane is not this invocation's
// any more.
func (w *work) turn(ctx context.Context, run []Numbered, more bool) (codes []Code, next []Numbered, ok bool) {
	codes = make([]Code, len(run))
	var faults []Fault
	spent := 0
	for i, f := range run {
		codes[i] = CodeServer
		switch {
		case w.lost:
		case !w.Rate.allows(w.conn.Lane.FullAt, spent, w.Clock.Now()):
			codes[i] = CodeBusy
		default:
			spent++
			codes[i] = w.deliver(ctx, w.conn, f, w.ready)
		}
		if codes[i] != OK {
			faults = append(faults, Fault{f.N, f.N, codes[i]})
		}
	}
	turn := w.conn.Lane.Turn
	for range arriveTries {
		m := w.conn.Lane.finish(faults, more, w.me, w.Clock.Now())
		w.conn.Lane.spend(&m, w.Rate, spent, w.Clock.Now())
		made, err := w.move(ctx, m)
		switch {
		case errors.Is(err, ErrNoConnection) && w.conn.Session != "":
			w.finishEnded(ctx, faults, spent)
			return codes, nil, false
		case errors.Is(err, errBarred):
			more = false // what is held is not taken along any more
		case err != nil:
			return codes, nil, false
		case made:
			return codes, m.Run, true
		case w.conn.Lane.Owner != w.me || w.conn.Lane.Turn != turn:
			for i, f := range run { // overtaken: everyone tells the same
				if f.N <= w.conn.Lane.Done {
					codes[i] = w.conn.Lane.Outcome(f.N)
				}
			}
			return codes, nil, false
		}
	}
	return codes, nil, false
}

// finishEnded ends the turn on the lane of a connection that has ended
// meanwhile: its session may go on.
func (w *work) finishEnded(ctx context.Context, faults []Fault, spent int) {
	lane := w.conn.Lane
	lane.Held = nil // given up with the connection
	m := lane.finish(faults, false, w.me, w.Clock.Now())
	m.Guard.Ended, m.Change.FullAt = true, w.Rate.take(lane.FullAt, spent, w.Clock.Now())
	if _, err := w.move(ctx, m); err != nil && !errors.Is(err, ErrNoConnection) {
		w.Log.WarnContext(ctx, "finish failed", "connection", w.conn.ID, "error", err)
	}
}

// ready reports whether the owner may begin a post now, and renews the turn
// where it must.
func (w *work) ready(ctx context.Context) bool {
	for range moveTries {
		now := w.Clock.Now()
		if now.Sub(w.conn.Lane.TurnAt) <= BeginWithin {
			return true
		}
		if made, err := w.renew(ctx, now); err != nil || !made {
			break
		}
	}
	w.lost = true
	return false
}

// renew stays at work, if need be on the lane of a connection that has ended
// meanwhile: its session may go on, and waits for what this owner has taken.
func (w *work) renew(ctx context.Context, now Instant) (made bool, err error) {
	m := w.conn.Lane.renew(w.me, now)
	m.Guard.Ended = w.conn.Ended
	made, err = w.move(ctx, m)
	if errors.Is(err, ErrNoConnection) && w.conn.Session != "" && !m.Guard.Ended {
		m.Guard.Ended = true
		return w.move(ctx, m)
	}
	return made, err
}

// carry posts run and what follows, and answers for what is left.
func (w *work) carry(ctx context.Context, run []Numbered) {
	began := w.Clock.Now()
	for {
		more := w.Clock.Now().Sub(began) < maxStint
		for len(run) > 0 {
			codes, next, ok := w.turn(ctx, run, more)
			w.tell(ctx, run, codes)
			if !ok {
				return
			}
			run, more = next, w.Clock.Now().Sub(began) < maxStint
		}
		n, held := w.conn.Lane.lowest()
		if !held {
			return
		}
		if !more {
			began = w.Clock.Now()
			if w.Clock.Sleep(ctx, handover) != nil || w.look(ctx) != nil {
				return
			}
		}
		if run = w.watch(ctx, n); len(run) == 0 {
			return
		}
	}
}

// watch answers for the held frame n until it is finished, whatever fails on
// the way. It returns a run that this invocation has taken, if it had to.
func (w *work) watch(ctx context.Context, n int64) []Numbered {
	pause := watchFirst
	for ctx.Err() == nil {
		step := w.conn.Lane.Watch(n, w.me, w.Clock.Now())
		switch {
		case step.Move != nil:
			before := w.conn.Lane
			made, err := w.move(ctx, *step.Move)
			switch {
			case errors.Is(err, ErrNoConnection):
				return nil
			case errors.Is(err, errBarred):
				w.expire(ctx, w.conn, closing)
				return nil
			case err != nil:
				step.Wait = pause
			case made && step.Move.Kind == KindOvertake:
				w.tellOvertaken(ctx, before)
			case made && step.Move.Kind == KindSkip:
				w.Count(MetricSkipped, before.givenUp(*step.Move))
			case made && step.Move.Kind == KindAdopt:
				return step.Move.Run
			}
			if err == nil {
				continue
			}
		case step.Wait == 0:
			return nil
		}
		if !w.lingered {
			w.lingered = true
			w.Count(MetricLingered, 1)
		}
		if w.Clock.Sleep(ctx, min(step.Wait, pause)) != nil || errors.Is(w.look(ctx), ErrNoConnection) {
			return nil
		}
		pause = min(2*pause, watchMost)
	}
	return nil
}

// look reads the record anew.
func (w *work) look(ctx context.Context) error {
	c, err := w.Store.Inspect(ctx, w.conn.ID, w.Clock.Now())
	if err != nil {
		return err
	}
	w.conn = c
	return nil
}

// tell acks frames to their sender.
func (w *work) tell(ctx context.Context, run []Numbered, codes []Code) {
	for i, f := range run {
		if l := w.conn.Lane; !l.Idle() && l.Owner == w.me && !w.lost { // the next run is taken already
			w.ready(ctx)
		}
		if !w.toSender(ctx, w.ack(f, codes[i])) {
			return
		}
	}
}

// ack is the answer to a frame that ended with code.
func (w *work) ack(f Numbered, code Code) Event {
	switch {
	case !f.Confirm:
		return Ack{f.N, code}
	case code == OK:
		return Welcome{Number: f.N, User: w.conn.User}
	default:
		return Denied{f.N, code}
	}
}

// tellOvertaken tells the sender of the numbers whose owner was declared dead:
// before is the lane as it was then. Those that the dead owner's run had left
// out, and the authentication's, are nothing to tell of: clients keep the
// callbacks of earlier connections under such numbers.
func (w *work) tellOvertaken(ctx context.Context, before Lane) {
	w.Count(MetricOvertaken, 1)
	w.Log.WarnContext(ctx, "owner overtaken", "connection", w.conn.ID, "from", before.Done+1, "to", before.Turn)
	for n := max(before.Done+1, before.Turn-MaxHeld); n <= before.Turn; n++ {
		if n == before.Open || before.fault(n) != OK {
			continue
		}
		if !w.toSender(ctx, Ack{n, CodeServer}) {
			return
		}
	}
}

// toSender posts to the lane's own connection, and reports false if that is
// gone.
func (w *work) toSender(ctx context.Context, e Event) bool {
	w.told(e)
	err := w.Pusher.Post(ctx, w.conn.Peer, e)
	if errors.Is(err, ErrGone) {
		w.vanish(ctx, w.conn.User, w.conn.ID)
		return false
	}
	if err != nil {
		w.Log.WarnContext(ctx, "ack failed", "connection", w.conn.ID, "error", err)
	}
	return true
}
