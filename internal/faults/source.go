package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal"
)

// source makes the random decisions of one kind.
type source struct {
	mu     sync.Mutex
	random *rand.Rand
}

func (s *source) seed(seed, stream uint64) { s.random = rand.New(rand.NewPCG(seed, stream)) }

// happens is true with the probability p.
func (s *source) happens(p float64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.random.Float64() < p
}

// upTo is a duration from 0 to most, both inclusive.
func (s *source) upTo(most time.Duration) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Duration(s.random.Int64N(int64(most) + 1))
}

// around is a duration up to most, before or after something.
func (s *source) around(most time.Duration) (before, after time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := time.Duration(s.random.Int64N(int64(most) + 1))
	if s.random.Uint64()&1 == 0 {
		return d, 0
	}
	return 0, d
}

// late makes a call with a delay up to most: of the request, or of the answer,
// when the call has had its effect. If ctx ends meanwhile, that is the error.
func (s *source) late(ctx context.Context, most time.Duration, call func() error) error {
	before, after := s.around(most)
	if err := sleep(ctx, before); err != nil {
		return err
	}
	err := call()
	if late := sleep(ctx, after); late != nil {
		return late
	}
	return err
}

// sleep returns early, with an error, when ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	if d == 0 {
		return nil
	}
	if err := (signal.SystemClock{}).Sleep(ctx, d); err != nil {
		return fmt.Errorf("wait as long as a fault lasts: %w", err)
	}
	return nil
}
