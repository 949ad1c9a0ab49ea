package extension

import (
	"context"
	"sync"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"
)

// invocation is where the two sides of one invocation meet: the handler, called by the runtime's loop, and the INVOKE
// event, taken by Run. Lambda sends both at once, so either may come first; whoever does opens it.
type invocation struct {
	begin  sync.Once
	begun  chan struct{}   // closed when the handler begins
	values context.Context // the handler's context without its end: trace and request id; set when begun is closed

	finish   func()        // closes finished; again is harmless
	finished chan struct{} // closed when the response is out, or the handler failed
}

// invocation returns the one with this request id, and opens it if this is the first sign of it.
func (e *Extension) invocation(requestID string) *invocation {
	e.mu.Lock()
	defer e.mu.Unlock()
	inv, ok := e.invocations[requestID]
	if !ok {
		inv = &invocation{begun: make(chan struct{}), finished: make(chan struct{})}
		inv.finish = sync.OnceFunc(func() { close(inv.finished) })
		e.invocations[requestID] = inv
	}
	return inv
}

// forget ends an invocation. Lambda may use its id again, for the retry of an asynchronous invocation.
func (e *Extension) forget(requestID string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.invocations, requestID)
}

// begin is the handler's side: the invocation of ctx has reached the handler.
func (e *Extension) begin(ctx context.Context) *invocation {
	var requestID string
	if lc, ok := lambdacontext.FromContext(ctx); ok {
		requestID = lc.AwsRequestID
	}
	inv := e.invocation(requestID)
	inv.begin.Do(func() {
		inv.values = context.WithoutCancel(ctx)
		close(inv.begun)
	})
	return inv
}

// awaitBegin waits until the handler has begun, no longer than until end: aws-lambda-go answers an invocation with bad
// metadata (deadline, client context, identity) by itself, and no handler ever begins.
func (inv *invocation) awaitBegin(ctx context.Context, end time.Time) bool {
	timer := time.NewTimer(time.Until(end))
	defer timer.Stop()
	select {
	case <-inv.begun:
		return true
	case <-ctx.Done():
		return false
	case <-timer.C:
	}
	select {
	case <-inv.begun: // both, at the end of an event that came late
		return true
	default:
		return false
	}
}

// awaitFinish waits until the handler is done. There is no limit: a handler that runs into the function's timeout is
// ended by Lambda, together with the process.
func (inv *invocation) awaitFinish(ctx context.Context) bool {
	select {
	case <-inv.finished:
		return true
	case <-ctx.Done():
		return false
	}
}
