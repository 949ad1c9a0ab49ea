// Command owt-signal is the signaling service on one machine: a local API
// Gateway, the same handlers that run on Lambda, and a store.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/owt-signal/owt-signal/internal/local"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "owt-signal: %v\n", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop has been called
	}
}

// run serves until ctx ends.
func run(ctx context.Context) error {
	defer tuneGC(ctx)()
	return local.Run(ctx, os.Args[1:], os.Stdout, os.Stderr)
}
