package lambdaenv_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/owt-signal/owt-signal/internal/lambdaenv"
)

// kill invokes the function by InvokeAndKill.
func (f *function) kill(o order, after time.Duration) (r report, err error) {
	f.t.Helper()
	payload, err := json.Marshal(o)
	if err != nil {
		f.t.Fatal(err)
	}
	answer, err := f.InvokeAndKill(context.Background(), payload, after)
	if err == nil {
		err = json.Unmarshal(answer, &r)
	}
	return r, err
}

func TestKillDuringAnInvocation(t *testing.T) {
	t.Parallel()
	f := start(t, lambdaenv.Config{MaxConcurrency: 1})
	first := f.do(order{})
	g := newGate(t)
	_, err := f.kill(order{Gate: g.URL}, 50*time.Millisecond) // of a gate that stays closed
	failure, ok := errors.AsType[*lambdaenv.FunctionError](err)
	if !ok || failure.Type != lambdaenv.TypeExit {
		t.Errorf("got error %v, want %s", err, lambdaenv.TypeExit)
	}
	awaitNobody(t, first.PID)
	if next := f.do(order{}); next.PID == first.PID {
		t.Error("an invocation went to a process that is gone")
	}
	f.logs.await(t, "Error: Runtime exited with error: signal: killed")
}

func TestKillDuringTheWorkAfterTheAnswer(t *testing.T) {
	t.Parallel()
	f := start(t, lambdaenv.Config{MaxConcurrency: 1})
	f.do(order{}) // so that the time is not that of the process's start
	g := newGate(t)
	first, err := f.kill(order{AfterGate: g.URL}, 2*time.Second) // by when it has its answer
	if err != nil {
		t.Fatal(err)
	}
	awaitNobody(t, first.PID)
	if next := f.do(order{}); next.PID == first.PID {
		t.Error("an invocation went to a process that is gone")
	}
}

// TestKillAtTheEnd: an invocation that has ended before its time has its
// process killed all the same, and nobody is told.
func TestKillAtTheEnd(t *testing.T) {
	t.Parallel()
	f := start(t, lambdaenv.Config{MaxConcurrency: 1})
	for range 3 {
		last, err := f.kill(order{}, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		awaitNobody(t, last.PID)
	}
	if n := len(f.started()); n != 3 {
		t.Errorf("%d processes, want 3", n)
	}
}

func TestDrain(t *testing.T) {
	t.Parallel()
	f := start(t, lambdaenv.Config{})
	if err := f.Drain(t.Context()); err != nil {
		t.Errorf("before any invocation: %v", err)
	}
	f.do(order{})
	g := newGate(t)
	f.do(order{AfterGate: g.URL})
	g.await(t)
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := f.Drain(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while there is work: %v", err)
	}
	drained := make(chan error, 1)
	go func() { drained <- f.Drain(t.Context()) }()
	g.open()
	if err := <-drained; err != nil {
		t.Error(err)
	}
	f.logs.await(t, "after: <nil>")
}

func TestDrainOfAProcessThatEnds(t *testing.T) {
	t.Parallel()
	f := start(t, lambdaenv.Config{Timeout: 300 * time.Millisecond})
	f.do(order{AfterFault: "hang"})
	if err := f.Drain(t.Context()); err != nil {
		t.Error(err)
	}
	f.logs.await(t, "Task timed out")
}

func TestAnswersLast(t *testing.T) {
	t.Parallel()
	f := start(t, lambdaenv.Config{MaxConcurrency: 1, AnswersLast: true})
	g := newGate(t)
	result := f.background(t.Context(), order{AfterGate: g.URL})
	g.await(t)
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		if _, err := result(); err != nil {
			t.Error(err)
		}
	}()
	select {
	case <-answered:
		t.Error("the answer came before the end of the work")
	case <-time.After(50 * time.Millisecond):
	}
	g.open()
	<-answered
	f.do(order{})
}

// TestAnswersLastOfAProcessThatEnds: the caller is told that it has, not left
// waiting.
func TestAnswersLastOfAProcessThatEnds(t *testing.T) {
	t.Parallel()
	f := start(t, lambdaenv.Config{MaxConcurrency: 1, AnswersLast: true, Timeout: 300 * time.Millisecond})
	f.fails(order{AfterFault: "hang"}, lambdaenv.TypeTimeout, "Task timed out after 0.30 seconds")
}

func TestLinesNameTheirEnvironment(t *testing.T) {
	t.Parallel()
	f := start(t, lambdaenv.Config{})
	g := newGate(t)
	one := f.background(t.Context(), order{Gate: g.URL, Log: "of one\n"})
	g.await(t)
	other := f.do(order{Log: "of the other\n"})
	g.open()
	first, err := one()
	if err != nil {
		t.Fatal(err)
	}
	f.logs.await(t, "of the other\n")
	for line, want := range map[string]int{"of one\n": 1, "of the other\n": 2} {
		if got := f.logs.from(line); got != want {
			t.Errorf("%q is of environment %d, want %d", line, got, want)
		}
	}
	if got := f.started(); len(got) != 2 || got[1] != first.PID || got[2] != other.PID {
		t.Errorf("started %v, want 1 with process %d and 2 with %d", got, first.PID, other.PID)
	}
}
