package signal_test

import (
	"slices"
	"testing"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// Past a user's rate messages are refused, in their place in the order, and
// those that follow are not held up.
func TestRateOfMessages(t *testing.T) {
	inWorld(t, func(w *world) {
		w.Rate = lane.Rate{PerSecond: 10, Burst: 3}
		w.json("b", "bob")
		w.json("a", "alice")
		for n := range int64(5) {
			w.send("a", n+1, "bob")
		}
		w.send("a", signal.NoNumber, "bob")
		time.Sleep(100 * time.Millisecond)
		w.send("a", 6, "bob")
		w.send("a", 7, "bob")
		w.expect("a", "opened", "admitted", "welcome alice", "ack 1 0", "ack 2 0", "ack 3 0", "ack 4 2102", "ack 5 2102", "failed", "ack 6 0", "ack 7 2102")
		w.expect("b", "opened", "admitted", "welcome bob", "1 from alice", "2 from alice", "3 from alice", "6 from alice")
	})
}

// Held frames that are taken along count like others.
func TestRateOfARun(t *testing.T) {
	inWorld(t, func(w *world) {
		w.Rate = lane.Rate{PerSecond: 1, Burst: 3}
		w.json("b", "bob")
		w.json("a", "alice")
		for _, n := range []int64{5, 4, 3, 2, 1} {
			w.send("a", n, "bob")
		}
		w.expect("b", "opened", "admitted", "welcome bob", "1 from alice", "2 from alice", "3 from alice")
		if got := w.events("a"); !slices.Contains(got, "ack 4 2102") || !slices.Contains(got, "ack 5 2102") {
			t.Errorf("%q", got)
		}
	})
}

// A bucket is the user's: who connects again begins where the last connection
// ended, however it ended.
func TestRateGoesOn(t *testing.T) {
	for name, end := range map[string]func(w *world){
		"left":       func(w *world) { w.receive("a", signal.Leave{}) },
		"lost":       func(w *world) { _ = w.Disconnect(w.t.Context(), "a") },
		"taken over": func(*world) {},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.Rate = lane.Rate{PerSecond: 1, Burst: 2}
				w.json("a", "alice")
				w.send("a", 1, "nobody")
				w.send("a", 2, "nobody")
				end(w)
				w.json("a2", "alice")
				w.send("a2", 1, "nobody")
				time.Sleep(time.Second)
				w.send("a2", 2, "nobody")
				w.expect("a2", "opened", "admitted", "welcome alice", "ack 1 2102", "ack 2 2201")
			})
		})
	}
}

// What has no number is limited, too. What is under way at the same time may
// exceed the limit, and is paid for later.
func TestRateOfWhatHasNoNumber(t *testing.T) {
	inWorld(t, func(w *world) {
		w.Rate = lane.Rate{PerSecond: 1, Burst: 5}
		w.json("b", "bob")
		w.json("a", "alice")
		for n := range int64(20) {
			go w.send("a", signal.NoNumber, "bob")
			go w.send("a", n+1, "bob")
		}
		time.Sleep(500 * time.Millisecond)
		came := func() int { return len(w.events("b")) - 3 }
		first := came()
		if first < 5 || first > 5+lane.MaxHeld/16 {
			t.Errorf("%d messages came", first)
		}
		for range 20 {
			time.Sleep(500 * time.Millisecond)
			w.send("a", signal.NoNumber, "bob")
		}
		if got := came(); got > 5+10 {
			t.Errorf("%d messages came within 10 s of a burst of 5", got)
		}
	})
}

// A connection that does not authenticate in time is refused: at its next frame,
// or at the next round of keepalive.
func TestAuthenticateWithin(t *testing.T) {
	for name, then := range map[string]func(w *world){
		"at its next frame": func(w *world) { w.send("a", 3, "bob") },
		"when it authenticates at last": func(w *world) {
			w.receive("a", signal.Authenticate{Number: 3, Token: "alice"})
		},
		"at the next keepalive": func(w *world) { _ = w.Keepalive(w.t.Context()) },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.AuthenticateWithin = time.Minute
				w.connect("a", signal.EIO4, nil)
				w.connect("c", signal.EIO4, nil)
				w.send("a", 2, "bob") // held
				time.Sleep(59 * time.Second)
				w.receive("c", signal.Authenticate{Number: 0, Token: "carol"})
				time.Sleep(time.Second)
				then(w)
				time.Sleep(time.Minute)
				if !w.closed["a"] || w.closed["c"] {
					t.Errorf("closed: %v", w.closed)
				}
				if got := w.events("a"); !slices.Contains(got, "ack 2 2120") {
					t.Errorf("the late one got %q", got)
				}
				w.send("c", 1, "nobody")
				if got := w.events("c"); !slices.Contains(got, "ack 1 2201") {
					t.Errorf("who came in time got %q", got)
				}
			})
		})
	}
}
