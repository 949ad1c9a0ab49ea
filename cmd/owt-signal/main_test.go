package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"runtime/pprof"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/owt-signal/owt-signal/internal/lambdatest"
)

// soon bounds what should happen at once, for a machine under load.
const soon = 30 * time.Second

// asCommand is set in the environment of a copy of the test's process that is
// to be the command.
const asCommand = "OWT_SIGNAL_TEST_AS_COMMAND"

// profile is in the environment of such a copy the file that is to have its
// processor profile when it ends:
//
//	go test -c -o owt-signal.test ./cmd/owt-signal
//	OWT_SIGNAL_TEST_AS_COMMAND=1 OWT_SIGNAL_TEST_PROFILE=cpu.pprof go run ./e2e/bench -owt ./owt-signal.test -only JSON
const profile = "OWT_SIGNAL_TEST_PROFILE"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		stop := startProfile(os.Getenv(profile))
		main()
		stop()
		return
	}
	dir, err := os.MkdirTemp("", "owt-signal")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	build = sync.OnceValues(func() (string, error) { return dir, lambdatest.Build(dir) })
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(dir)
		os.Exit(code)
	}))
}

// startProfile profiles this process into a file, if there is to be one.
func startProfile(name string) (stop func()) {
	if name == "" {
		return func() {}
	}
	f, err := os.Create(name)
	if err == nil {
		err = pprof.StartCPUProfile(f)
	}
	if err != nil {
		panic(err)
	}
	return func() {
		pprof.StopCPUProfile()
		f.Close()
	}
}

func TestExitCodes(t *testing.T) {
	for _, test := range []struct {
		name   string
		args   []string
		code   int
		stderr string // a pattern of the one line, if there is one
	}{
		{"help", []string{"-help"}, 0, ``},
		{"bad flag", []string{"-nonsense"}, 1, `^owt-signal: .*-nonsense`},
		{"bad value", []string{"-idle-timeout", "soon"}, 1, `^owt-signal: .*"soon".*-idle-timeout`},
		{"argument", []string{"nonsense"}, 1, `^owt-signal: .*"nonsense"`},
		{"busy port", []string{"-secure", "", "-plain", busy(t)}, 1, `^owt-signal: .*127\.0\.0\.1:\d+.*in use`},
		{"no certificate", loopback("-cert", "nowhere.pem", "-key", "nowhere.pem"), 1, `^owt-signal: .*nowhere\.pem`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := command(t, test.args...)
			code := c.end(t)
			if code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
			lines := strings.Count(c.stderr.String(), "\n")
			if wanted := min(len(test.stderr), 1); lines != wanted || !regexp.MustCompile(test.stderr).MatchString(c.stderr.String()) {
				t.Errorf("stderr %q, want %d line like %s", &c.stderr, wanted, test.stderr)
			}
			if said := c.stdout.Len() > 0; said != (test.name == "help") {
				t.Errorf("stdout %q", &c.stdout)
			}
		})
	}
}

func TestSignalsEndTheCommand(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			c := command(t, append(loopback(), "-log", "error")...)
			eventually(t, "the greeting", func() bool { return strings.Contains(c.stdout.String(), "Ctrl-C") })
			if err := c.Process.Signal(s); err != nil {
				t.Fatal(err)
			}
			if code := c.end(t); code != 0 || c.stderr.Len() != 0 {
				t.Errorf("exit code %d, stderr %q, want 0 and nothing", code, &c.stderr)
			}
		})
	}
}

// child is the command in a process of its own.
type child struct {
	*exec.Cmd
	stdout, stderr lockedBuffer
	ended          chan error
}

func command(t *testing.T, args ...string) *child {
	t.Helper()
	c := &child{Cmd: exec.Command(os.Args[0], args...), ended: make(chan error, 1)}
	c.Env = append(os.Environ(), asCommand+"=1", "GORACE=atexit_sleep_ms=0")
	c.Stdout, c.Stderr = &c.stdout, &c.stderr
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill() }) // of one that has ended it is none
	go func() { c.ended <- c.Wait() }()
	return c
}

// end waits for the exit code.
func (c *child) end(t *testing.T) int {
	t.Helper()
	select {
	case err := <-c.ended:
		if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
			t.Fatal(err)
		}
		return c.ProcessState.ExitCode()
	case <-time.After(soon):
		t.Fatalf("awaiting the end of %q: stdout %q, stderr %q", c.Args, &c.stdout, &c.stderr)
		return 0
	}
}

// loopback is arguments for free ports of the loopback interface.
func loopback(more ...string) []string {
	return append([]string{"-plain", "127.0.0.1:0", "-secure", "127.0.0.1:0"}, more...)
}

// busy is an address that somebody listens on.
func busy(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String()
}

// eventually waits for what should be soon.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(soon); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("awaiting %s for %v", what, soon)
		}
	}
}

// lockedBuffer collects what is written concurrently.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *lockedBuffer) Len() int { return len(l.String()) }
