package lane

import "slices"

// Kind names a move.
type Kind string

// The moves that there are.
const (
	KindOpen   Kind = "open"   // the connection has authenticated
	KindTake   Kind = "take"   // take the lease for the next numbers, and held ones that follow them
	KindHold   Kind = "hold"   // keep frames that came early
	KindAdopt  Kind = "adopt"  // take the lease for held frames when it is free
	KindFinish Kind = "finish" // finish the numbers taken; take those that follow
	KindRenew  Kind = "renew"  // renew the lease
	KindExpire Kind = "expire" // end a lease that was not renewed; its numbers are undelivered
	KindSkip   Kind = "skip"   // stop waiting for a number that does not come
	KindSpend  Kind = "spend"  // take a message without a number, and from the rate's bucket
	KindResume Kind = "resume" // go on from where the lane stands, on that of another connection
	KindStay   Kind = "stay"   // nothing: only the record changes
	KindRevoke Kind = "revoke" // give up all that is held: the connection may do nothing new
)

// Move is one guarded transition of a lane: if the lane is as Guard says, it
// becomes as Change says, in one step.
type Move struct {
	Kind   Kind
	Guard  Guard
	Change Change
	// Run is what the holder of the lease has to post once the move is made, in
	// order.
	Run []Numbered
	// Repeated are held frames that are finished already, and to be answered as
	// they were before.
	Repeated []Numbered
}

// NewWork reports whether the move gives an invocation something to post, or
// to keep. The connection must not be revoked then.
func (m Move) NewWork() bool {
	return len(m.Run) > 0 || len(m.Change.Hold) > 0 || m.Kind == KindOpen || m.Kind == KindRenew || m.Kind == KindSpend
}

// Guard is what must hold of a lane for a move. The zero value asks for
// nothing. A move that holds frames asks, besides, that there is [Guard.Room] for them.
type Guard struct {
	Done, Taken Expected[int64]
	TakenBelow  Expected[int64] // that is higher than Taken
	Holder      Expected[string]
	LeasedAt    Expected[Instant]
	Held        Expected[int] // how many frames are held
	Vacant      []int64       // numbers that are not held
	TAT         Expected[TAT]
	Unnumbered  Expected[Unnumbered] // the newest; zero: none
	Early       bool                 // frames are held that came before the authentication, for which there is less room
}

// Room returns how many frames a lane may hold after a move, and how many bytes.
func (g Guard) Room() (frames, bytes int) {
	if g.Early {
		return MaxEarly, MaxEarlyBytes
	}
	return MaxHeld, MaxHeldBytes
}

// Expected is a condition on a value. The zero value allows any.
type Expected[T comparable] struct {
	value T
	set   bool
}

// Is returns the condition that a value is v.
func Is[T comparable](v T) Expected[T] { return Expected[T]{v, true} }

// Value returns the value that is asked for; ok is false if any is allowed.
func (e Expected[T]) Value() (v T, ok bool) { return e.value, e.set }

// Allows reports whether the value may be v.
func (e Expected[T]) Allows(v T) bool { return !e.set || e.value == v }

// Change is what a move makes of a lane. Done and Taken are always set, but for a
// move that holds frames: then they stay.
type Change struct {
	Done, Taken int64
	Holder      string       // empty: stays
	LeasedAt    Instant      // zero: stays
	Open        *int64       // nil: stays
	Hold        []HeldFrame  // frames to hold
	Unhold      []Numbered   // held frames to take out
	Outcomes    *Outcomes    // nil: stay
	TAT         TAT          // zero: stays
	Unnumbered  []Unnumbered // nil: stay
	Finished    Digests      // of no number: stay
	Taking      Digests      // of no number: stay
}

// Outcomes replaces what a lane remembers of undelivered numbers.
type Outcomes struct {
	Undelivered []Undelivered
	After       int64
}

// Allows reports whether the guard of m holds for l.
func (l Lane) Allows(m Move) bool {
	g := m.Guard
	if !g.Done.Allows(l.Done) || !g.Taken.Allows(l.Taken) || !g.Holder.Allows(l.Holder) ||
		!g.LeasedAt.Allows(l.LeasedAt) || !g.Held.Allows(len(l.Held)) || !g.TAT.Allows(l.TAT) || !g.Unnumbered.Allows(l.newest()) {
		return false
	}
	if n, ok := g.TakenBelow.Value(); ok && l.Taken >= n {
		return false
	}
	for _, n := range g.Vacant {
		if _, held := l.Held[n]; held {
			return false
		}
	}
	frames, bytes := g.Room()
	return len(m.Change.Hold) == 0 || len(l.Held)+len(m.Change.Hold) <= frames && l.Size+m.Change.Grows() <= bytes
}

// Grows returns by how many bytes the frames that are held grow.
func (c Change) Grows() int {
	n := 0
	for _, f := range c.Hold {
		n += f.Len()
	}
	for _, f := range c.Unhold {
		n -= f.Len()
	}
	return n
}

// Apply makes the move on l, in place.
func (l *Lane) Apply(m Move) {
	c := m.Change
	if len(c.Hold) == 0 {
		l.Done, l.Taken = c.Done, c.Taken
	}
	if c.Holder != "" {
		l.Holder = c.Holder
	}
	if c.LeasedAt != 0 {
		l.LeasedAt = c.LeasedAt
	}
	if c.Open != nil {
		l.Open = *c.Open
	}
	if len(c.Hold) > 0 && l.Held == nil {
		l.Held = make(map[int64]Held, len(c.Hold))
	}
	for _, f := range c.Hold {
		l.Held[f.N] = f.Held
	}
	for _, f := range c.Unhold {
		delete(l.Held, f.N)
	}
	l.Size += c.Grows()
	if c.TAT != 0 {
		l.TAT = c.TAT
	}
	if c.Unnumbered != nil {
		l.Unnumbered = c.Unnumbered
	}
	if len(c.Finished.Sums) > 0 {
		l.Finished = c.Finished
	}
	if len(c.Taking.Sums) > 0 {
		l.Taking = c.Taking
	}
	if c.Outcomes != nil {
		l.Undelivered, l.OutcomesAfter = c.Outcomes.Undelivered, c.Outcomes.After
	}
}

// Made reports whether m has been made on l already: a write may take effect
// though its answer is lost. The holder, which is one invocation, tells its own
// move from the same move of another.
func (m Move) Made(l Lane) bool {
	c := m.Change
	if len(c.Hold) > 0 { // some may have been taken since
		return slices.ContainsFunc(c.Hold, func(f HeldFrame) bool { h, ok := l.Held[f.N]; return ok && h.By == f.By })
	}
	return c.Holder != "" && l.Holder == c.Holder && l.Done == c.Done && l.Taken == c.Taken &&
		(c.LeasedAt == 0 || l.LeasedAt == c.LeasedAt)
}
