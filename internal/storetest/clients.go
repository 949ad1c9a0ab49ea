package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// errUnknown: every attempt has gone without an answer.
var errUnknown = errors.New("the outcome is not known")

// world is what clients share: the connections and users, and the time. Every
// look at the clock is a millisecond, so that no two leases begin at the same.
type world struct {
	lanes []*sharedLane
	users []*sharedUser
	ticks atomic.Int64
	names suite
}

// sharedLane is a connection, with the highest number that was sent on it.
type sharedLane struct {
	signal.Peer
	sent atomic.Int64
}

// sharedUser is a name, with how many epochs it has been through.
type sharedUser struct {
	name   signal.UserName
	epochs atomic.Int64
}

func newWorld(l load) *world {
	w := &world{}
	for range l.lanes {
		w.lanes = append(w.lanes, &sharedLane{Peer: w.names.peer()})
	}
	for range l.names {
		w.users = append(w.users, &sharedUser{name: signal.UserName(w.names.unique())})
	}
	return w
}

// client does as invocations do, of all connections and users at once.
type client struct {
	*world
	history *history
	number  int
	rng     *rand.Rand
	work    int         // invocations so far
	last    signal.Peer // the last connection that claimed a name
}

func newClient(h *history, w *world, number int, seed uint64) *client {
	return &client{world: w, history: h, number: number, rng: rand.New(rand.NewPCG(seed, uint64(number))), last: w.names.peer()}
}

func (c *client) run() {
	for !c.history.spent() {
		switch {
		case c.oneIn(2):
			c.invoke()
		default:
			c.meet(c.users[c.rng.IntN(len(c.users))])
		}
	}
}

// lookAtAll looks at every record, so that nothing that took effect last goes
// unseen.
func (c *client) lookAtAll() {
	for _, l := range c.lanes {
		insist(func() answer { return c.get(l) })
	}
	for _, u := range c.users {
		insist(func() answer { return c.route(u, c.clock()) })
	}
}

// insist asks until there is an answer, within reason.
func insist(ask func() answer) {
	for range 10 * moveTries {
		if ask().known() {
			return
		}
	}
}

func (c *client) oneIn(n int) bool { return c.rng.IntN(n) == 0 }

// skew is how far a clock is ahead now and then: it finds every lease expired,
// and every gap too old.
const skew = lane.LeaseTimeout + time.Second

func (c *client) clock() lane.Instant {
	at := now + lane.Instant(c.ticks.Add(1))
	if c.oneIn(12) {
		at = at.Add(skew)
	}
	return at
}

func (c *client) me() string {
	c.work++
	return fmt.Sprintf("%d.%d", c.number, c.work)
}

func (c *client) do(op call, ask func(context.Context) answer) answer {
	return c.history.do(c.number, op, ask)
}
