package signal_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
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
				for n, to := range []signal.UserName{"bob", "nobody", "bob", "bob"} {
					w.send("a2", int64(n+1), to)
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
		after, err := w.Connect(w.t.Context(), h)
		if err != nil {
			t.Fatal(err)
		}
		w.send("a2", 1, "bob")
		w.send("a2", 2, "bob")
		after(w.t.Context())
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
				if _, err := w.Store.Get(w.t.Context(), "b", w.Clock.Now()); name == "another user's" && err != nil {
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
		_ = w.Disconnect(w.t.Context(), "a1")
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
		w.die("a1", 1)
		w.session("a2", "alice", signal.Session{ID: "s", Resume: "a1"})
		w.send("a2", 1, "bob")
		w.send("a2", 2, "bob")
		w.expect("a2", "opened", "admitted", "welcome alice, session s goes on", "ack 1 2100", "ack 2 0")
	})
}

// begin connects a client that resumes a1 and sends number n before it is
// welcome. It goes on when what is returned is called.
func (w *world) begin(id signal.ConnectionID, resume signal.ConnectionID, n int64) func() {
	w.t.Helper()
	token := "alice"
	h := handshake(id, signal.JSON, &token)
	h.Session = &signal.Session{ID: "s", Resume: resume}
	after, err := w.Connect(w.t.Context(), h)
	if err != nil {
		w.t.Fatal(err)
	}
	w.send(id, n, "bob")
	return func() { after(w.t.Context()) }
}

// A client that is cut before it was welcome names the connection before again:
// what it sent meanwhile is not delivered again.
func TestSessionGoesOnFromWhereItWentOn(t *testing.T) {
	for name, cut := range map[string]func(w *world, goOn func()){
		"cut before the welcome": func(w *world, goOn func()) {
			goOn()
			_ = w.Disconnect(w.t.Context(), "a2")
		},
		"cut, and nobody has noticed": func(_ *world, goOn func()) { goOn() },
		"resumed twice more": func(w *world, goOn func()) {
			goOn()
			w.begin("a3", "a1", 2)()
		},
		"never opened": func(w *world, _ func()) { _ = w.Disconnect(w.t.Context(), "a2") },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.json("b", "bob")
				w.session("a1", "alice", signal.Session{ID: "s"})
				w.send("a1", 1, "bob")
				_ = w.Disconnect(w.t.Context(), "a1")
				time.Sleep(time.Millisecond)
				cut(w, w.begin("a2", "a1", 2))
				time.Sleep(time.Millisecond)
				w.session("a9", "alice", signal.Session{ID: "s", Resume: "a1"})
				for n := range int64(3) {
					w.send("a9", n+1, "bob")
				}
				w.expect("a9", "opened", "admitted", "welcome alice, session s goes on", "ack 1 0", "ack 2 0", "ack 3 0")
				w.expect("b", "opened", "admitted", "welcome bob", "1 from alice", "2 from alice", "3 from alice")
			})
		})
	}
}

// Of two connections that resume at the same time, the newer goes on, in
// whatever order their writes are made; the other never opens.
func TestTwoResume(t *testing.T) {
	const steps = 12 // of the older before the newer begins: more than it has
	opened := make(map[string]int)
	for step := range steps {
		inWorld(t, func(w *world) {
			w.json("b", "bob")
			w.session("a1", "alice", signal.Session{ID: "s"})
			w.send("a1", 1, "bob")
			time.Sleep(time.Millisecond)
			store := &pausing{Store: w.Store, after: step, resume: make(chan struct{})}
			w.Store = store
			older := w.begin("a2", "a1", 2)
			store.on = true
			go older()
			synctest.Wait()
			store.on = false
			time.Sleep(time.Millisecond)
			w.session("a3", "alice", signal.Session{ID: "s", Resume: "a1"})
			close(store.resume)
			synctest.Wait()
			for n := range int64(3) {
				w.send("a3", n+1, "bob")
			}
			second := "ack 2 0"
			if slices.Contains(w.events("a3"), "ack 2 2100") { // the older had it for longer than a lease lasts
				second = "ack 2 2100"
			}
			w.expect("a3", "opened", "admitted", "welcome alice, session s goes on", "ack 1 0", second, "ack 3 0")
			came := slices.DeleteFunc(w.events("b"), func(line string) bool { return line == "2 from alice" })
			if want := []string{"opened", "admitted", "welcome bob", "1 from alice", "3 from alice"}; !slices.Equal(came, want) {
				t.Errorf("step %d: bob got %q, and perhaps 2", step, came)
			}
			if twos := len(w.events("b")) - len(came); twos > 1 || twos == 0 && second == "ack 2 0" {
				t.Errorf("step %d: %s, and it came %d times", step, second, twos)
			}
			opened[fmt.Sprint(slices.Contains(w.events("a2"), "welcome alice, session s goes on"))]++
		})
	}
	if opened["true"] == 0 || opened["false"] < 3 {
		t.Errorf("the older has opened or not: %v", opened)
	}
}

