// Command keepalive is the Lambda function that a schedule invokes: it pings
// the connections whose clients wait for that, and ends those that are gone.
package main

import (
	"context"
	"log/slog"
	"os"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/owt-signal/owt-signal/internal/app"
)

func main() {
	if err := run(context.Background()); err != nil {
		slog.Error("function ended", "error", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	function, err := app.FromEnvironment(ctx, nil, nil)
	if err != nil {
		return err
	}
	lambda.Start(func(ctx context.Context) (err error) {
		function.Metrics.End(func() { err = function.Service.Keepalive(ctx) })
		return err
	})
	return nil
}
