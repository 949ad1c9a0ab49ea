package signal_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// outage is a store that is out for a while: every call fails, without effect or
// with it.
type outage struct {
	signal.Store
	until  atomic.Int64 // Unix time in nanoseconds
	effect bool
}

var errOut = errors.New("the answer was lost")

func (o *outage) out() bool { return time.Now().UnixNano() < o.until.Load() }

func (o *outage) lasts(d time.Duration) { o.until.Store(time.Now().Add(d).UnixNano()) }

func (o *outage) Get(ctx context.Context, id signal.ConnectionID, now lane.Instant) (signal.Connection, error) {
	if o.out() {
		return signal.Connection{}, errOut
	}
	return o.Store.Get(ctx, id, now)
}

func (o *outage) Update(ctx context.Context, id signal.ConnectionID, u signal.Update, now lane.Instant) (signal.Connection, bool, error) {
	out := o.out()
	if out && !o.effect {
		return signal.Connection{}, false, errOut
	}
	c, made, err := o.Store.Update(ctx, id, u, now)
	if out {
		return signal.Connection{}, false, errOut
	}
	return c, made, err
}

func (o *outage) Route(ctx context.Context, user signal.UserName, messages int, now lane.Instant) (signal.Route, error) {
	if o.out() {
		return signal.Route{}, errOut
	}
	return o.Store.Route(ctx, user, messages, now)
}

func (o *outage) Claim(ctx context.Context, c signal.Claim) (signal.Claimed, error) {
	if o.out() {
		if o.effect {
			_, _ = o.Store.Claim(ctx, c)
		}
		return signal.Claimed{}, errOut
	}
	return o.Store.Claim(ctx, c)
}

// inOutages runs a test in worlds whose store can be out, with and without an
// effect of what is asked of it meanwhile.
func inOutages(t *testing.T, test func(*world, *outage)) {
	for _, effect := range []bool{false, true} {
		t.Run(fmt.Sprintf("effect %v", effect), func(t *testing.T) {
			inWorld(t, func(w *world) {
				o := &outage{Store: w.Store, effect: effect}
				w.Store = o
				w.json("b", "bob")
				w.json("a", "alice")
				test(w, o)
			})
		})
	}
}

// outWhenDelivered has the store be out for d from the first delivery on, so that what it
// is asked next is to finish.
func (o *outage) outWhenDelivered(w *world, d time.Duration) {
	w.fail = func(_ signal.Peer, e signal.Event) error {
		if isDelivery(e) {
			o.lasts(d)
			w.fail = nil
		}
		return nil
	}
}

// Whoever holds the lease finishes when the store is there again, and acknowledges
// what it has recorded. Nobody takes it for dead, and those behind it go on.
func TestFinishOutlivesAnOutage(t *testing.T) {
	for _, lasts := range []time.Duration{100 * time.Millisecond, time.Second, 2 * time.Second} {
		inOutages(t, func(w *world, o *outage) {
			o.outWhenDelivered(w, lasts)
			go w.send("a", 1, "bob")
			time.Sleep(50 * time.Millisecond)
			go w.send("a", 2, "bob")
			go w.send("a", 3, "bob")
			time.Sleep(lasts + 300*time.Millisecond)
			w.expect("b", "opened", "admitted", "welcome bob", "1 from alice", "2 from alice", "3 from alice")
			time.Sleep(time.Minute)
			got := w.events("a")
			for n := 1; n <= 3; n++ {
				if count := len(slices.DeleteFunc(slices.Clone(got), func(e string) bool { return e != fmt.Sprintf("ack %d 0", n) })); count != 1 {
					t.Errorf("out for %v: number %d was acknowledged %d times: %q", lasts, n, count, got)
				}
			}
			if len(got) != 3+3 && len(got) != 3+3+1 && len(got) != 3+3+2 { // some were held
				t.Errorf("out for %v: %q", lasts, got)
			}
		})
	}
}

// However long it takes: until then nothing is answered, and if somebody else has
// expired the lease, that is the answer.
func TestFinishIsAnsweredOnceKnown(t *testing.T) {
	inOutages(t, func(w *world, o *outage) {
		o.outWhenDelivered(w, 20*time.Second)
		w.send("a", 1, "bob")
		time.Sleep(10 * time.Second)
		w.expect("a", "opened", "admitted", "welcome alice")
		time.Sleep(11 * time.Second)
		w.expect("a", "opened", "admitted", "welcome alice", "ack 1 0")
	})
	inWorld(t, func(w *world) { // the lease expires while its holder alone does not reach the store
		w.json("b", "bob")
		w.json("a", "alice")
		o := &outage{Store: w.Store}
		holder := *w.Service
		holder.Store = o
		o.outWhenDelivered(w, 10*time.Second)
		done := make(chan signal.Reply, 1)
		go func() {
			done <- holder.Receive(w.t.Context(), signal.Peer{ID: "a"}, signal.Send{Number: 1, Frame: lane.Frame{To: "bob", Data: []byte("1")}})
		}()
		synctest.Wait()
		w.send("a", 2, "bob")
		time.Sleep(lane.LeaseTimeout + time.Second)
		w.expect("a", "opened", "admitted", "welcome alice", "stored", "ack 1 2100", "ack 2 0")
		r := <-done
		if len(r.Events) > 0 || r.After == nil {
			t.Fatalf("answered before it was known: %v", r.Events)
		}
		r.After(w.t.Context())
		w.expect("a", "opened", "admitted", "welcome alice", "stored", "ack 1 2100", "ack 2 0") // once
	})
}

