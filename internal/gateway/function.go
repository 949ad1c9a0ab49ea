package gateway

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/aws/aws-lambda-go/events"
)

// Function is what a route invokes: a Lambda function by its API Gateway contract.
//
// The event is the function's to keep. ctx has the integration timeout as its deadline; when it passes, the gateway
// answers the client with an error and forgets the invocation, whatever the function still does. An error or a panic
// is a failed invocation; the text goes to the log, not to the client.
type Function interface {
	Invoke(ctx context.Context, event *events.APIGatewayWebsocketProxyRequest) (events.APIGatewayProxyResponse, error)
}

// FunctionFunc makes a Function of a func.
type FunctionFunc func(context.Context, *events.APIGatewayWebsocketProxyRequest) (events.APIGatewayProxyResponse, error)

// Invoke calls f.
func (f FunctionFunc) Invoke(ctx context.Context, event *events.APIGatewayWebsocketProxyRequest) (events.APIGatewayProxyResponse, error) {
	return f(ctx, event)
}

// Routes are the functions of the predefined routes. Each may be nil.
type Routes struct {
	// Connect decides on a handshake, before the client gets its answer: any 2xx status connects, any other goes to
	// the client. Nil connects everybody.
	Connect Function

	// Disconnect is told once of every connection that was established, after its socket is closed. What it returns is
	// dropped.
	Disconnect Function

	// Default gets every message, each in an invocation of its own. A body in its response goes to the client as a
	// text message (a two-way route); an empty one sends nothing (a one-way route). The status is not looked at, nor
	// is isBase64Encoded: what API Gateway makes of either there is not known. Nil answers every message with the
	// "Forbidden" error frame.
	Default Function
}

// invoke calls function and then, once, answer: with what it returned, or with an error at the integration timeout.
// invoke itself returns when the function does.
func (g *Gateway) invoke(function Function, event *events.APIGatewayWebsocketProxyRequest, answer func(events.APIGatewayProxyResponse, error)) {
	ctx, cancel := context.WithTimeout(g.base, g.config.IntegrationTimeout)
	defer cancel()
	var answered atomic.Bool
	once := func(response events.APIGatewayProxyResponse, err error) {
		if answered.CompareAndSwap(false, true) {
			g.logFailure(event, err)
			answer(response, err)
		}
	}
	stop := context.AfterFunc(ctx, func() {
		once(events.APIGatewayProxyResponse{}, fmt.Errorf("invoke %s: %w", event.RequestContext.RouteKey, ctx.Err()))
	})
	response, err := call(ctx, function, event)
	stop()
	once(response, err)
}

// invokeInline calls function now, and returns what it does, if that was by its deadline.
func (g *Gateway) invokeInline(function Function, now time.Time, event *events.APIGatewayWebsocketProxyRequest) (events.APIGatewayProxyResponse, error) {
	ctx := withDeadline(g.base, now, g.config.IntegrationTimeout)
	defer ctx.release()
	response, err := call(ctx, function, event)
	if late := ctx.Err(); err == nil && late != nil {
		err = fmt.Errorf("invoke %s: %w", event.RequestContext.RouteKey, late)
	}
	g.logFailure(event, err)
	return response, err
}

// call makes an error of a panic.
func call(ctx context.Context, function Function, event *events.APIGatewayWebsocketProxyRequest) (response events.APIGatewayProxyResponse, err error) {
	defer recovered(&err)
	return function.Invoke(ctx, event)
}

// recovered is deferred, and makes an error of a panic.
func recovered(err *error) {
	if v := recover(); v != nil {
		*err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
	}
}

func (g *Gateway) logFailure(event *events.APIGatewayWebsocketProxyRequest, err error) {
	if err == nil {
		return
	}
	request := &event.RequestContext
	g.config.Log.Warn("function failed", "connection", request.ConnectionID, "request", request.RequestID, "route", request.RouteKey, "error", err)
}
