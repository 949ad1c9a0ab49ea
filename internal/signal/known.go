package signal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// Nothing is answered that is not known, so a call of the store whose outcome is
// not known is made again, for knownWithin at most. One that the store has refused,
// because a key is written or read too much, is made again for busyWithin: half as
// long as a lease lasts, so that its holder, if refused elsewhere, still has it.
// retryFirst and retryMost are the pauses before the tries.
const (
	knownWithin = 5 * time.Second
	busyWithin  = lane.LeaseTimeout / 2
	retryFirst  = 20 * time.Millisecond
	retryMost   = 250 * time.Millisecond
)

// errNotKnown: a call was refused, but it was made before, and it is not known how
// that ended.
var errNotKnown = errors.New("outcome is not known")

// untilKnown makes a call of the store until its outcome is known, for [knownWithin]
// at most, and [busyWithin] if it is only refused. The call, which is told the time,
// must do no harm if it is made again.
func (s *Service) untilKnown(ctx context.Context, call func(now lane.Instant) error) error {
	return s.untilKnownFrom(ctx, s.Clock.Now(), call)
}

// untilKnownFrom is untilKnown for who has read the clock already.
func (s *Service) untilKnownFrom(ctx context.Context, now lane.Instant, call func(now lane.Instant) error) error {
	for began, pause, within := now, retryFirst, busyWithin; ; now = s.Clock.Now() {
		err := call(now)
		switch {
		case err == nil, errors.Is(err, ErrNewerClaim):
			return err
		case codeOf(err) == lane.CodeUnavailable:
			within = knownWithin
		case !errors.Is(err, ErrBusy):
			return err
		case within == knownWithin:
			err = fmt.Errorf("%w: %w", errNotKnown, err)
		}
		if s.Clock.Now().Sub(began) >= within || s.Clock.Sleep(ctx, pause) != nil {
			return err
		}
		pause = min(2*pause, retryMost)
	}
}

// get reads the record of a connection.
func (s *Service) get(ctx context.Context, id ConnectionID) (c Connection, err error) {
	err = s.untilKnown(ctx, func(now lane.Instant) error {
		c, err = s.Store.Get(ctx, id, now)
		return err
	})
	return c, err
}

// getEnded reads a record, whether the connection has ended or not.
func (s *Service) getEnded(ctx context.Context, id ConnectionID) (c Connection, err error) {
	err = s.untilKnown(ctx, func(now lane.Instant) error {
		c, err = s.Store.GetEnded(ctx, id, now)
		return err
	})
	return c, err
}
