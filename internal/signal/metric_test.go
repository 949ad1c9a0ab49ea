package signal_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// meter counts in memory.
type meter struct {
	mu     sync.Mutex
	counts map[signal.Metric]int
}

func (m *meter) Count(metric signal.Metric, n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.counts[metric] += n
}

// take is what was counted since the last call, by name.
func (m *meter) take() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []string
	for metric, n := range m.counts {
		all = append(all, fmt.Sprintf("%s %d", metric, n))
	}
	clear(m.counts)
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// counted lets everything happen that an act sets off, and compares what was
// counted.
func (w *world) counted(want string, act func()) {
	w.t.Helper()
	m, ok := w.Meter.(*meter)
	if !ok {
		m = &meter{counts: make(map[signal.Metric]int)}
		w.Meter = m
	}
	act()
	time.Sleep(2 * lane.LeaseTimeout)
	synctest.Wait()
	if got := m.take(); got != want {
		w.t.Errorf("counted %q, want %q", got, want)
	}
}

func TestCounts(t *testing.T) {
	inWorld(t, func(w *world) {
		w.counted("Claims 2, Connects 2", func() { w.json("a", "alice"); w.json("b", "bob") })
		w.counted("Acks 1, Messages 1", func() { w.send("a", 1, "bob") })
		w.counted("Acks 1, Messages 1", func() { w.send("a", 1, "bob") }) // a repeat is told the same
		w.counted("Acks2201 1, Messages 1", func() { w.send("a", 2, "nobody") })

		// 4 waits for 3.
		w.counted("Acks 2, Held 1, Lingered 1, Messages 2", func() {
			w.send("a", 4, "bob")
			time.Sleep(time.Second)
			w.send("a", 3, "bob")
		})
		// 5 and 6 never come. 8 waits for 7, and 7 watches over both.
		w.counted("Acks 2, Held 2, Lingered 1, Messages 2, Skipped 2", func() {
			w.send("a", 7, "bob")
			time.Sleep(100 * time.Millisecond)
			w.send("a", 8, "bob")
		})
		w.counted("Acks2100 1, Messages 1", func() { w.send("a", 6, "bob") })

		w.counted("Claims 1, Connects 1, Takeovers 1", func() { w.json("b2", "bob") })
		w.counted("Acks2120 1, Messages 1", func() { w.send("b", 1, "alice") })

		// Gone, and no $disconnect.
		w.closed["b2"] = true
		w.counted("Acks2201 1, Gone 1, Messages 1", func() { w.send("a", 9, "bob") })
		w.counted("Acks2201 1, Messages 1", func() { w.send("a", 10, "bob") })
		w.counted("", func() { _ = w.Disconnect(w.t.Context(), "b2") })

		// What has no number.
		w.counted("Acks2201 1, Messages 1", func() { w.send("a", signal.NoNumber, "bob") })
		w.counted("Messages 1", func() { w.send("a", signal.NoNumber, "alice") })
		w.counted("", func() { w.receive("a", signal.Query{User: "bob"}) })
	})
}

// A lease that is not renewed expires, and its number is acknowledged.
func TestExpiredLeaseCounts(t *testing.T) {
	inWorld(t, func(w *world) {
		w.connect("a", signal.EIO4, nil)
		w.counted("Claims 1, Held 1, Messages 1", func() {
			w.send("a", 5, "alice")
			w.Receive(w.t.Context(), signal.Peer{ID: "a"}, signal.Authenticate{Number: 7, Token: "alice"}) // and no more
		})
		w.counted("Acks 1, Acks2100 1, Held 1, Lingered 1, Messages 1, Overtaken 1", func() { w.send("a", 8, "alice") })
	})
	inWorld(t, func(w *world) { // of the connection that a session goes on with
		w.session("a1", "alice", signal.Session{ID: "s"})
		take := lane.Take([]lane.Numbered{{N: 1, Frame: lane.Frame{To: "alice"}}}, "dead", w.Clock.Now())
		if _, made, err := w.Store.Update(w.t.Context(), "a1", signal.Update{Move: take}, w.Clock.Now()); !made || err != nil {
			t.Fatal(made, err)
		}
		w.counted("Claims 1, Connects 1, Overtaken 1, Takeovers 1", func() {
			w.session("a2", "alice", signal.Session{ID: "s", Resume: "a1"})
		})
	})
}

