package explore

import (
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"

	"github.com/owt-signal/owt-signal/internal/signal"
)

// world is one state of all there is. It never changes: a step makes a new one.
type world struct {
	conns [maxConns]*record // nil: there is none
	users [maxUsers]*owner  // nil: the name is free
	calls [maxCalls]call
	n     int // how many calls there are

	told     [maxLines]facts
	posted   [maxUsers]places // to users whose clients recover
	inbox    places           // what bob's client has got, if it recovers
	gone     [maxConns]bool   // sockets that do not exist any more
	lost     [maxConns]bool   // connections that another one's claim has superseded
	welcomed [maxConns]bool
	faults   fault // that may still occur
	slow     int   // how often time may still pass while somebody is at work
	late     *lateWrite
	ticks    int // how much time has passed

	bad string // a promise that the last step broke
}

// The connections: three that send, or of carol, who receives; two of bob, who does.
const (
	connA = iota
	connB
	connC
	connX
	connY
	maxConns
)

const (
	maxUsers = 3
	maxCalls = 14
	maxLines = 3
)

var (
	connName = [maxConns]signal.ConnectionID{"A", "B", "C", "X", "Y"}
	userName = [maxUsers]signal.UserName{"alice", "carol", "bob"}
)

const (
	alice signal.UserName = "alice"
	carol signal.UserName = "carol"
	bob   signal.UserName = "bob"
)

// record is the record of a connection.
type record struct {
	signal.Connection
	hash uint64
}

func newRecord(c signal.Connection) *record { return &record{c, hashOf(c)} }

// owner is what a user's record says of the owner; the count of messages only
// where clients recover: nothing else depends on it.
type owner struct {
	signal.Claim
	hash    uint64
	free    bool  // the name is, and its numbers are kept
	seq     int64 // the last number that was reserved
	history []signal.Kept
}

func newOwner(o owner) *owner {
	o.hash = hashOf(struct {
		signal.Claim
		free    bool
		seq     int64
		history []signal.Kept
	}{o.Claim, o.free, o.seq, o.history})
	return &o
}

// call is an invocation in a world.
type call struct {
	plan
	at *history // nil: it has not begun
}

// plan says when an invocation comes.
type plan struct {
	*program
	numbers uint16 // of its frame, a set
	of      int    // the call that it repeats; itself: none
	late    bool   // as late as it likes, or never
	last    bool   // once everything else has come to rest
	welcome bool   // once its connection has been welcomed
	since   int64  // once bob's client has that number
	auth    bool
}

// asks reports whether it is a client's last question for what it has missed.
func (p plan) asks() bool { return p.last && p.numbers == 0 }

func (c call) over() bool { return c.at != nil && len(c.at.waiting()) == 0 }

// facts are what is known of the numbers of one sender, or session: sets of
// numbers, a bit each.
type facts struct {
	reached  uint16 // a write of the frame's invocation was tried
	accepted uint16 // a receiver's socket has it
	ok, fail uint16 // acks to the sender
	rejected uint16 // told that the connection is unknown
	unknown  uint16 // a post or an invocation was lost: nobody knows the outcome
	early    uint16 // held before the lane was opened
}

// fault is a set of faults, each of which happens at most once in a run.
type fault uint16

const (
	crash    fault = 1 << iota // an invocation ends, anywhere
	lostMove                   // a write takes effect, and its answer is lost
	lateDup                    // a write fails, and takes effect later
	goneTo                     // the receiver's socket turns out to be gone
	goneAck                    // the sender's socket turns out to be gone
	unknown                    // a post fails with an unknown outcome: accepted, or not
	repeat                     // API Gateway invokes twice with the same frame
)

// lateWrite is a write on its way that its invocation no longer waits for.
type lateWrite struct {
	call, strand int
	at           *history // that waited for it
}

func (l *lateWrite) effect() *effect { return l.at.waitsFor(l.strand) }

func (w *world) conn(id signal.ConnectionID) int {
	for i, name := range connName {
		if name == id {
			return i
		}
	}
	panic("no such connection: " + string(id))
}

func user(name signal.UserName) int {
	for i, u := range userName {
		if u == name {
			return i
		}
	}
	panic("no such user: " + string(name))
}

// living is the record of a connection that has not ended, if there is one.
func (w *world) living(i int) (*record, bool) {
	r := w.conns[i]
	return r, r != nil && !r.Ended
}

// hash is of all that the future depends on.
func (w *world) hash() uint64 {
	b := make([]byte, 0, 512)
	for _, r := range w.conns {
		if r != nil {
			b = binary.LittleEndian.AppendUint64(b, r.hash)
		}
		b = append(b, 0)
	}
	for _, o := range w.users {
		if o != nil {
			b = binary.LittleEndian.AppendUint64(b, o.hash)
		}
		b = append(b, 0)
	}
	for _, c := range w.calls[:w.n] {
		var id uint64
		switch {
		case c.over():
			id = 1
		case c.at != nil:
			id = c.at.id
		case c.late:
			id = 2
		}
		b = binary.AppendUvarint(b, id)
	}
	for _, t := range w.told {
		for _, bits := range []uint16{t.reached, t.accepted, t.ok, t.fail, t.rejected, t.unknown, t.early} {
			b = binary.LittleEndian.AppendUint16(b, bits)
		}
	}
	for i := range maxConns {
		b = append(b, bits(w.gone[i], w.lost[i], w.welcomed[i]))
	}
	for _, p := range append(w.posted[:], w.inbox) {
		for _, at := range p {
			b = append(b, byte(at))
		}
	}
	b = append(b, byte(w.faults), byte(w.slow))
	if w.late != nil {
		b = append(binary.AppendUvarint(b, w.late.at.id), byte(w.late.strand))
	}
	return maphash.Bytes(seed, b)
}

func bits(bs ...bool) (n byte) {
	for i, b := range bs {
		if b {
			n |= 1 << i
		}
	}
	return n
}

func bit(ns ...int64) (set uint16) {
	for _, n := range ns {
		set |= 1 << n
	}
	return set
}

// delivers reports whether there is a message among what is posted.
func delivers(e signal.Event) bool {
	switch e := e.(type) {
	case signal.Batch:
		return slices.ContainsFunc(e, delivers)
	case signal.Delivery:
		return true
	default:
		return false
	}
}

// String shows what there is to see of a world in a trace.
func (w *world) String() string {
	var b strings.Builder
	for i := range connX {
		if r := w.conns[i]; r != nil {
			l := r.Lane
			fmt.Fprintf(&b, "  %s[done %d taken %d holder %s", connName[i], l.Done, l.Taken, l.Holder)
			if !l.Idle() {
				fmt.Fprintf(&b, " for %v", present.Sub(l.LeasedAt))
			}
			for n, h := range l.Held {
				fmt.Fprintf(&b, " held %d by %s for %v", n, h.By, present.Sub(h.At))
			}
			fmt.Fprintf(&b, " %v]", l.Undelivered)
		}
	}
	for _, t := range w.told {
		if t.reached != 0 {
			fmt.Fprintf(&b, "  accepted %v ok %v failed %v", list(t.accepted), list(t.ok), list(t.fail|t.rejected))
		}
	}
	return b.String()
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
