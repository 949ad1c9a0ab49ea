package signal_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// batches connects a client that takes several in a frame.
func (w *world) batches(id signal.ConnectionID, user string) {
	w.t.Helper()
	h := handshake(id, signal.JSON, &user)
	h.Peer.Batches = true
	after, err := w.Connect(w.t.Context(), h)
	if err != nil {
		w.t.Fatal(err)
	}
	after(w.t.Context())
}

// sends sends messages to bob in one frame. Zero is one without a number.
func (w *world) sends(id signal.ConnectionID, numbers ...int64) {
	var batch signal.Sends
	for i, n := range numbers {
		m := signal.Send{Number: n, Frame: lane.Frame{To: "bob", Data: fmt.Append(nil, n)}}
		if n == 0 {
			m.Number, m.ID = signal.NoNumber, fmt.Sprint("frame ", i)
		}
		batch = append(batch, m)
	}
	w.receive(id, batch)
}

// counting counts the calls of a store.
type counting struct {
	signal.Store
	updates, routes, gets atomic.Int64
}

func (c *counting) Update(ctx context.Context, id signal.ConnectionID, u signal.Update, now lane.Instant) (signal.Connection, bool, error) {
	c.updates.Add(1)
	return c.Store.Update(ctx, id, u, now)
}

func (c *counting) Route(ctx context.Context, user signal.UserName, messages int, now lane.Instant) (signal.Route, error) {
	c.routes.Add(1)
	return c.Store.Route(ctx, user, messages, now)
}

func (c *counting) Get(ctx context.Context, id signal.ConnectionID, now lane.Instant) (signal.Connection, error) {
	c.gets.Add(1)
	return c.Store.Get(ctx, id, now)
}

// did returns the calls since the last look.
func (c *counting) did() string {
	return fmt.Sprintf("%d updates, %d routes, %d gets", c.updates.Swap(0), c.routes.Swap(0), c.gets.Swap(0))
}

// news is what came since the last look.
func (w *world) news(id signal.ConnectionID) []string {
	lines := w.events(id)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.got[id] = nil
	return lines
}

// Twenty messages of a frame are one take, one route, one post and one finish,
// and a single one is what it always was. Who has not asked for it gets them one by
// one.
func TestFrameOfSeveral(t *testing.T) {
	for _, c := range []struct {
		name                     string
		senderTakes, bobTakes    bool
		numbers                  []int64
		calls, acks, deliveries  string
		frames, answers, arrived int
	}{
		{"one", true, true, []int64{1}, "2 updates, 1 routes, 0 gets", "ack 1 0", "1 from alice", 1, 1, 1},
		{"twenty", true, true, upTo(20), "2 updates, 1 routes, 0 gets", "ack 1 0", "1 from alice", 1, 1, 20},
		{"the sender takes objects", false, true, upTo(20), "2 updates, 1 routes, 0 gets", "ack 1 0", "1 from alice", 1, 20, 20},
		{"the receiver takes objects", true, false, upTo(20), "2 updates, 1 routes, 0 gets", "ack 1 0", "1 from alice", 20, 1, 20},
		{"as many as there may be", true, true, upTo(signal.MaxBatch), "2 updates, 1 routes, 0 gets", "ack 1 0", "1 from alice", 1, 1, signal.MaxBatch},
		{"in any order, and one twice", true, true, []int64{3, 1, 2, 1}, "2 updates, 1 routes, 0 gets", "ack 1 0", "1 from alice", 1, 1, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				store := &counting{Store: w.Store}
				w.Store = store
				for user, takes := range map[string]bool{"alice": c.senderTakes, "bob": c.bobTakes} {
					if id := signal.ConnectionID(user[:1]); takes {
						w.batches(id, user)
					} else {
						w.json(id, user)
					}
				}
				store.did()
				w.news("a")
				w.news("b")
				w.sends("a", c.numbers...)
				if did := store.did(); did != c.calls {
					t.Errorf("%s, want %s", did, c.calls)
				}
				acks, deliveries := w.news("a"), w.news("b")
				if len(acks) != c.answers || len(deliveries) != c.frames {
					t.Errorf("%d frames to the sender, want %d; %d to the receiver, want %d", len(acks), c.answers, len(deliveries), c.frames)
				}
				var want []string
				for n := range c.arrived {
					want = append(want, fmt.Sprintf("%d from alice", n+1))
				}
				if got := strings.Trim(strings.Join(deliveries, ", "), "[]"); got != strings.Join(want, ", ") {
					t.Errorf("bob got %s", got)
				}
				if got := strings.Join(acks, ", "); strings.Count(got, "ack ") != c.arrived || !strings.Contains(got, c.acks) {
					t.Errorf("alice got %s", got)
				}
			})
		})
	}
}

