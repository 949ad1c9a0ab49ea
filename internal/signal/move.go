package signal

// Kind names a move.
type Kind string

// The moves that there are.
const (
	KindOpen     Kind = "open"     // the connection has authenticated
	KindTake     Kind = "take"     // take the next number, and held ones that follow it
	KindHold     Kind = "hold"     // keep a frame that came early
	KindAdopt    Kind = "adopt"    // take held frames that nobody works on
	KindFinish   Kind = "finish"   // done with the numbers taken; take those that follow
	KindRenew    Kind = "renew"    // still at work
	KindOvertake Kind = "overtake" // declare an owner dead and its numbers undelivered
	KindSkip     Kind = "skip"     // stop waiting for a number that does not come
	KindSpend    Kind = "spend"    // take a message without a number from the bucket
	KindBar      Kind = "bar"      // the connection takes on nothing any more
)

// Any is a guard that does not ask.
const Any = -1

// Move is one conditional write on a lane: if the lane is as Guard says, it
// becomes as Change says, in one step. A [Store] makes it.
type Move struct {
	Kind   Kind
	Guard  Guard
	Change Change
	// Run is what the owner has to post once the move is made, in order.
	Run []Numbered
	// Repeated are held frames that are finished already, and to be answered as
	// they were before.
	Repeated []Numbered
}

// Guard is what must hold for a move. A move that holds a frame asks, besides,
// that there is room for it: [MaxHeld] and [MaxHeldBytes].
type Guard struct {
	Done, Turn int64
	Owner      string  // empty: any
	TurnAt     Instant // zero: any
	Held       int     // how many frames are held; [Any]
	Vacant     []int64 // numbers that are not held
	FullAt     *FullAt // nil: any
	Ended      bool    // the connection has ended; without it, it has not
	// Valid: the connection is not barred. Asked for by every move that gives an
	// invocation something to post, or to keep.
	Valid bool
}

// Change is what a move makes of a lane. Done and Turn are always set.
type Change struct {
	Done, Turn int64
	Owner      string     // empty: stays
	TurnAt     Instant    // zero: stays
	Opening    *Opening   // only when the lane opens
	Hold       *HeldFrame // a frame to hold
	Unhold     []Numbered // held frames to take out
	Faults     *Faults    // nil: stay
	Bar        *Bar       // nil: none
	FullAt     FullAt     // zero: stays
}

// Opening is what opening a lane sets for good.
type Opening struct {
	User       UserName
	At         int64 // the lane's Open
	Until      Instant
	Attributes map[string]string
}

// HeldFrame is a frame to hold, under its number.
type HeldFrame struct {
	N int64
	Held
}

// Faults replaces what a lane remembers of undelivered numbers.
type Faults struct {
	List      []Fault
	Forgotten int64
}

// Allows reports whether the guard of m holds for l, as far as it is about the
// lane.
func (l Lane) Allows(m Move) bool {
	g := m.Guard
	if l.Done != g.Done || l.Turn != g.Turn ||
		g.Owner != "" && l.Owner != g.Owner ||
		g.TurnAt != 0 && l.TurnAt != g.TurnAt ||
		g.FullAt != nil && l.FullAt != *g.FullAt ||
		g.Held != Any && len(l.Held) != g.Held {
		return false
	}
	for _, n := range g.Vacant {
		if _, held := l.Held[n]; held {
			return false
		}
	}
	return m.Change.Hold == nil || l.room(m.Change.Hold.Frame)
}

// room reports whether f can be held.
func (l Lane) room(f Frame) bool {
	return len(l.Held) < MaxHeld && l.Size+f.Len() <= MaxHeldBytes
}

// Apply makes the move on l, in place. What else the record of a connection
// keeps is [Connection.Applied]'s to set.
func (l *Lane) Apply(m Move) {
	c := m.Change
	l.Done, l.Turn = c.Done, c.Turn
	if c.Owner != "" {
		l.Owner = c.Owner
	}
	if c.TurnAt != 0 {
		l.TurnAt = c.TurnAt
	}
	if c.Opening != nil {
		l.Open = c.Opening.At
	}
	if c.Hold != nil {
		if l.Held == nil {
			l.Held = make(map[int64]Held)
		}
		l.Held[c.Hold.N] = c.Hold.Held
		l.Size += c.Hold.Len()
	}
	for _, f := range c.Unhold {
		delete(l.Held, f.N)
		l.Size -= f.Len()
	}
	if c.FullAt != 0 {
		l.FullAt = c.FullAt
	}
	if c.Faults != nil {
		l.Faults, l.Forgotten = c.Faults.List, c.Faults.Forgotten
	}
}

// Made reports whether m has been made on l already: a write may take effect
// though its answer is lost. The owner, who is one invocation, tells one's own
// move from the same move of another.
func (m Move) Made(l Lane) bool {
	c := m.Change
	if c.Hold != nil {
		h, ok := l.Held[c.Hold.N]
		return ok && h.By == c.Hold.By
	}
	return c.Owner != "" && l.Owner == c.Owner && l.Done == c.Done && l.Turn == c.Turn &&
		(c.TurnAt == 0 || l.TurnAt == c.TurnAt)
}
