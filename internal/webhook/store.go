package webhook

import (
	"context"
	"crypto/rand"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// Store is a [signal.Store] that tells of each change of a name's owner. All who
// change owners in its records must do so by the one Store: it keeps their order.
type Store struct {
	signal.Store
	tell func(...Event)
	now  func() time.Time
	run  string // begins the ids of its events

	mu     sync.Mutex
	number int64 // of the last change
	names  map[signal.UserName]*name
}

// name is who owns a name, as far as the Store has seen.
type name struct {
	mu    sync.Mutex // held from before a change until it is told
	owner signal.ConnectionID
	known bool // whether that is who owns it, or what was told last
	doubt bool // whether a call may have changed it since, whose outcome is not known
	using int  // calls; by the Store's lock
}

// NewStore returns a Store over another. What it tells must not wait.
func NewStore(s signal.Store, tell func(...Event), now func() time.Time) *Store {
	// By microseconds: it goes on rising when the process begins anew.
	return &Store{Store: s, tell: tell, now: now, run: rand.Text(), number: now().UnixMicro(), names: make(map[signal.UserName]*name)}
}

// Claim implements [signal.UserStore].
func (s *Store) Claim(ctx context.Context, c signal.Claim) (signal.Claimed, error) {
	n := s.lock(c.User)
	defer s.unlock(c.User, n)
	if !n.known { // it may be from before this process
		owner, err := s.Owner(ctx, c.User, c.At)
		if err != nil && !errors.Is(err, signal.ErrOffline) {
			return signal.Claimed{}, err
		}
		n.owner, n.known = owner.ID, true
	}
	claimed, err := s.Store.Claim(ctx, c)
	switch {
	case err == nil && claimed.Owner.ID == c.Peer.ID:
		s.changed(c.User, n, c.Peer.ID)
	case err != nil && !errors.Is(err, signal.ErrNewerClaim) && !errors.Is(err, signal.ErrBusy):
		n.doubt = true
	}
	return claimed, err
}

// Release implements [signal.UserStore].
func (s *Store) Release(ctx context.Context, user signal.UserName, id signal.ConnectionID, tat lane.TAT) (signal.Released, error) {
	n := s.lock(user)
	defer s.unlock(user, n)
	released, err := s.Store.Release(ctx, user, id, tat)
	switch {
	case err != nil:
		n.doubt = true
	case released.Owner && n.owner != id: // by a claim whose outcome was not known, or before this process
		if n.known {
			s.changed(user, n, id)
		}
		n.owner = id
		fallthrough
	case n.owner == id: // or by a release whose outcome was not known
		s.changed(user, n, "")
	}
	return released, err
}

// lock waits until nobody else changes the owner of a name.
func (s *Store) lock(user signal.UserName) *name {
	s.mu.Lock()
	n, ok := s.names[user]
	if !ok {
		n = &name{}
		s.names[user] = n
	}
	n.using++
	s.mu.Unlock()
	n.mu.Lock()
	return n
}

func (s *Store) unlock(user signal.UserName, n *name) {
	n.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if n.using--; n.using == 0 && n.owner == "" && !n.doubt {
		delete(s.names, user)
	}
}

// changed notes and tells that a name has another owner. The name's lock is held.
func (s *Store) changed(user signal.UserName, n *name, is signal.ConnectionID) {
	was := n.owner
	n.owner, n.known, n.doubt = is, true, false
	if was == is {
		return
	}
	s.mu.Lock()
	s.number++
	number := strconv.FormatInt(s.number, 10)
	s.mu.Unlock()
	s.tell(Change{ID: s.run + "-" + number, User: user, Was: was, Is: is, At: s.now().Truncate(time.Millisecond), Number: number}.Events()...)
}
