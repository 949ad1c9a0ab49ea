// Package storetest starts an emulator of DynamoDB for tests. Its own tests are
// the contract of a signal.Store, which every store passes.
package storetest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/owt-signal/owt-signal/internal/need"
)

// EndpointVariable names the environment variable that puts the tests on a
// DynamoDB of your own, by its URL: any emulator, or AWS's.
const EndpointVariable = "OWT_TEST_DYNAMODB"

// engineStart bounds how long the emulator may take to listen, on a busy machine.
const engineStart = time.Minute

// Engine returns the URL of an emulator of DynamoDB: of what
// [EndpointVariable] names, or of dynoxide, which is started for this test, keeps
// its tables in memory and ends with the test. Without either it skips the test.
func Engine(t testing.TB) (endpoint string) {
	t.Helper()
	if endpoint := os.Getenv(EndpointVariable); endpoint != "" {
		t.Logf("DynamoDB: %s", endpoint)
		return endpoint
	}
	p := StartEngine(t)
	t.Logf("DynamoDB: %s at %s", filepath.Base(p.cmd.Path), p.Endpoint)
	return p.Endpoint
}

// EngineProcess is an engine of a test's own.
type EngineProcess struct {
	Endpoint string
	args     []string
	address  string
	cmd      *exec.Cmd
	ended    chan struct{} // closed when the process has
	said     bytes.Buffer
}

// StartEngine starts an engine with these options besides its address. It ends
// with the test.
func StartEngine(t testing.TB, options ...string) *EngineProcess {
	t.Helper()
	if testing.Short() {
		t.Skip("starts an emulator of DynamoDB; not in -short")
	}
	const tries = 3 // somebody may take the address before the engine does
	for try := 1; ; try++ {
		address := freeAddress(t)
		host, port, _ := net.SplitHostPort(address)
		p := &EngineProcess{Endpoint: "http://" + address, address: address, args: append(slices.Clone(options), "--host", host, "--port", port)}
		err := p.start(t)
		t.Cleanup(func() {
			p.Kill()
			if t.Failed() {
				t.Logf("%s said:\n%s", p.cmd.Path, &p.said)
			}
		})
		if err == nil {
			return p
		}
		if try == tries {
			t.Fatal(err)
		}
	}
}

// Start starts the engine anew after Kill, and returns when it listens.
func (p *EngineProcess) Start(t testing.TB) {
	t.Helper()
	if err := p.start(t); err != nil {
		t.Fatal(err)
	}
}

func (p *EngineProcess) start(t testing.TB) error {
	t.Helper()
	p.cmd, p.ended = exec.Command(dynoxide(t), p.args...), make(chan struct{})
	p.cmd.Stderr = &p.said
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start the emulator: %v", err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.ended)
	}()
	for end := time.Now().Add(engineStart); ; {
		c, err := new(net.Dialer).DialContext(t.Context(), "tcp", p.address)
		if err == nil {
			_ = c.Close()
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("the emulator does not listen: %w", err)
		}
		select {
		case <-p.ended:
			return fmt.Errorf("the emulator has ended: %s", &p.said)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Kill ends the engine without a warning.
func (p *EngineProcess) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// Signal sends a signal to the engine.
func (p *EngineProcess) Signal(s os.Signal) error { return p.cmd.Process.Signal(s) }

// dynoxide returns the path of the emulator: of the npm package for this
// platform, or the first on the PATH.
func dynoxide(t testing.TB) (path string) {
	t.Helper()
	// npm's packages are named after Node's process.platform and process.arch.
	platform := strings.NewReplacer("windows", "win32", "amd64", "x64").Replace(runtime.GOOS + "-" + runtime.GOARCH)
	path, err := exec.LookPath(filepath.Join(need.Root(), need.Clients, "@dynoxide", platform, "dynoxide"))
	if err == nil {
		return path
	}
	if path, err = exec.LookPath("dynoxide"); err != nil {
		need.Missing(t, "an emulator of DynamoDB", "`make test` installs one on linux-x64; "+
			"elsewhere put dynoxide on the PATH, or the URL of any DynamoDB into "+EndpointVariable)
	}
	return path
}

// freeAddress returns an address that nobody listens at. Its port is not one of those
// that the kernel gives to connections (Linux from 32,768 on): one of another test could
// have it by the time the engine listens.
func freeAddress(t testing.TB) string {
	t.Helper()
	const from, ports = 10_000, 20_000
	for try := 1; ; try++ {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", from+rand.IntN(ports)))
		if err == nil {
			_ = l.Close()
			return l.Addr().String()
		}
		if try == 100 {
			t.Fatal(err)
		}
	}
}
