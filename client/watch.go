package client

import (
	"context"
	"fmt"
	"iter"
	"time"
)

// watch is a user who is watched, by one or more.
type watch struct {
	watchers map[*watcher]struct{}
	last     int64 // when the user last came or went, by the server's count
	online   bool
	known    bool      // whether last and online are
	due      time.Time // when the server is asked to watch; zero: it does
	repeats  int       // how often it was, on this connection
}

// watcher is whoever looks. Its fields are protected by the client's lock.
type watcher struct {
	online bool
	news   bool  // since it has looked
	err    error // there is no more
	poked  chan struct{}
}

// Watch returns an iterator over whether a user is online: as it is, and then each time
// that the user comes or goes. Who is slow sees the latest state alone. Its last pair
// has the error, if the loop is not left before: that of ctx, why the client has ended, or
// an [*Error], with [CodeBusy] if this client watches as many users as the server
// allows (64), [CodeNobody] if it may not watch, and [CodeUnsupported] if nobody may.
//
// The watch outlasts connections: on each new one the server is asked again. It ends
// with the loop.
func (c *Client) Watch(ctx context.Context, user string) iter.Seq2[bool, error] {
	return func(yield func(bool, error) bool) {
		w, err := c.beginWatch(user)
		if err == nil {
			defer c.endWatch(user, w)
		}
		for {
			online := false
			if err == nil {
				online, err = c.look(ctx, w)
			}
			if err != nil {
				yield(false, fmt.Errorf("watch %q: %w", user, err))
				return
			}
			if !yield(online, nil) {
				return
			}
		}
	}
}

func (c *Client) beginWatch(user string) (*watcher, error) {
	if err := checkUser(user); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	w, now := &watcher{poked: make(chan struct{}, 1)}, time.Now()
	u := c.watches[user]
	if u == nil {
		u = &watch{watchers: make(map[*watcher]struct{}), due: now}
		c.watches[user] = u
	}
	u.watchers[w] = struct{}{}
	if u.known {
		w.tell(u.online, nil)
	}
	c.renewWatches(now)
	return w, nil
}

// endWatch ends the watch of the user if nobody looks any more.
func (c *Client) endWatch(user string, w *watcher) {
	c.mu.Lock()
	defer c.mu.Unlock()
	u := c.watches[user]
	if u == nil {
		return
	}
	if delete(u.watchers, w); len(u.watchers) > 0 {
		return
	}
	delete(c.watches, user)
	if c.current != nil && c.err == nil {
		c.current.ask(time.Now(), unwatchFrame(user))
	}
}

// look waits until there are news.
func (c *Client) look(ctx context.Context, w *watcher) (online bool, err error) {
	for {
		c.mu.Lock()
		online, news, err := w.online, w.news, w.err
		if w.news = false; !news && err == nil {
			err = c.err
		}
		c.mu.Unlock()
		switch {
		case news:
			return online, nil
		case err != nil:
			return false, err
		}
		select {
		case <-w.poked:
		case <-c.ended:
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

// tell tells what is new. The client's lock is held.
func (w *watcher) tell(online bool, err error) {
	w.online, w.news, w.err = online, err == nil, err
	poke(w.poked)
}

// rewatch has the server asked for all watches on a new connection. The lock is held.
func (c *Client) rewatch(now time.Time) {
	for _, u := range c.watches {
		u.due, u.repeats = now, 0
	}
	c.renewWatches(now)
}

// renewWatches asks the server to watch, where that is due. The lock is held.
func (c *Client) renewWatches(now time.Time) {
	k := c.current
	if k == nil || c.err != nil {
		return
	}
	for user, u := range c.watches {
		switch {
		case u.due.IsZero():
			continue
		case k.maxWatched == 0:
			c.failWatch(user, &Error{Code: CodeUnsupported, Text: "the server does not let clients watch users"})
			continue
		case !now.Before(u.due):
			k.ask(now, watchFrame(user))
			u.due = now.Add(c.options.AckTimeout << min(u.repeats, maxDoubled))
			u.repeats++
		}
		c.due(u.due)
	}
}

// watched takes what the server says on k of a user who is watched. The lock is held.
func (c *Client) watched(k *connection, f frame) {
	u := c.watches[f.User]
	if u == nil {
		return
	}
	if k == c.current {
		u.due = time.Time{}
	}
	if u.known && f.At <= u.last {
		return
	}
	u.last, u.online, u.known = f.At, f.Online, true
	for w := range u.watchers {
		w.tell(u.online, nil)
	}
}

// failWatch ends the watch of a user, and reports whether there was one. The lock is
// held.
func (c *Client) failWatch(user string, err error) bool {
	u := c.watches[user]
	if u == nil {
		return false
	}
	delete(c.watches, user)
	for w := range u.watchers {
		w.tell(false, err)
	}
	return true
}
