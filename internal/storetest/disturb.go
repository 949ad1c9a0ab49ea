//go:build unix

package storetest

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// EngineOnFile starts an engine that keeps its tables in a file, and ends with
// the test.
func EngineOnFile(t testing.TB) *EngineProcess {
	t.Helper()
	return startEngine(t, "--db-path", filepath.Join(t.TempDir(), "engine.db"))
}

// Pause stops the engine for d: what it is asked meanwhile hangs.
func (p *EngineProcess) Pause(t testing.TB, d time.Duration) {
	t.Helper()
	for i, signal := range []os.Signal{syscall.SIGSTOP, syscall.SIGCONT} {
		if err := p.cmd.Process.Signal(signal); err != nil {
			t.Fatalf("pause the engine: %v", err)
		}
		if i == 0 {
			time.Sleep(d)
		}
	}
}

// Kill ends the engine without a warning, and starts it anew after d: what it is
// asked meanwhile is refused at once.
func (p *EngineProcess) Kill(t testing.TB, d time.Duration) {
	t.Helper()
	p.kill()
	time.Sleep(d)
	p.start(t)
}