// pausing is a store whose calls wait, once so many were made, until they may go
// on.
type pausing struct {
	signal.Store
	on     bool
	after  int
	resume chan struct{}
}

func (s *pausing) pause() {
	if s.on {
		if s.after--; s.after < 0 {
			<-s.resume
		}
	}
}

func (s *pausing) Get(ctx context.Context, id signal.ConnectionID, now lane.Instant) (signal.Connection, error) {
	s.pause()
	return s.Store.Get(ctx, id, now)
}

func (s *pausing) GetEnded(ctx context.Context, id signal.ConnectionID, now lane.Instant) (signal.Connection, error) {
	s.pause()
	return s.Store.GetEnded(ctx, id, now)
}

func (s *pausing) Update(ctx context.Context, id signal.ConnectionID, u signal.Update, now lane.Instant) (signal.Connection, bool, error) {
	s.pause()
	return s.Store.Update(ctx, id, u, now)
}

func (s *pausing) End(ctx context.Context, id signal.ConnectionID, now lane.Instant) (signal.Connection, error) {
	s.pause()
	return s.Store.End(ctx, id, now)
}

func (s *pausing) Claim(ctx context.Context, c signal.Claim) (signal.Claimed, error) {
	s.pause()
	return s.Store.Claim(ctx, c)
}

// An old connection that comes late does not end the one that has gone on.
func TestLateResumerEndsNoNewerOne(t *testing.T) {
	inWorld(t, func(w *world) {
		w.json("b", "bob")
		w.session("a1", "alice", signal.Session{ID: "s"})
		time.Sleep(time.Millisecond)
		late := w.begin("a2", "a1", 1)
		time.Sleep(time.Millisecond)
		w.session("a3", "alice", signal.Session{ID: "s", Resume: "a1"})
		if released, err := w.Store.Release(w.t.Context(), "alice", "a3", 0); !released.Owner || err != nil { // or a2 would lose by its claim
			t.Fatal(released, err)
		}
		late()
		w.send("a3", 1, "bob")
		w.expect("a2", "stored", "opened", "admitted", "superseded")
		w.expect("a3", "opened", "admitted", "welcome alice, session s goes on", "ack 1 0")
	})
}

// A session is gone on with so often without its client's knowledge, and no
// more.
func TestSuccessors(t *testing.T) {
	for _, c := range []struct {
		successors int
		resumed    string
	}{{signal.MaxSuccessors, "goes on"}, {signal.MaxSuccessors + 1, "begins"}} {
		inWorld(t, func(w *world) {
			w.json("b", "bob")
			last := signal.ConnectionID("a0")
			w.session(last, "alice", signal.Session{ID: "s"})
			for i := range c.successors {
				time.Sleep(time.Millisecond)
				id := signal.ConnectionID(fmt.Sprintf("a%d", i+1))
				w.begin(id, last, int64(i+1))()
				last = id
			}
			time.Sleep(time.Millisecond)
			w.session("z", "alice", signal.Session{ID: "s", Resume: "a0"})
			w.expect("z", "opened", "admitted", "welcome alice, session s "+c.resumed)
		})
	}
}

// A number below those that a client said it begins with is not known.
func TestNumbersBelowTheFirst(t *testing.T) {
	inWorld(t, func(w *world) {
		w.json("b", "bob")
		w.sessionAt("a", "alice", signal.Session{ID: "s"}, 7)
		w.send("a", 5, "bob")
		w.expect("a", "opened", "admitted", "welcome alice, session s begins", "ack 5 2100")
		w.expect("b", "opened", "admitted", "welcome bob")
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
		if _, err := w.Store.End(w.t.Context(), "a2", w.Clock.Now()); err != nil { // as another device's claim does
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
