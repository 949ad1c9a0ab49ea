package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"regexp"
	"runtime/pprof"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/owt-signal/owt-signal/internal/lambdatest"
	"github.com/owt-signal/owt-signal/internal/storetest"
)

// soon only ends a hang.
const soon = time.Minute

// asCommand is set in the environment of a copy of the test's process that is
// to be the command.
const asCommand = "OWT_SIGNAL_TEST_AS_COMMAND"

// profile is in the environment of such a copy the file that is to have its
// processor profile when it ends:
//
//	go test -c -o owt-signal.test ./cmd/owt-signal
//	OWT_SIGNAL_TEST_AS_COMMAND=1 OWT_SIGNAL_TEST_PROFILE=cpu.pprof go run -C e2e ./bench -owt ../owt-signal.test -only JSON
const profile = "OWT_SIGNAL_TEST_PROFILE"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) == "" {
		os.Exit(m.Run())
	}
	stop := startProfile(os.Getenv(profile))
	main()
	stop()
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
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	for _, test := range []struct {
		name   string
		args   []string
		code   int
		stderr string // a pattern of the one line, if there is one
	}{
		{"help", []string{"-help"}, 0, ``},
		{"bad flag", []string{"-nonsense"}, 1, `^owt-signal: .*-nonsense`},
		{"version", []string{"-version"}, 0, ``},
		{"empty value", []string{"-dynamodb", ""}, 1, `^owt-signal: .*-dynamodb: the value is empty`},
		{"empty secret", []string{"-log-user-key-file", ""}, 1, `^owt-signal: .*-log-user-key-file: the value is empty`},
		{"no URL", []string{"-dynamodb", "foo"}, 1, `^owt-signal: .*-dynamodb: "foo" is no URL such as http://`},
		{"burst without a rate", []string{"-message-burst", "5"}, 1, `^owt-signal: -message-burst has no effect without -message-rate`},
		{"table without its database", []string{"-table", "x"}, 1, `^owt-signal: -table has no effect without -dynamodb`},
		{"certificate without its listener", []string{"-secure", "off", "-cert", "c", "-key", "k"}, 1, `^owt-signal: -cert has no effect without -secure`},
		{"keys without an API", []string{"-api-key-file", "k"}, 1, `^owt-signal: -api-key-file has no effect without -api`},
		{"an API without keys", []string{"-api", "127.0.0.1:0"}, 1, `^owt-signal: -api needs -api-key-file`},
		{"keys where requests are signed", []string{"-api", "127.0.0.1:0", "-api-key-file", "k", "-lambda-endpoint", "http://127.0.0.1:1"}, 1, `^owt-signal: -api-key-file has no effect with functions`},
		{"no keys", loopback("-api", "127.0.0.1:0", "-api-key-file", "nowhere"), 1, `^owt-signal: read secret: .*nowhere`},
		{"no unit", []string{"-ping-interval", "5"}, 1, `^owt-signal: .*-ping-interval: "5" is no duration of more than zero, such as 5m`},
		{"no level", []string{"-log", "loud"}, 1, `^owt-signal: .*-log: "loud" is none of debug, info, warn, error`},
		{"bad value", []string{"-idle-timeout", "soon"}, 1, `^owt-signal: .*"soon".*-idle-timeout`},
		{"argument", []string{"nonsense"}, 1, `^owt-signal: .*"nonsense"`},
		{"busy port", []string{"-secure", "off", "-plain", l.Addr().String()}, 1, `^owt-signal: .*127\.0\.0\.1:\d+.*in use`},
		{"no certificate", loopback("-cert", "nowhere.pem", "-key", "nowhere.pem"), 1, `^owt-signal: .*nowhere\.pem`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := command(t, test.args...)
			var stdout bytes.Buffer
			c.Stdout = &stdout
			if code := exitCode(t, c.Run()); code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
			lines := strings.Count(c.stderr.String(), "\n")
			if wanted := min(len(test.stderr), 1); lines != wanted || !regexp.MustCompile(test.stderr).MatchString(c.stderr.String()) {
				t.Errorf("stderr %q, want %d line like %s", &c.stderr, wanted, test.stderr)
			}
			if said := stdout.Len() > 0; said != (test.code == 0) {
				t.Errorf("stdout %q", &stdout)
			}
		})
	}
}