// Numbers are given up only if they were certainly sent on the connection.
func TestSkippedCounts(t *testing.T) {
	const linger = "Acks 1, Held 1, Lingered 1, Messages 1"
	for name, c := range map[string]struct {
		authenticate int64
		n            int64
		want         string
	}{
		"the first number is not known":     {signal.NoNumber, 422, linger},
		"as many as can be on their way":    {0, lane.MaxHeld + 1, linger + ", Skipped 128"},
		"more than can be on their way":     {0, lane.MaxHeld + 2, linger + ", Skipped 128"},
		"a number that cannot be":           {0, signal.MaxNumber, linger + ", Skipped 128"},
		"after a reconnect":                 {424, 427, linger + ", Skipped 2"},
		"after a reconnect, right after it": {424, 425, "Acks 1, Messages 1"},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.connect("a", signal.EIO4, nil)
				w.receive("a", signal.Authenticate{Number: c.authenticate, Token: "alice"})
				w.counted(c.want, func() { w.send("a", c.n, "alice") })
			})
		})
	}
}

func TestRefusalsCounts(t *testing.T) {
	inWorld(t, func(w *world) {
		long := strings.Repeat("x", signal.MaxUserName+1)
		w.counted("Acks2121 1, Connects 1, Refusals 1", func() { w.json("a", long) })
		w.counted("Acks2110 1, Refusals 1", func() { w.receive("b", signal.Unreadable{Code: lane.CodeClient}) })
		w.counted("Acks2103 1, Refusals 1", func() {
			after, err := w.Connect(w.t.Context(), signal.Handshake{Peer: signal.Peer{ID: "c"}, Client: signal.Client{Version: "3.0"}})
			if err != nil {
				t.Fatal(err)
			}
			after(w.t.Context())
		})
		w.counted("Claims 1, Connects 1", func() {
			w.connect("d", signal.EIO4, nil)
			w.receive("d", signal.Authenticate{Number: 0, Token: "dora"})
		})
		w.counted("Acks2103 1", func() { w.receive("d", signal.Authenticate{Number: 1, Token: "mallory"}) })
	})
}

// A failure that somebody was told of is counted besides.
func TestFailuresCounts(t *testing.T) {
	inWorld(t, func(w *world) {
		w.json("a", "alice")
		w.fail = func(_ signal.Peer, e signal.Event) error {
			if _, ok := e.(signal.Delivery); ok {
				return context.DeadlineExceeded
			}
			return nil
		}
		w.counted("Acks2101 1, Failures 1, Messages 1", func() { w.send("a", 1, "alice") })
		w.fail = func(_ signal.Peer, e signal.Event) error {
			if _, ok := e.(signal.Delivery); ok {
				return signal.ErrBusy
			}
			return nil
		}
		w.counted("Acks2102 1, Messages 1", func() { w.send("a", 2, "alice") })
		w.fail = nil

		w.counted("Acks2100 1, Failures 1", func() { w.Failure(signal.Send{Number: 3}) }) // a handler's panic
		w.Store = unreadableStore{w.Store}
		w.counted("Acks2101 1, Failures 1", func() { w.receive("a", signal.Query{User: "alice"}) })
		w.counted("Failures 1", func() { w.receive("a", signal.Join{}) })
		w.Store = brokenStore{w.Store}
		w.counted("Failures 1", func() {
			if _, err := w.Connect(w.t.Context(), signal.Handshake{Peer: signal.Peer{ID: "b"}}); err == nil {
				t.Error("connected without a record")
			}
		})
	})
}

type brokenStore struct{ signal.Store }

func (brokenStore) Create(context.Context, signal.Connection) error { return errors.New("broken") }
