package client

import (
	"math/rand/v2"
	"testing"
	"time"
)

// Whatever is sent, answered, withdrawn and sent again on new connections: on
// each connection the numbers ascend without a gap from where the server stands,
// and the window holds.
func TestOutbox(t *testing.T) {
	for seed := range uint64(worlds) {
		testOutbox(t, seed)
		if t.Failed() {
			t.Fatalf("in world %d", seed)
		}
	}
}

func testOutbox(t *testing.T, seed uint64) {
	const window = 4
	random := rand.New(rand.NewPCG(seed, 0))
	o := outbox{timeout: time.Second}
	var added []*outgoing
	now := time.Unix(1, 0)
	expect := int64(1) // what the server takes for the next number
	wire := make(map[int64]int)
	for range 1 + random.IntN(80) {
		switch random.IntN(6) {
		case 0, 1:
			m := &outgoing{to: "bob", data: make([]byte, random.IntN(maxInFlightBytes))}
			o.add(m)
			added = append(added, m)
		case 2:
			for m := o.next(now, window); m != nil; m = o.next(now, window) {
				if m.number != expect {
					t.Errorf("sent %d, want %d", m.number, expect)
				}
				expect++
				wire[m.number] = m.size()
				bytes := 0
				for _, n := range wire {
					bytes += n
				}
				if len(wire) > window || len(wire) > 1 && bytes > maxInFlightBytes {
					t.Errorf("%d messages with %d bytes are in flight", len(wire), bytes)
				}
			}
		case 3:
			if len(o.flight) > 0 {
				n := o.flight[random.IntN(len(o.flight))].number
				if m := o.answered(n, false); m == nil || m.number != n {
					t.Errorf("%d cannot be answered", n)
				}
				if m := o.answered(n, false); m != nil && m.to != "" {
					t.Errorf("%d is answered twice", n)
				}
				delete(wire, n)
			}
		case 4:
			if len(added) > 0 {
				i := random.IntN(len(added))
				if m := added[i]; o.withdraw(m) != (m.number == 0) {
					t.Errorf("withdrew %d", m.number)
				}
				added = append(added[:i], added[i+1:]...)
			}
		case 5: // a new connection, to a server that knows nothing
			first := o.first()
			if len(o.flight) > 0 && random.IntN(2) == 0 {
				o.answered(o.flight[len(o.flight)-1].number, false) // late
			}
			o.rewind()
			o.fill(first)
			clear(wire)
			expect = first
		}
	}
}

// After an outage all numbers from the lowest are sent again: they do not lie far
// apart.
func TestOutboxSpread(t *testing.T) {
	o := outbox{timeout: time.Second}
	sent := 0
	for range maxSpread + 10 {
		o.add(&outgoing{to: "bob"})
		if m := o.next(time.Unix(1, 0), 9); m != nil {
			if sent++; m.number > 1 {
				o.answered(m.number, false)
			}
		}
	}
	if sent != maxSpread {
		t.Errorf("%d were sent while the first was not answered, want %d", sent, maxSpread)
	}
	o.answered(1, false)
	if m := o.next(time.Unix(1, 0), 9); m == nil || m.number != maxSpread+1 {
		t.Errorf("after that: %+v", m)
	}
}
