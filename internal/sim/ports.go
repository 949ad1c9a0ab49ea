package sim

import (
	"context"
	"errors"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// Faults are the probabilities of what goes wrong, each per occasion, and how
// long things take.
type Faults struct {
	Crash        float64       // at each step of an invocation
	Repeat       float64       // an invocation runs twice
	LoseFrame    float64       // a frame never reaches an invocation
	StoreFails   float64       // a store call fails without effect
	StoreLost    float64       // a store call takes effect, and its answer is lost
	StoreLate    float64       // a store call fails, and takes effect later
	Busy         float64       // a post is refused, 429
	PostLost     float64       // a post is accepted, and its answer is lost
	PostFails    float64       // a post fails, and is not accepted
	LoseLeave    float64       // $disconnect never comes
	Vanish       float64       // a connection ends without a $disconnect
	Skew         time.Duration // of a machine's clock, at most, either way
	Invoke       time.Duration // typical time until an invocation starts
	Store        time.Duration // typical time of a store call
	Post         time.Duration // typical time of a post
	LateEffect   time.Duration // how much later a late effect comes at most
	FunctionTime time.Duration // an invocation's deadline
}

var (
	errUnknown = errors.New("the answer was lost")
	errTimeout = errors.New("gave up waiting")
)

// step returns a point at which an invocation may crash.
func (s *Sim) step() {
	if s.current.frail && s.chance(s.faults.Crash) {
		s.count("crashes")
		s.crash()
	}
}

// call makes a store call: it takes time before and after its effect, and may
// fail in every way.
func (s *Sim) call(name string, it item, effect func()) error {
	s.step()
	write := writes(name)
	if write {
		s.count("writes")
	} else {
		s.count("reads")
	}
	s.wait(s.latency(s.faults.Store) / 2)
	if !s.units.serves(it.key, write, s.now) {
		s.count("throttled calls")
		s.tracef("%s of %s is throttled", name, it.key)
		s.wait(s.latency(s.faults.Store) / 2)
		return signal.ErrBusy
	}
	effect = s.charged(it, write, effect)
	if s.outage.has(s.now) {
		return s.out(name, effect)
	}
	switch {
	case s.chance(s.faults.StoreFails):
		s.count("store failures")
		s.tracef("%s fails", name)
		s.wait(s.latency(s.faults.Store))
		return errUnknown
	case s.chance(s.faults.StoreLate):
		s.count("late store effects")
		s.tracef("%s fails, for now", name)
		s.after(s.upTo(s.faults.LateEffect), func() { s.tracef("%s takes effect late", name); effect() })
		s.wait(s.latency(s.faults.Store))
		return errUnknown
	}
	effect()
	s.step()
	s.wait(s.latency(s.faults.Store) / 2)
	if s.chance(s.faults.StoreLost) {
		s.count("lost store answers")
		s.tracef("%s: answer lost", name)
		return errUnknown
	}
	return nil
}

// window is a span of time; the zero value is none.
type window struct{ from, to time.Duration }

func (w window) has(at time.Duration) bool { return w.from <= at && at < w.to }

// out makes a store call while the store is out: it is refused, takes effect
// though its answer is lost, or hangs until the store is there again.
func (s *Sim) out(name string, effect func()) error {
	s.count("calls in an outage")
	kind := s.rng.IntN(3)
	s.tracef("%s in an outage: %s", name, []string{"refused", "answer lost", "hangs"}[kind])
	switch kind {
	case 0:
		return errUnknown
	case 1:
		effect()
		s.step()
		s.wait(s.upTo(s.outage.to - s.now))
		return errUnknown
	default:
		s.wait(s.outage.to - s.now)
		effect()
		s.wait(s.latency(s.faults.Store) / 2)
		return nil
	}
}

// store is the store under test behind a network. It tells the checker what
// has been committed.
type store struct {
	*Sim
	signal.Store
}

// Create implements [signal.ConnectionStore].
func (s store) Create(ctx context.Context, c signal.Connection) (err error) {
	return errors.Join(s.call("create", s.connectionItem(c.ID), func() { err = s.Store.Create(ctx, c) }), err)
}

// Get implements [signal.ConnectionStore].
func (s store) Get(ctx context.Context, id signal.ConnectionID, now lane.Instant) (c signal.Connection, err error) {
	if failed := s.call("get", s.connectionItem(id), func() { c, err = s.Store.Get(ctx, id, now) }); failed != nil {
		return signal.Connection{}, failed
	}
	return c, err
}

// Update implements [signal.ConnectionStore].
func (s store) Update(ctx context.Context, id signal.ConnectionID, u signal.Update, now lane.Instant) (c signal.Connection, made bool, err error) {
	if n := len(u.Change.Hold); n > 0 && s.bodies != nil {
		s.counts["bodies"] += n
		s.counts["writes"] += n - 1 // in one call
		s.units.charge("", true, n, s.units.body(), s.now)
		if failed := s.call("keep", item{}, func() { u = s.bodies.keep(id, u) }); failed != nil {
			return signal.Connection{}, false, failed
		}
	}
	spent := s.bodies.of(u.Spent) // which are deleted beside the update
	s.counts["writes"] += spent
	s.units.charge("", true, spent, s.units.body(), s.now)
	s.bodies.drop(id, u.Spent)
	failed := s.call(string(u.Kind), s.connectionItem(id), func() {
		c, made, err = s.Store.Update(ctx, id, u, now)
		s.tracef("%s %s: made %v, done %d turn %d held %d %v", u.Kind, id, made, c.Lane.Done, c.Lane.Taken, len(c.Lane.Held), err)
		if made {
			s.moved(c, u)
		}
		s.tried(id, u, err)
	})
	if failed != nil {
		return signal.Connection{}, false, failed
	}
	return c, made, err
}

// GetEnded implements [signal.ConnectionStore].
func (s store) GetEnded(ctx context.Context, id signal.ConnectionID, now lane.Instant) (c signal.Connection, err error) {
	if failed := s.call("get ended", s.connectionItem(id), func() { c, err = s.Store.GetEnded(ctx, id, now) }); failed != nil {
		return signal.Connection{}, failed
	}
	return c, err
}

// End implements [signal.ConnectionStore].
func (s store) End(ctx context.Context, id signal.ConnectionID, now lane.Instant) (c signal.Connection, err error) {
	failed := s.call("end", s.connectionItem(id), func() {
		c, err = s.Store.End(ctx, id, now)
		if err == nil {
			s.ends[id] = s.now
		}
		s.tracef("end %s: %v", id, err)
	})
	if failed != nil {
		return signal.Connection{}, failed
	}
	return c, err
}

// Claim implements [signal.UserStore].
func (s store) Claim(ctx context.Context, c signal.Claim) (claimed signal.Claimed, err error) {
	failed := s.call("claim", s.userItem(c.User), func() {
		claimed, err = s.Store.Claim(ctx, c)
		s.tracef("claim %s by %s expecting %q: %s %v", c.User, c.Peer.ID, c.Expect, claimed.Owner.ID, err)
		if err == nil && claimed.Owner.ID == c.Peer.ID {
			s.claimed(c)
		}
		if errors.Is(err, signal.ErrNewerClaim) {
			s.superseded[c.Peer.ID] = s.now
		}
	})
	if failed != nil {
		return signal.Claimed{}, failed
	}
	return claimed, err
}

// Release implements [signal.UserStore].
func (s store) Release(ctx context.Context, user signal.UserName, id signal.ConnectionID, tat lane.TAT) (released signal.Released, err error) {
	failed := s.call("release", s.userItem(user), func() {
		released, err = s.Store.Release(ctx, user, id, tat)
		s.tracef("release %s by %s: %+v", user, id, released)
	})
	if failed != nil {
		return signal.Released{}, failed
	}
	return released, err
}

// Route implements [signal.UserStore].
func (s store) Route(ctx context.Context, user signal.UserName, messages int, now lane.Instant) (r signal.Route, err error) {
	failed := s.call("route", s.userItem(user), func() {
		r, err = s.Store.Route(ctx, user, messages, now)
		if err == nil {
			s.routed(user, r, messages)
		}
	})
	if failed != nil {
		return signal.Route{}, failed
	}
	return r, err
}

// Owner implements [signal.UserStore].
func (s store) Owner(ctx context.Context, user signal.UserName, now lane.Instant) (p signal.Peer, err error) {
	if failed := s.call("owner", s.userItem(user), func() { p, err = s.Store.Owner(ctx, user, now) }); failed != nil {
		return signal.Peer{}, failed
	}
	return p, err
}

// Post implements [signal.Pusher]: what is accepted is accepted before the
// caller gives up, or never.
func (s *Sim) Post(_ context.Context, to signal.Peer, e signal.Event) error {
	s.step()
	s.count("posts")
	took := s.latency(s.faults.Post)
	if took/2 >= lane.PostWithin || s.chance(s.faults.PostFails) {
		s.count("failed posts")
		s.wait(min(took, lane.PostWithin))
		return errTimeout
	}
	s.wait(took / 2)
	if s.chance(s.faults.Busy) {
		s.count("throttled posts")
		s.wait(took / 2)
		return signal.ErrBusy
	}
	k := s.sockets[to.ID]
	if k == nil || !k.open {
		if k != nil {
			s.foundGone(k, e)
		}
		s.tracef("post %s to %s: gone", show(e), to.ID)
		s.wait(took / 2)
		return signal.ErrGone
	}
	s.accept(k, e)
	s.step()
	if took >= lane.PostWithin || s.chance(s.faults.PostLost) {
		s.count("lost post answers")
		s.tracef("post: answer lost")
		s.wait(min(took/2, lane.PostWithin-took/2))
		return errTimeout
	}
	s.wait(took / 2)
	return nil
}

// Close implements [signal.Pusher].
func (s *Sim) Close(_ context.Context, p signal.Peer) error {
	s.step()
	s.wait(s.latency(s.faults.Post))
	if k := s.sockets[p.ID]; k != nil && k.open {
		s.tracef("close %s", p.ID)
		s.shut(k, false)
	}
	return nil
}
