package signal_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// routes is a store that notes what is routed.
type routes struct {
	signal.Store
	mu   sync.Mutex
	list []string
}

func (r *routes) Route(ctx context.Context, user signal.UserName, messages int, now lane.Instant) (signal.Route, error) {
	r.mu.Lock()
	r.list = append(r.list, fmt.Sprintf("%s %d", user, messages))
	r.mu.Unlock()
	return r.Store.Route(ctx, user, messages, now)
}

func (r *routes) routed() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(slices.Values(r.list))
}

// sendRun has alice send numbers from 2 on so that they are one run, which number 1
// sets going.
func (w *world) sendRun(last int64, to func(n int64) signal.UserName) {
	w.hold(last, to)
	w.send("a", 1, "nobody")
}

func (w *world) hold(last int64, to func(n int64) signal.UserName) {
	for n := last; n > 1; n-- {
		w.send("a", n, to(n))
	}
}

// sendFirst has alice send number 1, which sets going what is held, and returns
// the work after the answer.
func (w *world) sendFirst(to signal.UserName) signal.After {
	in := signal.Send{Number: 1, Frame: lane.Frame{To: string(to), Data: []byte("1")}}
	return w.Receive(w.t.Context(), signal.Peer{ID: "a"}, in).After
}

func toBob(int64) signal.UserName { return "bob" }

// seqs are the sequence numbers of what a connection got.
func (w *world) seqs(id signal.ConnectionID) (seqs []int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.got[id] {
		if d, ok := e.(signal.Delivery); ok {
			seqs = append(seqs, d.Seq)
		}
	}
	return seqs
}

// inRoutedWorld runs a test in a world with alice on a, bob on b and carol on c.
func inRoutedWorld(t *testing.T, test func(*world, *routes)) {
	inWorld(t, func(w *world) {
		r := &routes{Store: w.Store}
		w.Store = r
		w.json("a", "alice")
		w.json("b", "bob")
		w.json("c", "carol")
		test(w, r)
	})
}

func TestRunIsRoutedOnceForEachReceiver(t *testing.T) {
	inRoutedWorld(t, func(w *world, r *routes) {
		w.sendRun(6, func(n int64) signal.UserName { return []signal.UserName{"bob", "carol", "absent"}[n%3] })
		w.expect("b", "opened", "admitted", "welcome bob", "3 from alice", "6 from alice")
		w.expect("c", "opened", "admitted", "welcome carol", "4 from alice")
		if got, want := r.routed(), []string{"absent 2", "bob 2", "carol 1", "nobody 1"}; !slices.Equal(got, want) {
			t.Errorf("routed %q, want %q", got, want)
		}
		for n, code := range map[int]int{1: 2201, 2: 2201, 3: 0, 4: 0, 5: 2201, 6: 0} {
			if want := fmt.Sprintf("ack %d %d", n, code); !slices.Contains(w.events("a"), want) {
				t.Errorf("alice was not told %q: %q", want, w.events("a"))
			}
		}
	})
}

// What is routed at once is bounded.
func TestMessagesRoutedAtOnce(t *testing.T) {
	for run, want := range map[int64][]string{32: {"bob 32", "nobody 1"}, 33: {"bob 1", "bob 32", "nobody 1"}} {
		inRoutedWorld(t, func(w *world, r *routes) {
			w.sendRun(1+run, toBob)
			synctest.Wait()
			if got := r.routed(); !slices.Equal(got, want) {
				t.Errorf("a run of %d: routed %q, want %q", run, got, want)
			}
			if seqs := w.seqs("b"); int64(len(seqs)) != run || seqs[run-1] != run || !slices.IsSorted(seqs) {
				t.Errorf("a run of %d: sequence numbers %v", run, seqs)
			}
		})
	}
}

// A number is not posted long after it was reserved: whoever waits for it has
// given it up.
func TestOldRouteIsNotUsed(t *testing.T) {
	for each, want := range map[time.Duration][]int64{
		250 * time.Millisecond: {1, 2, 3, 4, 5, 8, 9},  // the fifth post starts after 1 s
		251 * time.Millisecond: {1, 2, 3, 4, 8, 9, 10}, // it would after 1.004 s
	} {
		inRoutedWorld(t, func(w *world, _ *routes) {
			w.Pusher = slowly{w, each, isDelivery}
			w.sendRun(8, toBob)
			time.Sleep(time.Minute)
			if got := w.seqs("b"); !slices.Equal(got, want) {
				t.Errorf("posts of %v: sequence numbers %v, want %v", each, got, want)
			}
			if got := w.events("b")[3:]; len(got) != 7 || !slices.IsSorted(got) {
				t.Errorf("posts of %v: %q", each, got)
			}
		})
	}
}

