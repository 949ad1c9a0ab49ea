package e2e

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/owt-signal/owt-signal/internal/storetest"
)

// clientsWithin bounds one run of the suite of real clients.
const clientsWithin = 6 * time.Minute

// beginnings is the files of the suite that are about how connections begin and end:
// in between, nothing is different for who began by long polling.
var beginnings = []string{"clients/names.test.mjs", "clients/reconnect.test.mjs", "clients/takeover.test.mjs", "clients/versions.test.mjs"}

// TestClients runs the suite of real clients against the server on each of its
// stores.
func TestClients(t *testing.T) {
	for _, store := range []struct {
		name  string
		flags func(t *testing.T) []string
		env   []string
		files []string // nil: all
	}{
		{"memory", inMemory, nil, nil},
		// The engine is the slower part: it gets fewer of the same messages.
		{"dynamodb", onEngine, []string{"MESSAGES=100"}, nil},
		{"functions", onFunctions, []string{"MESSAGES=40", "STRAGGLERS=1"}, nil},
		{"memory, polling first", inMemory, []string{"MESSAGES=100", "POLLING_FIRST=1"}, beginnings},
		{"functions, polling first", onFunctions, []string{"MESSAGES=20", "STRAGGLERS=1", "POLLING_FIRST=1"}, beginnings},
	} {
		t.Run(store.name, func(t *testing.T) {
			s := serve(t, append(store.flags(t), "-log", "debug")...)
			ctx, cancel := context.WithTimeout(t.Context(), clientsWithin)
			defer cancel()
			files := store.files
			if files == nil {
				files = clients(t)
			}
			node(ctx, t, append(store.env, "ENDPOINT="+s.Plain+"/socket.io/", "SECURE_ENDPOINT="+s.Secure+"/socket.io/"), files...)
			if strings.HasPrefix(store.name, "functions") {
				wantEnvironments(t, s)
			}
		})
	}
}

func inMemory(*testing.T) []string { return nil }

func onEngine(t *testing.T) []string { return []string{"-dynamodb", storetest.Engine(t)} }

// TestIdleHour has clients say nothing for an hour, on a server whose timers
// run 100 times faster than API Gateway's and its own.
func TestIdleHour(t *testing.T) {
	t.Parallel()
	inBoth(t, "idle", []string{"IDLE_SCALE=100"},
		"-idle-timeout", "6s", "-ping-interval", "2400ms", "-ping-timeout", "10s", "-max-duration", "1h", "-log", "warn")
}

// TestVanished has clients end without a word, on a server that loses every
// $disconnect: only the sweep finds them.
func TestVanished(t *testing.T) {
	t.Parallel()
	inBoth(t, "vanished", []string{"SWEEP=500"},
		"-faults", "lost-disconnect=1", "-ping-interval", "500ms", "-ping-timeout", "30s", "-log", "warn")
}

// inBoth runs a file of the suite against the handlers in the server's process
// and against functions in processes of their own, at the same time: mostly,
// they wait.
func inBoth(t *testing.T, file string, env []string, flags ...string) {
	for name, more := range map[string]func(*testing.T) []string{"memory": inMemory, "functions": onFunctions} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, append(more(t), flags...)...)
			ctx, cancel := context.WithTimeout(t.Context(), clientsWithin)
			defer cancel()
			node(ctx, t, append(env, "ENDPOINT="+s.Plain+"/socket.io/"), "clients/"+file+".test.mjs")
		})
	}
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
