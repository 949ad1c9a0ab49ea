package extension

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
)

// Start runs the extension, and the handler, which is anything that lambda.Start takes. It does not return: the process
// ends with its environment, or exits with status 1 when the Extensions API fails.
func (e *Extension) Start(handler any) {
	go func() {
		err := e.Run(context.Background())
		slog.Error("extension ended", "error", err)
		os.Exit(1)
	}()
	lambda.Start(e.Wrap(lambda.NewHandler(handler)))
}

// Wrap returns a handler for lambda.Start that tells the extension when each invocation begins and when its response is
// out. Handlers that are not wrapped leave the extension, and so the environment, waiting until the deadline.
//
// aws-lambda-go closes a response that is an io.Closer after Lambda has taken it ("Close() will be called after
// sending", lambda.Start): that is the moment the work may start, and why this is a function with a reader to return
// and not a lambda.Handler. Errors and panics of the handler pass through as they are.
func (e *Extension) Wrap(handler lambda.Handler) func(context.Context, json.RawMessage) (io.ReadCloser, error) {
	return func(ctx context.Context, payload json.RawMessage) (io.ReadCloser, error) {
		inv := e.begin(ctx)
		panicked := true
		defer func() {
			if panicked {
				e.dropScheduled()
				inv.finish()
			}
		}()
		answer, err := handler.Invoke(ctx, payload)
		panicked = false
		if err != nil {
			inv.finish()
			return nil, err
		}
		// A handler of lambda.NewHandler has given the buffer under its answer back to a pool: keep a copy.
		return &response{body: bytes.NewReader(bytes.Clone(answer)), sent: inv.finish}, nil
	}
}

// response is a handler's answer on its way to Lambda. It has no exported fields: aws-lambda-go reads a response only if
// its JSON is "{}".
type response struct {
	body *bytes.Reader
	sent func()
}

func (r *response) Read(p []byte) (int, error) { return r.body.Read(p) }

// ContentType is asked for by aws-lambda-go.
func (r *response) ContentType() string { return "application/json" }

// Close is called when Lambda has taken the response.
func (r *response) Close() error {
	r.sent()
	return nil
}