// What is left of a run when the receiver's connection is found gone goes to the
// next one, in order.
func TestRunGoesOnWhereReceiverMoves(t *testing.T) {
	inRoutedWorld(t, func(w *world, r *routes) {
		w.fail = func(p signal.Peer, e signal.Event) error {
			if d, ok := e.(signal.Delivery); !ok || p.ID != "b" || string(d.Data) != "3" {
				return nil
			}
			_, err := w.Store.Claim(w.t.Context(), signal.Claim{
				User: "bob", Peer: signal.Peer{ID: "b2"}, At: w.Clock.Now() + 1, Until: w.Clock.Now().Add(time.Hour), Expect: "b",
			})
			return errors.Join(err, signal.ErrGone)
		}
		w.sendRun(5, toBob)
		w.expect("b", "opened", "admitted", "welcome bob", "2 from alice")
		w.expect("b2", "3 from alice", "4 from alice", "5 from alice")
		if got, want := r.routed(), []string{"bob 3", "bob 4", "nobody 1"}; !slices.Equal(got, want) {
			t.Errorf("routed %q, want %q", got, want)
		}
		if got := w.seqs("b2"); !slices.Equal(got, []int64{5, 6, 7}) {
			t.Errorf("sequence numbers %v", got)
		}
	})
}

// A receiver who is gone for good is not asked for again by each message.
func TestRunToAReceiverWhoIsGone(t *testing.T) {
	inRoutedWorld(t, func(w *world, r *routes) {
		w.closed["b"] = true
		w.sendRun(5, toBob)
		synctest.Wait()
		if got, want := r.routed(), []string{"bob 4", "bob 4", "nobody 1"}; !slices.Equal(got, want) {
			t.Errorf("routed %q, want %q", got, want)
		}
		for n := 2; n <= 5; n++ {
			if want := fmt.Sprintf("ack %d 2201", n); !slices.Contains(w.events("a"), want) {
				t.Errorf("alice was not told %q: %q", want, w.events("a"))
			}
		}
	})
}

// A refused message leaves a gap, and those behind it go.
func TestRefusalAmidARun(t *testing.T) {
	inRoutedWorld(t, func(w *world, r *routes) {
		w.fail = func(_ signal.Peer, e signal.Event) error {
			if d, ok := e.(signal.Delivery); ok && string(d.Data) == "3" {
				return signal.ErrTooLarge
			}
			return nil
		}
		w.sendRun(4, toBob)
		synctest.Wait()
		if got := w.seqs("b"); !slices.Equal(got, []int64{1, 3}) {
			t.Errorf("sequence numbers %v", got)
		}
		if got, want := r.routed(), []string{"bob 3", "nobody 1"}; !slices.Equal(got, want) {
			t.Errorf("routed %q, want %q", got, want)
		}
		if got := w.events("a"); !slices.Contains(got, "ack 3 2110") || !slices.Contains(got, "ack 4 0") {
			t.Errorf("%q", got)
		}
	})
}

// busiest is a pusher that notes how many posts of some events are under way at once.
type busiest struct {
	signal.Pusher
	counts    func(signal.Event) bool
	now, most atomic.Int64
}

func (b *busiest) Post(ctx context.Context, p signal.Peer, e signal.Event) error {
	if b.counts(e) {
		now := b.now.Add(1)
		defer b.now.Add(-1)
		for most := b.most.Load(); now > most && !b.most.CompareAndSwap(most, now); most = b.most.Load() {
		}
	}
	return b.Pusher.Post(ctx, p, e)
}

// Several receivers are posted to side by side, eight at a time.
func TestReceiversAtOnce(t *testing.T) {
	for receivers, want := range map[int64]int64{1: 1, 2: 2, 8: 8, 9: 8} {
		inWorld(t, func(w *world) {
			w.json("a", "alice")
			for i := range receivers {
				w.json(signal.ConnectionID(fmt.Sprint(i)), fmt.Sprint("user", i))
			}
			b := &busiest{Pusher: slowly{w, 10 * time.Millisecond, isDelivery}, counts: isDelivery}
			w.Pusher = b
			w.sendRun(1+3*receivers, func(n int64) signal.UserName { return signal.UserName(fmt.Sprint("user", n%receivers)) })
			time.Sleep(time.Minute)
			if most := b.most.Load(); most != want {
				t.Errorf("%d receivers: %d posts at once, want %d", receivers, most, want)
			}
			for i := range receivers {
				if got := w.events(signal.ConnectionID(fmt.Sprint(i)))[3:]; len(got) != 3 {
					t.Errorf("%d receivers: number %d got %q", receivers, i, got)
				}
			}
		})
	}
}