// An invocation whose time ends before it knows how its run ended says nothing:
// whoever expires the lease does.
func TestUnknownFinishIsNotAnswered(t *testing.T) {
	inWorld(t, func(w *world) {
		w.json("b", "bob")
		w.json("a", "alice")
		o := &outage{Store: w.Store}
		w.Store = o
		o.outWhenDelivered(w, time.Hour)
		ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
		defer cancel()
		r := w.Receive(ctx, signal.Peer{ID: "a"}, signal.Send{Number: 1, Frame: lane.Frame{To: "bob"}})
		r.After(ctx)
		w.expect("a", "opened", "admitted", "welcome alice")
		o.lasts(0)
		w.send("a", 2, "bob")
		time.Sleep(time.Second)
		w.expect("a", "opened", "admitted", "welcome alice", "ack 1 2100", "ack 2 0")
	})
}

// What is held is answered once, too; after 5 seconds of not knowing the client is
// told 2101, and its connection ends, so that nothing else can be told.
func TestSubmitOutlivesAnOutage(t *testing.T) {
	inOutages(t, func(w *world, o *outage) {
		o.lasts(4900 * time.Millisecond)
		go w.send("a", 2, "bob")
		go w.send("a", 1, "bob")
		time.Sleep(10 * time.Second)
		w.expect("b", "opened", "admitted", "welcome bob", "1 from alice", "2 from alice")
		if got := w.events("a"); w.closed["a"] || slices.Contains(got, "ack 1 2101") || !slices.Contains(got, "ack 1 0") || !slices.Contains(got, "ack 2 0") {
			t.Errorf("within the bound: %q, closed %v", got, w.closed["a"])
		}
	})
	inOutages(t, func(w *world, o *outage) {
		o.lasts(8 * time.Second)
		w.send("a", 2, "bob")
		w.expect("a", "opened", "admitted", "welcome alice", "ack 2 2101")
		if !w.closed["a"] {
			t.Error("past the bound the connection stays open")
		}
		time.Sleep(time.Minute)
		w.expect("a", "opened", "admitted", "welcome alice", "ack 2 2101")
	})
}

// A hiccup of the store refuses nobody: who authenticates, asks or sends without a
// number waits for it.
func TestHiccupRefusesNobody(t *testing.T) {
	inOutages(t, func(w *world, o *outage) {
		w.connect("c", signal.EIO4, nil)
		o.lasts(time.Second)
		go w.receive("c", signal.Authenticate{Number: 0, Token: "carol"})
		go w.receive("b", signal.Query{User: "alice"})
		go w.send("b", signal.NoNumber, "alice")
		time.Sleep(2 * time.Second)
		w.expect("c", "opened", "admitted", "welcome carol")
		if got := w.events("b"); slices.Contains(got, "failed 2101") || w.closed["b"] {
			t.Errorf("bob got %q", got)
		}
		if got := w.events("a"); len(got) != 4 {
			t.Errorf("alice got %q", got)
		}
	})
}

// A claim is dated by API Gateway, not by the function that makes it: the newer
// connection wins by whatever clocks.
func TestClaimIsDatedByTheGateway(t *testing.T) {
	inWorld(t, func(w *world) {
		now := w.Clock.Now()
		for i, id := range []signal.ConnectionID{"older", "newer"} {
			token := "alice"
			h := handshake(id, signal.JSON, &token)
			h.At = now + lane.Instant(i)
			function := *w.Service
			function.Clock = skewed{w.Clock, -time.Duration(i) * time.Second} // the newer one's is behind
			after, err := function.Connect(w.t.Context(), h)
			if err != nil {
				t.Fatal(err)
			}
			after(w.t.Context())
		}
		w.expect("newer", "opened", "admitted", "welcome alice")
		w.expect("older", "opened", "admitted", "welcome alice", "superseded")
	})
}

// skewed is a clock that is off by so much.
type skewed struct {
	signal.Clock
	by time.Duration
}

func (s skewed) Now() lane.Instant { return s.Clock.Now().Add(s.by) }
