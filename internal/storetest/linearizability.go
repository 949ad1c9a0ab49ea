package storetest

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/owt-signal/owt-signal/internal/signal"
)

// SeedVariable names the environment variable that sets what the clients of
// [Linearizable] do. How their operations interleave is the scheduler's, so a
// seed repeats a load, not a history.
const SeedVariable = "OWT_TEST_SEED"

// judgeWithin bounds the search for a sequential order. A history that is
// linearizable takes it milliseconds.
const judgeWithin = 60 * time.Second

// load is how much is done to a store, and by how many.
type load struct {
	clients    int
	lanes      int // connections that the clients share
	names      int // users that they share
	operations int // what they do together, give or take what each has begun
}

// usual is the load of [Linearizable]: many clients and few records, so that
// most operations meet another on the same record.
var usual = load{clients: 12, lanes: 4, names: 4, operations: 2000}

// Linearizable holds a store under concurrent clients against the sequential
// model of one: there must be an order of all operations in which each takes
// effect at one instant between its call and its answer. An operation whose
// outcome is not known takes effect once at any later time, or never; see
// [LoseAnswer] for a store that makes several attempts at one.
func Linearizable(t *testing.T, store signal.Store) {
	t.Helper()
	seed := seed(t)
	h := usual.put(store, seed)
	t.Logf("%s=%d", SeedVariable, seed)
	judge(t, h)
}

// judge fails the test if no sequential order explains the history.
func judge(t *testing.T, h *history) {
	t.Helper()
	t.Log(h.figures())
	if len(h.failed) > 0 {
		t.Errorf("%d operations failed, though no answer was lost: the first with %v", len(h.failed), h.failed[0])
	}
	began := time.Now()
	if result := porcupine.CheckOperationsTimeout(model, h.operations(), judgeWithin); result != porcupine.Ok {
		t.Errorf("the history is not linearizable: %s; %s", result, visualized(h))
	}
	t.Logf("judged in %v", time.Since(began).Round(time.Millisecond))
}

func seed(t testing.TB) uint64 {
	t.Helper()
	set := os.Getenv(SeedVariable)
	if set == "" {
		return uint64(time.Now().UnixNano())
	}
	seed, err := strconv.ParseUint(set, 10, 64)
	if err != nil {
		t.Fatalf("read %s: %v", SeedVariable, err)
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
	newClient(h, w, l.clients, seed).lookAtAll()
	return h
}

// figures returns a history's size, and how much of it is worth something: how
// many operations met another on the same record, and how they ended.
func (h *history) figures() string {
	ended := make(map[string]int)
	records := make(map[string][]porcupine.Operation)
	unanswered, shown, met := 0, 0, 0
	for _, op := range h.operations() {
		c, out := op.Input.(call), op.Output.(outcome)
		switch out.certainty {
		case unknown:
			unanswered++
			continue
		case made:
			shown++
			continue
		}
		records[c.key()] = append(records[c.key()], op)
		ended[c.name()+" "+out.answer.brief()]++
	}
	for _, ops := range records {
		met += overlapping(ops)
	}
	var kinds []string
	for _, kind := range slices.Sorted(maps.Keys(ended)) {
		kinds = append(kinds, fmt.Sprintf("%s %d", kind, ended[kind]))
	}
	return fmt.Sprintf("%d operations on %d records, %d of them met another (%s); "+
		"attempts without an answer: %d that made a move, as the lane showed, and %d of which nothing is known",
		len(h.operations())-unanswered-shown, len(records), met, strings.Join(kinds, ", "), shown, unanswered)
}

// overlapping returns how many of the operations were under way while another was.
func overlapping(ops []porcupine.Operation) int {
	slices.SortFunc(ops, func(a, b porcupine.Operation) int { return int(a.Call - b.Call) })
	met, until := make(map[int]bool), int64(-1)
	last := 0
	for i, op := range ops {
		if op.Call <= until {
			met[i], met[last] = true, true
		}
		if op.Return > until {
			until, last = op.Return, i
		}
	}
	return len(met)
}

// visualized writes the history for a browser and says where.
func visualized(h *history) string {
	_, info := porcupine.CheckOperationsVerbose(model, h.operations(), judgeWithin)
	f, err := os.CreateTemp(os.TempDir(), "owt-signal-history-*.html")
	if err != nil {
		return fmt.Sprintf("no visualization: %v", err)
	}
	err = porcupine.Visualize(model, info, f)
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Sprintf("no visualization: %v", err)
	}
	return fmt.Sprintf("%d operations, visualized in %s", len(h.operations()), f.Name())
}
