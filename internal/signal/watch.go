package signal

import (
	"context"
	"errors"

	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// Limits of who watches whom.
const (
	// MaxWatched is how many users a connection may watch at a time.
	MaxWatched = 64
	// MaxWatchers is how many connections may watch a user at a time: as many posts,
	// each time it comes or goes.
	MaxWatchers = 1000
)

// AttributeWatch is the attribute of an identity that says of whom it may learn
// whether they are online, by a question or by watching: [WatchAny], which is what
// counts where there is no such attribute. With [WatchNone], or whatever else it says,
// of nobody.
const (
	AttributeWatch = "watch"
	WatchAny       = "any"
	WatchNone      = "none"
)

// PresenceStore keeps who watches whom, and a number of each user's presence.
//
// The number rises with each change, also where the user's record begins anew: a
// claim of a name that is free counts two, its release one.
type PresenceStore interface {
	// Watch has a connection watch a user, and returns the user's presence. Whoever
	// changes that from then on finds the connection by [PresenceStore.Watchers]. A name
	// whose owner's time has passed is free, with the number that its release will
	// have.
	// [ErrTooManyWatches] if the connection watches [MaxWatched] others, or
	// [MaxWatchers] others watch the user. [ErrNoConnection], or nothing, if the
	// connection has ended.
	Watch(ctx context.Context, user UserName, by ConnectionID, now lane.Instant) (Presence, error)
	// Unwatch ends that.
	Unwatch(ctx context.Context, user UserName, by ConnectionID) error
	// Watchers returns the presence of a user, and the connections that watch it. It
	// leaves out, for good, those that have ended, and those that are revoked. A name
	// is free once it is released: what all are told is to be the same by any clock.
	Watchers(ctx context.Context, user UserName, now lane.Instant) (Presence, []Peer, error)
	// Told notes that all who watch a user have been told of its presence, up to that
	// number.
	Told(ctx context.Context, user UserName, at int64) error
}

// mayAsk returns the connection of a client that asks for somebody's presence; or,
// with false, the answer to one that may not.
func (s *Service) mayAsk(ctx context.Context, p Peer, user UserName) (Connection, Reply, bool) {
	c, refused, ok := s.asker(ctx, p, user)
	if may, set := c.Attributes[AttributeWatch]; ok && set && may != WatchAny {
		return c, reply(RequestFailed{lane.CodeUnknownUser, user}), false
	}
	return c, refused, ok
}

// watchUser has a client told of a user's presence, now and whenever that changes, until
// its connection ends.
func (s *Service) watchUser(ctx context.Context, p Peer, user UserName) Reply {
	c, refused, ok := s.mayAsk(ctx, p, user)
	if !ok {
		return refused
	}
	var is Presence
	err := s.untilKnown(ctx, func(now lane.Instant) (err error) {
		is, err = s.Store.Watch(ctx, user, c.ID, now)
		return err
	})
	return s.watched(ctx, c, user, is, err)
}

// unwatchUser ends that.
func (s *Service) unwatchUser(ctx context.Context, p Peer, user UserName) Reply {
	c, refused, ok := s.asker(ctx, p, user)
	if !ok {
		return refused
	}
	err := s.untilKnown(ctx, func(lane.Instant) error { return s.Store.Unwatch(ctx, user, c.ID) })
	return s.watched(ctx, c, user, Unwatched{user}, err)
}

// watched answers a client about whom it watches.
func (s *Service) watched(ctx context.Context, c Connection, user UserName, e Event, err error) Reply {
	switch {
	case err == nil:
		return reply(e)
	case errors.Is(err, ErrNoConnection):
		return s.rejectEnded(ctx, c.Peer).refused()
	case !errors.Is(err, ErrTooManyWatches):
		s.Log.WarnContext(ctx, "watch failed", "connection", c.ID, "user", user, "error", err)
	}
	return reply(RequestFailed{codeOf(err), user})
}
