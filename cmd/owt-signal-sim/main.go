// Command owt-signal-sim runs the service in simulated worlds, one for each
// seed, and judges its promises (internal/sim).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"time"

	service "github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/sim"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "owt-signal-sim: %v\n", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop has been called
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	fs := flag.NewFlagSet("owt-signal-sim", flag.ContinueOnError)
	fs.SetOutput(out)
	duration := fs.Duration("for", 0, "how long to run; 0: until -seeds are done")
	seeds := fs.Uint64("seeds", 10_000, "how many worlds to run")
	first := fs.Uint64("first", uint64(time.Now().UnixNano()), "first `seed`; the others follow it")
	only := fs.Uint64("seed", 0, "replay this `seed` alone, and trace every step")
	burst := fs.Int("burst", 0, "instead, measure bursts of 1 and of this many `messages` in worlds with AWS-like times")
	mutation := fs.String("mutation", "", "run a service with this deliberate fault")
	if err := fs.Parse(args); errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	if *burst > 0 {
		_, err := fmt.Fprintf(out, "Socket.IO\n%v\n%v\nJSON, in frames of up to %d\n%v\n", sim.MeasureBurst(1, burstWorlds), sim.MeasureBurst(*burst, burstWorlds),
			service.MaxBatch, sim.MeasureFrames(*burst, burstWorlds))
		return err
	}
	if *only != 0 {
		return replay(*only, sim.Mutation(*mutation), out)
	}
	s := sim.Search{First: *first, Seeds: *seeds, Mutation: sim.Mutation(*mutation), Workers: runtime.NumCPU()}
	if *duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, *duration)
		defer cancel()
		s.Seeds = 0
	}
	result := s.Run(ctx)
	fmt.Fprint(out, result)
	if len(result.Failures) > 0 {
		return fmt.Errorf("%d of %d worlds broke a promise", len(result.Failures), result.Worlds)
	}
	return nil
}

// burstWorlds is in how many worlds a burst is measured.
const burstWorlds = 2000

func replay(seed uint64, mutation sim.Mutation, out io.Writer) error {
	r := sim.Run(seed, mutation, func(line string) { fmt.Fprintln(out, line) })
	if len(r.Violations) > 0 {
		return fmt.Errorf("seed %d broke a promise: %s", seed, r.Violations[0])
	}
	fmt.Fprintf(out, "seed %d: %d messages, %d steps, every promise kept\n", seed, r.Messages, r.Steps)
	return nil
}