// The lease is renewed for all streams together, once a second.
func TestStreamsShareTheLease(t *testing.T) {
	inRoutedWorld(t, func(w *world, _ *routes) {
		w.Pusher = slowly{slowly{w, 30 * time.Millisecond, toConnection("b")}, 70 * time.Millisecond, toConnection("c")}
		const last = 121
		w.sendRun(last, func(n int64) signal.UserName { return []signal.UserName{"bob", "carol"}[n%2] })
		time.Sleep(time.Minute)
		for _, id := range []signal.ConnectionID{"b", "c"} {
			var got []int64
			for _, e := range w.events(id)[3:] {
				var n int64
				if _, err := fmt.Sscan(strings.Fields(e)[0], &n); err != nil {
					t.Fatal(err)
				}
				got = append(got, n)
			}
			if len(got) != last/2 || !slices.IsSorted(got) {
				t.Errorf("connection %s got %v", id, got)
			}
		}
		for n := 2; n <= last; n++ {
			if !slices.Contains(w.events("a"), fmt.Sprintf("ack %d 0", n)) {
				t.Errorf("number %d was not acked as delivered", n)
			}
		}
	})
}

// Acks that are slow hold up no other run; each is posted once, in order, and the
// invocation ends with the last of them.
func TestAcksHoldUpNothing(t *testing.T) {
	inRoutedWorld(t, func(w *world, _ *routes) {
		w.Pusher = slowly{slowly{w, 20 * time.Millisecond, isDelivery}, 500 * time.Millisecond, isAck}
		began := time.Now()
		ended := make(chan time.Duration, 1)
		go func() {
			w.sendFirst("bob")(w.t.Context())
			ended <- time.Since(began)
		}()
		time.Sleep(10 * time.Millisecond) // 1 is being posted
		w.send("a", 2, "bob")
		w.send("a", 3, "bob")
		time.Sleep(30 * time.Millisecond) // they are
		for n := range int64(3) {
			w.send("a", 4+n, "bob")
		}
		time.Sleep(6*20*time.Millisecond - 40*time.Millisecond)
		w.expect("b", "opened", "admitted", "welcome bob", "1 from alice", "2 from alice", "3 from alice", "4 from alice", "5 from alice", "6 from alice")
		if took, want := <-ended, (3*20+5*500)*time.Millisecond; took != want {
			t.Errorf("the invocation ended after %v, want %v", took, want)
		}
		acks := slices.DeleteFunc(w.events("a"), func(e string) bool { return !strings.HasPrefix(e, "ack") })
		if want := []string{"ack 2 0", "ack 3 0", "ack 4 0", "ack 5 0", "ack 6 0"}; !slices.Equal(acks, want) {
			t.Errorf("acks %q, want %q", acks, want)
		}
	})
}

// To a sender who is gone no more acks are posted.
func TestAcksEndWithTheSender(t *testing.T) {
	inRoutedWorld(t, func(w *world, _ *routes) {
		tried := 0
		w.fail = func(_ signal.Peer, e signal.Event) error {
			if isAck(e) {
				tried++
				return signal.ErrGone
			}
			return nil
		}
		w.hold(4, toBob)
		w.sendFirst("bob")(w.t.Context())
		if tried != 1 {
			t.Errorf("%d acks were posted", tried)
		}
		w.expect("b", "opened", "admitted", "welcome bob", "1 from alice", "2 from alice", "3 from alice", "4 from alice")
	})
}

// What panics beside its caller does not end the process: the caller panics.
func TestPanicBesideIsTheCallers(t *testing.T) {
	inRoutedWorld(t, func(w *world, _ *routes) {
		w.fail = func(_ signal.Peer, e signal.Event) error {
			if isAck(e) {
				panic("cannot post")
			}
			return nil
		}
		w.hold(2, toBob)
		after := w.sendFirst("bob")
		defer func() {
			if v := fmt.Sprint(recover()); !strings.Contains(v, "cannot post") {
				t.Errorf("%s", v)
			}
		}()
		after(w.t.Context())
	})
}

// toConnection returns which deliveries go to a connection.
func toConnection(id signal.ConnectionID) func(signal.Event) bool {
	user := map[signal.ConnectionID]int64{"b": 0, "c": 1}[id]
	return func(e signal.Event) bool {
		d, ok := e.(signal.Delivery)
		return ok && d.Number%2 == user
	}
}
