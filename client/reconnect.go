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
	return time.Duration((0.9 + random/10) * float64(age))
}

// reconnect is the connection after old, nil if the client has ended. Where old
// is still up, it takes over from it.
func (c *Client) reconnect(old *connection, wait *backoff) *connection {
	for try := 0; ; try++ {
		if (try > 0 || old.isDone()) && !c.sleep(wait.next(c.options.random())) {
			return nil
		}
		ctx, cancel := context.WithTimeout(c.life, dialWithin)
		k, err := c.dial(ctx, old.id)
		cancel()
		if err == nil {
			c.run(old.linger)
			return k
		}
		if c.why() != nil {
			return nil
		}
		c.options.Log.Debug("connect failed", "user", c.User(), "error", err)
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
