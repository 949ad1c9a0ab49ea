// Command api is the Lambda function behind a URL for backends, which IAM
// authorizes.
package main

import (
	"context"
	"errors"
	"log/slog"
	"os"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"

	"github.com/owt-signal/owt-signal/internal/app"
	"github.com/owt-signal/owt-signal/internal/httpapi"
	"github.com/owt-signal/owt-signal/internal/ice"
)

func main() {
	if err := run(context.Background()); err != nil {
		slog.Error("function ended", "error", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	function, err := app.FromEnvironment(ctx, nil, ice.FromEnvironment)
	if err != nil {
		return err
	}
	if function.Service.Backends == nil {
		return errors.New("read environment: BACKEND_API is not on")
	}
	api := &httpapi.API{Service: function.Service, Log: function.Log}
	lambda.Start(func(ctx context.Context, ev *events.LambdaFunctionURLRequest) (r events.LambdaFunctionURLResponse, err error) {
		function.Metrics.End(func() { r = api.Invoke(ctx, ev) })
		return r, nil
	})
	return nil
}
