package client

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// stayConnected replaces a connection by the next, before its time is over or
// when it is lost, until the client ends.
func (c *Client) stayConnected(k *connection) {
	wait := backoff{min: c.options.MinBackoff, max: c.options.MaxBackoff}
	for k != nil {
		c.awaitReceivers(k)
		renew := time.NewTimer(renewAfter(c.options.RenewAfter, rand.Float64()))
		select {
		case <-k.done:
			wait.lasted(time.Since(k.since))
		case <-renew.C:
		case <-c.ended:
			renew.Stop()
			return
		}
		renew.Stop()
		k = c.reconnect(k, &wait)
	}
}

// renewAfter spreads the renewals of connections that were made together.
func renewAfter(age time.Duration, random float64) time.Duration {
	return age - time.Duration(random*float64(age)/10)
}

// reconnect is the connection after old, nil if the client has ended. Where old
// is still up, it takes over from it.
func (c *Client) reconnect(old *connection, wait *backoff) *connection {
	for try := 0; ; try++ {
		if (try > 0 || old.isDone()) && !c.sleep(wait.next(rand.Float64())) {
			return nil
		}
		k, err := c.redial(old)
		if err == nil {
			c.work.Go(func() { old.linger() })
			return k
		}
		if c.why() != nil {
			return nil
		}
		c.options.Log.Debug("connect failed", "user", c.User(), "error", err)
	}
}

func (c *Client) redial(old *connection) (*connection, error) {
	ctx, cancel := context.WithTimeout(c.life, dialWithin)
	defer cancel()
	c.replacing(old, true)
	k, err := c.dial(ctx, old.id)
	if isRefused(err) {
		c.replacing(old, false)
	}
	return k, err
}

// replacing notes that another connection may have taken over from k.
func (c *Client) replacing(k *connection, may bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k.replaced = may
}

// linger reads what still comes on a connection that was replaced.
func (k *connection) linger() {
	t := time.NewTimer(lingerWithin)
	defer t.Stop()
	select {
	case <-k.done:
	case <-t.C:
		k.cancel()
	}
}

func (k *connection) isDone() bool {
	select {
	case <-k.done:
		return true
	default:
		return false
	}
}

// sleep waits, and reports false if the client ends meanwhile.
func (c *Client) sleep(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return c.why() == nil
	case <-c.ended:
		return false
	}
}

// How often presence is asked for while receivers are waited for.
const (
	pollFirst = 100 * time.Millisecond
	pollMost  = time.Second
)

// awaitReceivers waits, where the server has forgotten the session, until those
// are back to whom something is to be sent again: a server that has forgotten
// one client has usually lost them all. Then, or when the grace is over, messages
// go out.
func (c *Client) awaitReceivers(k *connection) {
	c.mu.Lock()
	var missing []string
	if c.current == k && !c.ready {
		missing = c.outbox.receivers()
	}
	c.mu.Unlock()
	if missing == nil {
		return
	}
	ctx, cancel := context.WithTimeout(k.life, c.options.Grace)
	defer cancel()
	for pause := pollFirst; len(missing) > 0; pause = min(2*pause, pollMost) {
		online, err := c.isOnline(ctx, missing[0])
		_, answered := errors.AsType[*Error](err)
		switch {
		case online:
			missing, pause = missing[1:], pollFirst/2
			continue
		case err != nil && !answered:
			missing = nil // the grace is over, or the connection
			continue
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
		}
		t.Stop()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current == k {
		c.ready = true
		c.pump(time.Now())
	}
}
