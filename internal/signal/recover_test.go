package signal_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// inRecoveringWorld runs a test in a world with alice on a, and bob on b, whose client
// recovers.
func inRecoveringWorld(t *testing.T, test func(*world)) {
	inWorld(t, func(w *world) {
		w.RecoverFor = signal.DefaultRecoverFor
		w.json("a", "alice")
		w.comeBack("b", nil)
		test(w)
	})
}

// comeBack has bob connect, with what he has.
func (w *world) comeBack(id signal.ConnectionID, since *signal.Since) {
	w.t.Helper()
	h := signal.Handshake{
		Peer: signal.Peer{ID: id, Protocol: signal.JSON, Batches: true, Recovers: true}, Token: new(string), Start: lane.StartAfter(0), Since: since,
	}
	*h.Token = "bob"
	after, err := w.Connect(w.t.Context(), h)
	if err != nil {
		w.t.Fatal(err)
	}
	after(w.t.Context())
}

// welcome is the welcome of a connection.
func (w *world) welcome(id signal.ConnectionID) (welcome signal.Welcome) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.got[id] {
		if e, ok := e.(signal.Welcome); ok {
			welcome = e
		}
	}
	return welcome
}

// numbers is what a connection got of the epoch's numbers, one text each.
func (w *world) numbers(id signal.ConnectionID) (all []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var note func(e signal.Event)
	note = func(e signal.Event) {
		switch e := e.(type) {
		case signal.Batch:
			for _, one := range e {
				note(one)
			}
		case signal.Delivery:
			all = append(all, fmt.Sprintf("%d %s", e.Seq, e.Data))
		case signal.Void:
			all = append(all, fmt.Sprintf("%d-%d void", e.Seq, e.Last))
		case signal.Lost:
			all = append(all, fmt.Sprintf("%d-%d lost", e.Seq, e.Last))
		case signal.Replayed:
			all = append(all, fmt.Sprintf("replayed %d", e.Seq))
		case signal.RequestFailed:
			all = append(all, fmt.Sprintf("failed %d", e.Code))
		}
	}
	for _, e := range w.got[id] {
		note(e)
	}
	return all
}

func (w *world) wantNumbers(id signal.ConnectionID, want ...string) {
	w.t.Helper()
	if got := w.numbers(id); !slices.Equal(got, want) {
		w.t.Errorf("%s got %q, want %q", id, got, want)
	}
}

// since is that bob has all up to a number.
func (w *world) has(seq int64) *signal.Since {
	return &signal.Since{Epoch: w.welcome("b").Epoch, Seq: seq}
}

func TestReplayAfterALoss(t *testing.T) {
	inRecoveringWorld(t, func(w *world) {
		for n := range int64(4) {
			w.send("a", n+1, "bob")
		}
		w.comeBack("b2", w.has(2))
		want := signal.Recovery{For: signal.DefaultRecoverFor, Asked: true, Whole: true, From: 3}
		if got := w.welcome("b2"); got.Recovery != want || got.Seq != 4 {
			t.Errorf("welcome %+v, want %+v", got, want)
		}
		w.wantNumbers("b2", "3 3", "4 4", "replayed 4")
		w.send("a", 5, "bob")
		w.wantNumbers("b2", "3 3", "4 4", "replayed 4", "5 5")
		w.expect("a", "opened", "admitted", "welcome alice", "ack 1 0", "ack 2 0", "ack 3 0", "ack 4 0", "ack 5 0")
		w.comeBack("b3", w.has(5)) // nothing is missing
		w.wantNumbers("b3")
		w.comeBack("b4", &signal.Since{Epoch: "another", Seq: 2})
		w.wantNumbers("b4")
		if got := w.welcome("b4").Recovery; got.Whole || got.From != 6 {
			t.Errorf("another epoch: %+v", got)
		}
	})
}

// A client may have a part of what was posted together.
func TestReplayOfAPart(t *testing.T) {
	inRecoveringWorld(t, func(w *world) {
		w.sends("a", 1, 2, 3, 4, 5)
		w.comeBack("b2", w.has(3))
		w.wantNumbers("b2", "4 4", "5 5", "replayed 5")
	})
}

// slowHistory is a store whose history takes its time, or fails.
type slowHistory struct {
	signal.Store
	before func() error
}

