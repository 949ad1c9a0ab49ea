package storetest

import (
	"context"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// never is when an operation without an answer returns.
const never = math.MaxInt64

// moveTries is how often a move is tried whose outcome is not known, as the
// domain does.
const moveTries = 3

type lostKey struct{}

// LoseAnswer tells the history that an attempt at the operation that ctx came
// with has gone without an answer. Whoever makes several attempts at one
// operation, as the SDK does, must tell of each that is lost: it may take
// effect, at any later time. An error that nobody told of is a failure.
func LoseAnswer(ctx context.Context) {
	if lost, ok := ctx.Value(lostKey{}).(*atomic.Int64); ok {
		lost.Add(1)
	}
}

// history records what clients do to a store, and when.
//
// Each attempt at an operation is an operation of its own. The last one has
// the answer; those that lost theirs are unknown. So no more is taken to hold
// than does when an operation is repeated: a number may be skipped by a route,
// and a release, end or update may be refused because it was made already. Of an
// update its holder can tell, and acts on it: see [history.update].
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

func (h *history) operations() []porcupine.Operation {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.ops
}

func (h *history) add(client int, c call, called int64, o outcome, returned int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, porcupine.Operation{ClientId: client, Input: c, Call: called, Output: o, Return: returned})
}

func (h *history) fail(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.failed = append(h.failed, err)
}

// attempt is one call of the store.
type attempt struct {
	called, returned int64
	answer           answer
	lost             int // attempts within it that may yet take effect
}

// try calls the store. It gives way around the call, so that calls meet even
// in a store that needs no time.
func (h *history) try(ask func(context.Context) answer) attempt {
	h.budget.Add(-1)
	var lost atomic.Int64
	a := attempt{called: h.now()}
	runtime.Gosched()
	a.answer = ask(context.WithValue(context.Background(), lostKey{}, &lost))
	runtime.Gosched()
	a.returned, a.lost = h.now(), int(lost.Load())
	if !a.answer.known() && a.lost == 0 {
		h.fail(a.answer.Err)
		a.lost = 1
	}
	return a
}

func (h *history) unknown(client int, c call, called int64, attempts int) {
	for range attempts {
		h.add(client, c, called, outcome{certainty: unknown}, never)
	}
}

// do makes an operation, once.
func (h *history) do(client int, c call, ask func(context.Context) answer) answer {
	a := h.try(ask)
	switch c.(type) {
	case get, owner: // without an answer it is nothing
	default:
		h.unknown(client, c, a.called, a.lost)
	}
	if a.answer.known() {
		h.add(client, c, a.called, outcome{known, a.answer}, a.returned)
	}
	return a.answer
}

// update makes an update, as the domain does: it is tried again while its outcome
// is not known, and counts as made, too, if the lane that a refused one hands
// back shows it. Then one of the attempts before must have made it. Shown or
// not, the record that came back must have been the record.
func (h *history) update(client int, id signal.ConnectionID, u signal.Update, clock func() lane.Instant) (signal.Connection, bool, error) {
	c := update{id, u}
	var first int64
	lost := 0
	for try := range moveTries {
		a := h.try(func(ctx context.Context) answer {
			c, done, err := h.store.Update(ctx, id, u, clock())
			return answer{Connection: normal(c), Done: done, Err: errored(err)}
		})
		if try == 0 {
			first = a.called
		}
		lost += a.lost
		if !a.answer.known() {
			continue
		}
		h.add(client, c, a.called, outcome{known, a.answer}, a.returned)
		shown := a.answer.Err == nil && !a.answer.Done && u.Made(a.answer.Connection.Lane)
		if shown {
			h.add(client, c, first, outcome{certainty: made}, a.returned)
			lost--
		}
		h.unknown(client, c, first, lost)
		return a.answer.Connection, a.answer.Done || shown, a.answer.Err
	}
	h.unknown(client, c, first, lost)
	return signal.Connection{}, false, errUnknown
}
