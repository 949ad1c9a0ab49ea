package lane

import (
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
)

// The model's world. What is shared: the connections' records, the users'
// records, the sockets. What is not: each invocation, a small machine whose
// steps are the atomic effects of work.go, send.go and authenticate.go, one
// write, read or post each. All that is computed between two effects happens
// together with the effect before it, with the product's own functions.
//
// A world is never changed: a step makes a new one, which shares with the old
// all that the step leaves alone.
//
// What the model assumes, and where the product sees to it:
//   - Each write, read and post takes effect at one instant (ports.go: the store
//     is strongly consistent, a move is one conditional write). A computation
//     is never delayed against what it has read; a write may be, against the
//     computation, where a config lets time pass (slow). To act late on what was
//     seen early makes a move that its guard refuses, or that a later look would
//     have chosen as well.
//   - A post is accepted, if at all, no later than PostStartWithin + PostWithin after
//     the turn's time (work.ready, Pusher.Post), which is less than LeaseTimeout. So
//     nobody overtakes between ready's consent and the acceptance.
//   - Where a config does not let it pass (slow, late), time passes only while
//     every invocation waits, and all frames have come: a frame-long delay of
//     LeaseTimeout is a fault like any other.
//   - The tries of work.go (moveTries, arriveTries, claimTries) are not used up:
//     there are fewer faults and fewer invocations than that.
//   - A repeat is told from the original by who begins first; they are equal.
//   - Frames fit in the lane (MaxHeld, MaxUndelivered), and no record expires.
//   - The sequence numbers of the receiver are left out; nothing depends on them.
type world struct {
	conns [4]*connState
	users [3]userState
	invs  [maxInvs]*inv
	n     int // how many invs there are

	told   [2]toldState // by sending connection: the first two of conns
	gone   [4]bool      // sockets that do not exist any more
	lost   [4]bool      // connections superseded by a claim that has committed
	faults fault        // faults that may still occur
	slow   int          // how often time may still pass while somebody is at work
	late   *lateMove    // a write on its way that the invocation no longer waits for

	bad string // a property that the last step broke
}

const maxInvs = 12

// The connections: two that send, two that receive.
const (
	connA = iota // alice
	connB        // alice again, or carol
	connX        // bob
	connY        // bob again
)

const (
	alice = iota
	bob
	carol
)

var (
	connName = [4]string{"A", "B", "X", "Y"}
	userName = [3]string{"alice", "bob", "carol"}
)

func userOf(name string) int { return slices.Index(userName[:], name) }

// connState is a connection's record.
type connState struct {
	there bool
	user  string
	lane  Lane
	hash  uint64
}

// userState is a user's record: which connection owns the name, and when it
// claimed it. The sequence number is left out: no step depends on it.
type userState struct {
	owner int // noConn: nobody
	at    int
}

const noConn = -1

// toldState is what is known of the numbers of a sending connection: sets of
// numbers, one bit each.
type toldState struct {
	reached  uint16 // the frame was brought to the lane
	accepted uint16 // a receiver's socket has it
	ok, fail uint16 // acks to the sender
	nobody   uint16 // the sender was told that it is nobody
	unknown  uint16 // a post or an invocation was lost: nobody knows the outcome
	early    uint16 // held before the lane was opened
}

// fault is a set of faults, each of which happens at most once in a run.
type fault uint16

const (
	crash    fault = 1 << iota // an invocation ends, anywhere
	lostMove                   // a write takes effect, its answer is lost, it is tried again
	lateDup                    // a write is tried again, and its first try takes effect later
	goneTo                     // the receiver's socket turns out to be gone
	goneAck                    // the sender's socket turns out to be gone
	unknown                    // a post fails with an unknown outcome: accepted, or not
	repeat                     // API Gateway invokes twice with the same frame
	stint                      // an owner has been at work for maxStint
)

type lateMove struct {
	conn int
	m    *Move
	hash uint64
}

// The clock. A tick is longer than PostStartWithin and, with it, than everything
// that is meant to be short; two are longer than LeaseTimeout, one is not. What is
// older than two ticks is as good as two ticks old, so instants are kept as
// ages: the clock stands, and a tick moves all that is remembered into the
// past.
const (
	tick    = 2000 // ms
	present = Instant(1_000_000)
	past    = present - 2*tick
)

func older(i Instant) Instant {
	if i == 0 {
		return 0
	}
	return max(i-tick, past)
}

// pc is what an invocation is about to do.
type pc uint8

const (
	pcAway     pc = iota // it has not begun
	pcMove               // work.move
	pcRoute              // Store.Route in deliver
	pcPost               // ready and Pusher.Post in deliver
	pcRelease            // vanish: release
	pcDrop               // vanish: Disconnect's Drop
	pcAgain              // vanish: Disconnect's Release
	pcTell               // an answer or Pusher.Post to the sender
	pcLook               // watch sleeps, then look
	pcHandover           // carry sleeps for handover, then look
	pcInspect            // authenticate: Inspect
	pcClaim              // claim: Store.Claim
	pcFence              // claim: Store.Drop of the owner
	pcGiveUp             // enter: release after a failed open
	pcOust               // supersede
	pcEnd
)

