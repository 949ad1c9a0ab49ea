package memory

import (
	"container/list"
	"context"

	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// MaxHistory is how much is kept of what was posted, the newest: in bytes, with
// historyRow for each post.
const (
	MaxHistory = 64 << 20
	historyRow = 512
)

// history is what was posted to clients that recover.
type history struct {
	posts table[historyKey, *list.Element] // of *keptPost
	byAge list.List                        // all of posts, the oldest first
	size  int
}

type historyKey struct {
	user  signal.UserName
	epoch string
	seq   int64
}

type keptPost struct {
	historyKey
	post  []signal.Delivery // nil: void
	size  int
	until lane.Instant
}

// Keep implements [signal.HistoryStore].
func (s *Store) Keep(_ context.Context, user signal.UserName, post []signal.Delivery, until lane.Instant) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	there := s.keep(keptPost{historyKey{user, post[0].Epoch, post[0].Seq}, post, historyRow + signal.Room(events(post)...), until})
	return there.post != nil, nil
}

// Void implements [signal.HistoryStore].
func (s *Store) Void(_ context.Context, user signal.UserName, epoch string, seq int64, until lane.Instant) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keep(keptPost{historyKey{user, epoch, seq}, nil, historyRow, until})
	return nil
}

// keep keeps a post, unless there is one under its number, and returns what is
// there then. The lock is held, as it is by the others.
func (s *Store) keep(k keptPost) *keptPost {
	h := &s.history
	if e, ok := h.posts.rows[k.historyKey]; ok {
		return postAt(e)
	}
	h.posts.put(k.historyKey, h.byAge.PushBack(&k))
	h.size += k.size
	s.endHistory(0)
	return &k
}

// endHistory deletes what nobody may come back for any more by then, and the oldest of
// more than there may be.
func (s *Store) endHistory(now lane.Instant) {
	h := &s.history
	for e := h.byAge.Front(); e != nil; e = h.byAge.Front() {
		k := postAt(e)
		if now.Sub(k.until) < signal.HistoryMargin && h.size <= MaxHistory {
			return
		}
		if u, ok := s.users.get(k.user); ok && u.recovers && u.epoch == k.epoch {
			u.keptAfter = max(u.keptAfter, k.last())
		}
		h.byAge.Remove(e)
		h.posts.remove(k.historyKey)
		h.size -= k.size
	}
}

// last is the last number that is kept with the first.
func (k *keptPost) last() int64 { return k.seq + int64(max(len(k.post), 1)) - 1 }

func postAt(e *list.Element) *keptPost {
	k, _ := e.Value.(*keptPost)
	return k
}

// History implements [signal.HistoryStore].
func (s *Store) History(_ context.Context, user signal.UserName, epoch string, first, last int64) (all []signal.Kept, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n := first; n <= last; n++ {
		if e, ok := s.history.posts.rows[historyKey{user, epoch, n}]; ok {
			all = append(all, signal.Kept{Seq: n, Post: postAt(e).post})
		}
	}
	return all, nil
}

// Standing implements [signal.HistoryStore].
func (s *Store) Standing(_ context.Context, user signal.UserName, now lane.Instant) (signal.Claimed, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u, ok := s.online(user, now)
	if !ok {
		return signal.Claimed{}, signal.ErrOffline
	}
	return s.claimedBy(user, u), nil
}

func events(post []signal.Delivery) []signal.Event {
	all := make([]signal.Event, len(post))
	for i, d := range post {
		all[i] = d
	}
	return all
}
