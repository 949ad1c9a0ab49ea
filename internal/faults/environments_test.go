package faults_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/owt-signal/owt-signal/internal/faults"
	"github.com/owt-signal/owt-signal/internal/gateway"
)

var errKilled = errors.New("killed")

// processes are invocations that take so long until their answer, and remember
// after how long they were to be killed.
type processes struct {
	takes  time.Duration
	lived  int
	killed []time.Duration
}

func (p *processes) Invoke(context.Context, *event) (response, error) {
	p.lived++
	time.Sleep(p.takes)
	return response{Body: "answer"}, nil
}

func (p *processes) InvokeAndKill(_ context.Context, _ *event, after time.Duration) (response, error) {
	p.killed = append(p.killed, after)
	if after < p.takes {
		time.Sleep(after)
		return response{}, errKilled
	}
	time.Sleep(p.takes)
	return response{Body: "answer"}, nil
}

// TestKills sees that invocations are killed as often as asked, and at moments
// that spread over what they usually take.
func TestKills(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const takes = 100 * time.Millisecond
		p := &processes{takes: takes}
		f := inject(faults.Spec{Crash: 0.5, Seed: 1})
		function := f.Function(f.Environments(p), &sockets{})
		failed := 0
		for range 2000 {
			r, err := function.Invoke(t.Context(), &event{})
			switch {
			case errors.Is(err, errKilled):
				failed++
			case err != nil || r.Body != "answer":
				t.Fatal(r, err)
			}
		}
		if len(p.killed) < 900 || len(p.killed) > 1100 || len(p.killed)+p.lived != 2000 {
			t.Errorf("%d killed, %d lived", len(p.killed), p.lived)
		}
		late := p.killed[100:] // when it knows what is usual
		quarters := make([]int, 5)
		for _, after := range late {
			quarters[min(int(4*after/takes), 4)]++
		}
		t.Logf("killed in each quarter of the time until the answer, and after it: %d; %d without an answer", quarters, failed)
		if slices.Min(quarters) < len(late)/20 {
			t.Error("some are rare")
		}
	})
}

func TestNoKills(t *testing.T) {
	p := &processes{}
	f := inject(faults.Spec{Seed: 1})
	function := f.Function(f.Environments(p), &sockets{})
	for range 100 {
		if _, err := function.Invoke(t.Context(), &event{}); err != nil {
			t.Fatal(err)
		}
	}
	if p.lived != 100 {
		t.Errorf("%d of 100 lived", p.lived)
	}
	if faults.New(nil, nil).Environments(p) != gateway.Function(p) {
		t.Error("without faults, something is in the path")
	}
}
