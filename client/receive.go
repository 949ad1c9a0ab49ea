package client

import (
	"context"
	"fmt"
	"iter"
	"time"
)

// Receive returns the next message for this user, in the order in which the
// server has routed them. Once the client has ended, and everything was
// received, the error is [ErrClosed], [ErrSuperseded], or wraps the [*Error] by
// which the server refused the client; that of ctx ends only this call.
//
// Messages that nobody receives are kept, up to 1024. Past that, the client
// stops reading from the server, and acks wait, too.
func (c *Client) Receive(ctx context.Context) (Message, error) {
	for {
		if m, ok, err := c.next(); ok || err != nil {
			return m, err
		}
		select {
		case <-c.arrived:
		case <-c.ended:
		case <-ctx.Done():
			return Message{}, fmt.Errorf("receive: %w", ctx.Err())
		}
	}
}

// Messages returns an iterator over what [Client.Receive] returns. Its last pair has
// the error: that of ctx, or why the client has ended.
func (c *Client) Messages(ctx context.Context) iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) {
		for {
			m, err := c.Receive(ctx)
			if !yield(m, err) || err != nil {
				return
			}
		}
	}
}

// next is the next message, if there is one.
func (c *Client) next() (Message, bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.received) == 0 {
		return Message{}, false, c.err
	}
	m := c.received[0]
	c.received[0] = Message{} // let go of its data
	if c.received = c.received[1:]; len(c.received) > 0 {
		poke(c.arrived) // for another one who waits
	}
	<-c.slots
	return m, true, nil
}

// arrive hands over what the inbox has released. The lock is held.
func (c *Client) arrive(a arrivals) {
	for range a.dropped {
		<-c.slots
	}
	if c.options.OnGap != nil {
		for _, g := range a.gaps {
			c.notice(func() { c.options.OnGap(g) })
		}
	}
	if len(a.messages) > 0 {
		c.received = append(c.received, a.messages...)
		poke(c.arrived)
	}
	c.due(c.inbox.deadline())
}

// numbered takes a message that came on k, or what the server says of some. Of an
// epoch that is not known it waits for the welcome. The lock is held.
func (c *Client) numbered(k *connection, f frame, now time.Time) {
	if k.welcomed || f.Epoch == c.inbox.epoch {
		c.arrive(c.inbox.take(f, now))
	} else if f.Type == typeMessage || len(k.early) < maxUnreceived {
		k.early = append(k.early, f)
	}
}

// takeEarly takes what waits for a welcome on k. The lock is held.
func (c *Client) takeEarly(k *connection, now time.Time) {
	for _, f := range k.early {
		c.arrive(c.inbox.take(f, now))
	}
	k.early = nil
}

// inquire asks the server for what is missing, if that is due. The lock is held.
func (c *Client) inquire(now time.Time) {
	if q, ok := c.inbox.ask(now); ok && c.current != nil {
		c.current.ask(now, recoverFrame(c.inbox.epoch, q))
	}
	c.due(c.inbox.deadline())
}

// poke leaves an element in a channel of one.
func poke(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// unpoke takes the element out, if there is one.
func unpoke(c <-chan struct{}) {
	select {
	case <-c:
	default:
	}
}
