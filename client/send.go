package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"
)

// maxUserName is the longest name of a user, in bytes (docs/protocol.md).
const maxUserName = 256

// maxQueued is how many messages may wait for room in the window, or for a
// connection.
const maxQueued = 4096

// Send sends data to a user and returns nil once the service has accepted it
// for a live connection of that user. A [json.RawMessage] is sent byte for
// byte, anything else as [json.Marshal] makes it. While there is no connection
// Send waits for one, for as long as ctx allows.
//
// An error that wraps a [*Error] is the server's; [ErrTooLarge] is for more than
// the server takes, some 128 KB; ctx's own ends the wait, not the message, if
// that is on its way. Whether it may have been delivered all the same, tells
// errors.Is(err, [ErrUnknown]).
func (c *Client) Send(ctx context.Context, to string, data any) error {
	return c.Queue(to, data)(ctx)
}

// Queue is Send in two steps: what is queued first arrives first, and the
// function that it returns waits for the answer. So many messages can be under
// way in order. As many as the server allows are in flight; at most 4096 others
// wait, and what exceeds that fails with [ErrQueueFull]. The message is sent
// whether or not its answer is waited for, which may be done once.
func (c *Client) Queue(to string, data any) (wait func(context.Context) error) {
	m, answer, err := c.queue(to, data)
	return func(ctx context.Context) error {
		if err == nil {
			err = c.await(ctx, m, answer)
		}
		if err != nil {
			return fmt.Errorf("send to %q: %w", to, err)
		}
		return nil
	}
}

// Together calls f, and then sends what that has queued ([Client.Queue]) at once, in
// as few frames as it fits into. Nothing is sent meanwhile, so f may not wait for
// an answer.
func (c *Client) Together(f func()) {
	c.cork(1)
	defer c.cork(-1)
	f()
}

// cork changes how many want that nothing is sent yet.
func (c *Client) cork(by int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.corks += by
	c.pump(time.Now())
}

func (c *Client) queue(to string, data any) (*outgoing, <-chan error, error) {
	if err := checkUser(to); err != nil {
		return nil, nil, err
	}
	body, err := encode(data)
	if err != nil {
		return nil, nil, err
	}
	answer := make(chan error, 1)
	m := &outgoing{to: to, data: body, answer: answer}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.err != nil:
		return nil, nil, c.err
	case frameSize(quoted(to), body) > c.payload:
		return nil, nil, ErrTooLarge
	case c.outbox.waiting.Len() >= maxQueued:
		return nil, nil, ErrQueueFull
	}
	c.outbox.add(m)
	c.pump(time.Now())
	return m, answer, nil
}

// await waits for the answer to a message.
func (c *Client) await(ctx context.Context, m *outgoing, answer <-chan error) error {
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return c.giveUp(m, answer, ctx.Err())
	}
}

// giveUp stops waiting for an answer.
func (c *Client) giveUp(m *outgoing, answer <-chan error, why error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case err := <-answer: // came at the last moment
		return err
	default:
	}
	if c.outbox.withdraw(m) {
		return why
	}
	return fmt.Errorf("%w: %w", why, ErrUnknown)
}

func checkUser(name string) error {
	switch {
	case name == "":
		return errors.New("the user's name is empty")
	case len(name) > maxUserName:
		return fmt.Errorf("the user's name has %d bytes, at most %d are allowed", len(name), maxUserName)
	case !utf8.ValidString(name):
		return errors.New("the user's name is not UTF-8")
	}
	return nil
}

// encode is data as JSON.
func encode(data any) (json.RawMessage, error) {
	raw, ok := data.(json.RawMessage)
	if !ok {
		return json.Marshal(data)
	}
	if !json.Valid(raw) || !utf8.Valid(raw) {
		return nil, errors.New("the data is not JSON")
	}
	return raw, nil
}

// tell answers whoever waits for the message.
func (m *outgoing) tell(err error) {
	if m.answer != nil {
		m.answer <- err // has room for the one answer
	}
}

// pump sends what may be sent now, unless somebody wants to wait. The lock is held.
func (c *Client) pump(now time.Time) {
	k := c.current
	if k == nil || c.err != nil || c.corks > 0 {
		return
	}
	var frames []outFrame
	for m := c.outbox.next(now, k.window); m != nil; m = c.outbox.next(now, k.window) {
		frames = append(frames, m.frame())
		c.due(m.due)
	}
	for _, user := range c.outbox.grace.questions(now) {
		frames = append(frames, presenceFrame(user))
	}
	k.ask(now, frames...)
	c.due(c.outbox.grace.deadline())
}

func (m *outgoing) frame() outFrame {
	if m.to == "" {
		return fillerFrame(m.number)
	}
	return messageFrame(m.number, quoted(m.to), m.data)
}

// finish takes the answer to a message. A failure that may pass is asked about
// again; if it does not, something has to take the number's place, which the
// server may never have taken. The lock is held.
func (c *Client) finish(number int64, code Code, err error, now time.Time) {
	if c.outbox.retry(number, code, now) {
		c.due(c.outbox.deadline())
		return
	}
	if m := c.outbox.answered(number, code.passing()); m != nil {
		m.tell(err)
		c.outbox.grace.answered(m.to, code)
	}
}
