package lane

import (
	"maps"
	"slices"
	"time"
)

// The lease's times. A lease that has not been renewed for LeaseTimeout is
// expired by another invocation, which measures that by its own clock. So that
// its holder cannot post any more by then, it starts no post later than
// PostStartWithin after it took or renewed the lease, by its clock, and gives
// each post up after PostWithin; what is left of LeaseTimeout is the margin: a
// clock may run wrong or jump by so much meanwhile.
const (
	LeaseTimeout    = 3 * time.Second
	PostStartWithin = 1 * time.Second
	PostWithin      = 1 * time.Second
)

const (
	// GapTimeout is how long held frames wait for a number below them that has
	// not come.
	GapTimeout = 3 * time.Second
	// ReorderWindow is how long the first frames wait for lower numbers where
	// it is not known at which number the client began.
	ReorderWindow = 100 * time.Millisecond
)

// What a lane keeps at most. The item of a connection must stay well below
// DynamoDB's 400 KB, and every write to it is charged by its whole size.
const (
	MaxHeld      = 128
	MaxHeldBytes = 256 << 10
	// MaxEarly and MaxEarlyBytes are that before the connection has authenticated:
	// clients that buffer while they are offline send no more.
	MaxEarly      = 64
	MaxEarlyBytes = 64 << 10
	// MaxUndelivered is how many runs of undelivered numbers a lane remembers.
	MaxUndelivered = 16
)

// Where a lane stands below all numbers, in Done and Taken.
const (
	// unopened: the connection has not authenticated; every frame is held.
	unopened int64 = -2
	// beforeAll: the lane is open, and no number has been taken. In Open it says
	// that it is not known at which number the client began.
	beforeAll int64 = -1
)

// Lane keeps one connection's numbered frames in the sender's order. Of all
// the invocations that submit its frames at most one, the holder of the lease,
// posts at a time; a frame that comes early is held, and the holder takes it
// when it is next.
//
// A Lane changes only by a [Move]. The methods that choose moves are pure.
type Lane struct {
	Open     int64   // the number that opened the lane; lower ones are not waited for
	Done     int64   // the highest number finished
	Taken    int64   // the highest number taken; Done == Taken: idle, otherwise leased
	Holder   string  // the invocation that took the lease last
	LeasedAt Instant // when it took or renewed the lease

	Held map[int64]Held // frames that came early, by number
	Size int            // bytes that they have together

	TAT TAT // of the sender's [Rate]

	Unnumbered []Unnumbered // the last messages without a number, the newest first

	Undelivered   []Undelivered // finished numbers that were not delivered, ascending
	OutcomesAfter int64         // at or below it the outcome of a number is no longer known

	Finished Digests // of the last numbers finished
	Taking   Digests // of those taken last
}

// Undelivered is a run of numbers that were finished without delivery, and why.
type Undelivered struct {
	From, To int64
	Code     Code
}

// New returns the lane of a connection that has not authenticated.
func New() Lane { return Lane{Done: unopened, Taken: unopened, OutcomesAfter: unopened} }

// Opened reports whether the connection has authenticated.
func (l Lane) Opened() bool { return l.Taken != unopened }

// Idle reports whether no invocation holds the lease.
func (l Lane) Idle() bool { return l.Done == l.Taken }

// LooksExpired reports whether the lease is held and older than [LeaseTimeout],
// if the clock of its holder agrees with the one that now is from: reason to
// watch, not to expire it.
func (l Lane) LooksExpired(now Instant) bool { return !l.Idle() && now.Sub(l.LeasedAt) > LeaseTimeout }

// LooksStuck reports whether the lease looks expired, or held frames have waited
// longer for the numbers below them than anybody should have them, in the same
// sense.
func (l Lane) LooksStuck(now Instant) bool {
	n, held := l.Lowest()
	return l.LooksExpired(now) || held && l.Opened() && l.Idle() && now.Sub(l.Held[n].At) > l.gapTimeout()
}

// Outcome returns how number n, which is finished, ended: OK if it was
// delivered.
func (l Lane) Outcome(n int64) Code {
	if code := l.undelivered(n); code != OK {
		return code
	}
	switch {
	case n == l.Open:
		return CodeClient // it was the authentication, not a message
	case n <= l.OutcomesAfter:
		return CodeServer
	default:
		return OK
	}
}

