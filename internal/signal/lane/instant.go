package lane

import "time"

// Instant is a point in time in milliseconds since the Unix epoch, the unit in
// which records keep it. Zero means none.
type Instant int64

// At returns the instant of t, cut to the millisecond.
func At(t time.Time) Instant { return Instant(t.UnixMilli()) }

// Add returns the instant d after i.
func (i Instant) Add(d time.Duration) Instant { return i + Instant(d.Milliseconds()) }

// Sub returns the time from j to i.
func (i Instant) Sub(j Instant) time.Duration { return time.Duration(i-j) * time.Millisecond }

// Time returns the instant as a [time.Time].
func (i Instant) Time() time.Time { return time.UnixMilli(int64(i)) }
