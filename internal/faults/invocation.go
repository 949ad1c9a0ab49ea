package faults

import (
	"context"
	"log/slog"
	"runtime"
	"sync/atomic"
)

// meanSteps is how many steps a doomed invocation makes on average before it
// dies. Steps are the calls of the store and of the @connections operations,
// and the answer. Before each of them it dies with the same probability, about
// 1/5, so that the work that follows an answer dies, too, now and then. One
// without such work dies before its answer at the latest; one that comes to
// the end of its work has done all that it had to.
const meanSteps = 4.5

// doomed is an invocation that is going to die.
type doomed struct {
	share float64      // of a usual invocation, until it dies: random, 1 on average
	left  atomic.Int64 // steps that it still makes, by its share
	log   *slog.Logger
	note  []any // what the log tells of it
}

type contextKey struct{}

// in makes a context the invocation's.
func (d *doomed) in(ctx context.Context) context.Context {
	return context.WithValue(ctx, contextKey{}, d)
}

// of is the doomed invocation that a context belongs to, nil if there is none.
func of(ctx context.Context) *doomed {
	d, _ := ctx.Value(contextKey{}).(*doomed)
	return d
}

// step is a step of the invocation that ctx belongs to. It does not return if
// the invocation dies, or has died, before it: it ends the goroutine. A panic
// would not do, since handlers turn it into an answer.
func step(ctx context.Context) {
	d := of(ctx)
	if d == nil {
		return
	}
	left := d.left.Add(-1)
	if left == -1 {
		d.log.InfoContext(ctx, "invocation crashed", append(d.note, "step", int64(d.share*meanSteps))...)
	}
	if left < 0 {
		runtime.Goexit()
	}
}

// last is the last step of the invocation that ctx belongs to.
func last(ctx context.Context) {
	if d := of(ctx); d != nil {
		d.left.Store(min(d.left.Load(), 0))
		step(ctx)
	}
}
