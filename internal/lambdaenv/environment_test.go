package lambdaenv_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/owt-signal/owt-signal/internal/lambdaenv"
)

func TestResponseComesBeforeTheWorkAfterIt(t *testing.T) {
	t.Parallel()
	for name, env := range map[string]map[string]string{
		"one extension":                    nil,
		"beside that of aws-lambda-go too": {"PROBE_SIGTERM": "exit"},
	} {
		t.Run(name, func(t *testing.T) {
			f := start(t, lambdaenv.Config{MaxConcurrency: 1, Env: env})
			for range 3 {
				g := newGate(t)
				first := f.do(order{AfterGate: g.URL}) // comes although the gate is closed
				g.await(t)
				if _, err := f.try(order{}); !errors.Is(err, lambdaenv.ErrThrottled) {
					t.Errorf("while the work goes on: got error %v, want ErrThrottled", err)
				}
				if strings.Contains(f.logs.String(), "after:") && !strings.Contains(f.logs.String(), "after: <nil>") {
					t.Error("the work has failed")
				}
				g.open()
				if next := f.do(order{}); next.PID != first.PID {
					t.Errorf("process %d after process %d", next.PID, first.PID)
				}
			}
			done := func() int { return strings.Count(f.logs.String(), "after: <nil>") }
			for end := time.Now().Add(patience); done() < 3 && time.Now().Before(end); { // a log comes later than what it tells of
				time.Sleep(10 * time.Millisecond)
			}
			if n := done(); n != 3 {
				t.Errorf("work was done %d times, want 3", n)
			}
		})
	}
}

func TestBusyWithWorkAfterItMeansAnotherEnvironment(t *testing.T) {
	t.Parallel()
	f := start(t, lambdaenv.Config{MaxConcurrency: 2})
	g := newGate(t)
	first := f.do(order{AfterGate: g.URL})
	if next := f.do(order{}); next.PID == first.PID {
		t.Error("the invocation was given to an environment at work")
	}
}

func TestWorkEndsBeforeTheDeadline(t *testing.T) {
	t.Parallel()
	f := start(t, lambdaenv.Config{MaxConcurrency: 1, Timeout: 800 * time.Millisecond})
	first := f.do(order{AfterGate: newGate(t).URL})
	if next := f.do(order{}); next.PID != first.PID {
		t.Error("the environment was ended")
	}
	f.logs.await(t, "context deadline exceeded")
}

func TestWorkThatDoesNotEndEndsTheEnvironment(t *testing.T) {
	t.Parallel()
	f := start(t, lambdaenv.Config{MaxConcurrency: 1, Timeout: 500 * time.Millisecond})
	first := f.do(order{AfterFault: "hang"})
	if next := f.do(order{}); next.PID == first.PID {
		t.Error("the environment was not ended")
	}
	f.logs.await(t, first.RequestID+" Task timed out after 0.50 seconds")
}

func TestWorkThatPanics(t *testing.T) {
	t.Parallel()
	f := start(t, lambdaenv.Config{MaxConcurrency: 1})
	first := f.do(order{AfterFault: "panic"})
	if next := f.do(order{}); next.PID != first.PID {
		t.Error("the environment was ended")
	}
	f.logs.await(t, "oh no")
}

func TestTimeout(t *testing.T) {
	t.Parallel()
	f := start(t, lambdaenv.Config{MaxConcurrency: 1, Timeout: 300 * time.Millisecond})
	first := f.do(order{})
	failure := f.fails(order{Fault: "hang", Child: true}, lambdaenv.TypeTimeout, "Error: Task timed out after 0.30 seconds")
	if !json.Valid(failure.Payload) {
		t.Errorf("payload %s", failure.Payload)
	}
	if next := f.do(order{}); next.PID == first.PID {
		t.Error("the environment was not ended")
	}
	f.logs.await(t, "Task timed out after 0.30 seconds")
	awaitNobody(t, first.PID)
}

