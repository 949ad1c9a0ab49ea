package signal_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// lasting lets everybody in for so long.
func (w *world) lasting(d time.Duration) {
	w.Access = signal.Access{Authenticator: &authenticator{identity: signal.Identity{User: "alice", Expires: w.Clock.Now().Add(d)}}}
}

// open lets others in for good.
func (w *world) open() { w.Access = signal.OpenAccess }

func TestTokenEnds(t *testing.T) {
	for name, c := range map[string]struct {
		protocol signal.Protocol
		do       func(w *world)
		want     []string
	}{
		"message":          {signal.EIO4, func(w *world) { w.send("a", 2, "bob") }, []string{"ack 2 2121", "closing 2121"}},
		"its number":       {signal.EIO4, func(w *world) { w.send("a", 1, "bob") }, []string{"ack 1 0", "closing 2121"}}, // delivered before
		"early message":    {signal.EIO4, func(w *world) { w.send("a", 7, "bob") }, []string{"ack 7 2121", "closing 2121"}},
		"unnumbered":       {signal.EIO4, func(w *world) { w.send("a", signal.NoNumber, "bob") }, []string{"closing 2121"}},
		"presence":         {signal.JSON, func(w *world) { w.receive("a", signal.Query{User: "bob"}) }, []string{"closing 2121"}},
		"ICE servers":      {signal.JSON, func(w *world) { w.receive("a", signal.QueryICE{}) }, []string{"closing 2121"}},
		"their number":     {signal.EIO4, func(w *world) { w.asks("a", 2) }, []string{"ack 2 2121", "closing 2121"}},
		"join":             {signal.EIO4, func(w *world) { w.receive("a", signal.Join{}) }, []string{"closing 2121"}},
		"authentication":   {signal.EIO4, func(w *world) { w.receive("a", signal.Authenticate{Number: 2, Token: "new"}) }, []string{"refused 2 2121"}},
		"without a number": {signal.EIO4, func(w *world) { w.receive("a", signal.Authenticate{Number: signal.NoNumber, Token: "new"}) }, []string{"closing 2121"}},
		"keepalive":        {signal.EIO3, func(w *world) { w.keepalive() }, []string{"closing 2121"}},
		"keepalive, JSON":  {signal.JSON, func(w *world) { w.keepalive() }, []string{"closing 2121"}},
		"leave":            {signal.EIO4, func(w *world) { w.receive("a", signal.Leave{}) }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.lasting(time.Minute)
				token := "t"
				w.connect("a", c.protocol, &token)
				w.open()
				w.json("b", "bob")
				w.send("a", 1, "bob")
				time.Sleep(time.Minute - time.Millisecond - w.since())
				w.send("b", 1, "alice")
				w.keepalive() // which is too early
				before := w.events("a")
				if got := w.events("b"); !slices.Contains(got, "ack 1 0") || w.closed["a"] {
					t.Fatalf("just before the end bob got %q, closed %v", got, w.closed["a"])
				}
				time.Sleep(time.Millisecond)
				c.do(w)
				w.expect("a", append(before, c.want...)...)
				if !w.closed["a"] {
					t.Error("the connection is still open")
				}
				w.send("b", 2, "alice")
				if got := w.events("b"); got[len(got)-1] != "ack 2 2201" {
					t.Errorf("a message to alice: %q", got)
				}
				w.json("a2", "alice")
				w.send("b", 3, "alice")
				w.expect("a2", "opened", "admitted", "welcome alice", "3 from bob")
			})
		})
	}
}

// keepalive is a round of it.
func (w *world) keepalive() {
	w.t.Helper()
	if err := w.Keepalive(w.t.Context()); err != nil {
		w.t.Error(err)
	}
}

// since is how long this world has been there: its clock begins at midnight.
func (w *world) since() time.Duration {
	return time.Since(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC))
}

// Nothing is routed to a connection whose token has ended, though nobody has
// told it so yet.
func TestNothingIsRoutedAfterTheEnd(t *testing.T) {
	inWorld(t, func(w *world) {
		w.lasting(time.Minute)
		w.json("a", "t")
		w.open()
		w.json("b", "bob")
		time.Sleep(time.Minute)
		w.send("b", 1, "alice")
		w.expect("a", "opened", "admitted", "welcome alice")
		w.expect("b", "opened", "admitted", "welcome bob", "ack 1 2201")
	})
}

