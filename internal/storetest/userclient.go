package storetest

import (
	"context"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// takeovers bounds how often a claim meets a new owner.
const takeovers = 4

// longer is more than an ownership lasts.
const longer = 2 * time.Hour

// meet does something to a user.
func (c *client) meet(u *sharedUser) {
	switch roll := c.rng.IntN(100); {
	case roll < 25:
		c.takeOver(u)
	case roll < 28:
		c.outlive(u)
	case roll < 40:
		c.release(u, c.last.ID)
	case roll < 45:
		if a := c.owner(u, c.clock()); a.Err == nil {
			c.release(u, a.Peer.ID)
		}
	case roll < 80:
		c.route(u, c.reading())
	default:
		c.owner(u, c.reading())
	}
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
// [RepeatedClaim]'s.
func (c *client) takeOver(u *sharedUser) {
	at := c.clock()
	if !c.oneIn(4) {
		c.last = c.names.peer()
	} else if c.oneIn(3) {
		at = at.Add(longer)
	}
	in := signal.Claim{User: u.name, Peer: c.last, At: at, Until: at.Add(time.Hour), Epoch: c.me()}
	if c.oneIn(5) {
		in.Until = at.Add(skew)
	}
	switch c.rng.IntN(8) {
	case 0:
		in.Expect = "nobody"
	case 1, 2, 3: // the one there is, though its claim may be newer
		if p := c.owner(u, at).Peer; p.ID != c.last.ID {
			in.Expect = p.ID
		}
	}
	for range takeovers {
		a := c.claim(in)
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
	c.claim(signal.Claim{User: u.name, Peer: p, At: at, Until: at.Add(time.Hour), Epoch: c.me()})
	insist(func() answer { return c.release(u, p.ID) })
}

func (c *client) claim(in signal.Claim) answer {
	return c.do(claim{in}, func(ctx context.Context) answer {
		claimed, err := c.history.store.Claim(ctx, in)
		return answer{Claimed: claimed, Err: errored(err)}
	})
}

func (c *client) release(u *sharedUser, id signal.ConnectionID) answer {
	full := lane.TAT(c.rng.IntN(3))
	return c.do(release{u.name, id, full}, func(ctx context.Context) answer {
		released, err := c.history.store.Release(ctx, u.name, id, full)
		return answer{Done: released, Err: errored(err)}
	})
}

func (c *client) route(u *sharedUser, at lane.Instant) answer {
	return c.do(route{u.name, at}, func(ctx context.Context) answer {
		r, err := c.history.store.Route(ctx, u.name, at)
		return answer{Route: r, Err: errored(err)}
	})
}

func (c *client) owner(u *sharedUser, at lane.Instant) answer {
	return c.do(owner{u.name, at}, func(ctx context.Context) answer {
		p, err := c.history.store.Owner(ctx, u.name, at)
		return answer{Peer: p, Err: errored(err)}
	})
}
