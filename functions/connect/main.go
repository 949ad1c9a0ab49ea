// Command connect is the Lambda function of the route $connect.
package main

import (
	"context"
	"log/slog"
	"os"

	"github.com/owt-signal/owt-signal/internal/app"
	"github.com/owt-signal/owt-signal/internal/auth"
	"github.com/owt-signal/owt-signal/internal/ice"
)

func main() {
	if err := run(context.Background()); err != nil {
		slog.Error("function ended", "error", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	function, err := app.FromEnvironment(ctx, auth.FromEnvironment, ice.FromEnvironment)
	if err != nil {
		return err
	}
	return function.Serve(ctx, function.Connect)
}
