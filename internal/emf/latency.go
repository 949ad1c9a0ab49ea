package emf

import (
	"context"
	"time"

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
func (m *Metrics) Measure(stack *middleware.Stack) error { return Measure(m.now, m.observe)(stack) }

// Measure returns what adds a step to an operation of the AWS SDK, by which observe
// hears of its latency when it has ended, with all of its attempts.
func Measure(now func() time.Time, observe func(latency string, took time.Duration)) func(*middleware.Stack) error {
	return func(stack *middleware.Stack) error {
		return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("Latency", func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (
			middleware.InitializeOutput, middleware.Metadata, error,
		) {
			if latency, ok := latencies[middleware.GetOperationName(ctx)]; ok {
				began := now()
				defer func() { observe(latency, now().Sub(began)) }()
			}
			return next.HandleInitialize(ctx, in)
		}), middleware.Before)
	}
}
