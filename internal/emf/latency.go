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

// latencies are the operations of AWS that are measured. A scan is not: it reads
// many records, and waits for whoever takes them.
var latencies = map[string]string{
	"GetItem":          StoreLatency,
	"PutItem":          StoreLatency,
	"UpdateItem":       StoreLatency,
	"DeleteItem":       StoreLatency,
	"PostToConnection": PostLatency,
}

// Measure adds to the stack of an operation of the AWS SDK that its latency is
// observed, with all attempts: it is one of a client's APIOptions.
func (m *Metrics) Measure(stack *middleware.Stack) error {
	latency, measured := latencies[stack.ID()]
	if m == nil || !measured {
		return nil
	}
	return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("Latency", func(
		ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler,
	) (middleware.InitializeOutput, middleware.Metadata, error) {
		defer m.Observe(latency, m.now())
		return next.HandleInitialize(ctx, in)
	}), middleware.Before)
}
