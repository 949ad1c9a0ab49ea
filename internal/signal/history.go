package signal

import (
	"context"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// Whether and for how long history is kept.
const (
	DefaultRecoverFor = 2 * time.Minute
	// MinRecoverFor is the least that is worth it, and well above the time from when a
	// number is reserved until what was posted under it is kept.
	MinRecoverFor = 30 * time.Second
	MaxRecoverFor = time.Hour
	// HistoryMargin is how much longer than that it is kept at least: numbers are kept in
	// another order than they were reserved in, by clocks that are apart.
	HistoryMargin = 2 * lane.ClockBound
	// keepsAtOnce is how many posts of a stream may be under way to history.
	keepsAtOnce = 8
)

// HistoryStore keeps what was posted to the users whose clients recover, each post
// under the first of its sequence numbers.
type HistoryStore interface {
	// Keep keeps the messages of a post, which have consecutive numbers of one epoch,
	// until then. It reports false, and keeps nothing, if the first number is void. It
	// may be called again for the same.
	Keep(ctx context.Context, user UserName, post []Delivery, until lane.Instant) (bool, error)
	// Void makes a number void until then, unless a post is kept under it: from then on
	// none can be.
	Void(ctx context.Context, user UserName, epoch string, seq int64, until lane.Instant) error
	// History returns what is kept under the numbers of an epoch, in their order. A post
	// that has begun below the first number is not among it.
	History(ctx context.Context, user UserName, epoch string, first, last int64) ([]Kept, error)
	// Standing returns who owns the name, and where its sequence numbers and its history
	// stand; [ErrOffline] if nobody does.
	Standing(ctx context.Context, user UserName, now lane.Instant) (Claimed, error)
}

// Kept is what is kept under a number: the messages of a post from there on; or
// nothing, if the number is void.
type Kept struct {
	Seq  int64
	Post []Delivery
}

// keep keeps what was posted, and returns what its sender is told.
func (s *Service) keep(ctx context.Context, user UserName, post []Delivery) lane.Code {
	kept, until := false, s.Clock.Now().Add(s.RecoverFor)
	err := s.untilKnown(ctx, func(lane.Instant) (err error) {
		kept, err = s.Store.Keep(ctx, user, post, until)
		return err
	})
	if err == nil && kept {
		return lane.OK
	}
	s.Log.ErrorContext(ctx, "history not kept", "user", user, "error", err) // no error: the receiver was told that nothing would come
	return lane.CodeUnavailable
}

// keeping is a post on its way to history.
type keeping struct {
	code        lane.Code
	wait        func()
	first, last int // where in the run its frames are, which may have others between
}

// keepPost keeps, beside what is done next, what was posted of a stream: its next
// frames.
func (s *Service) keepPost(ctx context.Context, st *stream, e Event) {
	post := deliveries(e)
	if len(st.keeping) == keepsAtOnce {
		st.kept()
	}
	k := &keeping{first: st.next, last: st.next}
	for i, left := st.next, len(post); left > 0; i++ {
		if st.has(st.run[i]) {
			k.last, left = i, left-1
		}
	}
	to := st.to
	k.wait = s.beside(func() { k.code = s.keep(ctx, to, post) })
	st.keeping = append(st.keeping, k)
}

// deliveries returns the messages in what was posted.
func deliveries(e Event) (all []Delivery) {
	switch e := e.(type) {
	case Delivery:
		all = []Delivery{e}
	case Batch:
		for _, one := range e {
			all = append(all, deliveries(one)...)
		}
	}
	return all
}

// kept waits until all that was posted is kept. What is not has not been delivered for
// good.
func (st *stream) kept() {
	for _, k := range st.keeping {
		k.wait()
		for i := k.first; k.code != lane.OK && i <= k.last; i++ {
			if st.has(st.run[i]) {
				st.codes[i] = k.code
			}
		}
	}
	st.keeping = nil
}

// abandon notes that the next numbers of the stream's route will not be posted.
func (st *stream) abandon(first int64, n int) {
	if n > 0 && st.route.Peer.Recovers {
		st.voids = append(st.voids, Void{st.route.Epoch, first, first + int64(n) - 1})
	}
}
