package e2e

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/owt-signal/owt-signal/internal/storetest"
)

// clientsWithin bounds one run of the suite of real clients.
const clientsWithin = 3 * time.Minute

// TestClients runs the suite of real clients against the server on each of its
// stores.
func TestClients(t *testing.T) {
	for _, store := range []struct {
		name  string
		flags func(t *testing.T) []string
		env   []string
	}{
		{"memory", func(*testing.T) []string { return nil }, nil},
		// The engine is the slower part: it gets fewer of the same messages.
		{"dynamodb", func(t *testing.T) []string { return []string{"-dynamodb", storetest.Engine(t)} }, []string{"MESSAGES=100"}},
	} {
		t.Run(store.name, func(t *testing.T) {
			s := serve(t, append(store.flags(t), "-log", "warn")...)
			ctx, cancel := context.WithTimeout(t.Context(), clientsWithin)
			defer cancel()
			node(ctx, t, append(store.env, "ENDPOINT="+s.Plain+"/socket.io/", "SECURE_ENDPOINT="+s.Secure+"/socket.io/"), clients(t)...)
		})
	}
}

// TestIdleHour has clients say nothing for an hour, on a server whose timers
// run 200 times faster than API Gateway's and its own.
func TestIdleHour(t *testing.T) {
	s := serve(t, "-idle-timeout", "3s", "-ping-interval", "1200ms", "-ping-timeout", "1s", "-max-duration", "1h", "-log", "warn")
	ctx, cancel := context.WithTimeout(t.Context(), clientsWithin)
	defer cancel()
	node(ctx, t, []string{"ENDPOINT=" + s.Plain + "/socket.io/", "IDLE_SCALE=200"}, "clients/idle.test.mjs")
}

// TestVanished has clients end without a word, on a server that loses every
// $disconnect: only the sweep finds them.
func TestVanished(t *testing.T) {
	s := serve(t, "-faults", "lost-disconnect=1", "-ping-interval", "500ms", "-ping-timeout", "30s", "-log", "warn")
	ctx, cancel := context.WithTimeout(t.Context(), clientsWithin)
	defer cancel()
	node(ctx, t, []string{"ENDPOINT=" + s.Plain + "/socket.io/", "SWEEP=500"}, "clients/vanished.test.mjs")
}

// clients is the files of the suite.
func clients(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("clients/*.test.mjs")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files of the suite (%v)", err)
	}
	return files
}
