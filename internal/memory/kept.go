package memory

import (
	"container/list"

	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// What is kept at most in case somebody comes back, the newest: some 5 MB
// together.
const (
	// MaxReleased is how many names are kept that nobody owns. One that is not any
	// more begins a new epoch with its next owner, and a full bucket. Even of one that
	// has got no message the epoch is worth keeping: a client that comes back to
	// another takes it that messages may be lost.
	MaxReleased = 8192
	// MaxEnded is how many connections with a session are kept that have ended, and
	// how many without. A session whose connection is not any more is not resumed;
	// who asks after a number of one without is told that it is not known.
	MaxEnded = 4096
)

// kept is what is kept in case somebody comes back, the oldest first.
type kept struct {
	released list.List // of signal.UserName
	sessions list.List // of signal.ConnectionID, perhaps of some that have expired
	ended    list.List // the same, of connections without a session
}

// keepReleased keeps a name that was released. The lock is held, as it is by the
// others.
func (s *Store) keepReleased(name signal.UserName, u *user) {
	u.place = s.kept.released.PushBack(name)
	if s.kept.released.Len() > MaxReleased {
		oldest, _ := s.kept.released.Front().Value.(signal.UserName)
		s.forget(oldest)
	}
}

// claimed takes a name out of those that are only kept.
func (s *Store) claimed(u *user) {
	if u.place != nil {
		s.kept.released.Remove(u.place)
		u.place = nil
	}
}

// forget removes a name, if it is there.
func (s *Store) forget(name signal.UserName) {
	if u, ok := s.users.rows[name]; ok {
		s.claimed(u)
		s.users.remove(name)
	}
}

// keepEnded keeps a connection that has ended.
func (s *Store) keepEnded(c *signal.Connection, now lane.Instant) {
	ended := &s.kept.ended
	if c.Session != "" {
		ended = &s.kept.sessions
	}
	ended.PushBack(c.ID)
	for e := ended.Front(); e != nil; e = ended.Front() {
		oldest, _ := e.Value.(signal.ConnectionID)
		if _, ok := s.connection(oldest, now); ok && ended.Len() <= MaxEnded {
			return
		}
		s.connections.remove(oldest)
		ended.Remove(e)
	}
}
