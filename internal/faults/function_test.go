package faults_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/owt-signal/owt-signal/internal/app"
	"github.com/owt-signal/owt-signal/internal/faults"
	"github.com/owt-signal/owt-signal/internal/gateway"
	"github.com/owt-signal/owt-signal/internal/memory"
	"github.com/owt-signal/owt-signal/internal/signal"
)

const (
	connect    = "CONNECT"
	message    = "MESSAGE"
	disconnect = "DISCONNECT"
)

// steps is a route that makes so many calls before its answer and after it:
// the frames that are posted say how far it got.
func steps(before, after int) func(h *host) app.Route {
	return func(h *host) app.Route {
		call := func(ctx context.Context, i int) {
			if i%2 == 0 {
				_, _ = h.store.Get(ctx, "c", 0)
			}
			_ = h.connections.Post(ctx, "", "c", fmt.Append(nil, i))
		}
		return func(ctx context.Context, _ *event) (response, signal.After) {
			for i := range before {
				call(ctx, i)
			}
			if after == 0 {
				return response{Body: "answer"}, nil
			}
			return response{Body: "answer"}, func(ctx context.Context) {
				for i := range after {
					call(ctx, before+i)
				}
			}
		}
	}
}

func TestNoFaults(t *testing.T) {
	f := faults.New(nil, nil)
	store, connections := memory.New(), &sockets{}
	function := gateway.FunctionFunc(func(context.Context, *event) (response, error) { return response{Body: "x"}, nil })
	if f.Store(store) != signal.Store(store) || f.Connections(connections) != connections {
		t.Error("something is in the path")
	}
	if _, ok := f.Function(function, connections).(gateway.FunctionFunc); !ok || f.Route(nil) != nil {
		t.Error("something is in the path")
	}
}

func TestFaultsThatAreOff(t *testing.T) {
	h := newHost(faults.Spec{}, steps(3, 3))
	for range 100 {
		h.sockets.reset()
		for _, kind := range []string{connect, message, disconnect} {
			if r, err := h.invoke(kind); err != nil || r.Body != "answer" {
				t.Fatalf("%v, %v", r, err)
			}
		}
		if got := len(h.sockets.frames()); got != 3*6 {
			t.Fatalf("%d posts", got)
		}
	}
}

func TestCrash(t *testing.T) {
	const trials, before, after = 2000, 4, 8
	h := newHost(faults.Spec{Crash: 1, Seed: 1}, steps(before, after))
	died := make([]int, before+after+1) // by the number of posts that happened
	unanswered := 0
	for range trials {
		h.sockets.reset()
		_, err := h.invoke(message)
		frames := h.sockets.frames()
		for i, f := range frames {
			if f != fmt.Sprint(i) {
				t.Fatalf("posts %q", frames)
			}
		}
		switch {
		case err != nil && len(frames) > before:
			t.Fatalf("no answer, but the work after it: %q", frames)
		case err == nil && len(frames) < before:
			t.Fatalf("an answer after posts %q", frames)
		case err != nil:
			unanswered++
		}
		died[len(frames)]++
	}
	t.Logf("invocations by how many of %d calls before and %d after the answer happened: %d; without an answer: %d", before, after, died, unanswered)
	if slices.Contains(died, 0) {
		t.Error("a step at which none died")
	}
	if unanswered < trials/2 || unanswered > trials*9/10 {
		t.Errorf("%d of %d without an answer", unanswered, trials)
	}
}

func TestCrashWithoutWorkAfterTheAnswer(t *testing.T) {
	h := newHost(faults.Spec{Crash: 1, Seed: 1}, steps(1, 0))
	done := 0
	for range 1000 {
		h.sockets.reset()
		if _, err := h.invoke(disconnect); err == nil {
			t.Fatal("lived")
		}
		done += len(h.sockets.frames())
	}
	if done < 400 || done > 900 {
		t.Errorf("%d of 1000 did their work before they died", done)
	}
}

func TestCrashesAreAsProbableAsAsked(t *testing.T) {
	h := newHost(faults.Spec{Crash: 0.1, Seed: 1}, steps(4, 0))
	died := 0
	for range 5000 {
		if _, err := h.invoke(message); err != nil {
			died++
		}
	}
	if died < 400 || died > 600 {
		t.Errorf("%d of 5000 died", died)
	}
}

// TestCrashTakesAll lets an invocation make calls at the same time, and
// handlers that turn panics into answers.
func TestCrashTakesAll(t *testing.T) {
	for seed := range uint64(200) {
		h := newHost(faults.Spec{Crash: 1, Seed: seed}, func(h *host) app.Route {
			return func(ctx context.Context, _ *event) (response, signal.After) {
				defer func() {
					if v := recover(); v != nil {
						t.Errorf("a panic: %v", v)
					}
				}()
				var both sync.WaitGroup
				for range 2 {
					both.Go(func() {
						for range 100 {
							_ = h.connections.Post(ctx, "", "c", nil)
						}
					})
				}
				both.Wait()
				return response{}, nil
			}
		})
		if _, err := h.invoke(message); err == nil {
			t.Fatal("lived")
		}
		if n := len(h.sockets.frames()); n > 100 {
			t.Errorf("%d posts", n)
		}
	}
}

func TestPanicIsAnError(t *testing.T) {
	h := newHost(faults.Spec{}, func(*host) app.Route {
		return func(context.Context, *event) (response, signal.After) { panic("told") }
	})
	if _, err := h.invoke(message); err == nil || !strings.Contains(err.Error(), "told") {
		t.Error(err)
	}
}

