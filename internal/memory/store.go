// Package memory keeps the records in this process: the embedded default of
// the local server. Every operation is one step under a lock, so it is as
// consistent as the real table.
package memory

import (
	"container/list"
	"context"
	"maps"
	"sync"

	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// Store implements [signal.Store]. Its records end with the process; those
// that have expired are removed in passing, and of those that are only kept in
// case somebody comes back, the oldest, beyond [MaxReleased] and [MaxEnded]. It is
// safe for concurrent use.
type Store struct {
	mu          sync.Mutex
	connections parted[signal.ConnectionID, *signal.Connection]
	users       parted[signal.UserName, *user]
	lobbies     table[signal.LobbyID, *signal.Lobby]
	inLobby     list.List // of signal.LobbyID, all of lobbies, the oldest first
	history     history
	watched     parted[signal.UserName, *watched]
	watching    table[signal.ConnectionID, []signal.UserName] // whom a connection watches
	forgotten   int64                                         // the highest number of presence of users who were forgotten
	kept        kept
	backends    backends
	latest      lane.Instant // that a caller has said
}

var _ signal.Store = (*Store)(nil)

// user is the record of a user.
type user struct {
	owner     *signal.Peer // nil: released
	claimedAt lane.Instant
	until     lane.Instant // the ownership's end
	epoch     string
	seq       int64
	recovers  bool          // the last owner's client does
	keptAfter int64         // as [signal.Claimed] has it, if it does
	changes   int64         // the number of the presence
	fullAt    lane.TAT      // what the last owner has left
	place     *list.Element // among the names that are released and kept; nil: it is not
}

// New returns an empty Store.
func New() *Store { return new(Store) }

// Create implements [signal.ConnectionStore].
func (s *Store) Create(_ context.Context, c signal.Connection) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.connections.get(c.ID); !ok {
		c = copied(&c)
		s.connections.put(c.ID, &c)
	}
	return nil
}

// Get implements [signal.ConnectionStore].
func (s *Store) Get(_ context.Context, id signal.ConnectionID, now lane.Instant) (signal.Connection, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.connection(id, now)
	if !ok || c.Ended {
		return signal.Connection{}, signal.ErrNoConnection
	}
	return copied(c), nil
}

// GetEnded implements [signal.ConnectionStore].
func (s *Store) GetEnded(_ context.Context, id signal.ConnectionID, now lane.Instant) (signal.Connection, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.connection(id, now)
	if !ok {
		return signal.Connection{}, signal.ErrNoConnection
	}
	return copied(c), nil
}

// Update implements [signal.ConnectionStore].
func (s *Store) Update(_ context.Context, id signal.ConnectionID, u signal.Update, now lane.Instant) (signal.Connection, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.connection(id, now)
	if !ok || c.Ended && !u.Ended {
		return signal.Connection{}, false, signal.ErrNoConnection
	}
	made := c.Allows(&u, now)
	if made {
		c.Apply(&u)
	}
	return copied(c), made, nil
}

// Fetch implements [signal.ConnectionStore]: nothing is apart.
func (s *Store) Fetch(_ context.Context, _ signal.ConnectionID, run []lane.Numbered) ([]lane.Numbered, error) {
	return run, nil
}

// End implements [signal.ConnectionStore].
func (s *Store) End(_ context.Context, id signal.ConnectionID, now lane.Instant) (signal.Connection, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.connections.get(id)
	if !ok || c.Ended {
		return signal.Connection{}, signal.ErrNoConnection
	}
	was := *c
	*c = c.EndedAt(now)
	s.unwatchAll(id)
	s.keepEnded(c, now)
	return was, nil
}

// Delete implements [signal.ConnectionStore].
func (s *Store) Delete(_ context.Context, id signal.ConnectionID, now lane.Instant) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.connection(id, now)
	return nil
}

// Scan implements [signal.ConnectionStore]. Others wait for no more than the names of
// a segment.
func (s *Store) Scan(ctx context.Context, of signal.Segment, now lane.Instant, f func(signal.Connection), owed func(signal.UserName)) error {
	all, users := s.segment(of, now)
	for _, name := range users {
		owed(name)
	}
	for _, id := range all {
		if err := ctx.Err(); err != nil {
			return err
		}
		if c, ok := s.scanned(id, now); ok {
			f(c)
		}
	}
	return nil
}

