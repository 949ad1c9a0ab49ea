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

// run serves until ctx ends.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parse(args, stdout)
	if err != nil {
		return err
	}
	defer tuneGC()()
	s, err := newServer(ctx, o, stderr)
	if err != nil {
		return err
	}
	fmt.Fprint(stdout, s.greeting())
	return s.serve(ctx)
}
