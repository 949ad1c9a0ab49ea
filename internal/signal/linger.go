package signal

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// An invocation that lingers, which waits for a number that has not come, keeps what
// other messages could run on. So where invocations are scarce only so many may
// linger at once, each at a place of its own.
const (
	// LingerFreely is how long an invocation lingers without a place: most numbers
	// that come late come within that.
	LingerFreely = 100 * time.Millisecond
	// PlaceLife is how long a place is taken, unless it is left before or taken anew: an
	// invocation may die.
	PlaceLife = 10 * time.Second
	// placeTries is at how many places, by chance, one who needs one looks.
	placeTries = 4

	// DefaultPlaces is how many there are if invocations have no limit but the account's,
	// of 1,000 as it comes.
	DefaultPlaces = 100
	// placesShare of the invocations that a limit allows may linger.
	placesShare = 4
)

// Places returns how many invocations may linger of so many at once; negative: there
// is no limit.
func Places(concurrency int) int {
	if concurrency < 0 {
		return DefaultPlaces
	}
	return max(1, concurrency/placesShare)
}

// PlaceStore keeps who lingers at which place.
type PlaceStore interface {
	// TakePlace takes a place until then. It reports false if somebody else has it.
	TakePlace(ctx context.Context, place int, by string, until, now lane.Instant) (bool, error)
	// LeavePlace frees a place, if it is still one's own.
	LeavePlace(ctx context.Context, place int, by string) error
}

// lingering is what an invocation that lingers knows of that.
type lingering struct {
	since lane.Instant // zero: it has not begun to
	first int          // of the places that it may take
	place int
	until lane.Instant // when it loses its place; zero: it has none
}

// mayLinger reports whether the invocation may go on to linger. If it may not, the
// next frame of the connection does what it would have done.
func (v *invocation) mayLinger(ctx context.Context) bool {
	l, now := &v.lingering, v.Clock.Now()
	if l.since == 0 {
		l.since = now
		v.Count(MetricLingered, 1)
	}
	if v.PlaceStore == nil || now.Sub(l.since) < LingerFreely || now < l.until {
		return true
	}
	for range placeTries {
		if l.until == 0 {
			l.place = l.first + v.randomPlace()
		}
		until := now.Add(PlaceLife)
		taken, err := v.PlaceStore.TakePlace(ctx, l.place, v.id, until, now)
		if taken {
			l.until = until
			return true
		}
		if l.until = 0; err != nil {
			v.Log.WarnContext(ctx, "taking a place to linger failed", "connection", v.conn.ID, "error", err)
			return false
		}
	}
	v.Log.WarnContext(ctx, "no place to linger", "connection", v.conn.ID, "places", v.Places)
	return false
}

// lingerer returns an invocation that has lingered since then, at the places from
// first on, and does nothing else.
func (s *Service) lingerer(c Connection, since lane.Instant, first int) *invocation {
	v := s.invocation(c)
	v.lingering.since, v.lingering.first = since, first
	return v
}

// awaiting returns an invocation that waits for a client that has not come in yet.
// There are as many places for that as for numbers, and others: strangers take none of
// those.
func (s *Service) awaiting() *invocation {
	return s.lingerer(Connection{}, s.Clock.Now(), s.Places)
}

// leavePlace frees the place that the invocation has, if any.
func (v *invocation) leavePlace(ctx context.Context) {
	if v.lingering.until == 0 {
		return
	}
	if err := v.PlaceStore.LeavePlace(ctx, v.lingering.place, v.id); err != nil {
		v.Log.WarnContext(ctx, "leaving a place failed", "connection", v.conn.ID, "error", err) // it is free later
	}
	v.lingering.until = 0
}

func (s *Service) randomPlace() int {
	var b [8]byte
	s.Random(b[:])
	return int(binary.BigEndian.Uint64(b[:]) % uint64(max(1, s.Places)))
}
