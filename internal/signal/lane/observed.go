package lane

import "time"

// ClockBound is how far the clocks of two machines may be apart. Nothing waits
// by another machine's clock: whoever waits for a lease or a gap measures by its
// own how long that has not changed ([Observed]). Only who comes upon one that is
// older than its time and ClockBound takes it for that at once.
const ClockBound = 10 * time.Second

// BlindAfter is how far apart two looks at a lane may be. What passes beyond that
// does not count as observed: whoever could not look, because the store was out,
// takes it that others could not write.
const BlindAfter = time.Second

// Observed is what an invocation has seen of a lane, by its own clock. The zero
// value is nothing.
type Observed struct {
	lease  lease
	since  Instant           // when it first saw that lease, later by what it was blind
	held   map[int64]Instant // the same of each frame that is held
	looked Instant           // when it looked last
}

// lease is what changes whenever the lease is taken or renewed.
type lease struct {
	holder string
	taken  int64
	at     Instant
}

// Look returns o after a look at the lane. The time is when the answer has come:
// a lease is never younger than it looks.
func (o Observed) Look(l Lane, now Instant) Observed {
	var blind time.Duration
	if o.looked != 0 {
		blind = max(0, now.Sub(o.looked)-BlindAfter)
	}
	o.looked, o.since = now, o.since.Add(blind)
	if seen := (lease{l.Holder, l.Taken, l.LeasedAt}); seen != o.lease {
		o.lease, o.since = seen, now
	}
	var held map[int64]Instant
	if len(l.Held) > 0 {
		held = make(map[int64]Instant, len(l.Held))
	}
	for n := range l.Held {
		if at, ok := o.held[n]; ok {
			held[n] = at.Add(blind)
		} else {
			held[n] = now
		}
	}
	o.held = held
	return o
}

// leased returns for how long the lease of l is known not to have changed.
func (o Observed) leased(l Lane, now Instant) time.Duration {
	if o.lease != (lease{l.Holder, l.Taken, l.LeasedAt}) {
		return 0
	}
	return now.Sub(o.since)
}

// waited returns for how long frame n is known to have been held.
func (o Observed) waited(n int64, now Instant) time.Duration {
	if at, ok := o.held[n]; ok {
		return now.Sub(at)
	}
	return 0
}

// expired reports whether the lease of l is held and was certainly not renewed
// for [LeaseTimeout].
func (o Observed) expired(l Lane, now Instant) bool {
	return !l.Idle() && (o.leased(l, now) > LeaseTimeout || now.Sub(l.LeasedAt) > LeaseTimeout+ClockBound)
}
