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
		p, ok, err := wait(ctx, c, k, c.ask(k, user))
		switch {
		case err != nil:
			return false, err
		case ok:
			return p.online, p.err
		}
	}
}

// wait waits for an answer on k. Without one it may be asked for again, as long as there
// is no error.
func wait[T any](ctx context.Context, c *Client, k *connection, answers <-chan T) (answer T, ok bool, err error) {
	again := time.NewTimer(c.options.AckTimeout)
	defer again.Stop()
	select {
	case answer = <-answers:
		return answer, true, nil
	case <-k.done:
	case <-again.C: // an invocation may have died
	case <-c.ended:
		err = c.Err()
	case <-ctx.Done():
		err = ctx.Err()
	}
	return answer, false, err
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

// hearPresence takes what the server says on k of a user: an answer, or a change. The
// lock is held.
func (c *Client) hearPresence(k *connection, f frame, now time.Time) {
	switch {
	case f.Watched == nil:
		c.answerQuery(k, f.User, f.Online, nil)
		if k == c.current {
			c.outbox.grace.presence(f.User, f.Online, now)
		}
	case *f.Watched:
		c.watched(k, f)
	}
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
