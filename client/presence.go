package client

import (
	"context"
	"fmt"
	"time"
)

// query is presence that is asked for.
type query struct {
	on     *connection
	user   string
	answer chan<- presence // has room for one
}

type presence struct {
	online bool
	err    error
}

// Presence reports whether a user is online, that is, whether a connection owns
// the name. While there is no connection it waits for one, for as long as ctx
// allows. Calls take turns: an answer tells the user, and an error does not.
func (c *Client) Presence(ctx context.Context, user string) (bool, error) {
	err := checkUser(user)
	if err == nil {
		var online bool
		if online, err = c.isOnline(ctx, user); err == nil {
			return online, nil
		}
	}
	return false, fmt.Errorf("ask for the presence of %q: %w", user, err)
}

func (c *Client) isOnline(ctx context.Context, user string) (bool, error) {
	select {
	case c.asking <- struct{}{}:
		defer func() { <-c.asking }()
	case <-ctx.Done():
		return false, ctx.Err()
	}
	for {
		k, err := c.connected(ctx)
		if err != nil {
			return false, err
		}
		again := time.NewTimer(c.options.AckTimeout)
		select {
		case p := <-c.ask(k, user):
			again.Stop()
			return p.online, p.err
		case <-k.done:
		case <-again.C: // an invocation may have died
		case <-c.ended:
			again.Stop()
			return false, c.Err()
		case <-ctx.Done():
			again.Stop()
			return false, ctx.Err()
		}
		again.Stop()
	}
}

// connected is the current connection, once there is one.
func (c *Client) connected(ctx context.Context) (*connection, error) {
	for {
		c.mu.Lock()
		k, online := c.current, c.online
		c.mu.Unlock()
		if k != nil {
			return k, nil
		}
		select {
		case <-online:
		case <-c.ended:
			return nil, c.Err()
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (c *Client) ask(k *connection, user string) <-chan presence {
	c.mu.Lock()
	defer c.mu.Unlock()
	answer := make(chan presence, 1)
	c.query = &query{k, user, answer}
	k.ask(time.Now(), presenceFrame(user))
	return answer
}

// answerQuery answers what is asked for on k: an error names no user. The lock is
// held.
func (c *Client) answerQuery(k *connection, user string, online bool, err *Error) {
	q := c.query
	if q == nil || q.on != k || err == nil && q.user != user {
		return
	}
	c.query = nil
	if err != nil {
		q.answer <- presence{err: err}
		return
	}
	q.answer <- presence{online: online}
}
