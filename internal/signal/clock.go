package signal

import (
	"context"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// Clock is the time as the domain sees it. Sleep returns early, with the
// context's error, when the context ends.
type Clock interface {
	Now() lane.Instant
	Sleep(ctx context.Context, d time.Duration) error
}

// SystemClock is the machine's clock.
type SystemClock struct{}

// Now implements [Clock].
func (SystemClock) Now() lane.Instant { return lane.At(time.Now()) }

// Sleep implements [Clock].
func (SystemClock) Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
