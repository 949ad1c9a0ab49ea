package client

import (
	"fmt"
	"time"
)

// handle takes frames that came together on k. What may be sent then goes
// together, too.
func (c *Client) handle(k *connection, frames []frame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	k.heard, k.asked = now, time.Time{}
	c.corks++
	for _, f := range frames {
		c.take(k, f, now)
	}
	c.corks--
	c.inquire(now)
	c.pump(now)
}

// take takes a frame that came on k. The lock is held.
func (c *Client) take(k *connection, f frame, now time.Time) {
	switch f.Type {
	case typeOpen:
		k.opened(f)
	case typeWelcome:
		c.welcome(k, f, now)
	case typeMessage, typeVoid, typeLost, typeReplayed:
		c.numbered(k, f, now)
	case typeStored:
		if k == c.current {
			c.outbox.stored(f.ID, now)
		}
	case typeAck:
		c.finish(f.ID, 0, nil, now) // true on whatever connection it comes
	case typeError:
		c.fail(k, f, now)
	case typeIce:
		c.ice.take(f, now)
	case typePresence:
		c.hearPresence(k, f, now)
	case typeSuperseded:
		switch {
		case k == c.current && c.opening:
			c.doubtful = true
		case k == c.current || !k.welcomed:
			c.endLocked(ErrSuperseded)
			c.cancel()
		}
	}
}

// opened notes the limits that the server tells.
func (k *connection) opened(f frame) {
	k.id, k.idle = f.Connection, time.Duration(f.Idle)*time.Second
	if f.MaxInFlight > 0 {
		k.window = f.MaxInFlight
	}
	if f.MaxPayload > 0 {
		k.client.payload = f.MaxPayload
	}
	k.maxWatched = f.MaxWatched
	k.out.Lock()
	k.maxBatch = f.MaxBatch
	k.out.Unlock()
}

// welcome makes k the current connection.
func (c *Client) welcome(k *connection, f frame, now time.Time) {
	if k.welcomed || c.err != nil {
		return
	}
	if c.user != "" && c.user != f.User {
		// Another name: to send again would be to send as somebody else.
		for _, m := range c.outbox.abandon(false) {
			m.tell(fmt.Errorf("the user is %q now: %w", f.User, ErrUnknown))
		}
	}
	before := c.current
	lost := before == nil && c.user != "" && !c.doubtful // rather than replaced
	c.user, c.current, c.opening, c.doubtful = f.User, k, false, false
	k.welcomed, k.since = true, now
	if before != nil {
		c.others++
	} else {
		close(c.online)
		c.changed(StateConnected, nil)
	}
	c.arrive(c.inbox.welcome(f.standing(), c.others == 0, now))
	c.takeEarly(k, now)
	c.outbox.rewind()
	if !f.Resumed {
		c.outbox.fill(k.first)
	}
	if lost {
		c.outbox.grace = newGrace(c.outbox.all(), now.Add(c.options.Grace), c.options.AckTimeout)
	}
	c.ice.take(f, now)
	c.rewatch(now)
	c.due(k.nextPing())
	c.options.Log.Debug("connected", "user", c.user, "connection", k.id, "resumed", f.Resumed)
	close(k.up)
}

// fail takes an error of the server's.
func (c *Client) fail(k *connection, f frame, now time.Time) {
	e := &Error{f.Code, f.Text}
	switch {
	case f.Closing:
		k.refusal = e
		ended := k.welcomed && e.Code == CodeToken && c.options.TokenSource != nil // there may be another one
		if e.Code.final() && !ended && (k == c.current || !k.welcomed) {
			c.endLocked(e)
			c.cancel()
		}
	case f.User != "" && c.failWatch(f.User, e):
	case f.ID == 0:
		c.answerQuery(k, "", false, e)
	case k == c.current && e.Code != CodeNobody && e.Code != CodeToken:
		c.finish(f.ID, e.Code, e, now)
	}
	// Otherwise it is about the connection, which has ended or is about to: the next
	// one asks again.
}

// lost is told that nothing more comes from k, and why.
func (c *Client) lost(k *connection, why error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	switch {
	case k.refusal != nil:
		k.ending = k.refusal
	case k.ending == nil:
		k.ending = why
	}
	c.takeEarly(k, now) // what was posted before a welcome that did not come
	switch {
	case k == c.current:
		c.current = nil
		c.online = make(chan struct{})
		c.inbox.lost()
		c.due(c.inbox.deadline())
		if c.err == nil {
			c.changed(StateReconnecting, k.ending)
		}
	case k.welcomed:
		if c.others--; c.others == 0 {
			c.arrive(c.inbox.onlyNewest())
		}
	}
	c.options.Log.Debug("connection ended", "user", c.user, "connection", k.id, "error", k.ending)
}