// A mode that the environment asks for is not left aside.
func TestEnvironmentIsHeeded(t *testing.T) {
	c := command(t, loopback()...)
	c.Env = append(c.Env, "AUTH_MODE=jwt")
	if code := exitCode(t, c.Run()); code != 1 || !regexp.MustCompile(`^owt-signal: mode jwt needs keys: .*\n$`).MatchString(c.stderr.String()) {
		t.Errorf("exit code %d, stderr %q", code, &c.stderr)
	}
}

// The soft limit of open files is raised to the hard one, and too low a one warned of.
func TestOpenFiles(t *testing.T) {
	for connections, warned := range map[string]bool{"200": false, "300": true} {
		c := command(t, loopback("-max-connections", connections)...)
		c.Args = append([]string{"sh", "-c", `ulimit -Sn 100 && ulimit -Hn 500 && exec "$0" "$@"`, c.Path}, c.Args[1:]...)
		c.Path = "/bin/sh"
		c.serve(t)
		c.end(t, syscall.SIGTERM)
		if got := strings.Contains(c.stderr.String(), `"needed":556`); got != warned {
			t.Errorf("%s connections: warned %v, want %v: %s", connections, got, warned, &c.stderr)
		}
	}
}

func TestSignalsEndTheCommand(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			c := command(t, loopback("-log", "error")...)
			c.serve(t)
			if code := c.end(t, s); code != 0 || c.stderr.Len() != 0 {
				t.Errorf("exit code %d, stderr %q, want 0 and nothing", code, &c.stderr)
			}
		})
	}
}

func TestSignalEndsFunctions(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the functions; not in -short")
	}
	t.Parallel()
	engine, dir := storetest.Engine(t), t.TempDir()
	if err := lambdatest.Build(dir); err != nil {
		t.Fatal(err)
	}
	c := command(t, loopback("-functions", dir, "-dynamodb", engine)...)
	conn, _, err := websocket.Dial(t.Context(), c.serve(t)+"?token=alice", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.CloseNow() }()
	for welcome := false; !welcome; {
		_, m, err := conn.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		welcome = strings.HasPrefix(string(m), `{"type":"welcome"`)
	}
	if code := c.end(t, syscall.SIGINT); code != 0 {
		t.Errorf("exit code %d, stderr %q, want 0", code, &c.stderr)
	}
	started := regexp.MustCompile(`"environment started".*"process":(\d+)`).FindAllStringSubmatch(c.stderr.String(), -1)
	if len(started) == 0 {
		t.Errorf("no process was started: %s", &c.stderr)
	}
	for _, m := range started {
		pid, err := strconv.Atoi(m[1])
		if err != nil || syscall.Kill(-pid, 0) == nil {
			t.Errorf("process %s is left", m[1])
		}
	}
}

// loopback is arguments for free ports of the loopback interface.
func loopback(more ...string) []string {
	return append([]string{"-plain", "127.0.0.1:0", "-secure", "127.0.0.1:0"}, more...)
}

// child is the command in a process of its own.
type child struct {
	*exec.Cmd
	stderr bytes.Buffer // to be read once it has ended
}

func command(t *testing.T, args ...string) *child {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	t.Cleanup(cancel)
	c := &child{Cmd: exec.CommandContext(ctx, os.Args[0], args...)}
	c.Env = append(os.Environ(), asCommand+"=1", "GORACE=atexit_sleep_ms=0")
	c.Stderr = &c.stderr
	return c
}

// serve starts the command, reads its greeting, and returns the URL of its
// stage.
func (c *child) serve(t *testing.T) (url string) {
	t.Helper()
	stdout, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if at := regexp.MustCompile(` ws://\S+`).FindString(lines.Text()); at != "" {
			url = at[1:]
		}
		if strings.Contains(lines.Text(), "io('") { // the last line
			return url
		}
	}
	t.Fatalf("no greeting: exit code %d, stderr %q", exitCode(t, c.Wait()), &c.stderr)
	return ""
}

// end sends a signal to the command and returns its exit code.
func (c *child) end(t *testing.T, s syscall.Signal) int {
	t.Helper()
	if err := c.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
	return exitCode(t, c.Wait())
}

// exitCode returns the exit code that the end of a command tells.
func exitCode(t *testing.T, err error) int {
	t.Helper()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	if err != nil {
		t.Fatal(err)
	}
	return 0
}
