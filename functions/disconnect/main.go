// Command disconnect is the Lambda function of the route $disconnect.
package main

import (
	"context"
	"log/slog"
	"os"

	"github.com/aws/aws-lambda-go/events"
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
	lambda.Start(func(ctx context.Context, ev *events.APIGatewayWebsocketProxyRequest) (r events.APIGatewayProxyResponse, err error) {
		function.Metrics.End(func() { r = function.Disconnect(ctx, ev) })
		return r, nil
	})
	return nil
}
