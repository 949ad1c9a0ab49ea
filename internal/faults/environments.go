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
	u := newUsual()
	return gateway.FunctionFunc(func(ctx context.Context, ev *request) (response, error) {
		return invokeOrKill(ctx, u, ev, next.Invoke, next.InvokeAndKill)
	})
}

// usual is how long the last invocations took to their answer, in ns.
type usual struct{ atomic.Int64 }

func newUsual() *usual {
	u := new(usual)
	u.Store(int64(firstUsual))
	return u
}

// invokeOrKill makes an invocation, or has it killed if it is doomed.
func invokeOrKill[E, R any](ctx context.Context, u *usual, ev E,
	invoke func(context.Context, E) (R, error), kill func(context.Context, E, time.Duration) (R, error),
) (R, error) {
	if d := of(ctx); d != nil {
		after := time.Duration(d.share * float64(u.Load()))
		d.log.InfoContext(ctx, "invocation to be killed", append(d.note, "after", after.String())...)
		return kill(ctx, ev, after)
	}
	began := time.Now()
	r, err := invoke(ctx, ev)
	if err == nil {
		was := u.Load()
		u.Store(was + (int64(time.Since(began))-was)/8) // that one may be lost of two at a time is no harm
	}
	return r, err
}
