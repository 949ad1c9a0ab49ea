// Package e2e holds the real server against real clients: Socket.IO's own
// libraries from npm, and raw sockets.
package e2e

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/owt-signal/owt-signal/internal/need"
)

// binary is the server, built once for all tests.
var binary string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "owt-signal-e2e")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary = filepath.Join(dir, "owt-signal")
	build := exec.Command("go", append(buildFlags, "-o", binary, "./cmd/owt-signal")...)
	build.Dir = need.Root()
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the server: %v\n%s", err, out)
		return 1
	}
	code := m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// server is a running owt-signal.
type server struct {
	Plain      string // http://127.0.0.1:port
	Secure     string // https://127.0.0.1:port
	Management string // http://127.0.0.1:port/prod; empty without functions of their own
	API        string // http://127.0.0.1:port; empty without one for backends
	cmd        *exec.Cmd
	logs       *lockedBuffer
	killed     bool
	gone       chan struct{} // closed when the process has ended
}

// kill ends the server without a warning.
func (s *server) kill() {
	s.killed = true
	_ = s.cmd.Process.Kill()
}

var (
	servedAt    = regexp.MustCompile(`(https?)://(\S+)/socket\.io/`)
	connections = regexp.MustCompile(`@connections +(http://\S+)`)
)

// withFaults is arguments with faults, if there are to be any.
func withFaults(faults string, args ...string) []string {
	if faults == "" {
		return args
	}
	return append([]string{"-faults", faults}, args...)
}

// serve starts the server on free loopback ports. The test fails if the server
// does not end cleanly with it, or reports a data race.
func serve(t *testing.T, args ...string) *server {
	t.Helper()
	s := &server{logs: &lockedBuffer{}, gone: make(chan struct{})}
	s.cmd = exec.Command(binary, append([]string{"-plain", "127.0.0.1:0", "-secure", "127.0.0.1:0"}, args...)...)
	s.cmd.Stderr = s.logs
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	t.Cleanup(func() { s.end(t, ended) })
	for lines := bufio.NewScanner(stdout); lines.Scan() && !strings.HasPrefix(lines.Text(), "Point"); {
		if m := connections.FindStringSubmatch(lines.Text()); m != nil {
			s.Management = m[1]
		}
		if m := apiAt.FindStringSubmatch(lines.Text()); m != nil {
			s.API = m[1]
		}
		if m := servedAt.FindStringSubmatch(lines.Text()); m != nil {
			if m[1] == "http" {
				s.Plain = "http://" + m[2]
			} else {
				s.Secure = "https://" + m[2]
			}
		}
	}
	go func() {
		defer close(s.gone)
		ended <- s.cmd.Wait()
	}()
	if s.Plain == "" || s.Secure == "" {
		t.Fatalf("the server did not say where it serves: %s", s.logs)
	}
	return s
}

// planted is what no log may have: the data of messages, words for tokens, and
// JSON Web Tokens.
var planted = regexp.MustCompile(`planted-secret|a-secret-word|eyJ[\w-]+\.eyJ[\w-]+`)

// end interrupts the server and sees that it goes as it should.
func (s *server) end(t *testing.T, ended <-chan error) {
	_ = s.cmd.Process.Signal(syscall.SIGINT)
	select {
	case err := <-ended:
		if err != nil && !s.killed {
			t.Errorf("server ended: %v", err)
		}
	case <-time.After(soon):
		_ = s.cmd.Process.Kill()
		t.Errorf("server did not end within %v", soon)
	}
	if bytes.Contains(s.logs.Bytes(), []byte("DATA RACE")) {
		t.Error("server reported a data race")
	}
	if found := planted.Find(s.logs.Bytes()); found != nil {
		t.Errorf("the logs have %s", found)
	}
	if t.Failed() {
		t.Logf("server logs:\n%s", s.logs)
	}
}

// node runs a suite of Node's test runner against an endpoint.
func node(ctx context.Context, t *testing.T, env []string, files ...string) {
	t.Helper()
	cmd := exec.CommandContext(ctx, nodePath(t), append([]string{"--test", "--test-reporter=spec"}, files...)...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Errorf("node: %v", err)
	}
}

// nodePath returns the path of Node.js, or skips the test.
func nodePath(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("runs Node; not in -short")
	}
	return need.Node(t)
}

// lockedBuffer collects what a process writes.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) Bytes() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Clone(l.b.Bytes())
}

func (l *lockedBuffer) String() string { return string(l.Bytes()) }
