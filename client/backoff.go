package client

import "time"

// steady is how long a connection must have lasted for the next loss to count
// as the first.
const steady = 5 * time.Second

// backoff says how long to wait before connecting again.
type backoff struct {
	min, max time.Duration
	tries    int // since the last steady connection
}

// next is the wait before the next try: twice as long each time, up to max, and
// by random, from 0 to 1, between half of that and all of it, so that clients that
// were cut off together do not come back together ("equal jitter": AWS
// Architecture Blog, "Exponential Backoff And Jitter").
func (b *backoff) next(random float64) time.Duration {
	ceiling := b.max
	if b.tries < 32 && b.min<<b.tries < b.max && b.min<<b.tries > 0 {
		ceiling = b.min << b.tries
	}
	b.tries++
	return time.Duration((1 + random) / 2 * float64(ceiling))
}

// lasted is told how long a connection was up.
func (b *backoff) lasted(d time.Duration) {
	if d >= steady {
		b.tries = 0
	}
}
