package memory_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/owt-signal/owt-signal/internal/memory"
	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

const began = lane.Instant(1_800_000_000_000)

// guest is a connection that comes and goes, and the name that it claims.
type guest struct {
	*testing.T
	store   *memory.Store
	name    signal.UserName
	session string
}

func (g guest) id() signal.ConnectionID { return signal.ConnectionID("connection of " + g.name) }

func (g guest) come(epoch string) signal.Claimed {
	g.Helper()
	c := signal.Connection{
		Peer: signal.Peer{ID: g.id(), Endpoint: "here", Protocol: signal.JSON}, Session: g.session,
		Since: began, Expires: began.Add(signal.ConnectionLife), Lane: lane.New(),
	}
	if err := g.store.Delete(context.Background(), c.ID, c.Expires); err != nil { // of the visit before
		g.Fatal(err)
	}
	if err := g.store.Create(context.Background(), c); err != nil {
		g.Fatal(err)
	}
	claimed, err := g.store.Claim(context.Background(), signal.Claim{User: g.name, Peer: c.Peer, At: began, Until: c.Expires, Epoch: epoch})
	if err != nil {
		g.Fatal(err)
	}
	return claimed
}

func (g guest) getMessage() {
	g.Helper()
	if _, err := g.store.Route(context.Background(), g.name, 1, began); err != nil {
		g.Fatal(err)
	}
}

func (g guest) leave(tat lane.TAT) {
	g.Helper()
	if _, err := g.store.End(context.Background(), g.id(), began); err != nil {
		g.Fatal(err)
	}
	if released, err := g.store.Release(context.Background(), g.name, g.id(), tat); err != nil || !released.Owner {
		g.Fatal(released, err)
	}
}

// heap returns what is in use after a collection, in bytes.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// Memory comes back after many names, whether they come one after the other or
// all at once, whatever they leave.
func TestMemoryComesBack(t *testing.T) {
	const names, allowed = 100_000, 10 << 20
	for _, c := range []struct {
		what              string
		messages, session bool
		atOnce            bool
	}{
		{what: "names"},
		{what: "names with a message each", messages: true},
		{what: "names with a message and a session each", messages: true, session: true},
		{what: "names with a message and a session each, at once", messages: true, session: true, atOnce: true},
	} {
		t.Run(c.what, func(t *testing.T) {
			store := memory.New()
			before := heap()
			var guests []guest
			for n := range names {
				g := guest{T: t, store: store, name: signal.UserName(fmt.Sprintf("user number %d", n))}
				if c.session {
					g.session = fmt.Sprintf("session-%d", n)
				}
				g.come("epoch " + string(g.name))
				if c.messages {
					g.getMessage()
				}
				if c.atOnce {
					guests = append(guests, g)
				} else {
					g.leave(0)
				}
			}
			for _, g := range guests {
				g.leave(0)
			}
			after := heap()
			t.Logf("%d KB more than before", (after-before)>>10)
			if after-before > allowed {
				t.Errorf("%d bytes more than before, %d are allowed", after-before, allowed)
			}
			runtime.KeepAlive(store)
		})
	}
}

// Of the names that are released the newest are kept, and those who come back are
// no more only kept.
func TestReleasedNames(t *testing.T) {
	store := memory.New()
	name := func(n int) guest { return guest{T: t, store: store, name: signal.UserName(fmt.Sprint(n))} }
	visit := func(g guest) {
		g.come("first")
		g.getMessage()
		g.leave(7)
	}
	for n := range memory.MaxReleased {
		visit(name(n))
	}
	if c := name(0).come("second"); c.Epoch != "first" || c.Seq != 1 || c.TAT != 7 { // it does not count while it is owned
		t.Errorf("the oldest of %d: %+v", memory.MaxReleased, c)
	}
	visit(name(memory.MaxReleased))
	visit(name(memory.MaxReleased + 1))
	if c := name(1).come("second"); c.Epoch != "second" || c.Seq != 0 || c.TAT != 0 {
		t.Errorf("the oldest of one more than %d: %+v", memory.MaxReleased, c)
	}
	if c := name(2).come("second"); c.Epoch != "first" || c.Seq != 1 {
		t.Errorf("the oldest that is kept: %+v", c)
	}
}

