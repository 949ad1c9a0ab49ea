package signal

import (
	"context"
	"time"
)

// Instant is a point in time in milliseconds since the Unix epoch, the unit in
// which records keep it. Zero means none.
type Instant int64

// At is the instant of t, cut to the millisecond.
func At(t time.Time) Instant { return Instant(t.UnixMilli()) }

// Add is the instant d after i.
func (i Instant) Add(d time.Duration) Instant { return i + Instant(d.Milliseconds()) }

// Sub is the time from j to i.
func (i Instant) Sub(j Instant) time.Duration { return time.Duration(i-j) * time.Millisecond }

// Time is the instant as Go's time.
func (i Instant) Time() time.Time { return time.UnixMilli(int64(i)) }

// Clock is the time as the domain sees it. Sleep returns early, with the
// context's error, when the context ends.
type Clock interface {
	Now() Instant
	Sleep(ctx context.Context, d time.Duration) error
}

// SystemClock is the machine's clock.
type SystemClock struct{}

// Now implements [Clock].
func (SystemClock) Now() Instant { return At(time.Now()) }

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
