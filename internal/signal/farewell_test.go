package signal_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal"
)

// TestFarewellPause: the last event on a connection has a moment to arrive before
// the socket is closed.
func TestFarewellPause(t *testing.T) {
	for name, end := range map[string]struct {
		by   func(*world)
		last string
	}{
		"takeover": {func(w *world) { go w.json("a2", "alice") }, "superseded"},
		"refusal":  {func(w *world) { go w.receive("a1", signal.Unreadable{Code: 2110}) }, "refused 2110"},
		"a frame on a connection that has ended": {func(w *world) {
			if err := w.Disconnect(w.t.Context(), "a1"); err != nil {
				t.Fatal(err)
			}
			go w.receive("a1", signal.Query{User: "bob"})
		}, "superseded"},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.json("a1", "alice")
				end.by(w)
				time.Sleep(signal.FarewellPause - time.Millisecond)
				w.expect("a1", "opened", "admitted", "welcome alice", end.last)
				w.expectClosed("a1", false)
				time.Sleep(2 * time.Millisecond)
				w.expectClosed("a1", true)
				if e := w.got["a1"]; e[len(e)-1] != (signal.Ended{}) {
					t.Errorf("closed after %T, which clients may take for a lost link", e[len(e)-1])
				}
			})
		})
	}
}

// TestFarewellWhereInvocationsAreScarce: the moment is short, unless there is a place
// to linger; for one is not asked on behalf of a stranger.
func TestFarewellWhereInvocationsAreScarce(t *testing.T) {
	for name, test := range map[string]struct {
		user  bool
		taken int // places, of one
		asked bool
		pause time.Duration
	}{
		"a stranger": {false, 0, false, signal.LingerFreely}, "a user": {true, 0, true, signal.FarewellPause},
		"a user, and no place": {true, 1, true, signal.LingerFreely},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				p := &places{by: make(map[int]string)}
				if test.taken > 0 {
					p.by[0] = "another"
				}
				w.PlaceStore, w.Places = p, 1
				if w.connect("a", signal.EIO3, nil); test.user {
					w.receive("a", signal.Authenticate{Number: 1, Token: "alice"})
				}
				go w.receive("a", signal.Unreadable{Code: 2110})
				time.Sleep(test.pause - time.Millisecond)
				w.expectClosed("a", false)
				time.Sleep(2 * time.Millisecond)
				w.expectClosed("a", true)
				if asked, _, taken := p.seen(); asked > 0 != test.asked || taken != test.taken {
					t.Errorf("asked for a place %d times, and %d are taken", asked, taken)
				}
			})
		})
	}
}

// TestFarewellDelaysNothing: what the newer connection has sent does not wait for
// the end of the older one.
func TestFarewellDelaysNothing(t *testing.T) {
	inWorld(t, func(w *world) {
		w.json("a1", "alice")
		w.json("b", "bob")
		w.connect("a2", signal.EIO3, nil)
		w.send("a2", 0, "bob")
		go w.receive("a2", signal.Authenticate{Number: 1, Token: "alice"})
		time.Sleep(signal.FarewellPause - time.Millisecond) // of which 100 ms are the reorder window
		w.expect("b", "opened", "admitted", "welcome bob", "0 from alice")
	})
}

// TestFarewellIsRefused: a connection that cannot be told that it has lost its name
// is not closed, for its client would come back and take the name again.
func TestFarewellIsRefused(t *testing.T) {
	for name, test := range map[string]struct {
		tries  int // that are refused
		closed bool
	}{"for a while": {4, true}, "for good": {1000, false}} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				refused := 0
				w.fail = func(p signal.Peer, e signal.Event) error {
					if _, last := e.(signal.Superseded); last && refused < test.tries {
						refused++
						return signal.ErrBusy
					}
					return nil
				}
				w.json("a1", "alice")
				w.json("a2", "alice")
				time.Sleep(time.Minute)
				w.expectClosed("a1", test.closed)
				if told := slices.Contains(w.events("a1"), "superseded"); told != test.closed {
					t.Errorf("it is told: %v", told)
				}
				w.expect("a2", "opened", "admitted", "welcome alice")
				w.expectClosed("a2", false)
				test.tries = 0
				w.receive("a1", signal.Query{User: "bob"}) // at its next frame it is told
				w.expectClosed("a1", true)
			})
		})
	}
}

func (w *world) expectClosed(id signal.ConnectionID, want bool) {
	w.t.Helper()
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed[id] != want {
		w.t.Errorf("connection %s is closed: %v, want %v", id, w.closed[id], want)
	}
}
