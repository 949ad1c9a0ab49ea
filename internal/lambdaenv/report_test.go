package lambdaenv_test

import (
	"runtime"
	"testing"
	"time"

	"github.com/owt-signal/owt-signal/internal/lambdaenv"
)

func TestReports(t *testing.T) {
	t.Parallel()
	const closed = 50 * time.Millisecond // is how long a gate stays closed
	reports := make(chan lambdaenv.Report, 10)
	f := start(t, lambdaenv.Config{MaxConcurrency: 1, Reports: func(r lambdaenv.Report) { reports <- r }})
	wait := func(o order, g *gate) lambdaenv.Report {
		t.Helper()
		result := f.background(t.Context(), o)
		g.await(t)
		time.Sleep(closed)
		g.open()
		did, err := result()
		if err != nil {
			t.Fatal(err)
		}
		r := <-reports
		if r.RequestID != did.RequestID || r.Environment != 1 {
			t.Errorf("report of %q in environment %d, want of %q in 1", r.RequestID, r.Environment, did.RequestID)
		}
		return r
	}

	f.do(order{})
	first := <-reports
	if first.Init <= 0 || first.Init > patience || first.Answered <= 0 || first.Duration < first.Answered {
		t.Errorf("first: %+v", first)
	}
	if known := runtime.GOOS == "linux"; known != (first.MaxMemory > 1<<20 && first.MaxMemory < 1<<30) {
		t.Errorf("%d bytes of memory", first.MaxMemory)
	}
	before := newGate(t)
	if r := wait(order{Gate: before.URL}, before); r.Init != 0 || r.Answered < closed || r.MaxMemory < first.MaxMemory {
		t.Errorf("waited %v before the answer: %+v", closed, r)
	}
	after := newGate(t)
	if r := wait(order{AfterGate: after.URL}, after); r.Init != 0 || r.Duration-r.Answered < closed {
		t.Errorf("waited %v after the answer: %+v", closed, r)
	}

	f.fails(order{Fault: "error"}, "unhappy", "not today")
	if r := <-reports; r.Answered <= 0 {
		t.Errorf("an error is an answer, too: %+v", r)
	}
	f.fails(order{Fault: "exit"}, lambdaenv.TypeExit, "exit status 1")
	f.do(order{})
	if r := <-reports; r.Environment != 2 || r.Init <= 0 {
		t.Errorf("after an exit, of which nothing is reported: %+v", r)
	}
}
