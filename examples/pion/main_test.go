package main

import (
	"bufio"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// within bounds the call, on a machine under load.
const within = 60 * time.Second

var servedAt = regexp.MustCompile(`http://(\S+)/socket\.io/`)

// TestCall has two programs talk on a data channel that they set up through the
// real server.
func TestCall(t *testing.T) {
	dir := t.TempDir()
	build(t, "../..", filepath.Join(dir, "owt-signal"), "./cmd/owt-signal")
	build(t, ".", filepath.Join(dir, "pion"), ".")

	server := start(t, filepath.Join(dir, "owt-signal"), "-plain", "127.0.0.1:0", "-secure", "off", "-log", "error")
	address := server.find(t, servedAt)[1]
	part := func(args ...string) *program {
		return start(t, filepath.Join(dir, "pion"), append(args, "-loopback", "-url", "ws://"+address+"/prod")...)
	}
	bob := part("-user", "bob")
	bob.find(t, regexp.MustCompile("bob waits for a call"))
	alice := part("-user", "alice", "-call", "bob")
	alice.find(t, regexp.MustCompile("^bob says: hello alice$"))
	bob.find(t, regexp.MustCompile("^alice says: this is alice$"))
	alice.wait(t)
	bob.wait(t)
}

// TestNobodyAnswers calls a user who is not online.
func TestNobodyAnswers(t *testing.T) {
	dir := t.TempDir()
	build(t, "../..", filepath.Join(dir, "owt-signal"), "./cmd/owt-signal")
	server := start(t, filepath.Join(dir, "owt-signal"), "-plain", "127.0.0.1:0", "-secure", "off", "-log", "error")
	address := server.find(t, servedAt)[1]
	err := run(t.Context(), []string{"-user", "alice", "-call", "bob", "-url", "ws://" + address + "/prod"}, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "not online") {
		t.Errorf("call: %v", err)
	}
}

func build(t *testing.T, dir, binary, pkg string) {
	t.Helper()
	if out, err := exec.Command("go", "build", "-C", dir, "-o", binary, pkg).CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", pkg, err, out)
	}
}

// program is a running program, which ends with the test.
type program struct {
	*exec.Cmd
	lines chan string
	ended chan error
}

func start(t *testing.T, binary string, args ...string) *program {
	t.Helper()
	p := &program{Cmd: exec.Command(binary, args...), lines: make(chan string, 100), ended: make(chan error, 1)}
	stdout, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var errors strings.Builder
	p.Stderr = &errors
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		for s := bufio.NewScanner(stdout); s.Scan(); {
			p.lines <- s.Text()
		}
		close(p.lines)
		p.ended <- p.Wait()
	}()
	t.Cleanup(func() {
		_ = p.Process.Signal(syscall.SIGINT)
		select {
		case <-over:
		case <-time.After(within):
			_ = p.Process.Kill()
			<-over
		}
		if t.Failed() {
			t.Logf("%s said: %s", binary, errors.String())
		}
	})
	return p
}

// find waits for a line.
func (p *program) find(t *testing.T, what *regexp.Regexp) []string {
	t.Helper()
	deadline := time.After(within)
	for {
		select {
		case line, more := <-p.lines:
			if m := what.FindStringSubmatch(line); m != nil {
				return m
			}
			if !more {
				t.Fatalf("%s ended without saying %q", p.Path, what)
			}
		case <-deadline:
			t.Fatalf("%s has not said %q", p.Path, what)
		}
	}
}

// wait waits until the program has ended, and wants it to have gone well.
func (p *program) wait(t *testing.T) {
	t.Helper()
	select {
	case err := <-p.ended:
		if err != nil {
			t.Errorf("%s: %v", p.Path, err)
		}
	case <-time.After(within):
		t.Errorf("%s has not ended", p.Path)
	}
}
