package gateway

import (
	"context"
	"sync"
	"time"
)

// deadline is a context that ends at a time, or with its parent, and has a timer only if somebody waits for that: most
// invocations that are over in microseconds never do.
type deadline struct {
	context.Context // the parent

	began  time.Time
	within time.Duration
	mu     sync.Mutex         // protects what follows
	waited context.Context    // nil: nobody waits
	cancel context.CancelFunc // of that; not nil once the invocation is over
}

// withDeadline is a context for one invocation. release it when that is over.
func withDeadline(parent context.Context, began time.Time, within time.Duration) *deadline {
	return &deadline{Context: parent, began: began, within: within}
}

// Deadline implements context.Context.
func (d *deadline) Deadline() (time.Time, bool) { return d.began.Add(d.within), true }

// Done implements context.Context.
func (d *deadline) Done() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.waited == nil {
		d.waited, d.cancel = context.WithDeadline(d.Context, d.began.Add(d.within))
	}
	return d.waited.Done()
}

// Err implements context.Context.
func (d *deadline) Err() error {
	if err := d.present().Err(); err != nil || time.Since(d.began) < d.within {
		return err
	}
	return context.DeadlineExceeded
}

// Value implements context.Context. Derived contexts ask their parent for more than values, so it is to be the one that
// can be waited for.
func (d *deadline) Value(key any) any { return d.present().Value(key) }

// present returns the context that can be waited for, or the parent if nobody waits.
func (d *deadline) present() context.Context {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.waited != nil {
		return d.waited
	}
	return d.Context
}

// release ends the context.
func (d *deadline) release() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cancel == nil {
		d.waited, d.cancel = canceled, func() {}
	}
	d.cancel()
}

var canceled = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()
