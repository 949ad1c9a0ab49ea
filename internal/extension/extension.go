// Package extension lets a Lambda handler leave work behind that runs once its response is out, and that Lambda waits
// for before it freezes the environment or gives it the next invocation.
//
// The function's own process registers as an internal extension for INVOKE events. Lambda hands the response on as soon
// as the runtime posts it, and keeps the environment running until the runtime and every registered extension have
// asked for what comes next; this one asks only when the work of the invocation is done. (AWS Compute Blog, "Running
// code after returning a response from an AWS Lambda function"; Lambda Developer Guide, "Using the Lambda Extensions
// API to create extensions".)
//
// The work counts towards the function's timeout and its price. One environment is expected to run one invocation at a
// time; Lambda Managed Instances, which run several, are not supported.
//
// aws-lambda-go has an internal extension of its own, "GoLangEnableSIGTERM" (lambda.WithEnableSIGTERM). It has another
// name, subscribes to nothing and only ever waits, so both can be registered in one process.
package extension

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// ErrNotLambda says that the process does not run on Lambda: the address of the runtime API is empty.
var ErrNotLambda = errors.New("AWS_LAMBDA_RUNTIME_API is not set: this process does not run on Lambda")

// Extension is the registered internal extension of this process. Make it with [Register] and either let
// [Extension.Start] run everything, or call [Extension.Run] beside lambda.Start with a handler from [Extension.Wrap].
// Its methods may be called from several goroutines.
type Extension struct {
	name string
	api  *extensionsAPI

	mu          sync.Mutex
	invocations map[string]*invocation  // by request id: from the first sign of it until its work is done
	scheduled   []func(context.Context) // by Go, to be run after the response
}

// Register registers the process as an internal extension for INVOKE events. runtimeAPI is the value of
// AWS_LAMBDA_RUNTIME_API (host:port), name any name that no other extension of the function has.
//
// Call it while the process starts, before lambda.Start: Lambda takes no registration after the runtime has asked for
// its first invocation. Once registered, Run must run, or the environment never becomes ready. Errors: [ErrNotLambda];
// the refusal of the Extensions API, with its status; what the HTTP client says.
func Register(ctx context.Context, runtimeAPI, name string) (*Extension, error) {
	if runtimeAPI == "" {
		return nil, fmt.Errorf("register extension %q: %w", name, ErrNotLambda)
	}
	api := newExtensionsAPI(runtimeAPI)
	if err := api.register(ctx, name); err != nil {
		api.close()
		return nil, fmt.Errorf("register extension %q: %w", name, err)
	}
	return &Extension{name: name, api: api, invocations: make(map[string]*invocation)}, nil
}

// Run takes one INVOKE event after the other, and asks for the next one only when the handler of the invocation is done
// and the work it left behind too. It returns nil when ctx ends, after the running work, whose context ends with ctx,
// has returned. It returns an error when the Extensions API goes away or refuses: the environment is of no use then,
// and the process should exit. Call it once.
func (e *Extension) Run(ctx context.Context) error {
	defer e.api.close()
	for {
		event, err := e.api.next(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("run extension %q: %w", e.name, err)
		}
		e.follow(ctx, event)
	}
}

// follow stays with one invocation until nothing of it is left to do.
func (e *Extension) follow(ctx context.Context, event invokeEvent) {
	defer e.forget(event.RequestID)
	inv := e.invocation(event.RequestID)
	end := time.UnixMilli(event.DeadlineMs).Add(-Margin)
	if inv.awaitBegin(ctx, end) && inv.awaitFinish(ctx) {
		e.runScheduled(ctx, inv.values, end)
		return
	}
	if ctx.Err() == nil {
		slog.WarnContext(ctx, "invocation did not reach the handler in time", "extension", e.name, "request", event.RequestID)
	}
}