func TestInvocationsAreDelayed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 40 * time.Millisecond
		for _, kind := range []string{connect, message, disconnect} {
			var delays []time.Duration
			h := newHost(faults.Spec{Delay: most, Seed: 1}, func(*host) app.Route {
				return func(context.Context, *event) (response, signal.After) { return response{}, nil }
			})
			for range 500 {
				start := time.Now()
				if _, err := h.invoke(kind); err != nil {
					t.Fatal(err)
				}
				delays = append(delays, time.Since(start))
			}
			if least, longest := slices.Min(delays), slices.Max(delays); least > most/20 || longest < most*19/20 || longest > most {
				t.Errorf("%s: from %v to %v", kind, least, longest)
			}
		}
	})
}

func TestDelayEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(faults.Spec{Delay: time.Second, Seed: 1}, steps(1, 0))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		start := time.Now()
		_, err := h.function.Invoke(ctx, &event{})
		if !errors.Is(err, context.Canceled) || time.Since(start) != 0 || len(h.sockets.frames()) != 0 {
			t.Errorf("%v after %v, posts %q", err, time.Since(start), h.sockets.frames())
		}
	})
}

func TestDuplicate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		n := 0
		h := newHost(faults.Spec{Duplicate: 1, Delay: time.Second, Seed: 1}, func(*host) app.Route {
			return func(context.Context, *event) (response, signal.After) {
				mu.Lock()
				defer mu.Unlock()
				n++
				return response{Body: fmt.Sprint("answer ", n)}, nil
			}
		})
		r, err := h.invoke(message)
		if err != nil || r.Body != "answer 2" || !slices.Equal(h.sockets.frames(), []string{"answer 1"}) {
			t.Errorf("%v, %v, posted %q", r, err, h.sockets.frames())
		}
		if h.sockets.posted[0].at.Equal(time.Now()) {
			t.Error("the first answer waited for the second")
		}
		for _, kind := range []string{connect, disconnect} {
			n = 0
			if _, err := h.invoke(kind); err != nil || n != 1 {
				t.Errorf("%s: %d invocations, %v", kind, n, err)
			}
		}
	})
}

// TestDuplicateThatCrashes sees that of an answer and an error the client gets
// both, whichever comes first.
func TestDuplicateThatCrashes(t *testing.T) {
	outcomes := make(map[string]int)
	for seed := range uint64(300) {
		h := newHost(faults.Spec{Duplicate: 1, Crash: 0.5, Seed: seed}, steps(0, 0))
		r, err := h.invoke(message)
		outcomes[fmt.Sprintf("%q %q %v", h.sockets.frames(), r.Body, err != nil)]++
	}
	t.Log(outcomes)
	for _, want := range []string{`["answer"] "answer" false`, `["answer"] "" true`, `[] "" true`} {
		if outcomes[want] < 30 {
			t.Errorf("%d times %s", outcomes[want], want)
		}
		delete(outcomes, want)
	}
	if len(outcomes) != 0 {
		t.Error(outcomes)
	}
}

func TestDuplicateAnswerThatCannotBePosted(t *testing.T) {
	h := newHost(faults.Spec{Duplicate: 1}, steps(0, 0))
	h.sockets.err = signal.ErrGone
	if r, err := h.invoke(message); err != nil || r.Body != "answer" {
		t.Errorf("%v, %v", r, err)
	}
}

func TestLostDisconnect(t *testing.T) {
	for p, want := range map[float64]func(n int) bool{
		0:   func(n int) bool { return n == 1000 },
		0.2: func(n int) bool { return 700 < n && n < 900 },
		1:   func(n int) bool { return n == 0 },
	} {
		h := newHost(faults.Spec{LostDisconnect: p, Seed: 1}, steps(1, 0))
		for range 1000 {
			if _, err := h.invoke(disconnect); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(h.sockets.frames()); !want(n) {
			t.Errorf("with %v %d of 1000 happened", p, n)
		}
		h.sockets.reset()
		for _, kind := range []string{connect, message} {
			if _, _ = h.invoke(kind); len(h.sockets.frames()) == 0 {
				t.Errorf("%s lost", kind)
			}
		}
	}
}

// TestSeed sees that a sequential run is the same again under the same seed,
// to the nanosecond, and another under another. Duplicates are left out: two at
// a time are no sequence.
func TestSeed(t *testing.T) {
	spec := faults.Spec{
		Delay: time.Second / 10, Crash: 0.3, Throttle: 0.2, LostDisconnect: 0.5, SlowStore: time.Second / 10, Seed: 7,
	}
	one, again := trace(t, spec), trace(t, spec)
	if !slices.Equal(one, again) {
		t.Errorf("not the same again:\n%q\n%q", one, again)
	}
	spec.Seed++
	if slices.Equal(one, trace(t, spec)) {
		t.Error("the same under another seed")
	}
}

// trace is what happens when, in a sequential run.
func trace(t *testing.T, spec faults.Spec) (lines []string) {
	kinds := []string{connect, message, disconnect}
	synctest.Test(t, func(*testing.T) {
		h := newHost(spec, steps(4, 4))
		start := time.Now()
		for i := range 100 {
			_, err := h.invoke(kinds[i%len(kinds)])
			lines = append(lines, fmt.Sprintf("%v at %v", err, time.Since(start)))
		}
		for _, p := range h.sockets.posted {
			lines = append(lines, fmt.Sprintf("%s at %v", p.frame, p.at.Sub(start)))
		}
	})
	return lines
}
