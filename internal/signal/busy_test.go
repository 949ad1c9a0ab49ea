package signal_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// busy is a store that refuses to write the records of connections, or those of
// users, for a while, because they are written too much.
type busy struct {
	signal.Store
	connections, users atomic.Int64 // until when, in nanoseconds since 1970
	lose               int          // so many calls before end without an answer
}

func (b *busy) refuses(until *atomic.Int64) error {
	switch {
	case time.Now().UnixNano() >= until.Load():
		return nil
	case b.lose > 0:
		b.lose--
		return errOut
	default:
		return fmt.Errorf("write: %w", signal.ErrBusy)
	}
}

func (b *busy) Update(ctx context.Context, id signal.ConnectionID, u signal.Update, now lane.Instant) (signal.Connection, bool, error) {
	if err := b.refuses(&b.connections); err != nil {
		return signal.Connection{}, false, err
	}
	return b.Store.Update(ctx, id, u, now)
}

func (b *busy) Route(ctx context.Context, user signal.UserName, messages int, now lane.Instant) (signal.Route, error) {
	if err := b.refuses(&b.users); err != nil {
		return signal.Route{}, err
	}
	return b.Store.Route(ctx, user, messages, now)
}

func in(d time.Duration) int64 { return time.Now().Add(d).UnixNano() }

func inBusyWorld(t *testing.T, test func(*world, *busy)) {
	inWorld(t, func(w *world) {
		b := &busy{Store: w.Store}
		w.Store = b
		w.json("b", "bob")
		w.json("a", "alice")
		test(w, b)
	})
}

// How long a refused call is made again.
const within, beyond = 1500 * time.Millisecond, 1600 * time.Millisecond

// A sender whose record is written too much waits, and is then told so. The number is
// not taken, nothing is known of it, and the connection goes on.
func TestSenderIsThrottled(t *testing.T) {
	inBusyWorld(t, func(w *world, b *busy) {
		b.connections.Store(in(within))
		w.send("a", 1, "bob")
		w.expect("a", "opened", "admitted", "welcome alice", "ack 1 0")
	})
	inBusyWorld(t, func(w *world, b *busy) {
		b.connections.Store(in(beyond))
		w.send("a", 1, "bob")
		w.expect("a", "opened", "admitted", "welcome alice", "ack 1 2102")
		if w.closed["a"] {
			t.Error("the connection is closed")
		}
		time.Sleep(beyond)
		w.send("a", 1, "bob")
		w.expect("a", "opened", "admitted", "welcome alice", "ack 1 2102", "ack 1 0")
		w.expect("b", "opened", "admitted", "welcome bob", "1 from alice")
	})
}

// What another invocation has brought is not refused: the record is read, which is
// served all the same.
func TestThrottledRepeat(t *testing.T) {
	inBusyWorld(t, func(w *world, b *busy) {
		w.send("a", 1, "bob")
		go w.send("a", 3, "bob")
		time.Sleep(10 * time.Millisecond)
		before := w.events("a")
		b.connections.Store(in(beyond))
		go w.send("a", 1, "bob")
		go w.send("a", 3, "bob")
		go w.send("a", 4, "bob")
		time.Sleep(beyond)
		got := slices.Sorted(slices.Values(w.events("a")[len(before):]))
		if want := []string{"ack 1 0", "ack 4 2102", "stored"}; !slices.Equal(got, want) {
			t.Errorf("told %q, want %q", got, want)
		}
	})
}

// A call whose outcome is not known, and is then refused, is not known.
func TestRefusalAfterALostAnswer(t *testing.T) {
	inBusyWorld(t, func(w *world, b *busy) {
		b.connections.Store(in(time.Minute))
		b.lose = 1
		w.send("a", 1, "bob")
		w.expect("a", "opened", "admitted", "welcome alice", "ack 1 2101")
		if !w.closed["a"] {
			t.Error("the connection stays open")
		}
	})
}

// A receiver whose record is written too much costs the message 2102, in its place
// in the order; what follows is posted by the same holder of the lease.
func TestReceiverIsThrottled(t *testing.T) {
	inBusyWorld(t, func(w *world, b *busy) {
		b.users.Store(in(beyond))
		go w.send("a", 1, "bob")
		time.Sleep(10 * time.Millisecond)
		go w.send("a", 2, "bob")
		time.Sleep(time.Minute)
		w.expect("b", "opened", "admitted", "welcome bob", "2 from alice")
		if got := w.events("a"); !slices.Contains(got, "ack 1 2102") || !slices.Contains(got, "ack 2 0") {
			t.Errorf("alice got %q", got)
		}
	})
}

// Whoever has posted and may not finish goes on trying, and is not taken for dead as
// long as its lease lasts.
func TestFinishIsThrottled(t *testing.T) {
	inBusyWorld(t, func(w *world, b *busy) {
		w.fail = func(_ signal.Peer, e signal.Event) error {
			if isDelivery(e) {
				b.connections.Store(in(lane.LeaseTimeout - 500*time.Millisecond))
				w.fail = nil
			}
			return nil
		}
		go w.send("a", 1, "bob")
		time.Sleep(50 * time.Millisecond)
		go w.send("a", 2, "bob")
		time.Sleep(time.Minute)
		got := w.events("a")
		if !slices.Contains(got, "ack 1 0") || slices.Contains(got, "ack 1 2100") || !slices.ContainsFunc(got, func(e string) bool { return e == "ack 2 0" || e == "ack 2 2102" }) {
			t.Errorf("alice got %q", got)
		}
	})
}

// unheld is a store that holds a frame, loses the answer, and refuses to hold it again.
type unheld struct {
	signal.Store
	held bool
}

func (h *unheld) Update(ctx context.Context, id signal.ConnectionID, u signal.Update, now lane.Instant) (signal.Connection, bool, error) {
	switch {
	case u.Kind != lane.KindHold:
		return h.Store.Update(ctx, id, u, now)
	case h.held:
		return signal.Connection{}, false, fmt.Errorf("hold: %w", signal.ErrBusy)
	}
	h.held = true
	_, _, _ = h.Store.Update(ctx, id, u, now)
	return signal.Connection{}, false, errOut
}

// Whoever gives up does not say that it knows nothing of what another invocation has
// delivered meanwhile.
func TestGivingUpWhatAnotherHasAnswered(t *testing.T) {
	for answered, want := range map[bool]string{true: "ack 2 0", false: "ack 2 2101"} {
		inWorld(t, func(w *world) {
			w.json("b", "bob")
			w.json("a", "alice")
			w.Store = &unheld{Store: w.Store}
			go w.send("a", 2, "bob")
			time.Sleep(time.Second)
			if answered {
				w.send("a", 1, "bob")
			}
			time.Sleep(5 * time.Second)
			var got []string
			for _, e := range w.events("a") {
				if strings.HasPrefix(e, "ack 2") {
					got = append(got, e)
				}
			}
			if !slices.Equal(got, []string{want}) || w.closed["a"] == answered {
				t.Errorf("answered %v: alice got %q, closed %v", answered, got, w.closed["a"])
			}
		})
	}
}
