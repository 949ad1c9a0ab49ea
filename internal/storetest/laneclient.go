package storetest

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal"
)

// How long an invocation stays.
const (
	arrivals = 8
	stints   = 6
	looks    = 3
)

// invoke brings a frame to a connection: the next one or, as a repeated
// invocation does, one that was sent before.
func (c *client) invoke() {
	l := c.lanes[c.rng.IntN(len(c.lanes))]
	switch {
	case c.oneIn(40):
		c.drop(l)
	case c.oneIn(20):
		c.inspect(l)
	case c.oneIn(8):
		c.meddle(l)
	case c.oneIn(10):
		c.bring(l, 1+c.rng.Int64N(l.sent.Load()+1))
	default:
		c.bring(l, l.sent.Add(1))
	}
}

// bring takes blindly and goes by the lane that comes back.
func (c *client) bring(l *sharedLane, n int64) {
	me := c.me()
	f := signal.Frame{To: "bob", Data: []byte(me)}
	m := signal.Take(n, f, me, c.clock())
	for range arrivals {
		at, made, err := c.move(l, m)
		switch {
		case errors.Is(err, signal.ErrNoConnection):
			c.admit(l)
			return
		case err != nil:
			return
		case made && m.Kind == signal.KindTake:
			c.carry(l, at.Lane, me)
			return
		case made && m.Kind == signal.KindHold:
			c.watch(l, n, me)
			return
		case !at.Lane.Opened() && c.oneIn(3):
			c.open(l, at.Lane, me)
			return
		}
		step := at.Lane.Arrive(n, f, me, c.clock())
		if step.Move == nil {
			return
		}
		m = *step.Move
	}
}

// carry finishes the turns of owner me, who takes along what follows, and now
// and then renews a turn, fails to deliver, or dies.
func (c *client) carry(l *sharedLane, lane signal.Lane, me string) {
	for range stints {
		m := c.finish(lane, me)
		switch {
		case c.oneIn(10):
			return
		case c.oneIn(3):
			m = renewal(lane, me, c.clock())
		}
		at, made, err := c.move(l, m)
		if err != nil || at.Lane.Owner != me || made && at.Lane.Idle() {
			return
		}
		lane = at.Lane
	}
}

// watch answers for the held frame n, for a while.
func (c *client) watch(l *sharedLane, n int64, me string) {
	for range looks {
		a := c.inspect(l)
		if a.Err != nil {
			return
		}
		step := a.Connection.Lane.Watch(n, me, c.clock())
		if step.Move == nil {
			if step.Wait == 0 {
				return
			}
			continue
		}
		at, made, err := c.move(l, *step.Move)
		if err != nil {
			return
		}
		if made && step.Move.Kind == signal.KindAdopt {
			c.carry(l, at.Lane, me)
			return
		}
	}
}

// meddle does what must be refused if it comes too late: it ends or renews the
// turn of another, as an owner who was overtaken would, or it overtakes an owner
// that may have renewed its turn meanwhile.
func (c *client) meddle(l *sharedLane) {
	me, a := c.me(), c.inspect(l)
	lane := a.Connection.Lane
	if a.Err != nil || lane.Idle() {
		return
	}
	switch c.rng.IntN(3) {
	case 0:
		_, _, _ = c.move(l, c.finish(lane, me))
	case 1:
		_, _, _ = c.move(l, renewal(lane, me, c.clock()))
	default:
		step := lane.Watch(lane.Turn, me, c.clock().Add(skew))
		c.inspect(l)
		if step.Move != nil {
			_, _, _ = c.move(l, *step.Move)
		}
	}
}

// open opens the lane at number 0 and takes along what follows.
func (c *client) open(l *sharedLane, lane signal.Lane, me string) {
	run, end := following(lane, 0)
	at, made, err := c.move(l, signal.Move{
		Kind:  signal.KindOpen,
		Guard: signal.Guard{Done: lane.Done, Turn: lane.Turn, Held: len(lane.Held)},
		Change: signal.Change{
			Turn: end, Owner: me, TurnAt: c.clock(), Unhold: run,
			Opening: &signal.Opening{User: "alice"},
		},
		Run: run,
	})
	if err == nil && made && !at.Lane.Idle() {
		c.carry(l, at.Lane, me)
	}
}

// finish ends the turn of owner me and takes the run that follows.
func (c *client) finish(l signal.Lane, me string) signal.Move {
	m := signal.Move{
		Kind:   signal.KindFinish,
		Guard:  signal.Guard{Done: l.Done, Turn: l.Turn, Owner: me, Held: len(l.Held)},
		Change: signal.Change{Done: l.Turn, Turn: l.Turn, Owner: me},
	}
	if run, end := following(l, l.Turn); len(run) > 0 {
		m.Run, m.Change.Unhold = run, run
		m.Change.Turn, m.Change.TurnAt = end, c.clock()
	}
	if c.oneIn(8) {
		faults := append(slices.Clone(l.Faults), signal.Fault{From: l.Turn, To: l.Turn, Code: signal.CodeUnreachable})
		m.Change.Faults = &signal.Faults{List: faults[max(0, len(faults)-signal.MaxFaults):], Forgotten: l.Forgotten}
	}
	return m
}

func renewal(l signal.Lane, me string, at signal.Instant) signal.Move {
	return signal.Move{
		Kind:   signal.KindRenew,
		Guard:  signal.Guard{Done: l.Done, Turn: l.Turn, Owner: me, TurnAt: l.TurnAt, Held: signal.Any},
		Change: signal.Change{Done: l.Done, Turn: l.Turn, Owner: me, TurnAt: at},
	}
}

// following is the unbroken run of held frames after turn, and its end.
func following(l signal.Lane, turn int64) (run []signal.Numbered, end int64) {
	for _, n := range slices.Sorted(maps.Keys(l.Held)) {
		if n == turn+1 {
			run, turn = append(run, signal.Numbered{N: n, Frame: l.Held[n].Frame}), n
		}
	}
	return run, turn
}

func (c *client) move(l *sharedLane, m signal.Move) (signal.Connection, bool, error) {
	return c.history.move(c.number, l.ID, m, c.clock)
}

// admit admits the connection, whose numbers begin anew.
func (c *client) admit(l *sharedLane) {
	l.sent.Store(0)
	admitted := signal.Connection{Peer: l.Peer, Expires: now.Add(24 * time.Hour), Lane: signal.NewLane()}
	c.do(admit{admitted}, func(ctx context.Context) answer {
		return answer{Err: errored(c.history.store.Admit(ctx, admitted))}
	})
}

func (c *client) inspect(l *sharedLane) answer {
	return c.do(inspect{l.ID}, func(ctx context.Context) answer {
		at, err := c.history.store.Inspect(ctx, l.ID, c.clock())
		return answer{Connection: normal(at), Err: errored(err)}
	})
}

func (c *client) drop(l *sharedLane) {
	c.do(drop{l.ID}, func(ctx context.Context) answer {
		was, err := c.history.store.Drop(ctx, l.ID)
		return answer{Connection: normal(was), Err: errored(err)}
	})
}
