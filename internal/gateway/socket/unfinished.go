package socket

import (
	"container/list"
	"net/netip"
	"sync"
)

// unfinished are the readers that wait for the rest of a message, longest first. Past max bytes one is cut off: of the source
// for which most is held the one that has waited for longest. So nobody has to give way to a source that holds more, and
// whoever sends as it comes is done before those who hold back.
type unfinished struct {
	max int

	mu     sync.Mutex           // protects what follows
	queue  list.List            // of *reader
	bytes  int                  // what they hold
	from   map[netip.Prefix]int // the same of each source
	cutOff int64                // connections
}

// wait notes that r waits, and cuts off who must give way, which may be r.
func (u *unfinished) wait(r *reader) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if r.cut {
		return
	}
	if r.place == nil {
		r.place = u.queue.PushBack(r)
	}
	u.hold(r, readAhead+cap(r.frames.message))
	for u.bytes > u.max {
		heaviest := u.heaviest()
		u.remove(heaviest)
		heaviest.cut = true
		u.cutOff++
		heaviest.c.wire.abort()
	}
}

// heaviest returns the oldest of the source for which most is held.
func (u *unfinished) heaviest() (found *reader) {
	most := 0
	for e := u.queue.Front(); e != nil; e = e.Next() {
		if r := e.Value.(*reader); u.from[r.c.source] > most {
			most, found = u.from[r.c.source], r
		}
	}
	return found
}

func (u *unfinished) hold(r *reader, bytes int) {
	u.bytes += bytes - r.held
	u.from[r.c.source] += bytes - r.held
	if r.held = bytes; u.from[r.c.source] == 0 {
		delete(u.from, r.c.source)
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
	u.hold(r, 0)
	r.place = nil
}

// CutOff returns how many connections were closed because too much had to be kept of unfinished messages.
func (e *Engine) CutOff() int64 {
	e.unfinished.mu.Lock()
	defer e.unfinished.mu.Unlock()
	return e.unfinished.cutOff
}
