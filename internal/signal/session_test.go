package signal_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// session connects a JSON client that has one, and whose numbers begin at 1.
func (w *world) session(id signal.ConnectionID, user string, s signal.Session) {
	w.t.Helper()
	w.sessionAt(id, user, s, 1)
}

func (w *world) sessionAt(id signal.ConnectionID, user string, s signal.Session, first int64) {
	w.t.Helper()
	h := handshake(id, signal.JSON, &user)
	h.Session, h.Start = &s, lane.StartAfter(first-1)
	after, err := w.Connect(w.t.Context(), h)
	if err != nil {
		w.t.Fatal(err)
	}
	after(w.t.Context())
}

// A client that heard no answer sends again on its next connection: what was
// delivered is not delivered again, and answered alike.
func TestSessionGoesOn(t *testing.T) {
	for name, end := range map[string]func(*world){
		"after its connection has ended": func(w *world) { _ = w.Disconnect(w.t.Context(), "a1") },
		"while its connection is open":   func(*world) {},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.json("b", "bob")
				w.session("a1", "alice", signal.Session{ID: "s"})
				w.send("a1", 1, "bob")
				w.send("a1", 2, "nobody")
				w.send("a1", 4, "bob") // 3 is on its way
				end(w)
				w.session("a2", "alice", signal.Session{ID: "s", Resume: "a1"})
				for n := range int64(4) {
					w.send("a2", n+1, "bob")
				}
				w.expect("a2", "opened", "admitted", "welcome alice, session s goes on",
					"ack 1 0", "ack 2 2201", "ack 3 0", "ack 4 0")
				w.expect("b", "opened", "admitted", "welcome bob", "1 from alice", "3 from alice", "4 from alice")
			})
		})
	}
}

// Frames that come before the welcome are held; those that are repeats are
// answered, and no others wait for them.
func TestRepeatsBeforeTheWelcome(t *testing.T) {
	inWorld(t, func(w *world) {
		w.json("b", "bob")
		w.session("a1", "alice", signal.Session{ID: "s"})
		w.send("a1", 1, "bob")
		token := "alice"
		h := handshake("a2", signal.JSON, &token)
		h.Session = &signal.Session{ID: "s", Resume: "a1"}
		after, err := w.Connect(t.Context(), h)
		if err != nil {
			t.Fatal(err)
		}
		w.send("a2", 1, "bob")
		w.send("a2", 2, "bob")
		after(t.Context())
		w.send("a2", 3, "bob")
		w.expect("a2", "stored", "stored", "opened", "admitted", "welcome alice, session s goes on", "ack 1 0", "ack 2 0", "ack 3 0")
		w.expect("b", "opened", "admitted", "welcome bob", "1 from alice", "2 from alice", "3 from alice")
	})
}

// A session goes on for its own user only, where there is something to go on
// with. Elsewhere it begins at the number that the client says.
func TestSessionBeginsAnew(t *testing.T) {
	for name, resume := range map[string]func(*world) (user string, s signal.Session){
		"there was none":     func(*world) (string, signal.Session) { return "alice", signal.Session{ID: "s"} },
		"unknown connection": func(*world) (string, signal.Session) { return "alice", signal.Session{ID: "s", Resume: "x"} },
		"another session":    func(*world) (string, signal.Session) { return "alice", signal.Session{ID: "t", Resume: "a1"} },
		"another user's":     func(*world) (string, signal.Session) { return "eve", signal.Session{ID: "s", Resume: "a1"} },
		"not a session's":    func(*world) (string, signal.Session) { return "bob", signal.Session{ID: "s", Resume: "b"} },
		"long since": func(*world) (string, signal.Session) {
			time.Sleep(signal.ConnectionLife)
			return "alice", signal.Session{ID: "s", Resume: "a1"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.json("b", "bob")
				w.session("a1", "alice", signal.Session{ID: "s"})
				w.send("a1", 1, "nobody")
				user, s := resume(w)
				w.sessionAt("a2", user, s, 7)
				w.send("a2", 7, signal.UserName(user))
				w.send("a2", 6, signal.UserName(user))
				got := strings.Join(w.events("a2"), ", ")
				want := "opened, admitted, welcome " + user + ", session " + s.ID + " begins, 7 from " + user + ", ack 7 0, ack 6 2110"
				if got != want {
					t.Errorf("got %s\nwant %s", got, want)
				}
				if _, err := w.Store.Get(t.Context(), "b", w.Clock.Now()); name == "another user's" && err != nil {
					t.Errorf("bob's connection: %v", err)
				}
			})
		})
	}
}

