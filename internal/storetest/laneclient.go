package storetest

import (
	"context"
	"errors"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// How long an invocation stays.
const (
	arrivals = 8
	drains   = 6
	looks    = 3
)

// invoke submits a frame to a connection: the next one or, as a repeated
// invocation does, one that was sent before.
func (c *client) invoke() {
	l := c.lanes[c.rng.IntN(len(c.lanes))]
	switch {
	case c.oneIn(40):
		c.end(l)
	case c.oneIn(20):
		c.get(l)
	case c.oneIn(8):
		c.meddle(l)
	case c.oneIn(10):
		c.submit(l, 1+c.rng.Int64N(l.sent.Load()+1))
	default:
		c.submit(l, l.sent.Add(1))
	}
}

// submit takes blindly and goes by the lane that comes back.
func (c *client) submit(l *sharedLane, n int64) {
	me := c.me()
	f := lane.Frame{To: "bob", Data: []byte(me)}
	m := lane.Take(n, f, me, c.clock())
	for range arrivals {
		at, made, err := c.move(l, m)
		switch {
		case errors.Is(err, signal.ErrNoConnection):
			c.create(l)
			return
		case err != nil:
			return
		case made && m.Kind == lane.KindTake:
			c.drain(l, at.Lane, me)
			return
		case made && m.Kind == lane.KindHold:
			c.watch(l, n, me)
			return
		case !at.Lane.Opened() && c.oneIn(3):
			c.open(l, at.Lane, me)
			return
		}
		d := at.Lane.DecideArrival(n, f, me, lane.Observed{}, c.clock())
		if d.Action != lane.MakeMove {
			return
		}
		m = *d.Move
	}
}

// drain finishes the runs of holder me, which takes what follows, and now
// and then renews its lease, fails to deliver, or dies.
func (c *client) drain(l *sharedLane, held lane.Lane, me string) {
	for range drains {
		m := c.finish(held, me)
		switch {
		case c.oneIn(10):
			return
		case c.oneIn(3):
			m = held.Renew(me, c.clock())
		}
		at, made, err := c.move(l, m)
		if err != nil || at.Lane.Holder != me || made && at.Lane.Idle() {
			return
		}
		held = at.Lane
	}
}

// watch answers for the held frame n, for a while.
func (c *client) watch(l *sharedLane, n int64, me string) {
	for range looks {
		a := c.get(l)
		if a.Err != nil {
			return
		}
		d := a.Connection.Lane.DecideWatch(n, me, lane.Observed{}, c.clock())
		switch d.Action {
		case lane.LookAgain:
			continue
		case lane.Pending, lane.Finished:
			return
		}
		at, made, err := c.move(l, *d.Move)
		if err != nil {
			return
		}
		if made && d.Move.Kind == lane.KindAdopt {
			c.drain(l, at.Lane, me)
			return
		}
	}
}

// meddle does what must be refused if it comes too late: it finishes or renews the
// lease of another, as the holder of an expired one would, or it expires one
// that may have been renewed meanwhile.
func (c *client) meddle(l *sharedLane) {
	me, a := c.me(), c.get(l)
	held := a.Connection.Lane
	if a.Err != nil || held.Idle() {
		return
	}
	switch c.rng.IntN(3) {
	case 0:
		_, _, _ = c.move(l, c.finish(held, me))
	case 1:
		_, _, _ = c.move(l, held.Renew(me, c.clock()))
	default:
		d := held.DecideWatch(held.Taken, me, lane.Observed{}, c.clock().Add(skew))
		c.get(l)
		if d.Action == lane.MakeMove {
			_, _, _ = c.move(l, *d.Move)
		}
	}
}

// open opens the lane at number 0 and takes what follows.
func (c *client) open(l *sharedLane, closed lane.Lane, me string) {
	at, made, err := c.update(l, opening(closed.Start(lane.StartAfter(0).Lane(), me, c.clock())))
	if err == nil && made && !at.Lane.Idle() {
		c.drain(l, at.Lane, me)
	}
}

// opening opens a lane for alice.
func opening(m lane.Move) signal.Update {
	return signal.Update{Move: m, Opening: &signal.Opening{User: "alice"}}
}

// finish finishes the numbers that me has taken, and takes the run that follows.
func (c *client) finish(l lane.Lane, me string) lane.Move {
	var undelivered []lane.Undelivered
	if c.oneIn(8) {
		undelivered = []lane.Undelivered{{From: l.Taken, To: l.Taken, Code: lane.CodeUnreachable}}
	}
	return l.Finish(undelivered, true, me, c.clock())
}

func (c *client) move(l *sharedLane, m lane.Move) (signal.Connection, bool, error) {
	return c.update(l, signal.Update{Move: m})
}

func (c *client) update(l *sharedLane, u signal.Update) (signal.Connection, bool, error) {
	return c.history.update(c.number, l.ID, u, c.clock)
}

// create creates the connection, whose numbers begin anew, once the record of
// the one that has ended is deleted.
func (c *client) create(l *sharedLane) {
	at := c.clock().Add(2 * signal.EndedLife)
	c.do(remove{l.ID, at}, func(ctx context.Context) answer {
		return answer{Err: errored(c.history.store.Delete(ctx, l.ID, at))}
	})
	l.sent.Store(0)
	created := signal.Connection{Peer: l.Peer, Expires: now.Add(24 * time.Hour), Lane: lane.New()}
	c.do(create{created}, func(ctx context.Context) answer {
		return answer{Err: errored(c.history.store.Create(ctx, created))}
	})
}

func (c *client) get(l *sharedLane) answer {
	return c.do(get{l.ID}, func(ctx context.Context) answer {
		at, err := c.history.store.Get(ctx, l.ID, c.clock())
		return answer{Connection: normal(at), Err: errored(err)}
	})
}

func (c *client) end(l *sharedLane) {
	at := c.clock()
	c.do(end{l.ID, at}, func(ctx context.Context) answer {
		was, err := c.history.store.End(ctx, l.ID, at)
		return answer{Connection: normal(was), Err: errored(err)}
	})
}
