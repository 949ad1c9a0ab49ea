package client

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Whatever is sent, answered, withdrawn and sent again on new connections: on
// each connection the numbers ascend without a gap from where the server stands,
// and the window holds.
func TestOutbox(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const window, windowBytes = 4, 40
		var o outbox
		var added []*outgoing
		now := time.Unix(1, 0)
		expect := int64(1) // what the server takes for the next number
		wire := make(map[int64]int)
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			switch rapid.IntRange(0, 5).Draw(t, "step") {
			case 0, 1:
				m := &outgoing{to: "bob", data: make([]byte, rapid.IntRange(1, 50).Draw(t, "size"))}
				o.add(m)
				added = append(added, m)
			case 2:
				for m := o.next(now, window, windowBytes); m != nil; m = o.next(now, window, windowBytes) {
					if m.number != expect {
						t.Fatalf("sent %d, want %d", m.number, expect)
					}
					expect++
					wire[m.number] = m.size()
					bytes := 0
					for _, n := range wire {
						bytes += n
					}
					if len(wire) > window || len(wire) > 1 && bytes > windowBytes {
						t.Fatalf("%d messages with %d bytes are in flight", len(wire), bytes)
					}
				}
			case 3:
				if len(o.flight) > 0 {
					n := rapid.SampledFrom(o.flight).Draw(t, "answered").number
					if m := o.answered(n); m == nil || m.number != n {
						t.Fatalf("%d cannot be answered", n)
					}
					if m := o.answered(n); m != nil && m.to != "" {
						t.Fatalf("%d is answered twice", n)
					}
					delete(wire, n)
				}
			case 4:
				if len(added) > 0 {
					m := rapid.SampledFrom(added).Draw(t, "withdrawn")
					if o.withdraw(m) != (m.number == 0) {
						t.Fatalf("withdrew %d", m.number)
					}
					if m.number == 0 {
						added = slices.DeleteFunc(added, func(x *outgoing) bool { return x == m })
					}
				}
			case 5: // a new connection, to a server that knows nothing
				first := o.first()
				if len(o.flight) > 0 && rapid.Bool().Draw(t, "late ack") {
					o.answered(o.flight[len(o.flight)-1].number)
				}
				o.rewind()
				o.fill(first)
				clear(wire)
				expect = first
			}
		}
	})
}

func TestOutboxOverdue(t *testing.T) {
	var o outbox
	start := time.Unix(1, 0)
	for i := range 3 {
		o.add(&outgoing{to: "bob"})
		o.next(start.Add(time.Duration(i)*time.Second), 9, 9)
	}
	const timeout = time.Second
	o.stored(2)
	var asked []int64
	for now := start; now.Before(start.Add(20 * time.Second)); {
		due := o.deadline(timeout)
		if due.Before(now) {
			t.Fatalf("due at %v, it is %v", due, now)
		}
		now = due
		for _, m := range o.overdue(now, timeout) {
			asked = append(asked, int64(now.Sub(start)/time.Second), m.number)
		}
	}
	want := []int64{1, 1, 3, 1, 3, 3, 5, 3, 7, 1, 9, 2, 9, 3, 15, 1, 17, 2, 17, 3, 23, 1}
	if !slices.Equal(asked, want) {
		t.Errorf("asked at, for: %v, want %v", asked, want)
	}
}

func TestOutboxReceivers(t *testing.T) {
	var o outbox
	for _, to := range []string{"bob", "carol", "bob", "dave"} {
		o.add(&outgoing{to: to})
	}
	for range 3 {
		o.next(time.Unix(1, 0), 9, 99)
	}
	if got := o.receivers(); !slices.Equal(got, []string{"bob", "carol"}) {
		t.Errorf("receivers of what was sent: %v", got)
	}
	if sent := o.abandon(false); len(sent) != 3 || len(o.abandon(true)) != 1 {
		t.Errorf("%d were sent", len(sent))
	}
}
