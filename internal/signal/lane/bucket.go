package lane

import "time"

// Rate limits how many messages a user sends: PerSecond in the long run, and
// Burst at once. The zero value is no limit.
//
// It is the generic cell rate algorithm (GCRA, ITU-T I.371), a token bucket
// kept as one number. The holder of a lease, who has the record in hand anyway,
// takes what its run needs from the bucket by the write that finishes the run:
// that costs no call.
type Rate struct {
	PerSecond int
	Burst     int
}

// TAT is the theoretical arrival time of GCRA, at which the bucket is full
// again, in microseconds since the Unix epoch: fine enough for [MaxPerSecond].
// Zero, or any time that has passed: it is full.
type TAT int64

// FullBy reports whether the bucket is full at a time.
func (t TAT) FullBy(now Instant) bool { return t <= micros(now) }

// MaxPerSecond is the highest rate.
const MaxPerSecond = 10_000

// Limited reports whether there is a limit.
func (r Rate) Limited() bool { return r.PerSecond > 0 }

// Allows reports whether a bucket has a message left after so many more were
// taken from it.
func (r Rate) Allows(tat TAT, taken int, now Instant) bool {
	return !r.Limited() || r.Take(tat, taken+1, now) <= micros(now)+r.interval()*TAT(max(1, r.Burst))
}

// Take returns the bucket after messages were taken from it.
func (r Rate) Take(tat TAT, messages int, now Instant) TAT {
	if !r.Limited() || messages == 0 {
		return tat
	}
	return max(tat, micros(now)) + TAT(messages)*r.interval()
}

// Spend takes one message from a bucket, if it has one. It returns the bucket after
// that.
func (r Rate) Spend(tat TAT, now Instant) (after TAT, ok bool) {
	if !r.Allows(tat, 0, now) {
		return tat, false
	}
	return r.Take(tat, 1, now), true
}

// interval returns what one message takes.
func (r Rate) interval() TAT { return TAT(time.Second.Microseconds()) / TAT(r.PerSecond) }

func micros(i Instant) TAT { return TAT(i) * TAT(time.Millisecond.Microseconds()) }

// Spending returns m with messages taken from the bucket, and refused if others
// were taken meanwhile.
func (l Lane) Spending(m Move, r Rate, messages int, now Instant) Move {
	if r.Limited() && messages > 0 {
		m.Guard.TAT, m.Change.TAT = Is(l.TAT), r.Take(l.TAT, messages, now)
	}
	return m
}
