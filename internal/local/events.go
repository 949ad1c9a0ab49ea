package local

import (
	"context"
	"fmt"
	"time"

	"github.com/owt-signal/owt-signal/internal/awsenv"
	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/webhook"
)

// lastEvents is how long the server waits at its end until events are taken.
const lastEvents = 2 * time.Second

// tellEvents has a server told of what a store does to the names of users, if one is
// to be.
func (a *api) tellEvents(ctx context.Context, o options, s signal.Store) (signal.Store, error) {
	if o.events.URL == "" {
		return s, nil
	}
	key, err := webhook.ReadSecret(ctx, awsenv.ConfigOr("us-east-1", "local"), o.events.SecretFile, "")
	if err != nil {
		return nil, fmt.Errorf("tell of events: %w", err)
	}
	a.events = webhook.NewQueue(webhook.NewClient(o.events.URL, key, webhook.PostWithin, time.Now), a.metrics, a.log)
	return webhook.NewStore(s, a.events.Add, time.Now), nil
}

// closeEvents waits until events are taken, for a moment.
func (a *api) closeEvents() {
	if a.events == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), lastEvents)
	defer cancel()
	a.events.Close(ctx)
}
