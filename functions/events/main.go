// Command events is the Lambda function that the stream of the table invokes: it puts
// events of users who come and go on a bus of Amazon EventBridge.
package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"

	"github.com/owt-signal/owt-signal/internal/awsenv"
	"github.com/owt-signal/owt-signal/internal/emf"
	"github.com/owt-signal/owt-signal/internal/eventbus"
)

func main() {
	if err := run(); err != nil {
		slog.Error("function ended", "error", err)
		os.Exit(1)
	}
}

func run() error {
	name, stack := os.Getenv("EVENT_BUS"), os.Getenv("STACK_NAME")
	if name == "" {
		return errors.New("read environment: EVENT_BUS is not set")
	}
	var metrics *emf.Metrics
	if stack != "" {
		metrics = emf.New(os.Stdout, stack, time.Now)
	}
	bus := eventbus.New(awsenv.Config(), name, stack, metrics, slog.New(lambdacontext.NewLogHandler()))
	lambda.Start(func(ctx context.Context, in events.DynamoDBEvent) (out events.DynamoDBEventResponse, err error) {
		metrics.End(func() { out = bus.Handle(ctx, in) })
		return out, nil
	})
	return nil
}
