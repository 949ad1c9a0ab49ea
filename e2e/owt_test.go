package e2e

import (
	"context"
	"os"
	"os/exec"
	"testing"

	"github.com/owt-signal/owt-signal/internal/need"
)

// TestOWT is an OWT app that changes its server's address and nothing else, on
// a good and on a bad day.
func TestOWT(t *testing.T) {
	t.Parallel()
	chromium := need.Browser(t)
	for name, flags := range map[string]func(t *testing.T) []string{
		"memory":       inMemory,
		"late":         func(*testing.T) []string { return []string{"-faults", "delay=40ms,duplicate=0.05"} },
		"on functions": onFunctions,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, append(flags(t), "-log", "warn")...)
			ctx, cancel := context.WithTimeout(t.Context(), pageWithin)
			defer cancel()
			node(ctx, t, []string{"CHROMIUM=" + chromium, "SERVER=" + s.Plain}, "owt/owt.test.mjs")
		})
	}
}

// TestTimeToAuthenticate has clients connect in both ways in turn, with every
// invocation and post late by up to 20 ms: so 20 ms are a round trip. They are not much
// slower by their default transports than by WebSocket alone.
func TestTimeToAuthenticate(t *testing.T) {
	s := serve(t, "-log", "warn", "-faults", "delay=20ms,seed=1")
	cmd := exec.CommandContext(t.Context(), nodePath(t), "owt/time.mjs")
	cmd.Env = append(os.Environ(), "SERVER="+s.Plain, "ROUND_TRIP=20")
	out, err := cmd.CombinedOutput()
	t.Logf("from io() to authenticated:\n%s", out)
	if err != nil {
		t.Errorf("not all have connected, or soon enough: %v", err)
	}
}
