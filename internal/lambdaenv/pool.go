package lambdaenv

import (
	"context"
	"maps"
	"slices"
	"time"
)

// place gives an invocation to a free environment, or to a new one. ErrThrottled if there are as many as may be, and
// none of them is free or about to be.
func (f *Function) place(ctx context.Context, inv *invocation) error {
	patience := time.NewTimer(settleTime)
	defer patience.Stop()
	for waited := false; ; {
		e, changed, err := f.take(!waited)
		switch {
		case err != nil:
			return err
		case e != nil && e.deliver(inv):
			return nil
		case e != nil: // has ended meanwhile
			continue
		}
		select {
		case <-changed:
		case <-patience.C:
			waited = true
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// take returns an environment for one invocation, free or not yet started; or, if it may wait and there is something to
// wait for, the channel that is closed on the next change.
func (f *Function) take(mayWait bool) (*environment, <-chan struct{}, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, nil, ErrClosed
	}
	if last := len(f.free) - 1; last >= 0 {
		e := f.free[last]
		f.free = f.free[:last]
		return e, nil, nil
	}
	if mayWait && len(f.settling) > 0 {
		return nil, f.changed, nil
	}
	if len(f.environments) >= f.config.MaxConcurrency {
		return nil, nil, ErrThrottled
	}
	e := newEnvironment(f)
	f.environments[e] = struct{}{}
	return e, nil, nil
}

// settle says that an environment has answered its invocation and will be free soon.
func (f *Function) settle(e *environment) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.environments[e]; ok {
		f.settling[e] = struct{}{}
	}
}

// release says that an environment is free.
func (f *Function) release(e *environment) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.settling, e)
	if _, ok := f.environments[e]; ok {
		f.free = append(f.free, e)
	}
	f.change()
}

// remove says that an environment has ended.
func (f *Function) remove(e *environment) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.settling, e)
	delete(f.environments, e)
	f.free = slices.DeleteFunc(f.free, func(other *environment) bool { return other == e })
	f.change()
}

// idle reports whether all environments are free, and gives the channel that is closed on the next change.
func (f *Function) idle() (bool, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.free) == len(f.environments), f.changed
}

// shut lets nobody in any more, and returns the environments there are.
func (f *Function) shut() []*environment {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	f.change()
	return slices.Collect(maps.Keys(f.environments))
}

// change wakes everybody in place. f.mu is held.
func (f *Function) change() {
	close(f.changed)
	f.changed = make(chan struct{})
}