// Whoever comes on a connection that has ended, however many at once, is told
// the same: nobody, that another connection has taken the name.
func TestAllAreToldTheSame(t *testing.T) {
	inWorld(t, func(w *world) {
		w.lasting(time.Minute)
		w.json("a", "t")
		w.open()
		w.json("b", "bob")
		time.Sleep(time.Minute)
		w.Pusher = deaf{w} // so that the socket lives on
		for n := range int64(20) {
			go w.send("a", n+1, "bob")
		}
		w.send("a", 21, "bob")
		time.Sleep(time.Minute)
		got := w.events("a")
		closings := 0
		for _, line := range got {
			if line == "closing 2121" {
				closings++
			}
			if line == "superseded" || line == "ack 1 0" {
				t.Errorf("told %q", line)
			}
		}
		if closings != 1 {
			t.Errorf("told %d times why it ends", closings)
		}
		for _, want := range []string{"ack 1 2121", "ack 20 2121", "ack 21 2121", "closing 2121"} {
			if !slices.Contains(got, want) {
				t.Errorf("not told %s: %q", want, got)
			}
		}
		w.expect("b", "opened", "admitted", "welcome bob")
		if err := w.Disconnect(w.t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Store.Get(w.t.Context(), "a", w.Clock.Now()); !errors.Is(err, signal.ErrNoConnection) {
			t.Errorf("after its end the record: %v", err)
		}
	})
}

// deaf closes nothing.
type deaf struct{ *world }

func (d deaf) Post(ctx context.Context, p signal.Peer, e signal.Event) error {
	return d.world.Post(ctx, p, e)
}
func (deaf) Close(context.Context, signal.Peer) error { return nil }

// What was held is not delivered after the end, and answered once.
func TestHeldAtTheEnd(t *testing.T) {
	inWorld(t, func(w *world) {
		w.lasting(time.Second)
		w.json("a", "t")
		w.open()
		w.json("b", "bob")
		w.send("a", 3, "bob")
		w.send("a", 2, "bob")
		time.Sleep(time.Second + lane.LeaseTimeout) // 1 never comes, and the watcher gives it up
		w.expect("b", "opened", "admitted", "welcome bob")
		w.expect("a", "opened", "admitted", "welcome alice", "stored", "stored", "ack 2 2121", "ack 3 2121", "closing 2121")
	})
}

// A message that was taken before the end is carried to its end, and what was
// held behind it is not.
func TestTakenAtTheEnd(t *testing.T) {
	inWorld(t, func(w *world) {
		w.lasting(time.Second)
		w.json("a", "t")
		w.open()
		w.json("b", "bob")
		w.Pusher = slow{w, 900 * time.Millisecond}
		time.Sleep(500 * time.Millisecond)
		go w.send("a", 1, "bob")
		time.Sleep(time.Millisecond)
		w.send("a", 2, "bob")
		time.Sleep(2 * time.Second)
		w.expect("b", "opened", "admitted", "welcome bob", "1 from alice")
		w.expect("a", "opened", "admitted", "welcome alice", "stored", "ack 1 0", "ack 2 2121", "closing 2121")
	})
}

// slow takes its time for deliveries.
type slow struct {
	*world
	takes time.Duration
}

func (s slow) Post(ctx context.Context, p signal.Peer, e signal.Event) error {
	if _, ok := e.(signal.Delivery); ok {
		time.Sleep(s.takes)
	}
	return s.world.Post(ctx, p, e)
}

func (s slow) Close(ctx context.Context, p signal.Peer) error { return s.world.Close(ctx, p) }

// The end of a claim's owner is fenced off: a clock that is behind must not let
// it send under a name that another has.
func TestFencedByEveryClock(t *testing.T) {
	inWorld(t, func(w *world) {
		w.lasting(time.Second)
		w.json("a", "t")
		w.open()
		w.json("b", "bob")
		time.Sleep(time.Second)
		w.keepalive()
		w.json("a2", "alice")
		delete(w.closed, "a")
		w.Clock = behind{w.Clock}
		w.send("a", 1, "bob")
		w.expect("b", "opened", "admitted", "welcome bob")
		w.expect("a", "opened", "admitted", "welcome alice", "closing 2121", "ack 1 2121")
	})
}

// behind is a clock that is.
type behind struct{ signal.Clock }

func (b behind) Now() lane.Instant { return b.Clock.Now().Add(-time.Hour) }

// A connection that has gone without a word is dropped when it is found.
func TestEndOfAConnectionThatIsGone(t *testing.T) {
	inWorld(t, func(w *world) {
		w.lasting(time.Second)
		w.json("a", "t")
		w.closed["a"] = true
		time.Sleep(time.Second)
		w.keepalive()
		if _, err := w.Store.Get(w.t.Context(), "a", w.Clock.Now()); !errors.Is(err, signal.ErrNoConnection) {
			t.Errorf("record: %v", err)
		}
	})
}

// A token that lasts longer than any connection ends none.
func TestTokenThatOutlivesTheConnection(t *testing.T) {
	for _, c := range []struct {
		lasts time.Duration
		until bool
	}{{signal.ConnectionLife - time.Millisecond, true}, {signal.ConnectionLife, false}} {
		inWorld(t, func(w *world) {
			w.lasting(c.lasts)
			w.json("a", "t")
			record, err := w.Store.Get(w.t.Context(), "a", w.Clock.Now())
			if err != nil || (record.Until != 0) != c.until {
				t.Errorf("a token of %v: until %d, %v", c.lasts, record.Until, err)
			}
		})
	}
}
