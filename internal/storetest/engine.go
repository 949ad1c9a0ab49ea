// Package storetest starts an emulator of DynamoDB for tests. Its own tests are
// the contract of a signal.Store, which every store passes.
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
	"testing"
	"time"

	"github.com/owt-signal/owt-signal/internal/need"
)

// EndpointVariable names the environment variable that puts the tests on a
// DynamoDB of your own, by its URL: any emulator, or AWS's.
const EndpointVariable = "OWT_TEST_DYNAMODB"

// engineStart bounds how long the emulator may take to answer, on a busy machine.
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
	p := startEngine(t)
	t.Logf("DynamoDB: %s at %s", filepath.Base(p.cmd.Path), p.Endpoint)
	return p.Endpoint
}

// EngineProcess is an engine of a test's own.
type EngineProcess struct {
	Endpoint string
	args     []string
	cmd      *exec.Cmd
	said     *strings.Builder
	read     chan struct{}
}

func startEngine(t testing.TB, args ...string) *EngineProcess {
	t.Helper()
	if testing.Short() {
		t.Skip("starts an emulator of DynamoDB; not in -short")
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
			t.Logf("%s said:\n%s", p.cmd.Path, p.said.String())
		}
	})
	return p
}

func (p *EngineProcess) start(t testing.TB) {
	t.Helper()
	p.cmd, p.read = exec.Command(dynoxide(t), p.args...), make(chan struct{})
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start the emulator: %v", err)
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
			t.Fatalf("the emulator does not answer: %v", err)
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