// why says what the move of pcMove is for, and which function gets its answer.
type why uint8

const (
	toBring  why = iota // work.bring
	toWatch             // work.watch
	toFinish            // work.turn
	toRenew             // work.ready
	toOpen              // work.open
)

// then is what follows the acks.
type then uint8

const (
	thenEnd then = iota
	thenBring
	thenWatch
	thenCarry
	thenRefuse
)

// plan is what an invocation is for; it does not change.
type plan struct {
	me     string
	conn   int
	user   string // of an authentication
	n      int64  // of the frame or the authentication
	auth   bool
	of     int  // repeats that invocation; itself: does not
	late   bool // may come as late as it likes, or never
	begins bool // only once everything else has come to rest
}

// inv is an invocation: the fields of work, and the local variables of the
// functions that it is in.
type inv struct {
	*plan
	pc   pc
	why  why
	then then

	m        *Move  // about to be made, or tried again
	view     Lane   // work.conn.Lane, as far as it is still needed
	user     string // work.conn.User
	run      []Numbered
	i        int // which of run is about to be delivered
	codes    []Code
	faults   []Undelivered
	try      int // deliver's loop
	to       int // the connection that the frame was routed to
	renews   int // ready's loop
	lost     bool
	idle     bool  // carry's more is false: the stint is over
	watching int64 // the held frame that it answers for; -1: it has carried
	next     []Numbered
	tells    []told
	target   int // whom pcDrop and pcRelease end, or pcFence drops
	whose    string
	back     pc // what that was for: pcRoute, pcTell, or pcEnd for refuse
	at       int
	expect   int
	ousted   []int
	hash     uint64
}

// told is an ack on its way.
type told struct {
	n     int64
	code  Code
	reply bool // by the invocation's answer; otherwise by a post
	no    bool // "you are nobody"
}

// The hashes are of all that a component's future depends on. Worlds are told
// apart by 64 bits: among n worlds two are taken for one with a probability
// below n²/2^65, for ten million about one in a million.
var seed = maphash.MakeSeed()

type encoder []byte

func (e *encoder) num(vs ...int64) {
	for _, v := range vs {
		*e = binary.AppendVarint(*e, v)
	}
}

func (e *encoder) str(s string) {
	e.num(int64(len(s)))
	*e = append(*e, s...)
}

func (e *encoder) bit(bs ...bool) {
	for _, b := range bs {
		if b {
			e.num(1)
		} else {
			e.num(0)
		}
	}
}

func (e *encoder) instant(i Instant) {
	if i == 0 {
		e.num(9)
		return
	}
	e.num(int64(present-i) / tick)
}

func (e *encoder) run(run []Numbered) {
	e.num(int64(len(run)))
	for _, f := range run {
		e.num(f.N)
	}
}

func (e *encoder) faults(fs []Undelivered, forgotten int64) {
	e.num(int64(len(fs)), forgotten)
	for _, f := range fs {
		e.num(f.From, f.To, int64(f.Code))
	}
}

func (e *encoder) lane(l Lane) {
	e.num(l.Open, l.Done, l.Taken)
	e.str(l.Holder)
	e.instant(l.LeasedAt)
	e.num(int64(len(l.Held)))
	if len(l.Held) > 0 {
		for _, n := range slices.Sorted(maps.Keys(l.Held)) {
			e.num(n)
			e.str(l.Held[n].By)
			e.instant(l.Held[n].At)
		}
	}
	e.faults(l.Undelivered, l.OutcomesAfter)
}

func (e *encoder) move(m *Move) {
	if m == nil {
		e.num(0)
		return
	}
	e.str(string(m.Kind))
	g, c := m.Guard, m.Change
	held := -1
	if n, ok := g.Held.Value(); ok {
		held = n
	}
	done, _ := g.Done.Value()
	taken, _ := g.Taken.Value()
	holder, _ := g.Holder.Value()
	leased, _ := g.LeasedAt.Value()
	e.num(done, taken, int64(held), int64(len(g.Vacant)))
	e.str(holder)
	e.instant(leased)
	e.num(c.Done, c.Taken)
	e.str(c.Holder)
	e.instant(c.LeasedAt)
	if c.Hold != nil {
		e.num(c.Hold.N)
		e.instant(c.Hold.At)
	}
	e.run(c.Unhold)
	e.run(m.Run)
	if c.Outcomes != nil {
		e.faults(c.Outcomes.Undelivered, c.Outcomes.After)
	}
}

func (e encoder) sum() uint64 { return maphash.Bytes(seed, e) }

func (c *connState) seal() *connState {
	e := make(encoder, 0, 128)
	e.bit(c.there)
	if c.there {
		e.str(c.user)
		e.lane(c.lane)
	}
	c.hash = e.sum()
	return c
}

