package memory

import (
	"context"
	"slices"

	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// numbersPerInstant is how many numbers of presence there are for each millisecond: a
// name that comes back, to this process or after it, begins above all that were given.
const numbersPerInstant = 1000

// watched is who watches a user.
type watched struct {
	by   map[signal.ConnectionID]bool
	told int64 // the number of the presence of which all have been told
	at   int64 // where that stood when the user's record was forgotten
}

// Watch implements [signal.PresenceStore].
func (s *Store) Watch(_ context.Context, user signal.UserName, by signal.ConnectionID, now lane.Instant) (signal.Presence, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.connection(by, now)
	if !ok || c.Ended {
		return signal.Presence{}, signal.ErrNoConnection
	}
	w, ok := s.watched.get(user)
	if !ok {
		at := s.changes(user)
		w = &watched{by: make(map[signal.ConnectionID]bool), told: at, at: at}
	}
	if mine := s.watching.rows[by]; !slices.Contains(mine, user) {
		if len(mine) >= signal.MaxWatched || len(w.by) >= signal.MaxWatchers {
			return signal.Presence{}, signal.ErrTooManyWatches
		}
		s.watched.put(user, w)
		w.by[by] = true
		s.watching.put(by, append(mine, user))
	}
	return s.presence(user, now), nil
}

// Unwatch implements [signal.PresenceStore].
func (s *Store) Unwatch(_ context.Context, user signal.UserName, by signal.ConnectionID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	mine := slices.DeleteFunc(s.watching.rows[by], func(other signal.UserName) bool { return other == user })
	if s.watching.put(by, mine); len(mine) == 0 {
		s.watching.remove(by)
	}
	s.unwatch(user, by)
	return nil
}

// unwatch takes a connection from those that watch a user. The lock is held, as it is
// by the others.
func (s *Store) unwatch(user signal.UserName, by signal.ConnectionID) {
	w, ok := s.watched.get(user)
	if !ok {
		return
	}
	if delete(w.by, by); len(w.by) == 0 {
		s.watched.remove(user)
	}
}

// unwatchAll ends what a connection watches.
func (s *Store) unwatchAll(by signal.ConnectionID) {
	mine, ok := s.watching.rows[by]
	if !ok {
		return
	}
	for _, user := range mine {
		s.unwatch(user, by)
	}
	s.watching.remove(by)
}

// Watchers implements [signal.PresenceStore].
func (s *Store) Watchers(_ context.Context, user signal.UserName, now lane.Instant) (signal.Presence, []signal.Peer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []signal.ConnectionID
	if w, ok := s.watched.get(user); ok {
		for id := range w.by {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids) // whoever simulates needs the same each time
	var peers []signal.Peer
	for _, id := range ids {
		if c, ok := s.connection(id, now); ok && !c.Revoked(now) {
			peers = append(peers, c.Peer)
		}
	}
	return s.presence(user, 0), peers, nil
}

// Told implements [signal.PresenceStore].
func (s *Store) Told(_ context.Context, user signal.UserName, at int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w, ok := s.watched.get(user); ok {
		w.told = max(w.told, at)
	}
	return nil
}

// presence returns a user's presence; at time zero, whether or not its owner's time has
// passed.
func (s *Store) presence(name signal.UserName, now lane.Instant) signal.Presence {
	p := signal.Presence{User: name, Watched: true, At: s.changes(name)}
	if u, ok := s.users.get(name); ok && u.owner != nil {
		if p.Online = u.until > now; !p.Online {
			p.At++ // as its release will say
		}
	}
	return p
}

// changes returns the number of a user's presence.
func (s *Store) changes(name signal.UserName) int64 {
	if u, ok := s.users.get(name); ok {
		return u.changes
	}
	if w, ok := s.watched.get(name); ok {
		return w.at
	}
	return max(s.forgotten, int64(s.latest)*numbersPerInstant)
}

// owed reports whether those who watch a user have not all been told of its presence.
func (s *Store) owed(name signal.UserName) bool {
	w, ok := s.watched.get(name)
	return ok && w.told < s.changes(name)
}
