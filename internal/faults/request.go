package faults

import (
	"context"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/owt-signal/owt-signal/internal/gateway"
)

type (
	httpRequest  = events.APIGatewayV2HTTPRequest
	httpResponse = events.APIGatewayV2HTTPResponse
)

// HTTP delays the invocations of next, and has some die, as [Faults.Function]
// does.
func (f *Faults) HTTP(next gateway.HTTPFunction) gateway.HTTPFunction {
	if f == nil {
		return next
	}
	return gateway.HTTPFunctionFunc(func(ctx context.Context, ev *httpRequest) (httpResponse, error) {
		its := f.decide("request", ev.RequestContext.RequestID, "route", ev.RequestContext.HTTP.Method)
		return once(ctx, ev, its, func(ctx context.Context, ev *httpRequest) (httpResponse, error) {
			r, err := next.InvokeHTTP(ctx, ev)
			last(ctx)
			return r, err
		})
	})
}

// HTTPEnvironments run invocations for requests in processes of their own.
type HTTPEnvironments interface {
	gateway.HTTPFunction
	// InvokeHTTPAndKill runs an invocation whose process is killed after so long,
	// and at its end at the latest.
	InvokeHTTPAndKill(ctx context.Context, ev *httpRequest, after time.Duration) (httpResponse, error)
}

// HTTPEnvironments lets those invocations of next die that [Faults.HTTP] has
// doomed, as [Faults.Environments] does.
func (f *Faults) HTTPEnvironments(next HTTPEnvironments) gateway.HTTPFunction {
	if f == nil {
		return next
	}
	u := newUsual()
	return gateway.HTTPFunctionFunc(func(ctx context.Context, ev *httpRequest) (httpResponse, error) {
		return invokeOrKill(ctx, u, ev, next.InvokeHTTP, next.InvokeHTTPAndKill)
	})
}
