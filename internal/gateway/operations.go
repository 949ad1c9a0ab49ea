package gateway

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/owt-signal/owt-signal/internal/gateway/socket"
)

// What the @connections operations fail with, for errors.Is.
var (
	// ErrGone is for a connection that does not exist: not yet, because its Connect function has not returned or the
	// 101 is not written (unless Config.Early), or no longer, from the moment its closing begins. (410)
	ErrGone = socket.ErrEnded

	// ErrPayloadTooLarge is for more than MaxMessage bytes. (413)
	ErrPayloadTooLarge = errors.New("payload is too large")

	// ErrLimitExceeded is for a connection whose queue is full: past socket.MaxQueuedMessages or MaxQueuedBytes, "the
	// WebSocket client side buffer is full" in the words of the @connections model. (429)
	ErrLimitExceeded = socket.ErrFull

	// ErrBadConnectionID is for what cannot be the id of any connection. (400)
	ErrBadConnectionID = errors.New("invalid connection id")
)

// ConnectionInfo is what Get tells.
type ConnectionInfo struct {
	ConnectedAt  time.Time
	LastActiveAt time.Time // when a message was last received, or accepted for the client
	SourceIP     string
	UserAgent    string
}

// Post accepts data as one text message for the client of a connection, and returns once it is queued: that is no
// promise that the client reads it. What one caller posts, waiting for each Post before the next, arrives in that
// order. The caller sees to it that data is valid UTF-8 and may use data again afterwards. The error wraps ErrGone,
// ErrPayloadTooLarge, ErrLimitExceeded, ErrBadConnectionID or that of ctx.
//
// A message of more than MaxFrame bytes goes out in several frames. Clients see one message.
func (g *Gateway) Post(ctx context.Context, connectionID string, data []byte) error {
	c, err := g.find(ctx, connectionID)
	if err == nil && len(data) > MaxMessage {
		err = ErrPayloadTooLarge
	}
	if err == nil {
		err = c.Post(data)
	}
	if err != nil {
		return fmt.Errorf("post to connection %q: %w", connectionID, err)
	}
	return nil
}

// Get tells about a connection. The error wraps ErrGone, ErrBadConnectionID or that of ctx.
func (g *Gateway) Get(ctx context.Context, connectionID string) (ConnectionInfo, error) {
	c, err := g.find(ctx, connectionID)
	if err == nil && c.Ended() {
		err = ErrGone
	}
	if err != nil {
		return ConnectionInfo{}, fmt.Errorf("get connection %q: %w", connectionID, err)
	}
	return ConnectionInfo{
		ConnectedAt:  c.Created(),
		LastActiveAt: c.Active(),
		SourceIP:     c.sourceIP,
		UserAgent:    c.userAgent,
	}, nil
}

// Delete closes a connection with 1000 "Connection Closed Normally", after all that was posted to it before. It does
// not wait for that; the connection is gone to other callers at once. The error wraps ErrGone, ErrBadConnectionID or
// that of ctx.
func (g *Gateway) Delete(ctx context.Context, connectionID string) error {
	c, err := g.find(ctx, connectionID)
	if err == nil && !c.End(deleted) {
		err = ErrGone
	}
	if err != nil {
		return fmt.Errorf("delete connection %q: %w", connectionID, err)
	}
	return nil
}

func (g *Gateway) find(ctx context.Context, id string) (*connection, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	g.mu.RLock()
	c := g.connections[id]
	g.mu.RUnlock()
	switch {
	case c != nil:
		return c, nil
	case wellFormed(id):
		return nil, ErrGone
	default:
		return nil, ErrBadConnectionID
	}
}
