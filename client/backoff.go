package client

import "time"

const (
	// steady is how long a connection must have been up to have lasted.
	steady = 5 * time.Second
	// maxBrief is how many connections in a row that did not last lengthen no wait.
	maxBrief = 4
)

// backoff says how long to wait before connecting again (clients/SPEC.md,
// Connections).
type backoff struct {
	min, max time.Duration
	failed   int // tries in a row
	brief    int // connections in a row that did not last
}

// next is the wait before the next try: twice as long after each that failed, up
// to max, and by random, from 0 to 1, between half of that and all of it, so that
// clients that were cut off together do not come back together ("equal jitter": AWS
// Architecture Blog, "Exponential Backoff And Jitter").
func (b *backoff) next(random float64) time.Duration {
	ceiling, doubled := b.max, b.failed+max(0, b.brief-maxBrief)
	if doubled < 32 && b.min<<doubled < b.max && b.min<<doubled > 0 {
		ceiling = b.min << doubled
	}
	b.failed++
	return time.Duration((1 + random) / 2 * float64(ceiling))
}

// ended is told how long a connection was up that was lost or replaced.
func (b *backoff) ended(after time.Duration) {
	b.failed = 0
	if b.brief++; after >= steady {
		b.brief = 0
	}
}