func upTo(n int64) (numbers []int64) {
	for i := range n {
		numbers = append(numbers, i+1)
	}
	return numbers
}

// Of a frame that is good in part each message has its own answer.
func TestFrameThatIsHalfGood(t *testing.T) {
	inWorld(t, func(w *world) {
		w.batches("a", "alice")
		w.batches("b", "bob")
		w.news("a")
		w.news("b")
		to := func(user string) lane.Frame { return lane.Frame{To: user, Data: []byte("x")} }
		w.receive("a", signal.Sends{
			{Number: 1, Frame: to("bob")},
			{Number: 2, Frame: to("nobody")},
			{Number: 3, Frame: lane.Frame{Code: lane.CodeClient}},
			{Number: signal.NoNumber, Frame: lane.Frame{Code: lane.CodeUnsupported}},
			{Number: signal.NoNumber, Frame: to("bob"), ID: "one"},
			{Number: 4, Frame: to("bob")},
			{Number: 6, Frame: to("bob")},
		})
		if got := w.news("a"); !slices.Equal(got, []string{"[ack 1 0, ack 2 2201, ack 3 2110, ack 4 0, stored, failed]"}) {
			t.Errorf("alice got %q", got)
		}
		if got := w.news("b"); !slices.Equal(got, []string{"[x from alice, x from alice]", "x from alice"}) {
			t.Errorf("bob got %q", got)
		}
		w.sends("a", 5)
		time.Sleep(time.Second)
		if got := fmt.Sprint(w.news("a")); !strings.Contains(got, "ack 5 0") || !strings.Contains(got, "ack 6 0") {
			t.Errorf("alice got %s", got)
		}
	})
}

// A frame of several that comes early is held by one write, and goes in one post
// once its time has come.
func TestFrameOfSeveralComesEarly(t *testing.T) {
	inWorld(t, func(w *world) {
		store := &counting{Store: w.Store}
		w.Store = store
		w.batches("a", "alice")
		w.batches("b", "bob")
		store.did()
		w.news("b")
		w.sends("a", 3, 4, 5)
		if did := store.did(); did != "2 updates, 0 routes, 0 gets" { // one is refused
			t.Error(did)
		}
		w.sends("a", 1, 2)
		time.Sleep(time.Second)
		if got := w.news("b"); !slices.Equal(got, []string{"[1 from alice, 2 from alice]", "[3 from alice, 4 from alice, 5 from alice]"}) {
			t.Errorf("bob got %q", got)
		}
	})
}

// A frame of several that is sent again is answered as it was, and what it has
// besides is delivered.
func TestFrameOfSeveralComesAgain(t *testing.T) {
	inWorld(t, func(w *world) {
		w.batches("a", "alice")
		w.batches("b", "bob")
		w.sends("a", 1, 2)
		w.news("a")
		w.news("b")
		w.sends("a", 1, 2, 3)
		w.sends("a", 0, 0)
		w.sends("a", 0, 0) // another invocation for the same frame
		if got := w.news("a"); !slices.Equal(got[:1], []string{"[ack 1 0, ack 2 0, ack 3 0]"}) || strings.Contains(fmt.Sprint(got), "failed") {
			t.Errorf("alice got %q", got)
		}
		if got := w.news("b"); !slices.Equal(got, []string{"3 from alice", "0 from alice", "0 from alice"}) {
			t.Errorf("bob got %q", got)
		}
	})
}

