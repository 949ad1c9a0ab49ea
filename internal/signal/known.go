package signal

import (
	"context"
	"errors"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// Nothing is answered that is not known, so a call of the store whose outcome is
// not known is made again, for knownWithin at most; retryFirst and retryMost are
// the pauses before the tries.
const (
	knownWithin = 5 * time.Second
	retryFirst  = 20 * time.Millisecond
	retryMost   = 250 * time.Millisecond
)

// tries are those of a call of the store, which is made until its outcome is
// known, for [knownWithin] at most. The call must do no harm if it is made again.
type tries struct {
	clock Clock
	began lane.Instant
	pause time.Duration
}

func (s *Service) tries() tries { return tries{s.Clock, s.Clock.Now(), retryFirst} }

// another reports, after a pause, whether the call that has ended with err is to be
// made again.
func (t *tries) another(ctx context.Context, err error) bool {
	if err == nil || codeOf(err) != lane.CodeUnavailable || errors.Is(err, ErrNewerClaim) {
		return false
	}
	if t.clock.Now().Sub(t.began) >= knownWithin || t.clock.Sleep(ctx, t.pause) != nil {
		return false
	}
	t.pause = min(2*t.pause, retryMost)
	return true
}

// untilKnown makes a call of the store until its outcome is known.
func (s *Service) untilKnown(ctx context.Context, call func() error) error {
	for t := s.tries(); ; {
		if err := call(); !t.another(ctx, err) {
			return err
		}
	}
}

// get reads the record of a connection.
func (s *Service) get(ctx context.Context, id ConnectionID) (c Connection, err error) {
	err = s.untilKnown(ctx, func() error {
		c, err = s.Store.Get(ctx, id, s.Clock.Now())
		return err
	})
	return c, err
}

// getEnded reads a record, whether the connection has ended or not.
func (s *Service) getEnded(ctx context.Context, id ConnectionID) (c Connection, err error) {
	err = s.untilKnown(ctx, func() error {
		c, err = s.Store.GetEnded(ctx, id, s.Clock.Now())
		return err
	})
	return c, err
}