func (k slowHistory) Keep(ctx context.Context, user signal.UserName, post []signal.Delivery, until lane.Instant) (bool, error) {
	if err := k.before(); err != nil {
		return false, err
	}
	return k.Store.Keep(ctx, user, post, until)
}

// What is not kept is not acknowledged; nor is what was made void before.
func TestHistoryFails(t *testing.T) {
	out := errors.New("the store is out")
	for name, test := range map[string]struct {
		before func() error
		ack    string
		got    []string
	}{
		"it is out":       {func() error { return out }, "ack 1 2101", []string{"1-1 void", "replayed 1"}},
		"it is busy":      {func() error { return signal.ErrBusy }, "ack 1 2101", []string{"1-1 void", "replayed 1"}},
		"it takes 1 s":    {func() error { time.Sleep(time.Second); return nil }, "ack 1 0", []string{"1 1", "replayed 1"}},
		"it takes 4 s":    {func() error { time.Sleep(4 * time.Second); return nil }, "ack 1 2101", []string{"1-1 void", "replayed 1"}},
		"it is out first": {firstFails(out), "ack 1 0", []string{"1 1", "replayed 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			inRecoveringWorld(t, func(w *world) {
				w.Store = slowHistory{w.Store, test.before}
				go w.send("a", 1, "bob")
				time.Sleep(time.Millisecond)
				w.comeBack("b2", w.has(0))
				w.wantNumbers("b2", test.got...)
				time.Sleep(6 * time.Second)
				w.expect("a", "opened", "admitted", "welcome alice", test.ack)
			})
		})
	}
}

func firstFails(err error) func() error {
	failed := false
	return func() error {
		if failed {
			return nil
		}
		failed = true
		return err
	}
}

// What is posted next does not wait for history; what is acknowledged does.
func TestHistoryBesideTheNextPost(t *testing.T) {
	inRecoveringWorld(t, func(w *world) {
		h := signal.Handshake{Peer: signal.Peer{ID: "c", Protocol: signal.JSON, Recovers: true}, Token: new("carol"), Start: lane.StartAfter(0)}
		after, err := w.Connect(w.t.Context(), h)
		if err != nil {
			t.Fatal(err)
		}
		after(w.t.Context())
		w.Store = slowHistory{w.Store, func() error { time.Sleep(time.Second); return nil }}
		w.sendRun(3, func(int64) signal.UserName { return "carol" })
		time.Sleep(500 * time.Millisecond)
		w.wantNumbers("c", "1 2", "2 3")
		if w.acked("a", 2) || w.acked("a", 3) {
			t.Error("acknowledged before it was kept")
		}
		time.Sleep(600 * time.Millisecond)
		if !w.acked("a", 2) || !w.acked("a", 3) {
			t.Error("not acknowledged once it was kept")
		}
	})
}

// A receiver is told of numbers that are not posted: with the next post, or alone.
func TestVoidsAreAnnounced(t *testing.T) {
	for name, test := range map[string]struct {
		refuse int // posts to bob
		sends  []int64
		want   []string
	}{
		"alone":              {1, []int64{1}, []string{"1-1 void"}},
		"with the next post": {1, []int64{1, 3, 2}, []string{"1-1 void", "2 2", "3 3"}},
	} {
		t.Run(name, func(t *testing.T) {
			inRecoveringWorld(t, func(w *world) {
				refused := 0
				w.fail = func(p signal.Peer, e signal.Event) error {
					if _, ok := e.(signal.Delivery); ok && refused < test.refuse {
						refused++
						return signal.ErrBusy
					}
					return nil
				}
				for _, n := range test.sends {
					w.send("a", n, "bob")
				}
				time.Sleep(time.Second)
				w.wantNumbers("b", test.want...)
			})
		})
	}
}

// What was reserved for a connection that is gone is void to the next one at once.
func TestVoidOfAConnectionThatIsGone(t *testing.T) {
	inRecoveringWorld(t, func(w *world) {
		gone := false
		w.fail = func(p signal.Peer, e signal.Event) error {
			if p.ID == "b" && !gone {
				gone = true
				w.mu.Unlock()
				w.comeBack("b2", nil)
				w.mu.Lock()
				return signal.ErrGone
			}
			return nil
		}
		w.sends("a", 1, 2, 3)
		time.Sleep(time.Second)
		w.wantNumbers("b2", "1-3 void", "4 1", "5 2", "6 3")
	})
}

