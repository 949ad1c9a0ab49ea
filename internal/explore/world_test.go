package explore

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"strings"

	"github.com/owt-signal/owt-signal/internal/memory"
	"github.com/owt-signal/owt-signal/internal/signal"
)

// world is one state of all there is. It never changes: a step makes a new one.
type world struct {
	store *memory.Store // shared; cloned before a write
	conns [maxConns]uint64
	users [maxUsers]ownership
	now   signal.Instant
	calls [maxCalls]call
	n     int // how many calls there are

	told     [maxLines]facts
	gone     [maxConns]bool // sockets that do not exist any more
	lost     [maxConns]bool // connections that another one's claim has superseded
	welcomed [maxConns]bool
	faults   fault // that may still occur
	slow     int   // how often time may still pass while somebody is at work
	late     *lateWrite

	bad string // a promise that the last step broke
}

// The connections: three that send, two of bob, who receives.
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

// ownership is what a user's record says of its owner; without the count of
// messages, on which nothing depends.
type ownership struct {
	owner signal.ConnectionID
	claim uint64
}

// call is an invocation in a world.
type call struct {
	plan
	at *history // nil: it has not begun
}

// plan says when an invocation comes.
type plan struct {
	*program
	number  int64 // of its frame
	of      int   // the call that it repeats; itself: none
	late    bool  // as late as it likes, or never
	last    bool  // once everything else has come to rest
	welcome bool  // once its connection has been welcomed
	auth    bool
}

func (c call) over() bool { return c.at != nil && c.at.next.kind == ended }

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
	effect
	call int
	id   uint64 // of the history that waited for it
}

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

// record is a connection's record, if there is one, ended or not.
func (w *world) record(i int) (signal.Connection, bool) {
	c, err := w.store.Recall(context.Background(), connName[i], w.now)
	return c, err == nil
}

// noted brings the hash of a connection's record up to date.
func (w *world) noted(i int) {
	w.conns[i] = 0
	if c, there := w.record(i); there {
		w.conns[i] = hashOf(c)
	}
}

// hash is of all that the future depends on.
func (w *world) hash() uint64 {
	b := make([]byte, 0, 512)
	for _, h := range w.conns {
		b = binary.LittleEndian.AppendUint64(b, h)
	}
	for _, u := range w.users {
		b = append(append(b, u.owner...), 0)
		b = binary.LittleEndian.AppendUint64(b, u.claim)
	}
	for _, c := range w.calls[:w.n] {
		var id uint64
		switch {
		case c.over():
			id = 1
		case c.at != nil:
			id = c.at.id
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
	b = binary.AppendVarint(b, int64(w.now))
	b = append(b, byte(w.faults), byte(w.slow))
	if w.late != nil {
		b = binary.AppendUvarint(b, w.late.id)
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

func bit(n int64) uint16 { return 1 << n }

// String shows what there is to see of a world in a trace.
func (w *world) String() string {
	var b strings.Builder
	for i := range connX {
		if c, there := w.record(i); there {
			l := c.Lane
			fmt.Fprintf(&b, "  %s[done %d turn %d owner %s", connName[i], l.Done, l.Turn, l.Owner)
			if !l.Idle() {
				fmt.Fprintf(&b, " for %v", w.now.Sub(l.TurnAt))
			}
			for n, h := range l.Held {
				fmt.Fprintf(&b, " held %d by %s for %v", n, h.By, w.now.Sub(h.At))
			}
			fmt.Fprintf(&b, " %v]", l.Faults)
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