// Of the connections that have ended the newest are kept for their sessions.
func TestEndedConnections(t *testing.T) {
	store := memory.New()
	visitor := func(n int) guest { return guest{t, store, signal.UserName(fmt.Sprint(n)), "s"} }
	for n := range memory.MaxEnded + 1 {
		visitor(n).come("e")
		visitor(n).leave(0)
	}
	if got := store.Forgotten(); got != (memory.Forgotten{Sessions: 1}) {
		t.Errorf("forgotten %+v", got)
	}
	for n, want := range map[int]error{0: signal.ErrNoConnection, 1: nil, memory.MaxEnded: nil} {
		if _, err := store.GetEnded(t.Context(), visitor(n).id(), began.Add(time.Minute)); !errors.Is(err, want) {
			t.Errorf("connection %d of %d: %v", n, memory.MaxEnded+1, err)
		}
	}
}

// later is when all who came when it began have left.
var later = began.Add(signal.ConnectionLife + time.Minute)

// Names whose bucket is full go before those whose is not, as long as that is so.
func TestNamesWithAFullBucketGoFirst(t *testing.T) {
	store := memory.New()
	name := func(n int) guest { return guest{T: t, store: store, name: signal.UserName(fmt.Sprint(n))} }
	visit := func(n int, tat lane.TAT) {
		name(n).come("first")
		name(n).leave(tat)
	}
	fullLater := lane.TAT(later) * 1000
	visit(0, fullLater) // the oldest
	for n := range memory.MaxReleased {
		visit(n+1, 0)
	}
	if got := store.Forgotten().Names; got != 1 {
		t.Errorf("forgotten %d names, want 1", got)
	}
	if c := name(0).come("second"); c.Epoch != "first" || c.TAT != fullLater {
		t.Errorf("the oldest, whose bucket is not full: %+v", c)
	}
	if c := name(1).come("second"); c.Epoch != "second" {
		t.Errorf("the oldest whose bucket is full: %+v", c)
	}
	name(0).leave(fullLater)
	name(1).leave(0)
	if _, err := store.Get(t.Context(), "nobody", later); !errors.Is(err, signal.ErrNoConnection) { // time passes
		t.Fatal(err)
	}
	for n := range memory.MaxReleased + 1 {
		visit(n+memory.MaxReleased+1, 0)
	}
	if c := name(0).come("second"); c.Epoch != "second" {
		t.Errorf("the bucket has filled, and is kept for ever: %+v", c)
	}
}

// If all have spent something, the oldest goes.
func TestNamesWithoutAFullBucketAreBounded(t *testing.T) {
	store := memory.New()
	for n := range memory.MaxReleased + 1 {
		g := guest{T: t, store: store, name: signal.UserName(fmt.Sprint(n))}
		g.come("first")
		g.leave(lane.TAT(later) * 1000)
	}
	for n, want := range map[int]string{0: "second", 1: "first"} {
		g := guest{T: t, store: store, name: signal.UserName(fmt.Sprint(n))}
		if c := g.come("second"); c.Epoch != want {
			t.Errorf("name %d: %+v, want the %s epoch", n, c, want)
		}
	}
}

// History is bounded: the oldest goes, and its user's record says so.
func TestHistoryIsBounded(t *testing.T) {
	const row, posts = 512, 64 // a post takes a row besides what is in it
	store, until := memory.New(), began.Add(time.Minute)
	if _, err := store.Claim(t.Context(), signal.Claim{User: "bob", Peer: signal.Peer{ID: "b", Recovers: true}, At: began, Until: until, Epoch: "e"}); err != nil {
		t.Fatal(err)
	}
	post := signal.Delivery{From: "alice", Epoch: "e"}
	post.Data = make([]byte, memory.MaxHistory/posts-row-signal.Room(post))
	kept := func() int64 {
		all, err := store.History(t.Context(), "bob", "e", 1, 2*posts)
		at, errAt := store.Standing(t.Context(), "bob", began)
		if err != nil || errAt != nil || len(all) == 0 || all[0].Seq != at.KeptAfter+1 {
			t.Fatalf("%d posts, %+v, %v, %v", len(all), at, err, errAt)
		}
		return at.KeptAfter
	}
	for n := range int64(posts) {
		post.Seq = n + 1
		if made, err := store.Keep(t.Context(), "bob", []signal.Delivery{post}, until); err != nil || !made {
			t.Fatal(made, err)
		}
	}
	if after := kept(); after != 0 {
		t.Errorf("%d bytes are the limit, and %d is deleted", memory.MaxHistory, after)
	}
	if err := store.Void(t.Context(), "bob", "e", posts+1, until); err != nil {
		t.Fatal(err)
	}
	if after := kept(); after != 1 {
		t.Errorf("above the limit, %d are deleted, want 1", after)
	}
}
