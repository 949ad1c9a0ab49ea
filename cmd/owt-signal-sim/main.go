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
	bursts := sim.Bursts{Worlds: burstWorlds}
	fs.IntVar(&bursts.Messages, "burst", 0, "instead, measure bursts of 1 and of this many `messages` in worlds with AWS-like times, by Socket.IO and by JSON")
	fs.IntVar(&bursts.Bytes, "bytes", 600, "how many `bytes` a message has, with -burst")
	fs.IntVar(&bursts.KeyLimit, "key-limit", 0, "how many write `units` a key of the table serves in a second, with -burst (AWS: 1000); 0: any")
	mutation := fs.String("mutation", "", "run a service with this deliberate fault")
	if err := fs.Parse(args); errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	if bursts.Messages > 0 {
		return measure(bursts, out)
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

// measure prints what single messages and bursts take.
func measure(b sim.Bursts, out io.Writer) error {
	many := b.Messages
	for _, b.JSON = range []bool{false, true} {
		for _, b.Messages = range []int{1, many} {
			if _, err := fmt.Fprintln(out, b.Measure()); err != nil {
				return err
			}
		}
	}
	b.Batches = true
	_, err := fmt.Fprintln(out, b.Measure())
	return err
}

func replay(seed uint64, mutation sim.Mutation, out io.Writer) error {
	r := sim.Run(seed, mutation, func(line string) { fmt.Fprintln(out, line) })
	if len(r.Violations) > 0 {
		return fmt.Errorf("seed %d broke a promise: %s", seed, r.Violations[0])
	}
	fmt.Fprintf(out, "seed %d: %d messages, %d steps, every promise kept\n", seed, r.Messages, r.Steps)
	return nil
}
