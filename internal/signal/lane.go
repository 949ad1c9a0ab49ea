package signal

import (
	"maps"
	"slices"
	"time"
)

// The lane's times. An owner that has not renewed its turn for Patience counts
// as dead and is overtaken. So that it cannot post any more by then, it begins
// no post later than BeginWithin after its turn, and gives each up after
// PostWithin; what is left of Patience is for the clocks' skew.
const (
	Patience    = 3 * time.Second
	BeginWithin = 1 * time.Second
	PostWithin  = 1 * time.Second
	// Settle is how long the first numbers of a connection whose first number
	// cannot be known wait for lower ones.
	Settle = 100 * time.Millisecond
)

// What a lane holds at most. The item of a connection must stay well below
// DynamoDB's 400 KB, and every write to it is charged by its whole size.
const (
	MaxHeld      = 128
	MaxHeldBytes = 256 << 10
	// MaxFaults is how many runs of undelivered numbers a lane remembers.
	MaxFaults = 16
)

const (
	// unopened is where a lane stands until the connection has authenticated:
	// every frame is held.
	unopened int64 = -2
	// UnknownStart opens a lane whose client does not say at which number it
	// begins.
	UnknownStart int64 = -1
)

// Lane keeps one connection's numbered frames in the sender's order. Of all
// the invocations that carry its frames at most one, the owner, posts at a
// time; a frame that comes early is held for the owner to take along.
//
// A Lane changes only by a [Move], a conditional write. The methods that
// choose moves are pure.
type Lane struct {
	Open   int64   // the number that opened the lane; lower ones are not waited for
	Done   int64   // the highest number finished
	Turn   int64   // the highest number taken; Done == Turn: idle, otherwise an owner is at work
	Owner  string  // who took the turn last
	TurnAt Instant // when it did, or renewed it

	Held map[int64]Held // frames that came early, by number
	Size int            // bytes that they hold together

	FullAt FullAt // when the bucket of the sender's [Rate] is full again

	Faults    []Fault // finished numbers that were not delivered, ascending
	Forgotten int64   // at or below it the outcome of a number is no longer known
}

// Held is a frame that came early.
type Held struct {
	Frame
	By string  // the invocation that brought it
	At Instant // when it was held
}

// Fault is a run of numbers that were finished without delivery, and why.
type Fault struct {
	From, To int64
	Code     Code
}

// NewLane is the lane of a connection that has not authenticated.
func NewLane() Lane { return Lane{Done: unopened, Turn: unopened, Forgotten: unopened} }

// Opened reports whether the connection has authenticated.
func (l Lane) Opened() bool { return l.Turn != unopened }

// Idle reports whether no owner is at work.
func (l Lane) Idle() bool { return l.Done == l.Turn }

// dead reports whether an owner at work has shown no life for Patience.
func (l Lane) dead(now Instant) bool { return !l.Idle() && now.Sub(l.TurnAt) > Patience }

// Outcome is how number n, which is finished, ended: OK if it was delivered.
func (l Lane) Outcome(n int64) Code {
	if code := l.fault(n); code != OK {
		return code
	}
	switch {
	case n == l.Open:
		return CodeClient // it was the authentication, not a message
	case n <= l.Forgotten:
		return CodeServer
	default:
		return OK
	}
}

// fault is the code under which number n is remembered as undelivered, OK if it
// is not.
func (l Lane) fault(n int64) Code {
	for _, f := range l.Faults {
		if f.From <= n && n <= f.To {
			return f.Code
		}
	}
	return OK
}

// lowest is the lowest number held; ok is false if none is.
func (l Lane) lowest() (n int64, ok bool) {
	for k := range l.Held {
		if !ok || k < n {
			n, ok = k, true
		}
	}
	return n, ok
}

// follows reports whether n may be taken right after turn. Below the opening
// number nobody knows which numbers were sent on this connection, so there
// any higher one may follow, up to the first that is certain to come.
func (l Lane) follows(turn, n int64) bool {
	return n == turn+1 || turn < n && turn < l.Open && n <= l.Open+1
}

// run is the unbroken run of held frames that may be posted after turn, and
// the number at which it leaves the lane.
func (l Lane) run(turn int64) (run []Numbered, end int64) {
	if len(l.Held) == 0 {
		return nil, turn
	}
	numbers := make([]int64, 0, len(l.Held))
	for n := range l.Held {
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	for _, n := range numbers {
		if !l.follows(turn, n) {
			break
		}
		run = append(run, Numbered{n, l.Held[n].Frame})
		turn = l.past(n)
	}
	return run, turn
}

// past is where the lane stands after number n: the authentication itself
// counts as done.
func (l Lane) past(n int64) int64 {
	if n+1 == l.Open {
		return l.Open
	}
	return n
}

// with is the lane as if n were held, too.
func (l Lane) with(n int64, f Frame) Lane {
	held := make(map[int64]Held, len(l.Held)+1)
	maps.Copy(held, l.Held)
	held[n] = Held{Frame: f}
	l.Held = held
	return l
}

// without is what the lane holds besides frames.
func (l Lane) without(frames []Numbered) map[int64]Held {
	held := maps.Clone(l.Held)
	for _, f := range frames {
		delete(held, f.N)
	}
	return held
}

// faulted is the lane's faults with more added, and what is forgotten for it.
// Added faults lie above those there are.
func (l Lane) faulted(add ...Fault) ([]Fault, int64) {
	faults, forgotten := slices.Clone(l.Faults), l.Forgotten
	for _, f := range add {
		if f.From > f.To {
			continue
		}
		if last := len(faults) - 1; last >= 0 && faults[last].Code == f.Code && faults[last].To+1 == f.From {
			faults[last].To = f.To
			continue
		}
		faults = append(faults, f)
	}
	if over := len(faults) - MaxFaults; over > 0 {
		forgotten = faults[over-1].To
		faults = faults[over:]
	}
	return faults, forgotten
}
