package memory

import (
	"container/list"

	"github.com/owt-signal/owt-signal/internal/signal"
)

// What is kept at most in case somebody comes back, the newest: some 5 MB
// together.
const (
	// MaxReleased is how many names are kept that nobody owns. One that is not any
	// more begins a new epoch with its next owner, and a full bucket. Even of one that
	// has got no message the epoch is worth keeping: a client that comes back to
	// another takes it that messages may be lost.
	MaxReleased = 8192
	// MaxEnded is how many connections are kept that have ended. A session whose
	// connection is not any more is not resumed.
	MaxEnded = 4096
)

// kept is what is kept in case somebody comes back, the oldest first.
type kept struct {
	released list.List // of signal.UserName
	ended    list.List // of signal.ConnectionID, perhaps of some that have expired
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
func (s *Store) keepEnded(id signal.ConnectionID) {
	s.kept.ended.PushBack(id)
	if s.kept.ended.Len() > MaxEnded {
		oldest, _ := s.kept.ended.Remove(s.kept.ended.Front()).(signal.ConnectionID)
		s.connections.remove(oldest)
	}
}
