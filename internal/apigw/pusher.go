package apigw

import (
	"context"
	"fmt"

	"github.com/owt-signal/owt-signal/internal/signal"
)

// Connections is API Gateway's @connections operations, for frames of any
// protocol. Errors are those of [signal.Pusher].
type Connections interface {
	Post(ctx context.Context, endpoint string, id signal.ConnectionID, frame []byte) error
	// Get is nil if there is the connection.
	Get(ctx context.Context, endpoint string, id signal.ConnectionID) error
	Delete(ctx context.Context, endpoint string, id signal.ConnectionID) error
}

// Pusher implements [signal.Pusher] and [signal.Prober] by @connections
// operations.
type Pusher struct {
	Connections Connections
	Protocols   Protocols
}

var (
	_ signal.Pusher = Pusher{}
	_ signal.Prober = Pusher{}
)

// Post implements [signal.Pusher]. An event of several frames is posted frame
// after frame, each once the one before was accepted.
func (p Pusher) Post(ctx context.Context, to signal.Peer, e signal.Event) error {
	protocol, ok := p.Protocols[to.Protocol]
	if !ok {
		return fmt.Errorf("post %T: unknown protocol %q", e, to.Protocol)
	}
	for _, f := range protocol.Encode(e) {
		if err := p.Connections.Post(ctx, to.Endpoint, to.ID, f); err != nil {
			return fmt.Errorf("post %T: %w", e, err)
		}
	}
	return nil
}

// Close implements [signal.Pusher].
func (p Pusher) Close(ctx context.Context, c signal.Peer) error {
	if err := p.Connections.Delete(ctx, c.Endpoint, c.ID); err != nil {
		return fmt.Errorf("close connection: %w", err)
	}
	return nil
}

// Probe implements [signal.Prober].
func (p Pusher) Probe(ctx context.Context, c signal.Peer) error {
	if err := p.Connections.Get(ctx, c.Endpoint, c.ID); err != nil {
		return fmt.Errorf("look at connection: %w", err)
	}
	return nil
}