// segment returns the connections of a segment, and the users whose watchers are to be
// told.
func (s *Store) segment(of signal.Segment, now lane.Instant) (all []signal.ConnectionID, owed []signal.UserName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endLobbies(now, MaxLobbies)
	s.endHistory(now)
	for id := range s.connections.segment(of) {
		all = append(all, id)
	}
	for name, u := range s.users.segment(of) {
		if u.until.Add(signal.EpochLife) <= now {
			s.forget(name)
		}
	}
	for name := range s.watched.segment(of) {
		if s.owed(name) {
			owed = append(owed, name)
		}
	}
	return all, owed
}

// scanned returns what [Store.Scan] has of a connection, if anything.
func (s *Store) scanned(id signal.ConnectionID, now lane.Instant) (signal.Connection, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.connections.get(id)
	if !ok || c.Ended && c.Expires > now {
		return signal.Connection{}, false
	}
	without := *c
	without.Lane, without.Client, without.Attributes = lane.Lane{}, signal.Client{}, nil
	return without, true
}

// connection returns the record of a connection, unless its time has passed. The
// lock is held.
func (s *Store) connection(id signal.ConnectionID, now lane.Instant) (*signal.Connection, bool) {
	s.latest = max(s.latest, now)
	c, ok := s.connections.get(id)
	if ok && c.Expires <= now {
		s.connections.remove(id)
		s.unwatchAll(id)
		return nil, false
	}
	return c, ok
}

// copied returns a copy of a record that shares nothing that changes.
func copied(c *signal.Connection) signal.Connection {
	out := *c
	out.Lane.Held = maps.Clone(c.Lane.Held)
	return out
}

// Claim implements [signal.UserStore].
func (s *Store) Claim(_ context.Context, c signal.Claim) (signal.Claimed, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.latest = max(s.latest, c.At)
	u, ok := s.users.get(c.User)
	if !ok || u.until.Add(signal.EpochLife) <= c.At {
		s.forget(c.User)
		u = &user{epoch: c.Epoch, changes: s.changes(c.User)}
		s.users.put(c.User, u)
	}
	owned := u.owner != nil && u.until.Add(signal.FenceAfter) > c.At
	switch {
	case u.owner != nil && u.owner.ID == c.Peer.ID:
		return s.claimedBy(c.User, u), nil
	case owned && u.claimedAt > c.At:
		return signal.Claimed{}, signal.ErrNewerClaim
	case owned && u.owner.ID != c.Expect:
		return s.claimedBy(c.User, u), nil
	}
	if takesOver := u.owner != nil && u.owner.ID == c.Expect && u.until > c.Now.Add(2*lane.ClockBound); !takesOver {
		u.changes += 2
	}
	owner := c.Peer
	u.owner, u.claimedAt, u.until = &owner, c.At, c.Until
	switch {
	case !owner.Recovers:
		u.keptAfter = 0
	case !u.recovers:
		u.keptAfter = u.seq
	}
	u.recovers = owner.Recovers
	s.claimed(u)
	return s.claimedBy(c.User, u), nil
}

func (s *Store) claimedBy(name signal.UserName, u *user) signal.Claimed {
	return signal.Claimed{Owner: *u.owner, Epoch: u.epoch, Seq: u.seq, KeptAfter: u.keptAfter, TAT: u.fullAt, Owed: s.owed(name)}
}

// Release implements [signal.UserStore].
func (s *Store) Release(_ context.Context, name signal.UserName, id signal.ConnectionID, full lane.TAT) (signal.Released, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u, ok := s.users.get(name)
	if !ok || u.owner == nil || u.owner.ID != id {
		return signal.Released{Owed: (!ok || u.owner == nil) && s.owed(name)}, nil
	}
	u.owner, u.fullAt, u.changes = nil, full, u.changes+1
	r := signal.Released{Owner: true, Owed: s.owed(name)}
	s.keepReleased(name, u)
	return r, nil
}

// Route implements [signal.UserStore].
func (s *Store) Route(_ context.Context, name signal.UserName, messages int, now lane.Instant) (signal.Route, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u, ok := s.online(name, now)
	if !ok {
		return signal.Route{}, signal.ErrOffline
	}
	first := u.seq + 1
	u.seq += int64(messages)
	return signal.Route{Peer: *u.owner, Epoch: u.epoch, Seq: first}, nil
}

// Owner implements [signal.UserStore].
func (s *Store) Owner(_ context.Context, name signal.UserName, now lane.Instant) (signal.Peer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u, ok := s.online(name, now)
	if !ok {
		return signal.Peer{}, signal.ErrOffline
	}
	return *u.owner, nil
}

// online returns the record of a user who is. The lock is held.
func (s *Store) online(name signal.UserName, now lane.Instant) (*user, bool) {
	u, ok := s.users.get(name)
	return u, ok && u.owner != nil && u.until > now
}