// History that is over is deleted, and what is missing then is lost.
func TestHistoryEnds(t *testing.T) {
	inRecoveringWorld(t, func(w *world) {
		w.send("a", 1, "bob")
		w.send("a", 2, "bob")
		time.Sleep(w.RecoverFor)
		w.send("a", 3, "bob")
		w.comeBack("b2", w.has(0))
		w.wantNumbers("b2", "1 1", "2 2", "3 3", "replayed 3")
		time.Sleep(signal.HistoryMargin)
		if err := w.Keepalive(w.t.Context()); err != nil {
			t.Fatal(err)
		}
		w.comeBack("b3", w.has(0))
		w.wantNumbers("b3", "3 3", "replayed 3")
		if got := w.welcome("b3").Recovery; got.Whole || got.From != 3 {
			t.Errorf("%+v", got)
		}
		w.comeBack("b4", w.has(2))
		if got := w.welcome("b4").Recovery; !got.Whole || got.From != 3 {
			t.Errorf("%+v", got)
		}
		w.receive("b4", signal.Recover{Since: *w.has(1), To: 2})
		synctest.Wait()
		w.wantNumbers("b4", "3 3", "replayed 3", "2-2 lost", "replayed 2")
	})
}

// What another client of the user has got, which does not recover, is not kept.
func TestHistoryOfAnotherClient(t *testing.T) {
	inRecoveringWorld(t, func(w *world) {
		w.send("a", 1, "bob")
		w.json("old", "bob")
		w.send("a", 2, "bob")
		w.comeBack("b2", w.has(0))
		w.send("a", 3, "bob")
		w.wantNumbers("b2", "3 3")
		if got := w.welcome("b2").Recovery; got.Whole || got.From != 3 {
			t.Errorf("%+v", got)
		}
	})
}

// Who may ask for what was posted, and what that costs.
func TestRecover(t *testing.T) {
	inRecoveringWorld(t, func(w *world) {
		w.send("a", 1, "bob")
		w.receive("b", signal.Recover{Since: *w.has(0)})
		synctest.Wait()
		w.wantNumbers("b", "1 1", "1 1", "replayed 1")
		w.receive("b", signal.Recover{Since: signal.Since{Epoch: "another"}})
		w.comeBack("b2", nil)
		w.receive("b", signal.Recover{Since: *w.has(0)}) // it is another's
		synctest.Wait()
		w.wantNumbers("b", "1 1", "1 1", "replayed 1")
		w.receive("a", signal.Recover{Since: *w.has(0)}) // it has not asked for it
		synctest.Wait()
		w.wantNumbers("a", "failed 2103")
		w.Rate = lane.Rate{PerSecond: 1, Burst: 3}
		for n := range int64(4) {
			w.receive("b2", signal.Recover{Since: *w.has(n)})
			synctest.Wait()
		}
		w.wantNumbers("b2", "1 1", "replayed 1", "replayed 1", "replayed 2", "failed 2102")
	})
}

// A replay is bounded.
func TestLongReplay(t *testing.T) {
	inRecoveringWorld(t, func(w *world) {
		const messages = 1100
		for n := range int64(messages) {
			w.send("a", n+1, "bob")
		}
		w.comeBack("b2", w.has(0))
		got := w.numbers("b2")
		if len(got) != 1025 || got[1023] != "1024 1024" || got[1024] != "replayed 1024" {
			t.Fatalf("%d of the first part, the last %s", len(got), got[len(got)-1])
		}
		w.receive("b2", signal.Recover{Since: *w.has(1024)})
		synctest.Wait()
		if got = w.numbers("b2")[1025:]; len(got) != messages-1024+1 || got[len(got)-1] != fmt.Sprint("replayed ", messages) {
			t.Errorf("%d of the second part, the last %s", len(got), got[len(got)-1])
		}
	})
}

// Where nothing is kept, whoever asks for it is served without.
func TestNoHistory(t *testing.T) {
	inRecoveringWorld(t, func(w *world) {
		w.RecoverFor = 0
		w.comeBack("b2", w.has(0))
		w.send("a", 1, "bob")
		w.wantNumbers("b2", "1 1")
		if got := w.welcome("b2").Recovery; got != (signal.Recovery{}) {
			t.Errorf("%+v", got)
		}
	})
}
