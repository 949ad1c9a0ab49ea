package e2e

import (
	"context"
	"testing"

	"github.com/owt-signal/owt-signal/internal/need"
)

// TestOWT is an OWT app that changes its server's address and nothing else, on
// a good and on a bad day.
func TestOWT(t *testing.T) {
	chromium := need.Browser(t)
	for name, flags := range map[string]func(t *testing.T) []string{
		"memory":       inMemory,
		"late":         func(*testing.T) []string { return []string{"-faults", "delay=40ms,duplicate=0.05"} },
		"on functions": onFunctions,
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, append(flags(t), "-log", "warn")...)
			ctx, cancel := context.WithTimeout(t.Context(), pageWithin)
			defer cancel()
			node(ctx, t, []string{"CHROMIUM=" + chromium, "SERVER=" + s.Plain}, "owt/owt.test.mjs")
		})
	}
}
