package faults

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/owt-signal/owt-signal/internal/gateway"
)

// Environments run invocations in processes of their own.
type Environments interface {
	gateway.Function
	// InvokeAndKill runs an invocation whose process is killed after so long,
	// and at its end at the latest.
	InvokeAndKill(ctx context.Context, ev *request, after time.Duration) (response, error)
}

// firstUsual is how long an invocation is taken to last before one has ended.
const firstUsual = 5 * time.Millisecond

// Environments lets those invocations of next die that [Faults.Function] has
// doomed: their processes are killed at a random moment, which is, on average,
// when others have their answer. So the work that follows an answer dies, too,
// now and then. It goes inside of [Faults.Function].
func (f *Faults) Environments(next Environments) gateway.Function {
	if f == nil {
		return next
	}
	e := &environments{next: next}
	e.usual.Store(int64(firstUsual))
	return e
}

type environments struct {
	next  Environments
	usual atomic.Int64 // how long the last invocations took to their answer, in ns
}

// Invoke implements [gateway.Function].
func (e *environments) Invoke(ctx context.Context, ev *request) (response, error) {
	if d := of(ctx); d != nil {
		after := time.Duration(d.share * float64(e.usual.Load()))
		d.log.InfoContext(ctx, "invocation to be killed", append(d.note, "after", after.String())...)
		return e.next.InvokeAndKill(ctx, ev, after)
	}
	began := time.Now()
	r, err := e.next.Invoke(ctx, ev)
	if err == nil {
		usual := e.usual.Load()
		e.usual.Store(usual + (int64(time.Since(began))-usual)/8) // that one may be lost of two at a time is no harm
	}
	return r, err
}