// The holder of the lease when a connection ends may take longer than a lease lasts: it
// renews its lease, and delivers what it has taken.
func TestSessionOfASlowOwner(t *testing.T) {
	inWorld(t, func(w *world) {
		w.json("b", "bob")
		w.session("a1", "alice", signal.Session{ID: "s"})
		w.Pusher = slowly{w, 100 * time.Millisecond, isDelivery}
		const all = 40
		for n := range int64(all - 1) {
			w.send("a1", n+2, "bob")
		}
		go w.send("a1", 1, "bob")
		time.Sleep(300 * time.Millisecond) // some are posted
		_ = w.Disconnect(t.Context(), "a1")
		w.session("a2", "alice", signal.Session{ID: "s", Resume: "a1"})
		want, acks := []string{"opened", "admitted", "welcome bob"}, []string{"opened", "admitted", "welcome alice, session s goes on"}
		for n := range int64(all) {
			w.send("a2", n+1, "bob")
			want, acks = append(want, fmt.Sprintf("%d from alice", n+1)), append(acks, fmt.Sprintf("ack %d 0", n+1))
		}
		w.expect("a2", acks...)
		w.expect("b", want...)
	})
}

// Whoever resumes waits for what the connection before has under way.
func TestSessionWaitsForItsLastOwner(t *testing.T) {
	inWorld(t, func(w *world) {
		w.json("b", "bob")
		w.session("a1", "alice", signal.Session{ID: "s"})
		w.Pusher = slowly{w, 900 * time.Millisecond, isDelivery}
		go w.send("a1", 1, "bob")
		time.Sleep(10 * time.Millisecond)
		began := time.Now()
		w.session("a2", "alice", signal.Session{ID: "s", Resume: "a1"})
		if waited := time.Since(began); waited < 800*time.Millisecond || waited > 1500*time.Millisecond {
			t.Errorf("waited %v", waited)
		}
		w.send("a2", 1, "bob")
		w.send("a2", 2, "bob")
		w.expect("a2", "opened", "admitted", "welcome alice, session s goes on", "ack 1 0", "ack 2 0")
		w.expect("b", "opened", "admitted", "welcome bob", "1 from alice", "2 from alice")
	})
}

// slowly posts some events after a while.
type slowly struct {
	signal.Pusher
	after time.Duration
	slow  func(signal.Event) bool
}

func (s slowly) Post(ctx context.Context, p signal.Peer, e signal.Event) error {
	if s.slow(e) {
		time.Sleep(s.after)
	}
	return s.Pusher.Post(ctx, p, e)
}

// A lease that is not renewed expires first, and its numbers are acknowledged as
// unknown.
func TestSessionWithAnExpiredLease(t *testing.T) {
	inWorld(t, func(w *world) {
		w.json("b", "bob")
		w.session("a1", "alice", signal.Session{ID: "s"})
		if _, made, err := w.Store.Update(t.Context(), "a1", signal.Update{Move: lane.Take(1, lane.Frame{To: "bob"}, "dead", w.Clock.Now())}, w.Clock.Now()); !made || err != nil {
			t.Fatal(made, err)
		}
		w.session("a2", "alice", signal.Session{ID: "s", Resume: "a1"})
		w.send("a2", 1, "bob")
		w.send("a2", 2, "bob")
		w.expect("a2", "opened", "admitted", "welcome alice, session s goes on", "ack 1 2100", "ack 2 0")
	})
}

// What is denied on a connection that has lost its name may have been delivered
// on the one before.
func TestLastWordOfASession(t *testing.T) {
	inWorld(t, func(w *world) {
		w.json("b", "bob")
		w.session("a1", "alice", signal.Session{ID: "s"})
		w.send("a1", 1, "bob")
		w.session("a2", "alice", signal.Session{ID: "s", Resume: "a1"})
		time.Sleep(time.Second)
		if _, err := w.Store.End(t.Context(), "a2"); err != nil { // as another device's claim does
			t.Fatal(err)
		}
		w.send("a2", 1, "bob")
		w.expect("a2", "opened", "admitted", "welcome alice, session s goes on", "ack 1 0", "superseded")
	})
}

func TestSessionIDs(t *testing.T) {
	for id, ok := range map[string]bool{
		"a": true, "0f8fad5b-d9cb-469f-a165-70867728950e": true, strings.Repeat("x", signal.MaxSessionID): true,
		"": false, strings.Repeat("x", signal.MaxSessionID+1): false, "a b": false, "ü": false, "a\"": false,
	} {
		if err := signal.CheckSessionID(id); (err == nil) != ok {
			t.Errorf("%q: %v", id, err)
		}
	}
}
