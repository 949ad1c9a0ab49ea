package auth

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal"
)

// lifetimes say how long keys are used. There is nobody to read them again in
// the background: between two invocations a Lambda function is frozen. Whoever
// needs a key reads them, and all that come meanwhile wait for that, or are
// refused.
type lifetimes struct {
	// fresh is how long keys are used without a question. One that was withdrawn
	// is accepted for as long.
	fresh time.Duration
	// stale is how long they are used when they cannot be read again; 0: for ever.
	stale time.Duration
	// within bounds a reading.
	within time.Duration
	// afterFailure is how long after a reading that failed the next may follow while
	// no keys are known, and everybody is refused.
	afterFailure time.Duration
}

const (
	// cooldown is how long after they were read keys are not read again, whatever
	// tokens are made up, and after a failure while keys are known.
	cooldown = 30 * time.Second
	// The pause after a failure doubles with each in a row, up to maxPause while keys
	// are known, and maxPauseUnknown while not; a Retry-After is heeded up to there.
	maxPause        = 5 * time.Minute
	maxPauseUnknown = 30 * time.Second
	// Processes that began together do not go on together: keys are read again by up
	// to an early-th of their time sooner, and after a failure by a late-th later.
	early, late = 8, 4
)

// pause returns how long after so many failures in a row the next reading may
// follow; retryAfter is what the last answer asks for, jitter from 0 to 1.
func (l lifetimes) pause(failures int, known bool, retryAfter time.Duration, jitter float64) time.Duration {
	least, most := l.afterFailure, maxPauseUnknown
	if known {
		least, most = cooldown, maxPause
	}
	p := least << min(failures-1, 8)
	p = min(max(p, retryAfter), most)
	return p + part(p/late, jitter)
}

// part returns that part of a duration.
func part(d time.Duration, share float64) time.Duration { return time.Duration(share * float64(d)) }

// keySource is a set of keys that change now and then. It is safe for concurrent
// use.
type keySource struct {
	lifetimes

	of   string // whose keys they are, for logs and errors
	read func(context.Context) ([]key, error)
	now  func() time.Time
	log  *slog.Logger
	turn chan struct{} // holds one; who has it reads
	// random returns a number from 0 to 1, for the jitter.
	random func() float64

	mu   sync.Mutex
	last reading
}

// reading is what is known of the keys.
type reading struct {
	keys []key
	came time.Time // when they were read
	old  time.Time // from then on they are to be read again
	// asked is when they were to be read last, err what came of that, failures how
	// often in a row it was an error, and next when they may be read again.
	asked    time.Time
	err      error
	failures int
	next     time.Time
}

// time is the time by the wall clock: the monotonic one may stand still while a
// function is frozen.
func (s *keySource) time() time.Time { return s.now().Round(0) }

func newKeySource(s *keySource) *keySource {
	s.turn = make(chan struct{}, 1)
	return s
}

func (s *keySource) known() reading {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// find returns the keys by which a token may be signed, and what was known of
// them. [signal.ErrRefused] if there are none; any other error means that nobody
// can say.
func (s *keySource) find(ctx context.Context, algorithm, id string) ([]any, reading, error) {
	r := s.known()
	found := s.fitting(r, algorithm, id)
	if len(found) == 0 || !s.time().Before(r.old) {
		r = s.renew(ctx, r, len(found) == 0)
		found = s.fitting(r, algorithm, id)
	}
	switch {
	case len(found) > 0:
		return found, r, nil
	case r.err != nil:
		return nil, r, r.err
	default:
		return nil, r, fmt.Errorf("%w: it is signed by no key of %s", signal.ErrRefused, s.of)
	}
}

// fitting are the keys that a token may be signed by: the one that it names, or,
// if it names none, any that its algorithm goes with.
func (s *keySource) fitting(r reading, algorithm, id string) []any {
	if !s.usable(r) {
		return nil
	}
	var found []any
	for _, k := range r.keys {
		if k.fits(algorithm) && k.named(id) {
			found = append(found, k.verifier)
		}
	}
	return found
}

// usable reports whether keys are known that are not too old.
func (s *keySource) usable(r reading) bool {
	return r.keys != nil && (s.stale == 0 || s.time().Sub(r.came) < s.stale)
}

// renew reads the keys again, unless that has been done since they were seen, or
// not long ago, or is being done and need not be waited for.
func (s *keySource) renew(ctx context.Context, seen reading, wait bool) reading {
	select {
	case s.turn <- struct{}{}:
	default:
		if !wait {
			return seen
		}
		select {
		case s.turn <- struct{}{}:
		case <-ctx.Done():
			seen.err = fmt.Errorf("wait for the keys of %s: %w", s.of, ctx.Err())
			return seen
		}
	}
	defer func() { <-s.turn }()
	r := s.known()
	if r.asked != seen.asked || s.time().Before(r.next) {
		return r
	}
	return s.readNow(ctx)
}

// readNow reads the keys. When that fails, those that are known stay.
func (s *keySource) readNow(ctx context.Context) reading {
	within, cancel := context.WithTimeout(ctx, s.within)
	defer cancel()
	keys, err := s.read(within)
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &s.last
	r.asked, r.err = s.time(), err
	if err == nil {
		r.keys, r.came, r.failures = keys, r.asked, 0
		r.old, r.next = r.came.Add(s.fresh-part(s.fresh/early, s.random())), r.came.Add(cooldown)
		return *r
	}
	r.failures++
	known := s.usable(*r)
	r.next = r.asked.Add(s.pause(r.failures, known, retryAfter(err), s.random()))
	if end := r.came.Add(s.stale); known && s.stale > 0 && end.Before(r.next) {
		r.next = end // from then on everybody is refused
	}
	if r.keys != nil {
		s.log.ErrorContext(ctx, "keys not renewed, the old ones stay", "of", s.of, "error", err)
	}
	return *r
}