func TestExit(t *testing.T) {
	t.Parallel()
	f := start(t, lambdaenv.Config{MaxConcurrency: 1})
	first := f.do(order{})
	f.fails(order{Fault: "exit", Child: true}, lambdaenv.TypeExit, "Error: Runtime exited with error: exit status 1")
	awaitNobody(t, first.PID)
	second := f.do(order{})
	if second.PID == first.PID {
		t.Error("an invocation went to a process that is gone")
	}
	f.fails(order{Fault: "exit0"}, lambdaenv.TypeExit, "Error: Runtime exited without providing a reason")
	f.do(order{})
	f.logs.await(t, "Runtime.ExitError")
}

func TestExitWhileIdle(t *testing.T) {
	t.Parallel()
	f := start(t, lambdaenv.Config{MaxConcurrency: 1})
	first := f.do(order{})
	time.Sleep(50 * time.Millisecond) // it is idle by then, most likely
	if err := syscall.Kill(first.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	f.logs.await(t, "Runtime exited with error: signal: killed")
	if next := f.do(order{}); next.PID == first.PID {
		t.Error("an invocation went to a process that is gone")
	}
}

func TestFailedInit(t *testing.T) {
	t.Parallel()
	script := filepath.Join(t.TempDir(), "bootstrap")
	if err := os.WriteFile(script, []byte("no program"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		config      lambdaenv.Config
		kind, words string
	}{
		"exit":         {lambdaenv.Config{Env: map[string]string{"PROBE_INIT": "exit"}}, lambdaenv.TypeInit, "Runtime exited with error: exit status 3"},
		"report":       {lambdaenv.Config{Env: map[string]string{"PROBE_INIT": "report"}}, "Probe.Config", "no configuration"},
		"time":         {lambdaenv.Config{Env: map[string]string{"PROBE_INIT": "hang"}, InitTimeout: 200 * time.Millisecond}, lambdaenv.TypeInit, "Init timed out after 0.20 seconds"},
		"not a binary": {lambdaenv.Config{Bootstrap: script}, lambdaenv.TypeInvalidEntrypoint, "exec format error"},
	} {
		t.Run(name, func(t *testing.T) {
			test.config.MaxConcurrency = 1
			f := start(t, test.config)
			for range 2 { // each time with a new environment
				f.fails(order{}, test.kind, test.words)
			}
		})
	}
}

func TestFunctionError(t *testing.T) {
	f := start(t, lambdaenv.Config{MaxConcurrency: 1})
	first := f.do(order{})
	failure := f.fails(order{Fault: "error"}, "unhappy", "not today")
	if want := `{"errorMessage":"not today","errorType":"unhappy"}`; string(failure.Payload) != want {
		t.Errorf("payload %s, want %s", failure.Payload, want)
	}
	if next := f.do(order{}); next.PID != first.PID {
		t.Error("the environment was ended")
	}
}

func TestPanic(t *testing.T) {
	t.Parallel()
	f := start(t, lambdaenv.Config{MaxConcurrency: 1})
	first := f.do(order{})
	failure := f.fails(order{Fault: "panic", AfterGate: "http://127.0.0.1:1"}, "string", "oh no")
	if !strings.Contains(string(failure.Payload), "stackTrace") {
		t.Errorf("payload %s", failure.Payload)
	}
	if next := f.do(order{}); next.PID == first.PID {
		t.Error("the process is still there") // aws-lambda-go exits after a panic
	}
	if strings.Contains(f.logs.String(), "after:") {
		t.Error("the work of a handler that panicked was started")
	}
}

func TestLogs(t *testing.T) {
	f := start(t, lambdaenv.Config{MaxConcurrency: 1})
	f.do(order{Log: "one\ntwo\nthree"})
	f.do(order{Log: " and four\n"})
	f.do(order{Log: "five"})
	f.logs.await(t, "three and four\n")
	if err := f.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := []string{"one\n", "two\n", "three and four\n", "five\n"}
	if got := f.logs.lines; strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("lines %q, want %q", got, want)
	}
}
