package signal_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// A number comes twice while another connection takes the name: one invocation
// has it, and the other does not say that it was not posted.
func TestNumberComesAgainAtATakeover(t *testing.T) {
	for name, c := range map[string]struct {
		posts time.Duration // how long one takes
		send  func(w *world, n int64)
		again signal.UserName // whom the number is for when it comes again
		want  []string        // the answers that are not the first invocation's
	}{
		"it was delivered":          {0, func(w *world, n int64) { w.send("a", n, "bob") }, "bob", []string{"ack 1 0"}},
		"nobody was there for it":   {0, func(w *world, n int64) { w.send("a", n, "nobody") }, "nobody", []string{"ack 1 2201"}},
		"another was delivered":     {0, func(w *world, n int64) { w.send("a", n, "bob") }, "carol", []string{"ack 1 2110"}},
		"nobody was there for one":  {0, func(w *world, n int64) { w.send("a", n, "nobody") }, "bob", []string{"ack 1 2110"}},
		"it is being delivered":     {500 * time.Millisecond, func(w *world, n int64) { w.send("a", n, "bob") }, "bob", []string{"ack 1 0", "ack 1 0"}},
		"its invocation has died":   {0, func(w *world, n int64) { w.die("a", n) }, "bob", []string{"ack 1 2100"}},
		"it was never heard before": {0, func(*world, int64) {}, "bob", []string{"ack 1 2120"}},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.json("b", "bob")
				w.json("a", "alice")
				w.Pusher = slowly{w, c.posts, isDelivery}
				go c.send(w, 1)
				time.Sleep(100 * time.Millisecond)
				first := len(w.events("a"))
				if _, err := w.Store.End(w.t.Context(), "a", w.Clock.Now()); err != nil { // as another device's claim does
					t.Fatal(err)
				}
				w.send("a", 1, c.again)
				time.Sleep(10 * time.Second)
				synctest.Wait()
				got := w.events("a")[first:]
				if want := slices.Concat(c.want, []string{"superseded"}); !slices.Equal(got, want) {
					t.Errorf("got %q, want %q", got, want)
				}
				if came := len(w.events("b")) - len([]string{"opened", "admitted", "welcome bob"}); came > 1 {
					t.Errorf("it was delivered %d times", came)
				}
			})
		})
	}
}

// die takes a number, and nothing more.
func (w *world) die(id signal.ConnectionID, n int64) {
	take := signal.Update{Move: lane.Take([]lane.Numbered{{N: n, Frame: message(n, "bob")}}, "dead", w.Clock.Now())}
	if _, made, err := w.Store.Update(w.t.Context(), id, take, w.Clock.Now()); !made || err != nil {
		w.t.Error(made, err)
	}
}

// What has ended is asked after for so long.
func TestEndedIsForgotten(t *testing.T) {
	for after, want := range map[time.Duration]string{
		signal.EndedLife - time.Millisecond: "ack 1 0",
		signal.EndedLife:                    "ack 1 2100",
	} {
		inWorld(t, func(w *world) {
			w.json("b", "bob")
			w.json("a", "alice")
			w.send("a", 1, "bob")
			first := len(w.events("a"))
			_ = w.Disconnect(w.t.Context(), "a")
			time.Sleep(after)
			w.send("a", 1, "bob")
			synctest.Wait()
			if got := w.events("a")[first]; got != want {
				t.Errorf("after %v: %s, want %s", after, got, want)
			}
		})
	}
}

