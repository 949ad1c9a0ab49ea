package signal

import "time"

// Rate limits how many messages a user sends: PerSecond in the long run, and
// Burst at once. The zero value is no limit.
//
// It is a token bucket kept as one number, the time at which it will be full
// again (GCRA, ITU-T I.371). The owner of a lane, who has the record in hand
// anyway, takes from it for each message of its run and writes it with the
// finish: that costs no call.
type Rate struct {
	PerSecond int
	Burst     int
}

// FullAt is when a bucket is full again, in microseconds since the Unix epoch:
// fine enough for [MaxPerSecond]. Zero, or any time that has passed: it is full.
type FullAt int64

// MaxPerSecond is the highest rate.
const MaxPerSecond = 10_000

// Limited reports whether there is a limit.
func (r Rate) Limited() bool { return r.PerSecond > 0 }

// allow takes one message from a bucket, and reports whether there was one.
func (r Rate) allow(full FullAt, now Instant) (FullAt, bool) {
	if !r.Limited() {
		return full, true
	}
	each := FullAt(time.Second.Microseconds()) / FullAt(r.PerSecond)
	present := FullAt(now) * FullAt(time.Millisecond.Microseconds())
	next := max(full, present) + each
	if next > present+each*FullAt(max(1, r.Burst)) {
		return full, false
	}
	return next, true
}
