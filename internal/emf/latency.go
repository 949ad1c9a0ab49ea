package emf

import (
	"context"

	"github.com/aws/smithy-go/middleware"
)

// The latencies, in milliseconds, of calls that succeed or fail.
const (
	StoreLatency = "StoreLatency" // one record read or written
	PostLatency  = "PostLatency"  // one frame posted to a connection
)

// latencies names the metric of an operation of the AWS SDK. Scan reads many
// records, and has none.
var latencies = map[string]string{
	"GetItem":          StoreLatency,
	"PutItem":          StoreLatency,
	"UpdateItem":       StoreLatency,
	"DeleteItem":       StoreLatency,
	"PostToConnection": PostLatency,
}

// Measure adds a step to an operation of the AWS SDK that measures it, with all
// of its attempts. It is meant for aws.Config.APIOptions.
func (m *Metrics) Measure(stack *middleware.Stack) error {
	return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("Latency", m.measure), middleware.Before)
}

func (m *Metrics) measure(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (
	middleware.InitializeOutput, middleware.Metadata, error,
) {
	if latency, ok := latencies[middleware.GetOperationName(ctx)]; ok {
		defer m.observe(latency, m.now())
	}
	return next.HandleInitialize(ctx, in)
}
