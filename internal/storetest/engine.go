package storetest

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// EndpointVariable names the environment variable that puts the tests on a
// DynamoDB of your own: DynamoDB Local, or AWS's, as a URL.
const EndpointVariable = "OWT_TEST_DYNAMODB"

// engineStart bounds how long the engine may take to answer.
const engineStart = 10 * time.Second

// Engine is the endpoint of a real DynamoDB engine: the one that
// [EndpointVariable] names, or one started for this test, in memory, which
// ends with it.
func Engine(t testing.TB) (endpoint string) {
	t.Helper()
	if endpoint := os.Getenv(EndpointVariable); endpoint != "" {
		t.Logf("DynamoDB engine: %s", endpoint)
		return endpoint
	}
	p := startEngine(t)
	t.Logf("DynamoDB engine: dynoxide at %s", p.Endpoint)
	return p.Endpoint
}

// EngineProcess is an engine of a test's own, which it may disturb.
type EngineProcess struct {
	Endpoint string
	args     []string
	cmd      *exec.Cmd
	said     *strings.Builder
	read     chan struct{}
}

// EngineOnFile starts an engine that keeps its tables in a file, and ends with
// the test.
func EngineOnFile(t testing.TB) *EngineProcess {
	t.Helper()
	return startEngine(t, "--db-path", filepath.Join(t.TempDir(), "engine.db"))
}

func startEngine(t testing.TB, args ...string) *EngineProcess {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a DynamoDB engine; not in -short")
	}
	port := freePort(t)
	p := &EngineProcess{
		Endpoint: "http://127.0.0.1:" + port, said: &strings.Builder{},
		args: append([]string{"--host", "127.0.0.1", "--port", port}, args...),
	}
	p.start(t)
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("DynamoDB engine said:\n%s", p.said.String())
		}
	})
	return p
}

func (p *EngineProcess) start(t testing.TB) {
	t.Helper()
	_, file, _, _ := runtime.Caller(0)
	binary := filepath.Join(filepath.Dir(file), "..", "..", "e2e", "node_modules", "@dynoxide", "linux-x64", "dynoxide")
	if _, err := os.Stat(binary); err != nil {
		t.Fatalf("no DynamoDB engine at %s: run `make test`, which installs it, or set %s", binary, EndpointVariable)
	}
	p.cmd, p.read = exec.Command(binary, p.args...), make(chan struct{})
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", binary, err)
	}
	go func() {
		defer close(p.read)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			fmt.Fprintln(p.said, lines.Text())
		}
	}()
	awaitEngine(t, p.Endpoint)
}

func (p *EngineProcess) kill() {
	_ = p.cmd.Process.Kill()
	<-p.read
	_ = p.cmd.Wait()
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

func awaitEngine(t testing.TB, endpoint string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), engineStart)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, endpoint, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			_ = resp.Body.Close()
			http.DefaultClient.CloseIdleConnections()
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("DynamoDB engine does not answer: %v", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}
