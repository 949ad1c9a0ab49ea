package storetest

import (
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/owt-signal/owt-signal/internal/signal"
)

// seedVariable names the environment variable that sets what the clients of
// [linearizable] do. How their operations interleave is the scheduler's, so a
// seed repeats a load, not a history.
const seedVariable = "OWT_TEST_SEED"

// checkWithin bounds the search for a sequential order. A history that is
// linearizable takes it milliseconds.
const checkWithin = 60 * time.Second

// load is how much is done to a store, and by how many.
type load struct {
	clients    int
	names      int // users that the clients share
	operations int // what they do together, give or take what each has begun
}

// usual is the load of [linearizable]: many clients and few users, so that
// most operations overlap another on the same user.
var usual = load{clients: 12, names: 4, operations: 120}

// rounds is how often [linearizable] puts its load on a store, each time on
// users of their own: what a check costs grows fast with the operations of one
// user whose answers are lost.
const rounds = 10

// linearizable checks the ownership of names, which takes claims, releases and
// routes of several connections at once: there must be an order of all
// operations on a user in which each takes effect at one instant between its
// call and its answer. An operation whose outcome is not known takes effect
// once at any later time, or never; see [loseAnswer] for a store that makes
// several attempts at one.
//
// Lanes are not in it: a move is one conditional write, whose atomicity is the
// database's. That its condition and its change are right, [contract] checks.
func linearizable(t *testing.T, store signal.Store) {
	t.Helper()
	seed := seed(t)
	t.Logf("%s=%d", seedVariable, seed)
	for i := range uint64(rounds) {
		check(t, usual.put(store, seed+i))
	}
}

// check fails the test if no sequential order explains the history.
func check(t *testing.T, h *history) {
	t.Helper()
	t.Log(h.figures())
	if len(h.failed) > 0 {
		t.Errorf("%d operations failed, though no answer was lost: the first with %v", len(h.failed), h.failed[0])
	}
	if result := porcupine.CheckOperationsTimeout(model, h.ops, checkWithin); result != porcupine.Ok {
		path, err := h.visualize()
		t.Errorf("the history is not linearizable: %s; visualized in %s, %v", result, path, err)
	}
}

func seed(t testing.TB) uint64 {
	t.Helper()
	set := os.Getenv(seedVariable)
	if set == "" {
		return uint64(time.Now().UnixNano())
	}
	seed, err := strconv.ParseUint(set, 10, 64)
	if err != nil {
		t.Fatalf("read %s: %v", seedVariable, err)
	}
	return seed
}

// put puts the load on a store and returns what happened.
func (l load) put(store signal.Store, seed uint64) *history {
	h := newHistory(store, l.operations)
	w := newWorld(l)
	var wg sync.WaitGroup
	for i := range l.clients {
		c := newClient(h, w, i, seed)
		wg.Go(c.run)
	}
	wg.Wait()
	newClient(h, w, l.clients, seed).routeToAll()
	return h
}
