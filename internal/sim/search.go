package sim

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Search runs many worlds.
type Search struct {
	First    uint64 // seed of the first world; the others follow it
	Seeds    uint64 // how many; 0: until the context ends
	Mutation Mutation
	Workers  int // how many at a time
	Stop     int // after how many failures to stop; 0: MaxFailures
}

// MaxFailures is how many failing worlds a search collects.
const MaxFailures = 20

// Result is what a search has found.
type Result struct {
	Worlds, Steps, Messages, Delivered int
	Virtual, Took                      time.Duration
	Counts                             map[string]int
	Failures                           []Report
	mutation                           Mutation
}

// Run searches until it is done or ctx ends.
func (s Search) Run(ctx context.Context) Result {
	stop := s.Stop
	if stop == 0 {
		stop = MaxFailures
	}
	began := time.Now()
	result := Result{Counts: make(map[string]int), mutation: s.Mutation}
	var next atomic.Uint64
	var mu sync.Mutex
	var workers sync.WaitGroup
	for range max(1, s.Workers) {
		workers.Go(func() {
			for ctx.Err() == nil {
				n := next.Add(1) - 1
				if s.Seeds > 0 && n >= s.Seeds {
					return
				}
				r := Run(s.First+n, s.Mutation, nil)
				mu.Lock()
				result.add(r)
				enough := len(result.Failures) >= stop
				mu.Unlock()
				if enough {
					return
				}
			}
		})
	}
	workers.Wait()
	result.Took = time.Since(began)
	return result
}

func (r *Result) add(w Report) {
	r.Worlds++
	r.Steps += w.Steps
	r.Messages += w.Messages
	r.Delivered += w.Delivered
	r.Virtual += w.Virtual
	for what, n := range w.Counts {
		r.Counts[what] += n
	}
	if len(w.Violations) > 0 {
		r.Failures = append(r.Failures, w)
	}
}

// String returns the result for people: the figures, and how to see each failure
// again.
func (r Result) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d worlds, %d steps, %d messages sent, %d delivered, %v of virtual time in %v\n",
		r.Worlds, r.Steps, r.Messages, r.Delivered, r.Virtual.Round(time.Second), r.Took.Round(time.Millisecond))
	for _, what := range slices.Sorted(maps.Keys(r.Counts)) {
		fmt.Fprintf(&b, "  %-22s %d\n", what, r.Counts[what])
	}
	for _, f := range r.Failures {
		fmt.Fprintf(&b, "BROKEN %s\n  see it again: go run ./cmd/owt-signal-sim -seed %d", f.Violations[0], f.Seed)
		if r.mutation != None {
			fmt.Fprintf(&b, " -mutation %q", string(r.mutation))
		}
		b.WriteByte('\n')
	}
	return b.String()
}
