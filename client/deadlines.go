package client

import (
	"errors"
	"time"
)

// meetDeadlines does what is due at some time, until the client ends.
func (c *Client) meetDeadlines() {
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-c.soon:
		case <-c.ended:
			return
		}
		t.Reset(c.tick(time.Now()))
	}
}

// due says that something is due then, unless at is zero. The lock is held.
func (c *Client) due(at time.Time) {
	if !at.IsZero() && (c.armed.IsZero() || at.Before(c.armed)) {
		c.armed = at
		poke(c.soon)
	}
}

// idleTick is when meetDeadlines looks if nothing is due.
const idleTick = time.Hour

// tick does what is due, and says how long until the next thing is.
func (c *Client) tick(now time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.armed = time.Time{}
	defer func() { unpoke(c.soon) }() // what was armed here is in the answer
	k := c.current
	if k != nil && k.stalled.Load() { // there is something to read
		k.heard, k.asked = now, time.Time{}
		c.inbox.hold(now)
	}
	c.arrive(c.inbox.expire(now))
	if k != nil {
		c.tend(k, now)
	}
	if c.armed.IsZero() {
		return idleTick
	}
	return c.armed.Sub(now)
}

// tend sees to it that the connection is alive and what is unanswered is asked
// again.
func (c *Client) tend(k *connection, now time.Time) {
	if !k.asked.IsZero() && !now.Before(c.deadAt(k)) {
		k.ending = errSilent
		k.cancel()
		return
	}
	late := c.outbox.overdue(now)
	frames := make([]outFrame, len(late))
	for i, m := range late {
		frames[i] = m.frame()
	}
	k.ask(now, frames...)
	if g := c.outbox.grace; g != nil && !now.Before(g.until) {
		c.outbox.grace = nil
	}
	c.inquire(now)
	c.renewWatches(now)
	c.pump(now)
	if k.asked.IsZero() && !now.Before(k.nextPing()) {
		k.ask(now, pingFrame)
	}
	c.due(c.outbox.deadline())
	if k.asked.IsZero() {
		c.due(k.nextPing())
	} else {
		c.due(c.deadAt(k))
	}
}

// errSilent ends a connection that is dead without a word.
var errSilent = errors.New("the server did not answer")

// silence is how many AckTimeouts a connection may owe an answer and say nothing.
const silence = 3

// deadAt is when the connection, which owes an answer, is given up.
func (c *Client) deadAt(k *connection) time.Time {
	return k.asked.Add(silence * c.options.AckTimeout)
}

// nextPing is when the connection has been silent for long enough.
func (k *connection) nextPing() time.Time {
	beat := k.client.options.Heartbeat
	if k.idle > 0 {
		beat = min(beat, k.idle/4)
	}
	return k.heard.Add(beat)
}
