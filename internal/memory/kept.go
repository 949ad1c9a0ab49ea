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
	// more begins a new epoch with its next owner, and a full bucket, so those whose
	// bucket is full go first. Even of one that has got no message the epoch is worth
	// keeping: a client that comes back to another takes it that messages may be lost.
	MaxReleased = 8192
	// MaxEnded is how many connections with a session are kept that have ended, and
	// how many without. A session whose connection is not any more is not resumed;
	// who asks after a number of one without is told that it is not known.
	MaxEnded = 4096
)

// kept is what is kept in case somebody comes back, the oldest first.
type kept struct {
	released list.List // of signal.UserName, with a full bucket
	spent    list.List // the same, whose bucket was not full when they were released
	sessions list.List // of signal.ConnectionID, perhaps of some that have expired
	ended    list.List // the same, of connections without a session

	forgotten Forgotten
}

// Forgotten is how many names, connections with a session, and connections without
// one, that have ended, had to go for want of room.
type Forgotten struct{ Names, Sessions, Ended int64 }

// Forgotten returns the counts since the Store was made.
func (s *Store) Forgotten() Forgotten {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kept.forgotten
}

// keepReleased keeps a name that was released. The lock is held, as it is by the
// others.
func (s *Store) keepReleased(name signal.UserName, u *user) {
	k := &s.kept
	if u.fullAt.FullBy(s.latest) {
		u.place = k.released.PushBack(name)
	} else {
		u.place = k.spent.PushBack(name)
	}
	s.sortSpent()
	if k.released.Len()+k.spent.Len() <= MaxReleased {
		return
	}
	oldest := k.released.Front()
	if oldest == nil {
		oldest = k.spent.Front()
	}
	k.forgotten.Names++
	s.forget(nameAt(oldest))
}

// sortSpent puts the names at the front whose bucket has filled among those with a
// full one.
func (s *Store) sortSpent() {
	for e := s.kept.spent.Front(); e != nil; e = s.kept.spent.Front() {
		u := s.users.rows[nameAt(e)]
		if !u.fullAt.FullBy(s.latest) {
			return
		}
		s.kept.spent.Remove(e)
		u.place = s.kept.released.PushBack(nameAt(e))
	}
}

func nameAt(e *list.Element) signal.UserName {
	name, _ := e.Value.(signal.UserName)
	return name
}

// claimed takes a name out of those that are only kept.
func (s *Store) claimed(u *user) {
	if u.place != nil { // in one of them
		s.kept.released.Remove(u.place)
		s.kept.spent.Remove(u.place)
		u.place = nil
	}
}

// forget removes a name, if it is there.
func (s *Store) forget(name signal.UserName) {
	if u, ok := s.users.rows[name]; ok {
		s.claimed(u)
		s.users.remove(name)
		s.forgotten = max(s.forgotten, u.changes)
		if w, ok := s.watched.rows[name]; ok {
			w.at = u.changes
		}
	}
}

// keepEnded keeps a connection that has ended.
func (s *Store) keepEnded(c *signal.Connection, now lane.Instant) {
	ended, forgotten := &s.kept.ended, &s.kept.forgotten.Ended
	if c.Session != "" {
		ended, forgotten = &s.kept.sessions, &s.kept.forgotten.Sessions
	}
	ended.PushBack(c.ID)
	for e := ended.Front(); e != nil; e = ended.Front() {
		oldest, _ := e.Value.(signal.ConnectionID)
		_, there := s.connection(oldest, now)
		if there && ended.Len() <= MaxEnded {
			return
		}
		if there {
			*forgotten++
		}
		s.connections.remove(oldest)
		ended.Remove(e)
	}
}
