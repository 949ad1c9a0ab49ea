package extension

import (
	"context"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"
)

// Margin is how long before the deadline of the invocation the context of its work ends: time to return, and to tell
// Lambda so. An environment that is not done at the deadline is ended by Lambda, and the next invocation starts cold.
const Margin = 250 * time.Millisecond

// Go leaves work to be run once the response of the current invocation is out. The environment takes no other
// invocation before the work returns.
//
// The work's context has the values of the handler's (request id, trace), and ends [Margin] before the deadline of the
// invocation; when it has ended already, because the handler took all the time, the work is called nevertheless. Work
// that does not heed its context is ended by Lambda, together with the process. Pieces of work run at the same time,
// each in its own goroutine; a panic in one is logged and does nothing else. Work that calls Go is followed by the work
// it left. Work left outside of an invocation waits for the next one's response.
//
// The response has reached Lambda then, not the client: what goes to the connection that a $connect handler just
// accepted can be too early and has to be tried again. A handler that returns an error has its work started with the
// return. The work of a handler that panics is dropped, because the process is about to exit.
func (e *Extension) Go(work func(ctx context.Context)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.scheduled = append(e.scheduled, work)
}

// takeScheduled returns the work left since the last call.
func (e *Extension) takeScheduled() []func(context.Context) {
	e.mu.Lock()
	defer e.mu.Unlock()
	works := e.scheduled
	e.scheduled = nil
	return works
}

// runScheduled runs all work, and what that leaves, until there is none. Its context has the values of values and ends
// with ctx, or at end.
func (e *Extension) runScheduled(ctx, values context.Context, end time.Time) {
	workContext, cancel := context.WithDeadline(values, end)
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	for works := e.takeScheduled(); len(works) > 0; works = e.takeScheduled() {
		var running sync.WaitGroup
		for _, work := range works {
			running.Go(func() { runSafely(workContext, work) })
		}
		running.Wait()
	}
}

// dropScheduled drops the work of a handler that panicked.
func (e *Extension) dropScheduled() {
	if works := e.takeScheduled(); len(works) > 0 {
		slog.Warn("work after the response dropped: the handler panicked", "extension", e.name, "pieces", len(works))
	}
}

func runSafely(ctx context.Context, work func(context.Context)) {
	defer func() {
		if value := recover(); value != nil {
			slog.ErrorContext(ctx, "work after the response panicked", "panic", value, "stack", string(debug.Stack()))
		}
	}()
	work(ctx)
}
