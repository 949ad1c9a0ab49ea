package e2e

import (
	"context"
	"testing"
	"time"

	"github.com/owt-signal/owt-signal/internal/storetest"
)

// TestClients runs the suite of real clients against the server on each of its
// stores.
func TestClients(t *testing.T) {
	for name, flags := range map[string]func(t *testing.T) []string{
		"memory":   func(*testing.T) []string { return nil },
		"dynamodb": func(t *testing.T) []string { return []string{"-dynamodb", storetest.Engine(t)} },
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, append(flags(t), "-log", "warn")...)
			ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
			defer cancel()
			node(ctx, t, []string{"ENDPOINT=" + s.Plain + "/socket.io/"}, "clients/")
		})
	}
}
