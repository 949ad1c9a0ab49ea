// Command owt-signal is the signaling service on one machine: a local API
// Gateway, the same handlers that run on Lambda, and a store.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "owt-signal: %v\n", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop has been called
	}
}

// garbage is how much of it there may be before it is collected, in percent of
// what is in use (GOGC). What connections at rest take is what counts here, and
// half of Go's default does not slow down messages (make bench).
const garbage = 50

// run serves until ctx ends.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parse(args, stdout)
	if err != nil {
		return err
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbage)
	}
	s, err := newServer(ctx, o, stderr)
	if err != nil {
		return err
	}
	fmt.Fprint(stdout, s.greeting())
	return s.serve(ctx)
}
