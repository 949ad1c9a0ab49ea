package sim

import (
	"context"
	"errors"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal"
)

// Faults are the probabilities of what goes wrong, each per occasion, and how
// long things take.
type Faults struct {
	Crash        float64 // at each step of an invocation
	Repeat       float64 // an invocation runs twice
	LoseFrame    float64 // a frame never reaches an invocation
	StoreFails   float64 // a store call fails without effect
	StoreLost    float64 // a store call takes effect, and its answer is lost
	StoreLate    float64 // a store call fails, and takes effect later
	Busy         float64 // a post is refused, 429
	PostLost     float64 // a post is accepted, and its answer is lost
	PostFails    float64 // a post fails, and is not accepted
	LoseLeave    float64 // $disconnect never comes
	Vanish       float64 // a connection ends without anybody being told
	Skew         time.Duration
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

// step is a point at which an invocation may crash.
func (s *Sim) step() {
	if s.current.frail && s.chance(s.faults.Crash) {
		s.count("crashes")
		s.crash()
	}
}

// call makes a store call: it takes time before and after its effect, and may
// fail in every way.
func (s *Sim) call(name string, effect func()) error {
	s.step()
	if writes(name) {
		s.count("writes")
	} else {
		s.count("reads")
	}
	s.wait(s.latency(s.faults.Store) / 2)
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

// store is the store under test behind a network. It tells the checker what
// has been committed.
type store struct {
	*Sim
	signal.Store
}

// Admit implements [signal.ConnectionStore].
func (s store) Admit(ctx context.Context, c signal.Connection) (err error) {
	return errors.Join(s.call("admit", func() { err = s.Store.Admit(ctx, c) }), err)
}

// Inspect implements [signal.ConnectionStore].
func (s store) Inspect(ctx context.Context, id signal.ConnectionID, now signal.Instant) (c signal.Connection, err error) {
	if failed := s.call("inspect", func() { c, err = s.Store.Inspect(ctx, id, now) }); failed != nil {
		return signal.Connection{}, failed
	}
	return c, err
}

// Move implements [signal.ConnectionStore].
func (s store) Move(ctx context.Context, id signal.ConnectionID, m signal.Move, now signal.Instant) (c signal.Connection, made bool, err error) {
	failed := s.call(string(m.Kind), func() {
		c, made, err = s.Store.Move(ctx, id, m, now)
		s.tracef("%s %s: made %v, done %d turn %d held %d %v", m.Kind, id, made, c.Lane.Done, c.Lane.Turn, len(c.Lane.Held), err)
		s.weigh(c, m, made)
		if made {
			s.moved(c, m)
		}
	})
	if failed != nil {
		return signal.Connection{}, false, failed
	}
	return c, made, err
}

// Recall implements [signal.ConnectionStore].
func (s store) Recall(ctx context.Context, id signal.ConnectionID, now signal.Instant) (c signal.Connection, err error) {
	if failed := s.call("recall", func() { c, err = s.Store.Recall(ctx, id, now) }); failed != nil {
		return signal.Connection{}, failed
	}
	return c, err
}

// Drop implements [signal.ConnectionStore].
func (s store) Drop(ctx context.Context, id signal.ConnectionID) (c signal.Connection, err error) {
	failed := s.call("drop", func() {
		c, err = s.Store.Drop(ctx, id)
		s.tracef("drop %s: %v", id, err)
	})
	if failed != nil {
		return signal.Connection{}, failed
	}
	return c, err
}

// Claim implements [signal.UserStore].
func (s store) Claim(ctx context.Context, c signal.Claim) (claimed signal.Claimed, err error) {
	failed := s.call("claim", func() {
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
func (s store) Release(ctx context.Context, user signal.UserName, id signal.ConnectionID, full signal.FullAt) (released bool, err error) {
	failed := s.call("release", func() {
		released, err = s.Store.Release(ctx, user, id, full)
		s.tracef("release %s by %s: %v", user, id, released)
	})
	if failed != nil {
		return false, failed
	}
	return released, err
}

// Route implements [signal.UserStore].
func (s store) Route(ctx context.Context, user signal.UserName, now signal.Instant) (r signal.Route, err error) {
	failed := s.call("route", func() {
		r, err = s.Store.Route(ctx, user, now)
		if err == nil {
			s.routed(user, r.Peer.ID)
		}
	})
	if failed != nil {
		return signal.Route{}, failed
	}
	return r, err
}

// Owner implements [signal.UserStore].
func (s store) Owner(ctx context.Context, user signal.UserName, now signal.Instant) (p signal.Peer, err error) {
	if failed := s.call("owner", func() { p, err = s.Store.Owner(ctx, user, now) }); failed != nil {
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
	if took/2 >= signal.PostWithin || s.chance(s.faults.PostFails) {
		s.count("failed posts")
		s.wait(min(took, signal.PostWithin))
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
		s.tracef("post %s to %s: gone", show(e), to.ID)
		s.wait(took / 2)
		return signal.ErrGone
	}
	s.accept(k, e)
	s.step()
	if took >= signal.PostWithin || s.chance(s.faults.PostLost) {
		s.count("lost post answers")
		s.tracef("post: answer lost")
		s.wait(min(took/2, signal.PostWithin-took/2))
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
