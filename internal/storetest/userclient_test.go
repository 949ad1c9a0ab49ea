package storetest

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

const (
	// takeovers bounds how often a claim meets a new owner.
	takeovers = 4
	// longer is more than an ownership lasts.
	longer = 2 * time.Hour
	// skew is how far a clock is ahead now and then.
	skew = 15 * time.Second
	// insistence bounds how often a client asks until there is an answer.
	insistence = 30
)

// world is what clients share: the users, and the time. Every look at the
// clock is a millisecond.
type world struct {
	users []*sharedUser
	ticks atomic.Int64
	names suite
}

// sharedUser is a name, with how many epochs it has been through.
type sharedUser struct {
	name   signal.UserName
	epochs atomic.Int64
}

func newWorld(l load) *world {
	w := &world{}
	for range l.names {
		w.users = append(w.users, &sharedUser{name: signal.UserName(w.names.unique())})
	}
	return w
}

// client does what connections do that claim, and write to, the same users.
type client struct {
	*world
	history *history
	number  int
	rng     *rand.Rand
	epochs  int         // that it has proposed so far
	last    signal.Peer // the last connection that claimed a name
}

func newClient(h *history, w *world, number int, seed uint64) *client {
	return &client{world: w, history: h, number: number, rng: rand.New(rand.NewPCG(seed, uint64(number))), last: w.names.peer()}
}

func (c *client) run() {
	for !c.history.spent() {
		c.act(c.users[c.rng.IntN(len(c.users))])
	}
}

// act does something to a user.
func (c *client) act(u *sharedUser) {
	switch roll := c.rng.IntN(100); {
	case roll < 25:
		c.takeOver(u)
	case roll < 28:
		c.outlive(u)
	case roll < 40:
		c.do(release{u.name, c.last.ID, c.full()})
	case roll < 45:
		if a := c.do(owner{u.name, c.clock()}); a.Err == nil {
			c.do(release{u.name, a.Peer.ID, c.full()})
		}
	case roll < 80:
		c.do(route{u.name, 1 + c.rng.IntN(3), c.reading()})
	default:
		c.do(owner{u.name, c.reading()})
	}
}

// routeToAll routes to every user, so that nothing that took effect last goes
// unseen.
func (c *client) routeToAll() {
	for _, u := range c.users {
		c.insist(route{u.name, 1, c.clock()})
	}
}

// insist asks until there is an answer, within reason.
func (c *client) insist(op call) {
	for range insistence {
		if c.do(op).known() {
			return
		}
	}
}

func (c *client) do(op call) answer { return c.history.do(c.number, op) }

func (c *client) oneIn(n int) bool { return c.rng.IntN(n) == 0 }

func (c *client) full() lane.TAT { return lane.TAT(c.rng.IntN(3)) }

func (c *client) epoch() string {
	c.epochs++
	return fmt.Sprintf("%d.%d", c.number, c.epochs)
}

func (c *client) clock() lane.Instant {
	at := now + lane.Instant(c.ticks.Add(1))
	if c.oneIn(12) {
		at = at.Add(skew)
	}
	return at
}

// reading is when a record is read: now and then after an ownership's end.
func (c *client) reading() lane.Instant {
	if c.oneIn(10) {
		return c.clock().Add(longer)
	}
	return c.clock()
}

// takeOver claims a name over whoever owns it: with a new connection or, as a
// repeated invocation does, with the one before, even when its ownership has
// ended; with a clock that may be behind; and sometimes over one that does not
// own it. What a claim does that expects its own connection is
// [claimsRepeatedly]'s.
func (c *client) takeOver(u *sharedUser) {
	at := c.clock()
	if !c.oneIn(4) {
		c.last = c.names.peer()
	} else if c.oneIn(3) {
		at = at.Add(longer)
	}
	in := signal.Claim{User: u.name, Peer: c.last, At: at, Until: at.Add(time.Hour), Epoch: c.epoch()}
	if c.oneIn(5) {
		in.Until = at.Add(skew)
	}
	switch c.rng.IntN(8) {
	case 0:
		in.Expect = "nobody"
	case 1, 2, 3: // the one there is, though its claim may be newer
		if p := c.do(owner{u.name, at}).Peer; p.ID != c.last.ID {
			in.Expect = p.ID
		}
	}
	for range takeovers {
		a := c.do(claim{in})
		if a.Err != nil || a.Claimed.Owner.ID == in.Peer.ID {
			return
		}
		in.Expect = a.Claimed.Owner.ID
	}
}

// outlive claims a name when its epoch is over, on the whole second, as the
// time to live has it, and releases it, so that claims of now find it free.
func (c *client) outlive(u *sharedUser) {
	at := now.Add(time.Duration(u.epochs.Add(1)) * (signal.EpochLife + longer))
	p := c.names.peer()
	c.do(claim{signal.Claim{User: u.name, Peer: p, At: at, Until: at.Add(time.Hour), Epoch: c.epoch()}})
	c.insist(release{u.name, p.ID, c.full()})
}
