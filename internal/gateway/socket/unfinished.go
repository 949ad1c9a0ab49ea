package socket

import (
	"container/list"
	"sync"
)

// unfinished are the readers that wait for the rest of a message, longest first. Past max bytes the one that has waited for
// longest is cut off: whoever sends as it comes is done before those who hold back.
type unfinished struct {
	max int

	mu     sync.Mutex // protects what follows
	queue  list.List  // of *reader
	bytes  int        // what they hold
	cutOff int64      // connections
}

// wait notes that r waits, and cuts off who must give way, which may be r.
func (u *unfinished) wait(r *reader) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if r.place == nil {
		r.place = u.queue.PushBack(r)
	}
	held := readAhead + cap(r.frames.message)
	u.bytes += held - r.held
	r.held = held
	for u.bytes > u.max {
		oldest := u.queue.Front().Value.(*reader)
		u.remove(oldest)
		u.cutOff++
		oldest.c.wire.abort()
	}
}

// done notes that r waits no more.
func (u *unfinished) done(r *reader) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if r.place != nil {
		u.remove(r)
	}
}

func (u *unfinished) remove(r *reader) {
	u.queue.Remove(r.place)
	u.bytes -= r.held
	r.place, r.held = nil, 0
}

// CutOff returns how many connections were closed because too much had to be kept of unfinished messages.
func (e *Engine) CutOff() int64 {
	e.unfinished.mu.Lock()
	defer e.unfinished.mu.Unlock()
	return e.unfinished.cutOff
}
