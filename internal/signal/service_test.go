package signal_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/owt-signal/owt-signal/internal/memory"
	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// world is the service on a store in memory, with sockets that remember what
// came. Its tests run in a bubble of testing/synctest, where time passes at
// once.
type world struct {
	*signal.Service
	t  *testing.T
	mu sync.Mutex
	// sockets by connection: what each got, until it was closed
	got    map[signal.ConnectionID][]signal.Event
	closed map[signal.ConnectionID]bool
	fail   func(signal.Peer, signal.Event) error // a fault to inject; may be nil
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, got: make(map[signal.ConnectionID][]signal.Event), closed: make(map[signal.ConnectionID]bool)}
	w.Service = &signal.Service{
		Store: memory.New(), Pusher: w, Prober: w, Pings: pings, Access: signal.OpenAccess,
		Clock: signal.SystemClock{}, Random: counter(), Log: slog.New(slog.DiscardHandler),
	}
	return w
}

func counter() func([]byte) {
	var mu sync.Mutex
	n := uint64(0)
	return func(b []byte) {
		mu.Lock()
		defer mu.Unlock()
		n++
		for i := range b {
			b[i] = byte(n >> (8 * min(i, 7)))
		}
	}
}

func (w *world) Post(_ context.Context, p signal.Peer, e signal.Event) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fail != nil {
		if err := w.fail(p, e); err != nil {
			return err
		}
	}
	if w.closed[p.ID] {
		return signal.ErrGone
	}
	w.got[p.ID] = append(w.got[p.ID], e)
	return nil
}

func (w *world) Close(_ context.Context, p signal.Peer) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed[p.ID] = true
	return nil
}

func (w *world) Probe(_ context.Context, p signal.Peer) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed[p.ID] {
		return signal.ErrGone
	}
	return nil
}

// events is what a connection got, one line each.
func (w *world) events(id signal.ConnectionID) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var lines []string
	for _, e := range w.got[id] {
		if e != (signal.Ended{}) {
			lines = append(lines, line(e))
		}
	}
	return lines
}

func line(e signal.Event) string {
	switch e := e.(type) {
	case signal.Delivery:
		return fmt.Sprintf("%s from %s", e.Data, e.From)
	case signal.Ack:
		return fmt.Sprintf("ack %d %d", e.Number, int(e.Code))
	case signal.Welcome:
		switch {
		case e.Resumed:
			return fmt.Sprintf("welcome %s, session %s goes on", e.User, e.Session)
		case e.Session != "":
			return fmt.Sprintf("welcome %s, session %s begins", e.User, e.Session)
		}
		return fmt.Sprintf("welcome %s", e.User)
	case signal.AuthenticationDenied:
		return fmt.Sprintf("denied %d %d", e.Number, int(e.Code))
	case signal.Closing:
		return fmt.Sprintf("closing %d", int(e.Code))
	case signal.ConnectionRefused:
		if e.Number != signal.NoNumber {
			return fmt.Sprintf("refused %d %d", e.Number, int(e.Code))
		}
		return fmt.Sprintf("refused %d", int(e.Code))
	case signal.ICEAnswer:
		if e.Number != signal.NoNumber {
			return fmt.Sprintf("ice %d", e.Number)
		}
		return "ice"
	case signal.RequestFailed:
		return "failed"
	case signal.Batch:
		var lines []string
		for _, one := range e {
			lines = append(lines, line(one))
		}
		return "[" + strings.Join(lines, ", ") + "]"
	default:
		return strings.ToLower(strings.TrimPrefix(fmt.Sprintf("%T", e), "signal."))
	}
}

func (w *world) connect(id signal.ConnectionID, protocol signal.Protocol, token *string) {
	w.t.Helper()
	after, err := w.Connect(w.t.Context(), handshake(id, protocol, token))
	if err != nil {
		w.t.Fatal(err)
	}
	after(w.t.Context())
}

// handshake is what the protocols make of one that brings a token.
func handshake(id signal.ConnectionID, protocol signal.Protocol, token *string) signal.Handshake {
	h := signal.Handshake{Peer: signal.Peer{ID: id, Protocol: protocol}, Token: token}
	if protocol == signal.JSON {
		h.Start = lane.StartAfter(0)
	}
	return h
}

