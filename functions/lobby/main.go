// Command lobby is the Lambda function of the HTTP API for clients that begin by
// long polling, until their WebSocket takes over.
package main

import (
	"context"
	"log/slog"
	"os"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/owt-signal/owt-signal/internal/apigw"
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
	lambda.Start(func(ctx context.Context, ev *apigw.HTTPRequest) (r apigw.HTTPResponse, err error) {
		function.Metrics.End(func() { r = function.Lobby(ctx, ev) })
		return r, nil
	})
	return nil
}
