package signal_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// almost is a pause that leaving outlasts if a message has come before it.
const almost = lane.ReorderWindow - 10*time.Millisecond

// leaving is alice, who leaves bob on connection a.
type leaving struct {
	*world
	by   func(*world)
	took chan time.Duration
}

// whileLeaving calls test for each way to leave, in worlds in which nothing was sent
// lately.
func whileLeaving(t *testing.T, test func(*leaving)) {
	for name, by := range map[string]func(*world){
		"leave":       func(w *world) { w.receive("a", signal.Leave{}) },
		"$disconnect": func(w *world) { _ = w.Disconnect(w.t.Context(), "a") },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.json("a", "alice")
				w.json("b", "bob")
				time.Sleep(time.Hour)
				test(&leaving{w, by, make(chan time.Duration, 1)})
			})
		})
	}
}

// leave has alice leave, and returns once that waits, or is done.
func (w *leaving) leave() {
	began := time.Now()
	go func() {
		w.by(w.world)
		w.took <- time.Since(began)
	}()
	synctest.Wait()
}

// expectLeft waits until alice has left, and compares how long that took.
func (w *leaving) expectLeft(least, most time.Duration) {
	w.t.Helper()
	if took := <-w.took; took < least || took > most {
		w.t.Errorf("leaving took %v, not %v to %v", took, least, most)
	}
	if _, err := w.Store.Get(w.t.Context(), "a", w.Clock.Now()); !errors.Is(err, signal.ErrNoConnection) {
		w.t.Errorf("the connection has not ended: %v", err)
	}
}

// expectBob compares the numbers of alice's messages that bob got.
func (w *leaving) expectBob(numbers ...int64) {
	w.t.Helper()
	want := []string{"opened", "admitted", "welcome bob"}
	for _, n := range numbers {
		want = append(want, fmt.Sprintf("%d from alice", n))
	}
	w.expect("b", want...)
}

// TestLeavingOvertakes: what was sent before arrives, though the end of the
// connection overtakes it by up to a second; what comes after the end does not.
func TestLeavingOvertakes(t *testing.T) {
	whileLeaving(t, func(w *leaving) {
		w.leave()
		var numbers []int64
		for n := int64(1); time.Duration(n)*almost < time.Second; n++ {
			time.Sleep(almost)
			w.send("a", n, "bob")
			numbers = append(numbers, n)
		}
		w.expectBob(numbers...)
		w.expectLeft(time.Second, time.Second)
		w.send("a", int64(len(numbers)+1), "bob")
		time.Sleep(time.Minute)
		w.expectBob(numbers...)
	})
}

// TestLeavingOvertakesOne: the first message has the whole window to come, and those
// after it, too.
func TestLeavingOvertakesOne(t *testing.T) {
	whileLeaving(t, func(w *leaving) {
		w.leave()
		time.Sleep(almost)
		w.send("a", 2, "bob") // is held
		time.Sleep(almost)
		w.send("a", 1, "bob")
		w.expectLeft(2*almost, 2*almost+2*lane.ReorderWindow)
		w.expectBob(1, 2)
	})
}

// TestLeavingWhileQuiet: where nothing comes leaving takes the window, and its name is
// free then.
func TestLeavingWhileQuiet(t *testing.T) {
	whileLeaving(t, func(w *leaving) {
		w.leave()
		time.Sleep(almost)
		if _, err := w.Store.Owner(w.t.Context(), "alice", w.Clock.Now()); err != nil {
			t.Errorf("alice is offline before her connection has ended: %v", err)
		}
		w.expectLeft(lane.ReorderWindow, lane.ReorderWindow+time.Millisecond)
		if _, err := w.Store.Owner(w.t.Context(), "alice", w.Clock.Now()); !errors.Is(err, signal.ErrOffline) {
			t.Errorf("alice is online after her connection has ended: %v", err)
		}
	})
}

// TestLeavingWithAGap: a number that never comes holds leaving for no longer than a
// second.
func TestLeavingWithAGap(t *testing.T) {
	whileLeaving(t, func(w *leaving) {
		w.send("a", 2, "bob")
		w.leave()
		w.expectLeft(time.Second, time.Second)
		time.Sleep(time.Minute)
		w.expectBob()
	})
}