func (v *inv) seal() *inv {
	e := make(encoder, 0, 256)
	e.str(v.me)
	e.num(int64(v.pc))
	if v.pc != pcEnd {
		e.num(int64(v.why), int64(v.then), int64(v.i), int64(v.try), int64(v.to), int64(v.renews), v.watching,
			int64(v.target), int64(v.back), int64(v.at), int64(v.expect))
		e.bit(v.lost, v.idle, v.late)
		e.move(v.m)
		e.lane(v.view)
		e.str(v.user)
		e.str(v.whose)
		e.run(v.run)
		e.run(v.next)
		e.num(int64(len(v.codes)), int64(len(v.ousted)))
		for _, c := range v.codes {
			e.num(int64(c))
		}
		e.faults(v.faults, int64(len(v.tells)))
		for _, t := range v.tells {
			e.num(t.n, int64(t.code))
			e.bit(t.reply, t.no)
		}
		for _, c := range v.ousted {
			e.num(int64(c))
		}
	}
	v.hash = e.sum()
	return v
}

// hash is of the whole world.
func (w *world) hash() uint64 {
	e := make(encoder, 0, 256)
	for _, c := range w.conns {
		e = binary.LittleEndian.AppendUint64(e, c.hash)
	}
	for _, v := range w.invs[:w.n] {
		e = binary.LittleEndian.AppendUint64(e, v.hash)
	}
	for _, u := range w.users {
		e.num(int64(u.owner), int64(u.at))
	}
	for _, t := range w.told {
		for _, bits := range []uint16{t.reached, t.accepted, t.ok, t.fail, t.nobody, t.unknown, t.early} {
			e.num(int64(bits))
		}
	}
	e.bit(w.gone[:]...)
	e.bit(w.lost[:]...)
	e.num(int64(w.faults), int64(w.slow))
	if w.late != nil {
		e = binary.LittleEndian.AppendUint64(e, w.late.hash)
	}
	return e.sum()
}

// aged is the lane one tick later.
func (l Lane) aged() Lane {
	l.LeasedAt = older(l.LeasedAt)
	if len(l.Held) > 0 {
		held := make(map[int64]Held, len(l.Held))
		for n, h := range l.Held {
			h.At = older(h.At)
			held[n] = h
		}
		l.Held = held
	}
	return l
}

// aged is the move one tick later: what was decided before is made now.
func (m Move) aged() *Move {
	if at, ok := m.Guard.LeasedAt.Value(); ok {
		m.Guard.LeasedAt = Is(older(at))
	}
	m.Change.LeasedAt = older(m.Change.LeasedAt)
	if m.Change.Hold != nil {
		h := *m.Change.Hold
		h.At = older(h.At)
		m.Change.Hold = &h
	}
	return &m
}

// ticked is the world one tick later.
func (w *world) ticked() *world {
	out := *w
	for i, c := range w.conns {
		later := *c
		later.lane = c.lane.aged()
		out.conns[i] = later.seal()
	}
	for i, v := range w.invs[:w.n] {
		if v.pc == pcAway || v.pc == pcEnd {
			continue
		}
		later := *v
		later.view = v.view.aged()
		if v.m != nil {
			later.m = v.m.aged()
		}
		out.invs[i] = later.seal()
	}
	if w.late != nil {
		out.late = newLate(w.late.conn, w.late.m.aged())
	}
	return &out
}

func newLate(conn int, m *Move) *lateMove {
	e := encoder{byte(conn)}
	e.move(m)
	return &lateMove{conn, m, e.sum()}
}

func bit(n int64) uint16 { return 1 << n }

// String shows what there is to see of a world in a trace.
func (w *world) String() string {
	s := ""
	for i := range 2 {
		c, t := w.conns[i], w.told[i]
		if t.reached == 0 && c.lane.Holder == "" {
			continue
		}
		s += fmt.Sprintf("  %s[", connName[i])
		if c.there {
			s += fmt.Sprintf("done %d turn %d owner %s", c.lane.Done, c.lane.Taken, c.lane.Holder)
			if !c.lane.Idle() {
				s += fmt.Sprintf(" age %d", int64(present-c.lane.LeasedAt)/tick)
			}
			for _, n := range slices.Sorted(maps.Keys(c.lane.Held)) {
				s += fmt.Sprintf(" held %d by %s age %d", n, c.lane.Held[n].By, int64(present-c.lane.Held[n].At)/tick)
			}
			if len(c.lane.Undelivered) > 0 {
				s += fmt.Sprintf(" faults %v", c.lane.Undelivered)
			}
		} else {
			s += "no record"
		}
		s += fmt.Sprintf("] accepted %v ok %v failed %v", list(t.accepted), list(t.ok), list(t.fail|t.nobody))
	}
	return s
}

func list(bits uint16) []int64 {
	out := []int64{}
	for n := range int64(16) {
		if bits&bit(n) != 0 {
			out = append(out, n)
		}
	}
	return out
}
