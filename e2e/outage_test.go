//go:build unix

package e2e

import (
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/owt-signal/owt-signal/internal/storetest"
)

// pause stops the engine for d: what it is asked meanwhile hangs.
func pause(t testing.TB, engine *storetest.EngineProcess, d time.Duration) {
	t.Helper()
	for i, signal := range []os.Signal{syscall.SIGSTOP, syscall.SIGCONT} {
		if err := engine.Signal(signal); err != nil {
			t.Fatalf("pause the engine: %v", err)
		}
		if i == 0 {
			time.Sleep(d)
		}
	}
}

// restart ends the engine without a warning, and starts it anew after d: what it
// is asked meanwhile is refused at once.
func restart(t testing.TB, engine *storetest.EngineProcess, d time.Duration) {
	t.Helper()
	engine.Kill()
	time.Sleep(d)
	engine.Start(t)
}