// undelivered returns the code under which number n is remembered as
// undelivered, OK if it is not.
func (l Lane) undelivered(n int64) Code {
	for _, u := range l.Undelivered {
		if u.From <= n && n <= u.To {
			return u.Code
		}
	}
	return OK
}

// Lost returns the numbers of the lease that is held whose outcome is lost if
// it expires: not those that its run had left out, nor the authentication's.
// Clients keep the callbacks of earlier connections under such numbers.
func (l Lane) Lost() []int64 {
	var lost []int64
	for n := max(l.Done+1, l.Taken-MaxHeld); n <= l.Taken; n++ {
		if n != l.Open && l.undelivered(n) == OK {
			lost = append(lost, n)
		}
	}
	return lost
}

// Lowest returns the lowest number held; ok is false if none is.
func (l Lane) Lowest() (n int64, ok bool) {
	for k := range l.Held {
		if !ok || k < n {
			n, ok = k, true
		}
	}
	return n, ok
}

// startUnknown reports whether nothing has been taken from a lane whose client
// did not say at which number it begins.
func (l Lane) startUnknown() bool { return l.Open == beforeAll && l.Taken == beforeAll }

// follows reports whether n may be taken right after taken. Below the opening
// number it is not known which numbers were sent on this connection, so there
// any higher one may follow, up to the first that is certain to come.
func (l Lane) follows(taken, n int64) bool {
	return n == taken+1 || taken < n && taken < l.Open && n <= l.Open+1
}

// run returns the unbroken run of held frames that may be posted after taken,
// and the number at which it leaves the lane.
func (l Lane) run(taken int64) (run []Numbered, end int64) {
	if len(l.Held) == 0 {
		return nil, taken
	}
	for _, n := range slices.Sorted(maps.Keys(l.Held)) {
		if !l.follows(taken, n) {
			break
		}
		run = append(run, Numbered{n, l.Held[n].Frame})
		taken = l.past(n)
	}
	return run, taken
}

// past returns where the lane stands after number n: the authentication itself
// counts as done.
func (l Lane) past(n int64) int64 {
	if n+1 == l.Open {
		return l.Open
	}
	return n
}

// with returns the lane as if frames were held, too.
func (l Lane) with(frames []Numbered) Lane {
	held := make(map[int64]Held, len(l.Held)+len(frames))
	maps.Copy(held, l.Held)
	for _, f := range frames {
		held[f.N] = Held{Frame: f.Frame}
	}
	l.Held = held
	return l
}

// without returns what the lane holds besides frames.
func (l Lane) without(frames []Numbered) map[int64]Held {
	held := maps.Clone(l.Held)
	for _, f := range frames {
		delete(held, f.N)
	}
	return held
}

// room returns how many of the frames can be held, in their order.
func (l Lane) room(frames []Numbered) int {
	most, bytes := Guard{Early: !l.Opened()}.Room()
	size := l.Size
	for i, f := range frames {
		if size += f.Len(); size > bytes || len(l.Held)+i >= most {
			return i
		}
	}
	return len(frames)
}

// farAhead reports whether number n is further above what is held than any client
// has messages on their way. Where nothing is held it is not known whether what is
// in between comes.
func (l Lane) farAhead(n int64) bool {
	lowest, some := l.Lowest()
	return some && l.Opened() && n > lowest+MaxHeld
}

// outcomes returns what the lane remembers once more numbers were finished
// without delivery. They lie above those that it remembers.
func (l Lane) outcomes(add ...Undelivered) Outcomes {
	list, after := slices.Clone(l.Undelivered), l.OutcomesAfter
	for _, u := range add {
		if u.From > u.To {
			continue
		}
		if last := len(list) - 1; last >= 0 && list[last].Code == u.Code && list[last].To+1 == u.From {
			list[last].To = u.To
			continue
		}
		list = append(list, u)
	}
	if over := len(list) - MaxUndelivered; over > 0 {
		after = list[over-1].To
		list = list[over:]
	}
	return Outcomes{list, after}
}