// pings reports whether the clients of a protocol expect the server to ping.
func pings(p signal.Protocol) bool { return p == signal.EIO4 }

// json connects a JSON client, who authenticates with the handshake.
func (w *world) json(id signal.ConnectionID, user string) { w.connect(id, signal.JSON, &user) }

// receive is one invocation: the answer goes to the connection, and the work
// after it runs in the background.
func (w *world) receive(id signal.ConnectionID, in signal.Input) {
	p := signal.Peer{ID: id, Protocol: signal.EIO4}
	r := w.Receive(w.t.Context(), p, in)
	for _, e := range r.Events {
		_ = w.Post(w.t.Context(), p, e)
	}
	if r.After != nil {
		go r.After(w.t.Context())
	}
}

func (w *world) send(id signal.ConnectionID, n int64, to signal.UserName) {
	w.receive(id, signal.Send{Number: n, Frame: message(n, to)})
}

// message is number n of a client, as long as that does not use it again.
func message(n int64, to signal.UserName) lane.Frame {
	return lane.Frame{To: string(to), Data: fmt.Appendf(nil, "%d", n)}
}

func (w *world) expect(id signal.ConnectionID, want ...string) {
	w.t.Helper()
	synctest.Wait()
	if got := w.events(id); !slices.Equal(got, want) {
		w.t.Errorf("connection %s got\n  %s\nwant\n  %s", id, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func inWorld(t *testing.T, test func(*world)) {
	synctest.Test(t, func(t *testing.T) { test(newWorld(t)) })
}

func TestMessageAndAck(t *testing.T) {
	inWorld(t, func(w *world) {
		w.json("a", "alice")
		w.json("b", "bob")
		w.send("a", 1, "bob")
		w.send("a", 2, "carol")
		w.expect("a", "opened", "admitted", "welcome alice", "ack 1 0", "ack 2 2201")
		w.expect("b", "opened", "admitted", "welcome bob", "1 from alice")
	})
}

func TestOrderHoweverFramesArrive(t *testing.T) {
	inWorld(t, func(w *world) {
		w.json("a", "alice")
		w.json("b", "bob")
		for _, n := range []int64{3, 2, 5, 1, 4} {
			w.send("a", n, "bob")
		}
		time.Sleep(time.Second)
		w.expect("b", "opened", "admitted", "welcome bob", "1 from alice", "2 from alice", "3 from alice", "4 from alice", "5 from alice")
	})
}

// Whoever acks a long run to a slow client has taken the next one already, and
// must not be taken for dead.
func TestOwnerAcksForLong(t *testing.T) {
	inWorld(t, func(w *world) {
		w.json("b", "bob")
		w.json("a", "alice")
		w.Pusher = slowly{slowly{w, 20 * time.Millisecond, isDelivery}, 120 * time.Millisecond, isAck}
		const run, all = 40, 60
		for n := range int64(run - 1) {
			w.send("a", n+2, "bob")
		}
		go w.send("a", 1, "bob")
		time.Sleep(200 * time.Millisecond) // the run is being posted
		for n := range int64(all - run) {
			w.send("a", n+run+1, "bob")
		}
		time.Sleep(time.Minute)
		got := w.events("a")
		for n := range all {
			if !slices.Contains(got, fmt.Sprintf("ack %d 0", n+1)) {
				t.Errorf("number %d was not delivered: %q", n+1, got)
				break
			}
		}
	})
}

func isDelivery(e signal.Event) bool { _, ok := e.(signal.Delivery); return ok }
func isAck(e signal.Event) bool      { _, ok := e.(signal.Ack); return ok }

func TestMissingNumberIsWaitedForAndSkipped(t *testing.T) {
	inWorld(t, func(w *world) {
		w.json("a", "alice")
		w.json("b", "bob")
		w.send("a", 2, "bob")
		time.Sleep(lane.LeaseTimeout - time.Millisecond)
		w.expect("b", "opened", "admitted", "welcome bob")
		time.Sleep(time.Second)
		w.expect("b", "opened", "admitted", "welcome bob", "2 from alice")
		w.send("a", 1, "bob")
		w.expect("a", "opened", "admitted", "welcome alice", "stored", "ack 2 0", "ack 1 2100")
	})
}

func TestFramesBeforeAuthenticationAreHeld(t *testing.T) {
	inWorld(t, func(w *world) {
		w.json("b", "bob")
		w.connect("a", signal.EIO4, nil)
		w.send("a", 423, "bob")
		w.send("a", 422, "bob")
		w.expect("b", "opened", "admitted", "welcome bob")
		w.receive("a", signal.Authenticate{Number: 424, Token: "alice"})
		w.send("a", 425, "bob")
		w.expect("b", "opened", "admitted", "welcome bob", "422 from alice", "423 from alice", "425 from alice")
		if got := w.events("a"); !slices.Contains(got, "ack 422 0") || !slices.Contains(got, "ack 423 0") || !slices.Contains(got, "ack 425 0") {
			t.Errorf("alice got %q", got)
		}
	})
}

// When whoever opened the lane has died, its sender is told of the frames that
// it had taken, and of no number that this connection never sent.
func TestOvertakenOpener(t *testing.T) {
	inWorld(t, func(w *world) {
		w.connect("a", signal.EIO4, nil)
		w.send("a", 5, "alice")
		w.Receive(w.t.Context(), signal.Peer{ID: "a"}, signal.Authenticate{Number: 7, Token: "alice"}) // and no more
		time.Sleep(lane.LeaseTimeout + time.Second)
		w.send("a", 8, "alice") // watches the lease by its own clock
		time.Sleep(lane.LeaseTimeout + time.Second)
		w.expect("a", "opened", "admitted", "stored", "stored", "ack 5 2100", "8 from alice", "ack 8 0")
	})
	inWorld(t, func(w *world) {
		w.connect("a", signal.EIO4, nil)
		w.send("a", 5, "alice")
		w.Receive(w.t.Context(), signal.Peer{ID: "a"}, signal.Authenticate{Number: 7, Token: "alice"})
		time.Sleep(lane.LeaseTimeout + lane.ClockBound + time.Second) // by any clock it is over
		w.send("a", 8, "alice")
		w.expect("a", "opened", "admitted", "stored", "ack 5 2100", "8 from alice", "ack 8 0")
	})
}

func TestRefusalAnswersWhatWasHeld(t *testing.T) {
	inWorld(t, func(w *world) {
		w.connect("a", signal.EIO4, nil)
		w.send("a", 0, "bob")
		w.receive("a", signal.Authenticate{Number: 1, Token: strings.Repeat("x", signal.MaxUserName+1)})
		w.expect("a", "opened", "admitted", "stored", "ack 0 2120", "refused 1 2121")
		if !w.closed["a"] {
			t.Error("the connection is still open")
		}
	})
}

func TestTakeover(t *testing.T) {
	inWorld(t, func(w *world) {
		w.json("old", "alice")
		w.json("b", "bob")
		w.json("new", "alice")
		w.expect("old", "opened", "admitted", "welcome alice", "superseded")
		if !w.closed["old"] {
			t.Error("the old connection is still open")
		}
		w.send("old", 1, "bob")
		w.send("new", 1, "bob")
		w.send("b", 1, "alice")
		if err := w.Disconnect(w.t.Context(), "old"); err != nil { // late
			t.Fatal(err)
		}
		w.send("b", 2, "alice")
		w.expect("b", "opened", "admitted", "welcome bob", "1 from alice", "ack 1 0", "ack 2 0")
		w.expect("new", "opened", "admitted", "welcome alice", "ack 1 0", "1 from bob", "2 from bob")
	})
}

func TestGoneReceiverIsOffline(t *testing.T) {
	inWorld(t, func(w *world) {
		w.json("a", "alice")
		w.json("b", "bob")
		w.closed["b"] = true // and no $disconnect
		w.send("a", 1, "bob")
		w.expect("a", "opened", "admitted", "welcome alice", "ack 1 2201")
		if _, err := w.Store.Owner(w.t.Context(), "bob", w.Clock.Now()); !errors.Is(err, signal.ErrOffline) {
			t.Errorf("bob's owner: %v", err)
		}
		if _, err := w.Store.Get(w.t.Context(), "b", w.Clock.Now()); !errors.Is(err, signal.ErrNoConnection) {
			t.Errorf("bob's connection: %v", err)
		}
	})
}

// A receiver who comes back on another connection between routing and posting
// still gets the message, once.
func TestReceiverMovesWhileRouted(t *testing.T) {
	inWorld(t, func(w *world) {
		w.json("a", "alice")
		w.json("b", "bob")
		moved := false
		w.fail = func(p signal.Peer, e signal.Event) error {
			if _, ok := e.(signal.Delivery); !ok || p.ID != "b" || moved {
				return nil
			}
			moved = true
			_, err := w.Store.Claim(w.t.Context(), signal.Claim{
				User: "bob", Peer: signal.Peer{ID: "b2"}, At: w.Clock.Now() + 1, Until: w.Clock.Now().Add(time.Hour), Expect: "b",
			})
			return errors.Join(err, signal.ErrGone)
		}
		w.send("a", 1, "bob")
		w.expect("b2", "1 from alice")
		w.expect("a", "opened", "admitted", "welcome alice", "ack 1 0")
	})
}

func TestPostFailuresAreTold(t *testing.T) {
	for err, code := range map[error]lane.Code{
		signal.ErrBusy:           lane.CodeBusy,
		signal.ErrTooLarge:       lane.CodeClient,
		context.DeadlineExceeded: lane.CodeUnavailable,
	} {
		inWorld(t, func(w *world) {
			w.json("a", "alice")
			w.json("b", "bob")
			w.fail = func(_ signal.Peer, e signal.Event) error {
				if _, ok := e.(signal.Delivery); ok {
					return err
				}
				return nil
			}
			w.send("a", 1, "bob")
			w.send("a", 1, "bob") // a repeat is told the same
			want := fmt.Sprintf("ack 1 %d", int(code))
			w.expect("a", "opened", "admitted", "welcome alice", want, want)
		})
	}
}

func TestNobodyIsTurnedAway(t *testing.T) {
	inWorld(t, func(w *world) {
		w.send("a", 7, "bob")
		w.expect("a", "ack 7 2100", "superseded") // nobody knows any more
		w.receive("b", signal.Authenticate{Number: 0, Token: "bob"})
		w.expect("b", "denied 0 2120", "superseded")
		w.receive("c", signal.Query{User: "bob"})
		if !w.closed["a"] || !w.closed["b"] || !w.closed["c"] {
			t.Errorf("closed: %v", w.closed)
		}
	})
}

func TestAuthenticatingAgain(t *testing.T) {
	inWorld(t, func(w *world) {
		w.connect("a", signal.EIO4, nil)
		w.receive("a", signal.Authenticate{Number: 0, Token: "alice"})
		w.receive("a", signal.Authenticate{Number: 0, Token: "alice"}) // the same frame, repeated
		w.receive("a", signal.Authenticate{Number: 1, Token: "alice"})
		w.receive("a", signal.Authenticate{Number: 2, Token: "mallory"})
		w.send("a", 3, "alice")
		w.expect("a", "opened", "admitted", "welcome alice", "welcome alice", "welcome alice", "denied 2 2103", "3 from alice", "ack 3 0")
		if _, err := w.Store.Owner(w.t.Context(), "mallory", w.Clock.Now()); !errors.Is(err, signal.ErrOffline) {
			t.Errorf("mallory's owner: %v", err)
		}
	})
}

func TestAnonymous(t *testing.T) {
	inWorld(t, func(w *world) {
		w.json("a", "")
		w.json("b", "")
		a, b := w.events("a")[2], w.events("b")[2]
		if a == b || !strings.HasSuffix(a, "@anonymous") || len(a) != len("welcome ")+32+len("@anonymous") {
			t.Errorf("anonymous users are %q and %q", a, b)
		}
	})
}

func TestUnsupportedVersionIsTold(t *testing.T) {
	inWorld(t, func(w *world) {
		after, err := w.Connect(w.t.Context(), signal.Handshake{Peer: signal.Peer{ID: "a", Protocol: signal.EIO3}, Client: signal.Client{Version: "3.0"}})
		if err != nil {
			t.Fatal(err)
		}
		after(w.t.Context())
		w.expect("a", "opened", "refused 2103")
		if !w.closed["a"] {
			t.Error("the connection is still open")
		}
		w.send("a", 0, "bob")
		w.expect("a", "opened", "refused 2103")
	})
}

// A client that is turned away may ask to be let in before it is told so. It
// must not take itself for connected.
func TestJoin(t *testing.T) {
	inWorld(t, func(w *world) {
		w.connect("a", signal.EIO4, nil)
		w.receive("a", signal.Join{})
		w.expect("a", "opened", "admitted", "joined")

		after, err := w.Connect(w.t.Context(), signal.Handshake{Peer: signal.Peer{ID: "b", Protocol: signal.EIO4}, Client: signal.Client{Version: "3.0"}})
		if err != nil {
			t.Fatal(err)
		}
		w.receive("b", signal.Join{})
		after(w.t.Context())
		w.receive("b", signal.Join{})
		w.expect("b", "opened", "refused 2103")

		w.Store = unreadableStore{w.Store}
		w.receive("a", signal.Join{})
		w.expect("a", "opened", "admitted", "joined")
		if !w.closed["a"] {
			t.Error("a client that cannot be let in is left waiting")
		}
	})
}

type unreadableStore struct{ signal.Store }

func (unreadableStore) Get(context.Context, signal.ConnectionID, lane.Instant) (signal.Connection, error) {
	return signal.Connection{}, errors.New("unreadable")
}

// A connection cannot be reached before API Gateway has taken the answer to
// its handshake.
func TestGreetingIsTriedAgain(t *testing.T) {
	for _, c := range []struct {
		gone int
		want []string
	}{{3, []string{"opened", "admitted", "welcome alice"}}, {1000, nil}} {
		inWorld(t, func(w *world) {
			tries := 0
			w.fail = func(signal.Peer, signal.Event) error {
				if tries++; tries <= c.gone {
					return signal.ErrGone
				}
				return nil
			}
			w.json("a", "alice")
			w.expect("a", c.want...)
			_, err := w.Store.Get(w.t.Context(), "a", w.Clock.Now())
			if there := err == nil; there != (c.want != nil) {
				t.Errorf("after %d tries in vain the record is there: %v", c.gone, there)
			}
		})
	}
}

func TestPresence(t *testing.T) {
	inWorld(t, func(w *world) {
		w.json("a", "alice")
		r := w.Receive(w.t.Context(), signal.Peer{ID: "a"}, signal.Query{User: "bob"})
		w.json("b", "bob")
		r2 := w.Receive(w.t.Context(), signal.Peer{ID: "a"}, signal.Query{User: "bob"})
		if r.Events[0] != (signal.Presence{User: "bob"}) || r2.Events[0] != (signal.Presence{User: "bob", Online: true}) {
			t.Errorf("presence %+v, then %+v", r.Events, r2.Events)
		}
	})
}

func TestUserNames(t *testing.T) {
	for name, ok := range map[string]bool{
		"用户1": true, "111&222@!;||(){}[]?": true, "": false, "\xff": false,
		strings.Repeat("x", signal.MaxUserName):   true,
		strings.Repeat("x", signal.MaxUserName+1): false,
	} {
		if err := signal.CheckUserName(signal.UserName(name)); (err == nil) != ok {
			t.Errorf("%.20q: %v", name, err)
		}
	}
}

// An authentication without a number says nothing about where the others begin:
// the first ones are sorted for a moment, and the lowest is first.
func TestUnnumberedAuthentication(t *testing.T) {
	inWorld(t, func(w *world) {
		w.json("b", "bob")
		w.connect("a", signal.EIO4, nil)
		w.receive("a", signal.Authenticate{Number: signal.NoNumber, Token: "alice"})
		w.send("a", 7, "bob")
		w.send("a", 6, "bob")
		time.Sleep(lane.ReorderWindow)
		w.expect("b", "opened", "admitted", "welcome bob")
		time.Sleep(lane.GapTimeout / 10) // the watcher's next look
		w.expect("b", "opened", "admitted", "welcome bob", "6 from alice", "7 from alice")
	})
}
