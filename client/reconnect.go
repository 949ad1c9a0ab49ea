package client

import (
	"context"
	"time"
)

// stayConnected replaces a connection by the next, before its time is over or
// when it is lost, until the client ends.
func (c *Client) stayConnected(k *connection) {
	wait := backoff{min: c.options.MinBackoff, max: c.options.MaxBackoff}
	for k != nil {
		renew := time.NewTimer(renewAfter(c.options.RenewAfter, c.options.random()))
		select {
		case <-k.done:
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
	return time.Duration((0.9 + random/10) * float64(age))
}

// reconnect is the connection after old, nil if the client has ended. Where old
// is still up, it takes over from it; if that is lost meanwhile, waits begin anew.
func (c *Client) reconnect(old *connection, wait *backoff) *connection {
	up, pause := old.done, time.Duration(0)
	for {
		if up != nil && old.isDone() {
			up = nil
			wait.ended(time.Since(old.since))
			pause = wait.next(c.options.random())
		}
		if !c.sleep(pause, up) {
			return nil
		}
		if up != nil && old.isDone() {
			continue
		}
		ctx, cancel := context.WithTimeout(c.life, dialWithin)
		k, err := c.dial(ctx, old.id)
		cancel()
		if err == nil {
			if wait.failed = 0; up != nil {
				wait.ended(time.Since(old.since))
			}
			c.run(old.linger)
			return k
		}
		if c.Err() != nil {
			return nil
		}
		c.failed(err)
		pause = wait.next(c.options.random())
	}
}

// failed notes that an attempt to connect has failed.
func (c *Client) failed(why error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.options.Log.Debug("connect failed", "user", c.user, "error", why)
	if c.current == nil && c.err == nil {
		c.changed(StateReconnecting, why)
	}
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

// sleep waits, or until then if that is earlier, and reports false if the client
// ends meanwhile.
func (c *Client) sleep(d time.Duration, until <-chan struct{}) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return c.Err() == nil
	case <-until:
		return c.Err() == nil
	case <-c.ended:
		return false
	}
}