// Keepalive deletes what was kept long enough.
func TestKeepaliveDeletesWhatHasEnded(t *testing.T) {
	inWorld(t, func(w *world) {
		w.json("a", "alice")
		_ = w.Disconnect(w.t.Context(), "a")
		for _, want := range []bool{true, false} {
			if err := w.Keepalive(w.t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Store.GetEnded(w.t.Context(), "a", 0); (err == nil) != want {
				t.Errorf("%v, kept: %v", err, want)
			}
			time.Sleep(signal.EndedLife)
		}
	})
}

// A name that an invocation could not release, because it died after it had ended
// the connection, is released by $disconnect, or by keepalive.
func TestNameOfWhatHasEnded(t *testing.T) {
	for name, find := range map[string]func(w *world) error{
		"$disconnect": func(w *world) error { return w.Disconnect(w.t.Context(), "a") },
		"keepalive": func(w *world) error {
			time.Sleep(signal.EndedLife)
			return w.Keepalive(w.t.Context())
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.json("a", "alice")
				w.json("b", "bob")
				if _, err := w.Store.End(w.t.Context(), "a", w.Clock.Now()); err != nil {
					t.Fatal(err)
				}
				if err := find(w); err != nil {
					t.Fatal(err)
				}
				if _, err := w.Store.Owner(w.t.Context(), "alice", w.Clock.Now()); !errors.Is(err, signal.ErrOffline) {
					t.Errorf("alice: %v", err)
				}
				if _, err := w.Store.Owner(w.t.Context(), "bob", w.Clock.Now()); err != nil {
					t.Errorf("bob: %v", err)
				}
			})
		})
	}
}

// A handshake whose invocation runs twice is told once where its session stands.
func TestHandshakeComesAgain(t *testing.T) {
	inWorld(t, func(w *world) {
		token := "alice"
		h := handshake("a", signal.JSON, &token)
		h.Session = &signal.Session{ID: "s"}
		for range 2 {
			after, err := w.Connect(w.t.Context(), h)
			if err != nil {
				t.Fatal(err)
			}
			after(w.t.Context())
		}
		w.expect("a", "opened", "admitted", "welcome alice, session s begins", "opened", "admitted")
	})
}

func (w *world) unnumbered(id signal.ConnectionID, message string) {
	w.receive(id, signal.Send{Number: signal.NoNumber, ID: message, Frame: lane.Frame{To: "bob", Data: []byte(message)}})
}

// A message without a number is delivered once, although its invocation runs
// twice, side by side or with others between.
func TestUnnumberedMessageComesAgain(t *testing.T) {
	for _, rate := range []lane.Rate{{}, {PerSecond: 100, Burst: 100}} {
		inWorld(t, func(w *world) {
			w.Rate = rate
			w.json("a", "alice")
			w.json("b", "bob")
			want := []string{"opened", "admitted", "welcome bob"}
			for i := range lane.MaxUnnumbered {
				w.unnumbered("a", fmt.Sprint(i))
				want = append(want, fmt.Sprintf("%d from alice", i))
			}
			for i := range lane.MaxUnnumbered {
				w.unnumbered("a", fmt.Sprint(i))
			}
			go w.unnumbered("a", "x")
			go w.unnumbered("a", "x")
			w.expect("b", append(want, "x from alice")...)
			w.unnumbered("a", "0") // forgotten
			w.unnumbered("a", "2")
			w.expect("b", append(want, "x from alice", "0 from alice")...)
			w.expect("a", "opened", "admitted", "welcome alice")
		})
	}
}

// While the store is out, a message without a number is taken once, too: whoever
// has taken it finds that out.
func TestUnnumberedMessageInAnOutage(t *testing.T) {
	inOutages(t, func(w *world, o *outage) {
		o.lasts(time.Second)
		go w.unnumbered("a", "x")
		time.Sleep(100 * time.Millisecond)
		go w.unnumbered("a", "x")
		time.Sleep(time.Minute)
		w.expect("b", "opened", "admitted", "welcome bob", "x from alice")
		w.expect("a", "opened", "admitted", "welcome alice")
	})
}

// A busy user's repeat is no message more.
func TestUnnumberedRepeatsCostNothing(t *testing.T) {
	inWorld(t, func(w *world) {
		w.Rate = lane.Rate{PerSecond: 1, Burst: 2}
		w.json("a", "alice")
		w.json("b", "bob")
		for range 3 {
			for _, message := range []string{"x", "y"} {
				w.unnumbered("a", message)
			}
		}
		w.unnumbered("a", "z")
		w.expect("a", "opened", "admitted", "welcome alice", "failed")
		synctest.Wait()
		if got := strings.Join(w.events("b"), ", "); got != "opened, admitted, welcome bob, x from alice, y from alice" {
			t.Error(got)
		}
	})
}
