package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// server is a running server that is measured.
type server struct {
	address string
	cmd     *exec.Cmd
}

var servedAt = regexp.MustCompile(`http://(\S+?)/socket\.io/`)

// start starts a server and waits until it says where it serves.
func start(command ...string) (*server, error) {
	s := &server{cmd: exec.Command(command[0], command[1:]...)}
	s.cmd.Stderr = os.Stderr
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(out)
	for s.address == "" && lines.Scan() {
		if m := servedAt.FindStringSubmatch(lines.Text()); m != nil {
			s.address = m[1]
		}
	}
	if s.address == "" {
		s.stop()
		return nil, fmt.Errorf("%s did not say where it serves", command[0])
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	return s, nil
}

// stop ends the server, gently for some seconds.
func (s *server) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGINT)
	kill := time.AfterFunc(10*time.Second, func() { _ = s.cmd.Process.Kill() })
	_ = s.cmd.Wait()
	kill.Stop()
}

// memory is the resident set, in bytes (proc(5), VmRSS).
func (s *server) memory() (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	var kilobytes int64
	_, rest, _ := strings.Cut(string(b), "\nVmRSS:")
	if _, err := fmt.Sscan(rest, &kilobytes); err != nil {
		return 0, fmt.Errorf("read the memory of the server: %w", err)
	}
	return kilobytes << 10, nil
}

// cpu is the processor time the server has used (proc(5), utime and stime, in
// hundredths of a second on Linux).
func (s *server) cpu() (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	fields := strings.Fields(rest)
	var ticks int64
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil
}
