package memory

import (
	"cmp"
	"container/list"
	"context"
	"maps"
	"slices"

	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// What is kept at most for backends.
const (
	// MaxRefusals is how many users are refused at a time.
	MaxRefusals = 65536
	// MaxKeys is how many keys are known, the newest.
	MaxKeys = 65536
)

// backends is what is kept for backends.
type backends struct {
	refused map[signal.UserName]lane.Instant
	keys    map[keyed]*signal.Keyed
	inKeys  list.List // of keyed, all of keys, the oldest first
}

type keyed struct {
	from signal.UserName
	key  string
}

var _ signal.BackendStore = (*Store)(nil)

// Refuse implements [signal.RefusalStore]. [signal.ErrBusy] if there is no room.
func (s *Store) Refuse(_ context.Context, name signal.UserName, until lane.Instant) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	refused := s.backends.refused
	if until == 0 {
		delete(refused, name)
		return nil
	}
	if len(refused) >= MaxRefusals {
		maps.DeleteFunc(refused, func(_ signal.UserName, until lane.Instant) bool { return until <= s.latest })
	}
	if _, there := refused[name]; !there && len(refused) >= MaxRefusals {
		return signal.ErrBusy
	}
	if refused == nil {
		refused = make(map[signal.UserName]lane.Instant)
		s.backends.refused = refused
	}
	refused[name] = until
	return nil
}

// RefusedUntil implements [signal.RefusalStore].
func (s *Store) RefusedUntil(_ context.Context, name signal.UserName, now lane.Instant) (lane.Instant, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	until := s.backends.refused[name]
	if until <= now {
		delete(s.backends.refused, name)
		return 0, nil
	}
	return until, nil
}

// BeginKey implements [signal.KeyStore].
func (s *Store) BeginKey(_ context.Context, from signal.UserName, key string, k signal.Keyed) (signal.Keyed, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, id := &s.backends, keyed{from, key}
	if old, there := b.keys[id]; there {
		if old.Free(k.At) {
			*old = k
		}
		return *old, nil
	}
	if b.keys == nil {
		b.keys = make(map[keyed]*signal.Keyed)
	}
	for e := b.inKeys.Front(); e != nil; e = b.inKeys.Front() {
		oldest, _ := e.Value.(keyed)
		if len(b.keys) < MaxKeys && b.keys[oldest].At.Add(signal.KeyLife) > k.At {
			break
		}
		delete(b.keys, oldest)
		b.inKeys.Remove(e)
	}
	b.keys[id] = &k
	b.inKeys.PushBack(id)
	return k, nil
}

// EndKey implements [signal.KeyStore].
func (s *Store) EndKey(_ context.Context, from signal.UserName, key string, code lane.Code) (lane.Code, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, there := s.backends.keys[keyed{from, key}]
	if !there {
		return code, nil
	}
	if !k.Ended {
		k.Ended, k.Code = true, code
	}
	return k.Code, nil
}

// Online implements [signal.BackendStore]: by name.
func (s *Store) Online(_ context.Context, cursor string, limit int, now lane.Instant) (users []signal.UserName, next string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name := range s.users.segment(signal.Segment{Of: 1}) {
		if _, online := s.online(name, now); online && string(name) > cursor {
			users = append(users, name)
		}
	}
	slices.SortFunc(users, cmp.Compare[signal.UserName])
	if len(users) > limit {
		users = users[:limit]
		next = string(users[limit-1])
	}
	return users, next, nil
}
