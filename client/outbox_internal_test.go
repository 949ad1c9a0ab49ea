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
	if !o.oldest().Equal(start) {
		t.Errorf("oldest is %v", o.oldest())
	}
	now := start.Add(10 * time.Second)
	late := o.overdue(start.Add(time.Second), now)
	if len(late) != 2 || late[0].number != 1 || late[1].number != 2 {
		t.Errorf("%d are overdue", len(late))
	}
	if again := o.overdue(start.Add(time.Second), now); len(again) != 0 {
		t.Errorf("%d are overdue at once again", len(again))
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