// TestLeavingWhilePosting: what is being posted is waited for, and what is held until
// then.
func TestLeavingWhilePosting(t *testing.T) {
	whileLeaving(t, func(w *leaving) {
		w.Pusher = slowly{w.world, 300 * time.Millisecond, isDelivery}
		go w.send("a", 1, "bob")
		synctest.Wait()
		go w.send("a", 2, "bob")
		synctest.Wait()
		w.leave()
		w.expectLeft(600*time.Millisecond, time.Second)
		w.expectBob(1, 2)
	})
}

// TestLeavingAndComingBack: the next connection of a client is served at once, and
// keeps the name.
func TestLeavingAndComingBack(t *testing.T) {
	whileLeaving(t, func(w *leaving) {
		w.send("a", 2, "bob") // so that leaving takes a second
		w.leave()
		began := time.Now()
		go w.json("a2", "alice")
		synctest.Wait()
		w.send("b", 1, "alice")
		w.send("a2", 1, "bob")
		w.expect("a2", "opened", "admitted", "welcome alice", "1 from bob", "ack 1 0")
		if waited := time.Since(began); waited > 0 {
			t.Errorf("it waited %v", waited)
		}
		w.expectLeft(0, time.Second)
		w.send("b", 2, "alice")
		w.expect("a2", "opened", "admitted", "welcome alice", "1 from bob", "ack 1 0", "2 from bob")
		time.Sleep(time.Minute)
	})
}

// TestLeavingClosesBefore: an ack that finds the socket closed does not end the
// connection before what was sent on it has come.
func TestLeavingClosesBefore(t *testing.T) {
	whileLeaving(t, func(w *leaving) {
		w.closed["a"] = true
		w.leave()
		w.send("a", 2, "bob") // whose ack is posted
		w.send("a", 1, "bob")
		time.Sleep(almost)
		w.send("a", 3, "bob")
		w.expectLeft(lane.ReorderWindow, time.Second)
		w.expectBob(1, 2, 3)
	})
}

// TestLeavingInAnOutage: a store that does not answer holds leaving for no longer
// either.
func TestLeavingInAnOutage(t *testing.T) {
	whileLeaving(t, func(w *leaving) {
		o := &outage{Store: w.Store} // of what reads; the connection can be ended
		o.lasts(time.Minute)
		w.Store = o
		w.leave()
		time.Sleep(2 * time.Minute)
		w.expectLeft(time.Second, time.Second)
	})
}

// TestNothingToWaitFor: no message can come on a connection that has not
// authenticated, or has ended, or whose token has.
func TestNothingToWaitFor(t *testing.T) {
	for name, before := range map[string]func(*world){
		"not authenticated": func(w *world) { w.connect("a", signal.EIO4, nil) },
		"ended":             func(w *world) { w.json("a", "alice"); w.json("a2", "alice") },
		"its token has ended": func(w *world) {
			w.lasting(time.Second)
			w.json("a", "alice")
			time.Sleep(time.Minute)
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				before(w)
				began := time.Now()
				if err := w.Disconnect(w.t.Context(), "a"); err != nil || time.Since(began) > 0 {
					t.Errorf("it took %v: %v", time.Since(began), err)
				}
			})
		})
	}
}

// TestLeavingWithoutAPlace: no more leave for longer than the window than there are
// places.
func TestLeavingWithoutAPlace(t *testing.T) {
	const number, users = 3, 40
	p := &places{by: make(map[int]string)}
	inCrowdedWorld(t, p, number, users, func(w *world) {
		took := make(chan time.Duration, users)
		for n := range users {
			w.send(user(n), 2, "nobody")
			go func() {
				began := time.Now()
				_ = w.Disconnect(w.t.Context(), user(n))
				took <- time.Since(began)
			}()
		}
		time.Sleep(time.Minute)
		long := 0
		for range users {
			if <-took > 2*lane.ReorderWindow {
				long++
			}
		}
		synctest.Wait()
		if long > number || p.most > number || len(p.by) > 0 {
			t.Errorf("%d took long, %d had places at once, %d have one in the end", long, p.most, len(p.by))
		}
		if p.asked == 0 {
			t.Error("nobody asked for a place")
		}
	})
}
