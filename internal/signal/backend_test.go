package signal_test

import (
	"context"
	"errors"
	"fmt"
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

const calendar signal.UserName = "backend:calendar"

// inBackendWorld is a world with backends. Each request to it is a service of its own,
// as an invocation is.
func inBackendWorld(t *testing.T, test func(*world)) {
	inWorld(t, func(w *world) {
		store, _ := w.Store.(*memory.Store)
		w.Backends, w.Refusals = store, store
		test(w)
	})
}

func text(data string, to signal.UserName) lane.Frame {
	return lane.Frame{To: string(to), Data: []byte(data)}
}

// dispatch sends a message from a backend, and expects an outcome.
func (w *world) dispatch(key, data string, to signal.UserName, want lane.Code) {
	w.t.Helper()
	if code, err := w.Dispatch(w.t.Context(), calendar, key, text(data, to)); code != want || err != nil {
		w.t.Errorf("%s to %s: %d, %v, want %d", data, to, code, err, want)
	}
}

func TestDispatch(t *testing.T) {
	inBackendWorld(t, func(w *world) {
		w.json("b", "bob")
		w.dispatch("", "1", "bob", lane.OK)
		w.dispatch("", "2", "carol", lane.CodeUnreachable)
		w.dispatch("", "2", "bob", lane.OK)
		w.dispatch("", "2", "bob", lane.OK)
		w.dispatch("", strings.Repeat("x", signal.MaxPost), "bob", lane.CodeClient)
		w.dispatch("", "3", "bob", lane.OK)
		w.expect("b", "opened", "admitted", "welcome bob", "1 from backend:calendar", "2 from backend:calendar", "2 from backend:calendar", "3 from backend:calendar")
		if online, err := w.IsOnline(w.t.Context(), "bob"); !online || err != nil {
			t.Errorf("bob is online: %v, %v", online, err)
		}
		if online, err := w.IsOnline(w.t.Context(), calendar); online || err != nil {
			t.Errorf("a backend is online: %v, %v", online, err)
		}
		if err := w.Keepalive(w.t.Context()); err != nil {
			t.Error(err)
		}
		w.dispatch("", "4", "bob", lane.OK) // its lane is still there, with the numbers
		c, err := w.Store.Get(w.t.Context(), signal.ConnectionID(calendar), w.Clock.Now())
		if err != nil || c.Lane.Done != 7 || !c.Lane.Idle() {
			t.Errorf("lane %+v, %v", c.Lane, err)
		}
	})
}

// What is sent at once goes out one after the other, in the order in which it came to
// the lane, and each is answered as it ended.
func TestDispatchesAtOnce(t *testing.T) {
	inBackendWorld(t, func(w *world) {
		w.json("b", "bob")
		w.fail = func(signal.Peer, signal.Event) error { // posts take their time
			w.mu.Unlock()
			defer w.mu.Lock()
			time.Sleep(30 * time.Millisecond)
			return nil
		}
		const many = 100
		var all sync.WaitGroup
		var mu sync.Mutex
		answers := make(map[lane.Code]int)
		for i := range many {
			all.Go(func() {
				to := signal.UserName("bob")
				if i%10 == 9 {
					to = "carol"
				}
				code, err := w.Dispatch(w.t.Context(), calendar, fmt.Sprint(i), text(fmt.Sprint(i), to))
				mu.Lock()
				defer mu.Unlock()
				if answers[code]++; err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if answers[lane.OK] != many*9/10 || answers[lane.CodeUnreachable] != many/10 {
			t.Errorf("answers %v", answers)
		}
		var seqs []int64
		for _, e := range w.got["b"] {
			if d, ok := e.(signal.Delivery); ok {
				seqs = append(seqs, d.Seq)
			}
		}
		if len(seqs) != many*9/10 || !slices.IsSorted(seqs) {
			t.Errorf("%d delivered, as %v", len(seqs), seqs)
		}
	})
}

// What comes again under its key is sent once, and answered alike.
func TestDispatchAgain(t *testing.T) {
	inBackendWorld(t, func(w *world) {
		w.json("b", "bob")
		for range 3 {
			w.dispatch("1", "one", "bob", lane.OK)
			w.dispatch("2", "two", "carol", lane.CodeUnreachable)
		}
		w.json("c", "carol")
		w.dispatch("2", "two", "carol", lane.CodeUnreachable)
		if _, err := w.Dispatch(w.t.Context(), calendar, "1", text("other", "bob")); !errors.Is(err, signal.ErrKeyReused) {
			t.Errorf("another message: %v", err)
		}
		if code, err := w.Dispatch(w.t.Context(), "backend:billing", "1", text("other", "bob")); code != lane.OK || err != nil {
			t.Errorf("another backend's: %v, %v", code, err)
		}
		time.Sleep(signal.KeyLife)
		w.dispatch("1", "one", "bob", lane.OK)
		w.expect("b", "opened", "admitted", "welcome bob", "one from backend:calendar", "other from backend:billing", "one from backend:calendar")
		w.expect("c", "opened", "admitted", "welcome carol")
	})
}

// What was refused for want of room is sent when it comes again.
func TestDispatchAgainOnceThereIsRoom(t *testing.T) {
	inBackendWorld(t, func(w *world) {
		w.Rate = lane.Rate{PerSecond: 1, Burst: 1}
		w.json("b", "bob")
		w.dispatch("1", "one", "bob", lane.OK)
		w.dispatch("2", "two", "bob", lane.CodeBusy)
		time.Sleep(time.Second)
		w.dispatch("2", "two", "bob", lane.OK)
		w.dispatch("1", "one", "bob", lane.OK)
		w.expect("b", "opened", "admitted", "welcome bob", "one from backend:calendar", "two from backend:calendar")
	})
}

// An invocation that dies while it posts delays what follows by the lease, and its
// message is not posted again: its key is answered that this is not known.
func TestDispatcherDies(t *testing.T) {
	inBackendWorld(t, func(w *world) {
		w.json("b", "bob")
		dying := make(chan struct{})
		w.fail = func(p signal.Peer, e signal.Event) error {
			if d, ok := e.(signal.Delivery); ok && string(d.Data) == "fatal" {
				w.mu.Unlock()
				defer w.mu.Lock()
				<-dying // for ever, as far as the others are concerned
				return context.Canceled
			}
			return nil
		}
		go w.Dispatch(w.t.Context(), calendar, "fatal", text("fatal", "bob"))
		synctest.Wait()
		if _, err := w.Dispatch(w.t.Context(), calendar, "fatal", text("fatal", "bob")); !errors.Is(err, signal.ErrKeyInUse) {
			t.Errorf("while it is under way: %v", err)
		}
		began := time.Now()
		w.dispatch("next", "next", "bob", lane.OK)
		if took := time.Since(began); took < lane.LeaseTimeout || took > lane.LeaseTimeout+time.Second {
			t.Errorf("what follows took %v", took)
		}
		time.Sleep(30 * time.Second)
		w.dispatch("fatal", "fatal", "bob", lane.CodeServer)
		close(dying)
		synctest.Wait()
		w.dispatch("fatal", "fatal", "bob", lane.CodeServer)
		w.expect("b", "opened", "admitted", "welcome bob", "next from backend:calendar")
	})
}

// No client gets a name of a backend, whoever says that it has it.
func TestBackendsNamesAreReserved(t *testing.T) {
	inBackendWorld(t, func(w *world) {
		w.json("a", "backend:calendar")
		w.expect("a", "opened", "admitted", "refused 2121")
	})
	for name, ok := range map[signal.UserName]bool{
		"backend:a": true, "backend:calendar/eu_1+=,.@-": true, "backend:" + signal.UserName(strings.Repeat("a", signal.MaxUserName-8)): true,
		"backend:": false, "calendar": false, "": false, "backend:a#b": false, "backend:é": false, "Backend:a": false,
		"backend:" + signal.UserName(strings.Repeat("a", signal.MaxUserName-7)): false,
	} {
		if err := signal.CheckBackend(name); (err == nil) != ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestExpel(t *testing.T) {
	inBackendWorld(t, func(w *world) {
		w.json("a", "alice")
		w.send("a", 2, "alice") // it waits for 1
		expel := func(user signal.UserName, refuse time.Duration, online bool) {
			t.Helper()
			was, until, err := w.Expel(w.t.Context(), user, refuse)
			if was != online || err != nil || (until != 0) != (refuse != 0) {
				t.Errorf("expelled: %v, refused until %d, %v", was, until, err)
			}
		}
		synctest.Wait()
		expel("alice", 0, true)
		w.expect("a", "opened", "admitted", "welcome alice", "stored", "ack 2 2121", "closing 2121")
		if !w.closed["a"] {
			t.Error("the socket is open")
		}
		if online, _ := w.IsOnline(w.t.Context(), "alice"); online {
			t.Error("alice is online")
		}
		expel("alice", 0, false)
		w.json("a2", "alice")
		w.expect("a2", "opened", "admitted", "welcome alice")
		expel("alice", time.Minute, true)
		w.json("a3", "alice")
		w.expect("a3", "opened", "admitted", "refused 2121")
		w.json("b", "bob")
		w.expect("b", "opened", "admitted", "welcome bob")
		time.Sleep(time.Minute)
		w.json("a4", "alice")
		w.expect("a4", "opened", "admitted", "welcome alice")
		expel("alice", time.Hour, true)
		if err := w.Readmit(w.t.Context(), "alice"); err != nil {
			t.Error(err)
		}
		w.json("a5", "alice")
		w.expect("a5", "opened", "admitted", "welcome alice")
	})
}

// meanwhile has something done before each claim, or after it.
type meanwhile struct {
	signal.Store
	before, after func()
}

func (m *meanwhile) Claim(ctx context.Context, c signal.Claim) (signal.Claimed, error) {
	if m.before != nil {
		m.before()
	}
	claimed, err := m.Store.Claim(ctx, c)
	if m.after != nil {
		m.after()
	}
	return claimed, err
}

// A client that connects while it is expelled does not slip through.
func TestExpelledWhileItConnects(t *testing.T) {
	for _, when := range []string{"before its claim", "after it"} {
		inBackendWorld(t, func(w *world) {
			expel := sync.OnceFunc(func() {
				if _, _, err := w.Expel(w.t.Context(), "alice", time.Minute); err != nil {
					t.Error(err)
				}
			})
			m := &meanwhile{Store: w.Store}
			if when == "after it" {
				m.after = expel
			} else {
				m.before = expel
			}
			w.Store = m
			w.json("a", "alice")
			synctest.Wait()
			if online, err := w.IsOnline(w.t.Context(), "alice"); online || err != nil || !w.closed["a"] {
				t.Errorf("expelled %s: online %v, %v; told %v", when, online, err, w.events("a"))
			}
			for _, e := range w.events("a") {
				if strings.HasPrefix(e, "welcome") {
					t.Errorf("expelled %s: told %v", when, w.events("a"))
				}
			}
		})
	}
}
