package lambdaenv_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/owt-signal/owt-signal/internal/lambdaenv"
)

func TestInvoke(t *testing.T) {
	t.Setenv("HOME", "/home/somebody")
	f := start(t, lambdaenv.Config{Region: "eu-west-3", Timeout: 7 * time.Second, Env: map[string]string{
		"TABLE": "signal", "AWS_ACCESS_KEY_ID": "given",
	}})
	before := time.Now()
	r := f.do(order{Env: []string{
		"TABLE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "_HANDLER", "LAMBDA_TASK_ROOT", "HOME",
		"AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_VERSION",
	}})
	if !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(r.RequestID) {
		t.Errorf("request id %q", r.RequestID)
	}
	if !regexp.MustCompile(`^Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=0$`).MatchString(r.Trace) {
		t.Errorf("trace id %q", r.Trace)
	}
	if want := "arn:aws:lambda:eu-west-3:000000000000:function:probe"; r.ARN != want {
		t.Errorf("ARN %q, want %q", r.ARN, want)
	}
	if left := r.Deadline.Sub(before); left < 6*time.Second || left > 17*time.Second {
		t.Errorf("deadline %v after the call", left)
	}
	for name, want := range map[string]string{
		"TABLE": "signal", "AWS_ACCESS_KEY_ID": "given", "AWS_SECRET_ACCESS_KEY": "local", "AWS_REGION": "eu-west-3",
		"_HANDLER": "bootstrap", "LAMBDA_TASK_ROOT": filepath.Dir(probe), "AWS_LAMBDA_FUNCTION_NAME": "probe",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128", "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
	} {
		if got := r.Env[name]; got != want {
			t.Errorf("variable %s is %q, want %q", name, got, want)
		}
	}
	if home, ok := r.Env["HOME"]; ok {
		t.Errorf("HOME=%s of this process has reached the function", home)
	}
}

func TestInvokeWithoutExtension(t *testing.T) {
	f := start(t, lambdaenv.Config{MaxConcurrency: 1, Env: map[string]string{"PROBE_PLAIN": "1"}})
	answer, err := f.Invoke(context.Background(), nil)
	if err != nil || !bytes.HasPrefix(answer, []byte(`{"PID":`)) {
		t.Errorf("got %s, %v", answer, err)
	}
}

func TestEnvironmentIsUsedAgain(t *testing.T) {
	f := start(t, lambdaenv.Config{})
	// A process that gets no CPU for longer than Invoke waits has another one started: not every time.
	var processes map[int]bool
	for attempt := 0; attempt < 3 && len(processes) != 1; attempt++ {
		processes = make(map[int]bool)
		for range 20 {
			processes[f.do(order{}).PID] = true
		}
	}
	if len(processes) != 1 {
		t.Errorf("%d processes for one invocation after the other", len(processes))
	}
}

func TestConcurrency(t *testing.T) {
	t.Parallel()
	const most = 3
	f := start(t, lambdaenv.Config{MaxConcurrency: most})
	g := newGate(t)
	var wait []func() (report, error)
	for range most {
		wait = append(wait, f.background(t.Context(), order{Gate: g.URL}))
	}
	for range most {
		g.await(t)
	}
	if _, err := f.try(order{}); !errors.Is(err, lambdaenv.ErrThrottled) {
		t.Errorf("one more: got error %v, want ErrThrottled", err)
	}
	g.open()
	processes := make(map[int]bool)
	for _, result := range wait {
		r, err := result()
		if err != nil {
			t.Fatal(err)
		}
		processes[r.PID] = true
	}
	if len(processes) != most {
		t.Errorf("%d processes for %d invocations at a time", len(processes), most)
	}
	if r := f.do(order{}); !processes[r.PID] {
		t.Error("one process more than needed")
	}
}

