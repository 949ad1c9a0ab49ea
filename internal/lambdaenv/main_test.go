package lambdaenv_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/owt-signal/owt-signal/internal/lambdaenv"
)

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

// probe is the path of the function that tests run: this program, which is one
// where there is a Runtime API.
var probe string

func TestMain(m *testing.M) {
	if os.Getenv("AWS_LAMBDA_RUNTIME_API") != "" {
		runProbe()
		return
	}
	folder, err := os.MkdirTemp("", "lambdaenv")
	if err == nil {
		probe = filepath.Join(folder, "probe", "bootstrap")
		err = linkProbe()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(folder)
		os.Exit(code)
	}))
}

// linkProbe gives this program the name that Lambda runs.
func linkProbe() error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Dir(probe), 0o750); err != nil {
		return err
	}
	return os.Symlink(program, probe)
}

// function is a probe under test.
type function struct {
	*lambdaenv.Function
	t    *testing.T
	logs *logs
}

// start makes a function of the probe. It is closed after the test.
func start(t *testing.T, config lambdaenv.Config) *function {
	t.Helper()
	f := &function{t: t, logs: &logs{}}
	if config.Bootstrap == "" {
		config.Bootstrap = probe
	}
	if config.Timeout == 0 {
		config.Timeout = patience
	}
	// The race detector makes a program wait at its end, longer than Lambda would.
	config.Env = maps.Clone(config.Env)
	if config.Env == nil {
		config.Env = make(map[string]string)
	}
	config.Env["GORACE"] = "atexit_sleep_ms=0"
	config.Logs, config.Started = f.logs.add, f.logs.start
	var err error
	if f.Function, err = lambdaenv.New(config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(context.Background()); err != nil {
			t.Error("close:", err)
		}
		if t.Failed() {
			t.Log("function's logs:\n" + f.logs.String())
		}
	})
	return f
}

// try invokes the function once.
func (f *function) try(o order) (report, error) { return f.invoke(context.Background(), o) }

func (f *function) invoke(ctx context.Context, o order) (r report, err error) {
	payload, err := json.Marshal(o)
	if err != nil {
		return r, err
	}
	answer, err := f.Invoke(ctx, payload)
	if err != nil {
		return r, err
	}
	err = json.Unmarshal(answer, &r)
	return r, err
}

// whenFree invokes the function as soon as it is not throttled.
func (f *function) whenFree(o order) (report, error) {
	for end := time.Now().Add(patience); ; {
		r, err := f.try(o)
		if !errors.Is(err, lambdaenv.ErrThrottled) || time.Now().After(end) {
			return r, err
		}
	}
}

// do invokes the function as soon as it is not throttled, and must succeed.
func (f *function) do(o order) report {
	f.t.Helper()
	r, err := f.whenFree(o)
	if err != nil {
		f.t.Fatal(err)
	}
	return r
}

// fails invokes the function as soon as it is not throttled, which must fail with a FunctionError of this type and a message that contains words.
func (f *function) fails(o order, kind, words string) *lambdaenv.FunctionError {
	f.t.Helper()
	_, err := f.whenFree(o)
	var failure *lambdaenv.FunctionError
	if !errors.As(err, &failure) {
		f.t.Fatalf("got error %v, want a FunctionError", err)
	}
	if failure.Type != kind || !strings.Contains(failure.Message, words) {
		f.t.Errorf("got %q: %q, want %q with %q", failure.Type, failure.Message, kind, words)
	}
	return failure
}

// background invokes the function and returns a function that waits for the result.
func (f *function) background(ctx context.Context, o order) func() (report, error) {
	var r report
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		r, err = f.invoke(ctx, o)
	}()
	return func() (report, error) {
		<-done
		return r, err
	}
}

// gate is a place that functions wait at until the test opens it.
type gate struct {
	URL     string
	arrived chan struct{}
	open    func()
}

func newGate(t *testing.T) *gate {
	opened := make(chan struct{})
	g := &gate{arrived: make(chan struct{}, 100), open: sync.OnceFunc(func() { close(opened) })}
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		g.arrived <- struct{}{}
		select {
		case <-opened:
		case <-r.Context().Done():
		}
	}))
	g.URL = server.URL
	t.Cleanup(func() {
		g.open()
		server.Close()
	})
	return g
}

// await waits until somebody stands at the gate.
func (g *gate) await(t *testing.T) {
	t.Helper()
	select {
	case <-g.arrived:
	case <-time.After(patience):
		t.Fatal("nobody came to the gate")
	}
}

// logs keeps the lines of a function.
type logs struct {
	mu           sync.Mutex
	lines        []string
	environments []int       // that the lines are from
	processes    map[int]int // by environment
}

func (l *logs) add(environment int, line []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, string(line))
	l.environments = append(l.environments, environment)
}

func (l *logs) start(environment, pid int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.processes == nil {
		l.processes = make(map[int]int)
	}
	l.processes[environment] = pid
}

// from is the environment that a line is from, zero if there is no such line.
func (l *logs) from(line string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := slices.Index(l.lines, line); i >= 0 {
		return l.environments[i]
	}
	return 0
}

// started is the processes that have been started, by environment.
func (f *function) started() map[int]int {
	f.logs.mu.Lock()
	defer f.logs.mu.Unlock()
	return maps.Clone(f.logs.processes)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "")
}

// await waits for a line that contains words.
func (l *logs) await(t *testing.T, words string) {
	t.Helper()
	for end := time.Now().Add(patience); !strings.Contains(l.String(), words); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no log line with %q", words)
		}
	}
}

// awaitNobody waits until all processes that this one has started are gone too; they are nobody's children then, and
// init may take a moment to notice.
func awaitNobody(t *testing.T, pid int) {
	t.Helper()
	for end := time.Now().Add(patience); syscall.Kill(-pid, 0) == nil; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("somebody of process group %d is still there", pid)
		}
	}
}
