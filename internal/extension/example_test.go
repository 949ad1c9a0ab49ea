package extension_test

import (
	"context"
	"log/slog"
	"os"

	"github.com/aws/aws-lambda-go/events"

	"github.com/owt-signal/owt-signal/internal/extension"
)

// A whole main function.
func Example() {
	ext, err := extension.Register(context.Background(), os.Getenv("AWS_LAMBDA_RUNTIME_API"), "welcome")
	if err != nil {
		slog.Error("cannot start", "error", err)
		os.Exit(1)
	}
	type request = events.APIGatewayWebsocketProxyRequest
	type response = events.APIGatewayProxyResponse
	ext.Start(func(ctx context.Context, event request) (response, error) {
		ext.Go(func(ctx context.Context) {
			// API Gateway lets the client in only when it has the response: now, or in a moment.
			slog.InfoContext(ctx, "would send the first frame", "connection", event.RequestContext.ConnectionID)
		})
		return response{StatusCode: 200}, nil
	})
}