// Of two messages of a frame under one number the first counts, and the other is told
// so, unless it is the same.
func TestNumberTwiceInAFrame(t *testing.T) {
	inWorld(t, func(w *world) {
		w.json("b", "bob")
		w.json("a", "alice")
		other := message(2, "carol")
		w.receive("a", signal.Sends{{Number: 1, Frame: message(1, "bob")}, {Number: 1, Frame: message(1, "bob")}, {Number: 2, Frame: message(2, "bob")}, {Number: 2, Frame: other}})
		w.expect("a", "opened", "admitted", "welcome alice", "ack 2 2100", "ack 1 0", "ack 2 0")
		w.expect("b", "opened", "admitted", "welcome bob", "1 from alice", "2 from alice")
		w.receive("a", signal.Send{Number: 2, Frame: other})
		w.expect("a", "opened", "admitted", "welcome alice", "ack 2 2100", "ack 1 0", "ack 2 0", "ack 2 2110")
	})
}

// What goes together stays within its size; a message that is larger goes alone.
func TestSizeOfAFrameOfSeveral(t *testing.T) {
	inWorld(t, func(w *world) {
		w.batches("b", "bob")
		w.batches("a", "alice")
		var sizes []int
		w.fail = func(p signal.Peer, e signal.Event) error {
			size := 0
			if batch, ok := e.(signal.Batch); ok {
				for _, one := range batch {
					d, _ := one.(signal.Delivery)
					size += len(d.Data)
				}
				if len(batch) > signal.MaxBatch || size > signal.MaxBatchBytes {
					t.Errorf("%d events of %d bytes", len(batch), size)
				}
			}
			if d, ok := e.(signal.Delivery); ok {
				size = len(d.Data)
			}
			if p.ID == "b" {
				sizes = append(sizes, size)
			}
			return nil
		}
		var batch signal.Sends
		for i, size := range []int{10 << 10, 10 << 10, 11 << 10, 20 << 10, 40 << 10, 1, 1} {
			batch = append(batch, signal.Send{Number: int64(i) + 1, Frame: lane.Frame{To: "bob", Data: bytes.Repeat([]byte("1"), size)}})
		}
		w.receive("a", batch)
		if want := []int{31 << 10, 20 << 10, 40 << 10, 2}; !slices.Equal(sizes, want) {
			t.Errorf("posts of %v bytes, want %v", sizes, want)
		}
	})
}

// If a post of several fails all of them have failed, and a receiver that is
// found gone may have come back.
func TestPostOfSeveralFails(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{signal.ErrBusy, "[ack 1 2102, ack 2 2102, ack 3 2102]"},
		{errors.New("no answer"), "[ack 1 2101, ack 2 2101, ack 3 2101]"},
		{signal.ErrGone, "[ack 1 2201, ack 2 2201, ack 3 2201]"},
	} {
		inWorld(t, func(w *world) {
			w.batches("b", "bob")
			w.batches("a", "alice")
			w.news("a")
			w.fail = func(p signal.Peer, _ signal.Event) error {
				if p.ID == "b" {
					return c.err
				}
				return nil
			}
			w.sends("a", 1, 2, 3)
			if got := w.news("a"); !slices.Equal(got, []string{c.want}) {
				t.Errorf("%v: alice got %q", c.err, got)
			}
		})
	}
}

// On a connection that has ended, or whose token has, each message of a frame is
// answered.
func TestFrameOfSeveralAfterTheEnd(t *testing.T) {
	inWorld(t, func(w *world) {
		w.batches("b", "bob")
		w.batches("a", "alice")
		w.sends("a", 1, 2)
		w.news("a")
		if err := w.Disconnect(w.t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		w.sends("a", 2, 3, 4)
		time.Sleep(time.Second)
		if got := w.news("a"); !slices.Equal(got, []string{"[ack 2 0, ack 3 2120, ack 4 2120]", "superseded"}) {
			t.Errorf("alice got %q", got)
		}
	})
}

// A failure of the server's own is answered for each.
func TestFailureOfSeveral(t *testing.T) {
	inWorld(t, func(w *world) {
		answers := w.Failure(signal.Sends{{Number: 7}, {Number: signal.NoNumber}})
		if len(answers) != 2 || line(answers[0]) != "ack 7 2100" || line(answers[1]) != "failed" {
			t.Errorf("%v", answers)
		}
	})
}
