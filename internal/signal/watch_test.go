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

// presences are what a connection was told of users, as a client takes it: it drops
// what has no higher number than it had last.
func (w *world) presences(id signal.ConnectionID) (told []string) {
	w.t.Helper()
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	last := make(map[signal.UserName]int64)
	for _, e := range w.got[id] {
		switch e := e.(type) {
		case signal.Presence:
			if e.Watched && e.At <= last[e.User] {
				continue
			}
			last[e.User] = e.At
			told = append(told, fmt.Sprint(e.User, map[bool]string{true: " on", false: " off"}[e.Online]))
		case signal.Unwatched:
			told = append(told, fmt.Sprint(e.User, " unwatched"))
			delete(last, e.User)
		case signal.RequestFailed:
			told = append(told, fmt.Sprint(e.User, " ", int(e.Code)))
		}
	}
	return told
}

// told compares what a connection was told of users since the last call.
func (w *world) told(id signal.ConnectionID, want ...string) {
	w.t.Helper()
	if got := w.presences(id); !slices.Equal(got, want) {
		w.t.Errorf("connection %s was told %q, want %q", id, got, want)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.got[id] = nil
}

func (w *world) leave(id signal.ConnectionID) {
	w.t.Helper()
	w.closed[id] = true
	if err := w.Disconnect(w.t.Context(), id); err != nil {
		w.t.Error(err)
	}
}

func TestWatch(t *testing.T) {
	inWorld(t, func(w *world) {
		w.json("a", "alice")
		w.json("c", "carol")
		w.receive("a", signal.Watch{User: "bob"})
		w.receive("c", signal.Watch{User: "bob"})
		w.told("a", "bob off")
		w.json("b", "bob")
		w.told("a", "bob on")
		w.json("b2", "bob")
		w.told("a") // it was there all the time
		w.leave("b")
		w.told("a")
		w.receive("b2", signal.Leave{})
		time.Sleep(time.Second)
		w.told("a", "bob off")
		w.receive("a", signal.Unwatch{User: "bob"})
		w.receive("a", signal.Unwatch{User: "nobody"})
		w.json("b3", "bob")
		w.told("a", "bob unwatched", "nobody unwatched")
		w.receive("a", signal.Watch{User: "bob"})
		w.receive("a", signal.Query{User: "bob"})
		w.told("a", "bob on", "bob on")
		w.leave("b3")
		w.told("a", "bob off")
		w.told("c", "bob off", "bob on", "bob off", "bob on", "bob off")
	})
}

// Watches end with their connection, also if its socket is still there.
func TestWatchEnds(t *testing.T) {
	inWorld(t, func(w *world) {
		w.json("a", "alice")
		w.receive("a", signal.Watch{User: "bob"})
		w.fail = func(p signal.Peer, e signal.Event) error {
			if e == (signal.Superseded{}) {
				return signal.ErrBusy // so it is not closed
			}
			return nil
		}
		w.json("a2", "alice")
		w.json("b", "bob")
		w.told("a", "bob off")
		w.receive("a", signal.Watch{User: "carol"})
		w.json("c", "carol")
		w.told("a")
		w.told("a2")
	})
}

// Who may not learn of others is told so, and who has not authenticated.
func TestMayWatch(t *testing.T) {
	for may, want := range map[string][]string{
		"any": {"bob off", "bob off"}, "none": {"bob 2120", "bob 2120"}, "None": {"bob 2120", "bob 2120"}, "": {"bob 2120", "bob 2120"},
	} {
		inWorld(t, func(w *world) {
			w.Access = signal.Access{Authenticator: &authenticator{identity: signal.Identity{User: "alice", Attributes: map[string]string{signal.AttributeWatch: may}}}}
			w.json("a", "t")
			w.receive("a", signal.Watch{User: "bob"})
			w.receive("a", signal.Query{User: "bob"})
			w.told("a", want...)
			w.receive("a", signal.Unwatch{User: "bob"})
			w.told("a", "bob unwatched")
		})
	}
	inWorld(t, func(w *world) {
		w.connect("a", signal.EIO4, nil)
		w.receive("a", signal.Watch{User: "bob"})
		w.receive("a", signal.Unwatch{User: "bob"})
		w.told("a", "bob 2120", "bob 2120")
	})
}

func TestWatchesAreBounded(t *testing.T) {
	inWorld(t, func(w *world) {
		w.json("a", "alice")
		var want []string
		for i := range signal.MaxWatched {
			name := fmt.Sprint("user", i)
			w.receive("a", signal.Watch{User: signal.UserName(name)})
			want = append(want, name+" off")
		}
		w.receive("a", signal.Watch{User: "one more"})
		w.told("a", append(want, "one more 2102")...)
	})
}

// crowdWatching has so many connections watch bob.
func (w *world) crowdWatching(n int) (all []signal.ConnectionID) {
	for i := range n {
		id := signal.ConnectionID(fmt.Sprint("w", i))
		all = append(all, id)
		w.json(id, string(id))
		w.receive(id, signal.Watch{User: "bob"})
		w.told(id, "bob off")
	}
	return all
}

func isPresence(e signal.Event) bool { _, ok := e.(signal.Presence); return ok }

// Nobody waits for who watches: neither the welcome of who comes, nor the sender who
// finds somebody gone. Only so many are told at once.
func TestWatchersAreToldBeside(t *testing.T) {
	inWorld(t, func(w *world) {
		const atOnce = 16
		all := w.crowdWatching(3*atOnce - 1)
		b := &busiest{Pusher: slowly{w, 900 * time.Millisecond, isPresence}, counts: isPresence}
		w.Pusher = b
		w.json("a", "alice")
		go w.json("b", "bob")
		w.expect("b", "opened", "admitted", "welcome bob")
		w.send("a", 1, "bob")
		w.expect("a", "opened", "admitted", "welcome alice", "ack 1 0")
		time.Sleep(time.Minute)
		if most := b.most.Load(); most != atOnce {
			t.Errorf("%d posts at once", most)
		}
		synctest.Wait()
		w.closed["b"] = true
		w.send("a", 2, "bob")
		w.send("a", 3, "alice")
		w.expect("a", "opened", "admitted", "welcome alice", "ack 1 0", "ack 2 2201", "3 from alice", "ack 3 0")
		time.Sleep(time.Minute)
		for _, id := range all {
			w.told(id, "bob on", "bob off")
		}
	})
}

// What could not be told is told by keepalive's next round, and once.
func TestKeepaliveTellsWatchers(t *testing.T) {
	inWorld(t, func(w *world) {
		const watching = 40
		all := w.crowdWatching(watching)
		var posts atomic.Int64
		w.fail = func(p signal.Peer, e signal.Event) error {
			if isPresence(e) && posts.Add(1) <= watching && p.ID == "w7" {
				return context.DeadlineExceeded
			}
			return nil
		}
		w.json("b", "bob")
		w.told("w7")
		for range 2 {
			if err := w.Keepalive(w.t.Context()); err != nil {
				t.Error(err)
			}
		}
		w.told("w7", "bob on")
		if n := posts.Load(); n != 2*watching {
			t.Errorf("%d posts to %d connections", n, watching)
		}
		w.closed["b"] = true // its link is cut, and nobody says so
		if err := w.Keepalive(w.t.Context()); err != nil {
			t.Error(err)
		}
		for _, id := range all {
			if got := w.presences(id); len(got) == 0 || got[len(got)-1] != "bob off" {
				t.Errorf("connection %s was told %q", id, got)
			}
		}
	})
}

// Whoever has no time left tells nobody any more; keepalive does.
func TestAnnouncingEnds(t *testing.T) {
	inWorld(t, func(w *world) {
		w.crowdWatching(40)
		w.Pusher = slowly{w, 100 * time.Millisecond, isPresence}
		w.json("b", "bob")
		w.told("w0", "bob on")
		ctx, cancel := context.WithTimeout(w.t.Context(), 700*time.Millisecond) // 500 ms of which are kept for its end
		defer cancel()
		began := time.Now()
		w.closed["b"] = true
		if err := w.Disconnect(ctx, "b"); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > 700*time.Millisecond {
			t.Errorf("took %v", took)
		}
		told := 0
		for i := range 40 {
			told += len(w.presences(signal.ConnectionID(fmt.Sprint("w", i))))
		}
		if told -= 39; told <= 0 || told >= 40 { // that bob is there, all but w0
			t.Errorf("%d were told in 200 ms", told)
		}
		if err := w.Keepalive(w.t.Context()); err != nil {
			t.Error(err)
		}
		for i := range 40 {
			id := signal.ConnectionID(fmt.Sprint("w", i))
			w.mu.Lock()
			last := w.got[id][len(w.got[id])-1]
			w.mu.Unlock()
			if p, ok := last.(signal.Presence); !ok || p.Online {
				t.Errorf("connection %s was told %+v last", id, last)
			}
		}
	})
}

// A user whose token has ended is offline for who asks from then on, and for all
// others once that is found.
func TestWatchOfAnEndedToken(t *testing.T) {
	inWorld(t, func(w *world) {
		w.json("a", "alice")
		w.receive("a", signal.Watch{User: "bob"})
		access := w.Access
		w.Access = signal.Access{Authenticator: &authenticator{identity: signal.Identity{User: "bob", Expires: w.Clock.Now().Add(time.Minute)}}}
		w.json("b", "t")
		w.Access = access
		w.json("c", "carol")
		time.Sleep(time.Minute)
		w.receive("c", signal.Watch{User: "bob"})
		w.told("a", "bob off", "bob on")
		w.told("c", "bob off")
		if err := w.Keepalive(w.t.Context()); err != nil {
			t.Error(err)
		}
		w.told("a", "bob off")
		w.json("b2", "bob")
		w.told("a", "bob on")
		w.receive("c", signal.Watch{User: "bob"})
	})
}

// A watch that the store does not answer, or refuses, is answered by what is known.
func TestWatchFails(t *testing.T) {
	for err, want := range map[error]string{
		errors.New("out"): "bob 2101", signal.ErrBusy: "bob 2102", signal.ErrTooManyWatches: "bob 2102",
	} {
		inWorld(t, func(w *world) {
			w.json("a", "alice")
			w.Store = watchless{w.Store, err}
			w.receive("a", signal.Watch{User: "bob"})
			w.receive("a", signal.Unwatch{User: "bob"})
			w.told("a", want, want)
		})
	}
}

type watchless struct {
	signal.Store
	err error
}

func (s watchless) Watch(context.Context, signal.UserName, signal.ConnectionID, lane.Instant) (signal.Presence, error) {
	return signal.Presence{}, s.err
}

func (s watchless) Unwatch(context.Context, signal.UserName, signal.ConnectionID) error { return s.err }
