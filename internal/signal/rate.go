package signal

import (
	"context"
	"time"
)

// Rate limits how many messages a user sends: PerSecond in the long run, and
// Burst at once. The zero value is no limit.
//
// It is a token bucket kept as one number, the time at which it will be full
// again (GCRA, ITU-T I.371). The owner of a lane, who has the record in hand
// anyway, takes what its run needs from it by the write that finishes the run:
// that costs no call.
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

// allows reports whether a bucket has a message left after so many more were
// taken from it.
func (r Rate) allows(full FullAt, taken int, now Instant) bool {
	return !r.Limited() || r.take(full, taken+1, now) <= micros(now)+r.each()*FullAt(max(1, r.Burst))
}

// take takes messages from a bucket.
func (r Rate) take(full FullAt, messages int, now Instant) FullAt {
	if !r.Limited() || messages == 0 {
		return full
	}
	return max(full, micros(now)) + FullAt(messages)*r.each()
}

// each is what one message takes.
func (r Rate) each() FullAt { return FullAt(time.Second.Microseconds()) / FullAt(r.PerSecond) }

func micros(i Instant) FullAt { return FullAt(i) * FullAt(time.Millisecond.Microseconds()) }

// spend takes messages from the bucket by the move m, and has it fail if others
// were taken meanwhile.
func (l Lane) spend(m *Move, r Rate, messages int, now Instant) {
	if r.Limited() && messages > 0 {
		full := l.FullAt
		m.Guard.FullAt, m.Change.FullAt = &full, r.take(full, messages, now)
	}
}

// spendOne takes one message from the bucket, at no place in the order. It
// reports false if there was none.
func (w *work) spendOne(ctx context.Context) (bool, error) {
	for range arriveTries {
		l, now := w.conn.Lane, w.Clock.Now()
		if !w.Rate.allows(l.FullAt, 0, now) {
			return false, nil
		}
		if !w.Rate.Limited() {
			return true, nil
		}
		m := Move{
			Kind:   KindSpend,
			Guard:  Guard{Done: l.Done, Turn: l.Turn, Held: Any},
			Change: Change{Done: l.Done, Turn: l.Turn},
		}
		l.spend(&m, w.Rate, 1, now)
		if made, err := w.move(ctx, m); err != nil || made {
			return made, err
		}
	}
	return false, nil
}