func TestCallerGoesAway(t *testing.T) {
	t.Parallel()
	f := start(t, lambdaenv.Config{MaxConcurrency: 1})
	g := newGate(t)
	ctx, cancel := context.WithCancel(context.Background())
	result := f.background(ctx, order{Gate: g.URL, AfterGate: g.URL})
	g.await(t)
	cancel()
	if _, err := result(); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want that of the context", err)
	}
	g.open()
	f.logs.await(t, "after: <nil>")
}

func TestPayload(t *testing.T) {
	f := start(t, lambdaenv.Config{})
	largest := append([]byte("{}"), bytes.Repeat([]byte(" "), lambdaenv.MaxPayload-2)...)
	if _, err := f.Invoke(context.Background(), largest); err != nil {
		t.Error("largest payload:", err)
	}
	if _, err := f.Invoke(context.Background(), append(largest, ' ')); err == nil || !strings.Contains(err.Error(), "larger than 6291556") {
		t.Errorf("payload too large: got error %v", err)
	}
	if _, err := f.Invoke(context.Background(), []byte("{")); err == nil || !strings.Contains(err.Error(), "not JSON") {
		t.Errorf("payload not JSON: got error %v", err)
	}
	f.fails(order{Large: lambdaenv.MaxPayload}, lambdaenv.TypeResponseTooLarge, "exceeded maximum allowed payload size (6291556 bytes)")
	if r := f.do(order{Large: lambdaenv.MaxPayload / 2}); len(r.Large) != lambdaenv.MaxPayload/2 {
		t.Errorf("got %d bytes", len(r.Large))
	}
}

func TestClose(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		variable string
		killed   bool
	}{
		"process that heeds SIGTERM": {"exit", false},
		"process that does not":      {"ignore", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := start(t, lambdaenv.Config{Env: map[string]string{"PROBE_SIGTERM": test.variable}})
			g := newGate(t)
			busy := f.background(t.Context(), order{Gate: g.URL})
			g.await(t)
			idle := f.do(order{Child: true})

			begin := time.Now()
			if err := f.Close(context.Background()); err != nil {
				t.Error(err)
			}
			if took := time.Since(begin); test.killed && took < lambdaenv.ShutdownGrace {
				t.Errorf("killed after %v", took)
			}
			if _, err := busy(); !errors.Is(err, lambdaenv.ErrClosed) {
				t.Errorf("invocation at work: got error %v, want ErrClosed", err)
			}
			if _, err := f.try(order{}); !errors.Is(err, lambdaenv.ErrClosed) {
				t.Errorf("later invocation: got error %v, want ErrClosed", err)
			}
			awaitNobody(t, idle.PID)
			if n := strings.Count(f.logs.String(), "got SIGTERM"); n != 2 {
				t.Errorf("%d processes got SIGTERM, want 2", n)
			}
		})
	}
}

func TestCloseInAHurry(t *testing.T) {
	t.Parallel()
	f := start(t, lambdaenv.Config{Env: map[string]string{"PROBE_SIGTERM": "ignore"}})
	idle := f.do(order{})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := f.Close(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want that of the context", err)
	}
	awaitNobody(t, idle.PID)
}

func TestNewRefuses(t *testing.T) {
	folder := t.TempDir()
	plain := filepath.Join(folder, "plain")
	if err := os.WriteFile(plain, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for words, config := range map[string]lambdaenv.Config{
		"find bootstrap":                           {Bootstrap: filepath.Join(folder, "missing")},
		"plain is not an executable file":          {Bootstrap: plain},
		"is not between":                           {Bootstrap: probe, Timeout: lambdaenv.MaxTimeout + 1},
		"maximum concurrency -1 is negative":       {Bootstrap: probe, MaxConcurrency: -1},
		"variable AWS_REGION is reserved":          {Bootstrap: probe, Env: map[string]string{"AWS_REGION": "x"}},
		`configure function "n": find bootstrap: `: {Name: "n", Bootstrap: "missing"},
	} {
		if _, err := lambdaenv.New(config); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("got error %v, want %q", err, words)
		}
	}
}
