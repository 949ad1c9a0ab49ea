package storetest

import (
	"context"
	"fmt"
	"maps"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/owt-signal/owt-signal/internal/signal"
)

// never is when an operation without an answer returns.
const never = math.MaxInt64

type lostKey struct{}

// loseAnswer tells the history that an attempt at the operation that ctx came
// with has gone without an answer. Whoever makes several attempts at one
// operation, as the SDK does, must report each that is lost: it may take
// effect, at any later time. An error that was not reported is a failure.
func loseAnswer(ctx context.Context) {
	if lost, ok := ctx.Value(lostKey{}).(*atomic.Int64); ok {
		lost.Add(1)
	}
}

// watched returns a context, and how many attempts at operations that come with it
// have gone without an answer.
func watched(ctx context.Context) (context.Context, *atomic.Int64) {
	lost := new(atomic.Int64)
	return context.WithValue(ctx, lostKey{}, lost), lost
}

// history records what clients do to a store, and when.
//
// Each attempt at an operation is an operation of its own. The last one has
// the answer; those that lost theirs are unknown. So no more is taken to hold
// than does when an operation is repeated: a number may be skipped by a route,
// and a release may be refused because it was made already.
type history struct {
	store  signal.Store
	start  time.Time
	budget atomic.Int64

	mu     sync.Mutex
	ops    []porcupine.Operation
	failed []error // without anything being lost
}

func newHistory(store signal.Store, budget int) *history {
	h := &history{store: store, start: time.Now()}
	h.budget.Store(int64(budget))
	return h
}

func (h *history) spent() bool { return h.budget.Load() <= 0 }

func (h *history) now() int64 { return time.Since(h.start).Nanoseconds() }

// do calls the store. It yields around the call, so that calls overlap even in
// a store that needs no time.
func (h *history) do(client int, c call) answer {
	h.budget.Add(-1)
	var lost atomic.Int64
	called := h.now()
	runtime.Gosched()
	a := c.ask(context.WithValue(context.Background(), lostKey{}, &lost), h.store)
	runtime.Gosched()
	returned := h.now()

	h.mu.Lock()
	defer h.mu.Unlock()
	if !a.known() && lost.Load() == 0 {
		h.failed = append(h.failed, a.Err)
		lost.Add(1)
	}
	if _, reads := c.(owner); !reads { // a read without an answer has no effect
		for range lost.Load() {
			h.ops = append(h.ops, porcupine.Operation{ClientId: client, Input: c, Call: called, Output: outcome{}, Return: never})
		}
	}
	if a.known() {
		h.ops = append(h.ops, porcupine.Operation{ClientId: client, Input: c, Call: called, Output: outcome{true, a}, Return: returned})
	}
	return a
}

// figures is a history's size, and how its operations ended.
func (h *history) figures() string {
	ended := make(map[string]int)
	for _, op := range h.ops {
		kind := strings.TrimPrefix(fmt.Sprintf("%T", op.Input), "storetest.")
		switch out := op.Output.(outcome); {
		case !out.known:
			kind += " unknown"
		case out.answer.Err != nil:
			kind += " refused"
		}
		ended[kind]++
	}
	var kinds []string
	for _, kind := range slices.Sorted(maps.Keys(ended)) {
		kinds = append(kinds, fmt.Sprintf("%s %d", kind, ended[kind]))
	}
	return fmt.Sprintf("%d operations (%s)", len(h.ops), strings.Join(kinds, ", "))
}

// visualize writes the history for a browser and returns the file's name.
func (h *history) visualize() (path string, err error) {
	_, info := porcupine.CheckOperationsVerbose(model, h.ops, checkWithin)
	f, err := os.CreateTemp("", "owt-signal-history-*.html")
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	return f.Name(), porcupine.Visualize(model, info, f)
}
