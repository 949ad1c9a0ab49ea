package local

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/owt-signal/owt-signal/internal/apigw"
	"github.com/owt-signal/owt-signal/internal/app"
	"github.com/owt-signal/owt-signal/internal/faults"
	"github.com/owt-signal/owt-signal/internal/gateway"
	"github.com/owt-signal/owt-signal/internal/signal"
)

// afterWithin bounds the work that follows an answer, as the functions'
// timeout does on Lambda.
const afterWithin = 60 * time.Second

// handlers is the backend in this process.
type handlers struct {
	handler *apigw.Handler
	faults  *faults.Faults // nil: none
	log     *slog.Logger
	after   sync.WaitGroup // work that follows an answer
	stop    context.CancelFunc
	base    context.Context
}

func newHandlers(o options, store signal.Store, access signal.Access, servers signal.ICEServers, a *api) *handlers {
	h := &handlers{faults: a.faults, log: a.log}
	h.base, h.stop = context.WithCancel(context.Background())
	h.handler = app.New(app.Config{
		Store:       h.faults.Store(store),
		Connections: h.faults.Connections(a),
		Endpoint:    func(events.APIGatewayWebsocketProxyRequestContext) string { return "local" },
		Limits:      o.limits,
		Access:      access,
		ICE:         servers,
		Backends:    a.backends,
		Timers:      o.timers,
		Meter:       a.metrics,
		Log:         a.log,
	})
	return h
}

// function runs a route in this process, and what follows its answer after it.
func (h *handlers) function(f function) gateway.Function {
	route := h.faults.Route(map[function]app.Route{
		connect: h.handler.Connect, disconnect: h.disconnect, message: h.handler.Message,
	}[f])
	return gateway.FunctionFunc(func(ctx context.Context, ev *request) (response, error) {
		r, work := route(ctx, ev)
		if work != nil {
			h.after.Go(func() { h.follow(work) })
		}
		return r, nil
	})
}

// httpFunction runs the one function for requests in this process.
func (h *handlers) httpFunction(function) gateway.HTTPFunction {
	return gateway.HTTPFunctionFunc(func(ctx context.Context, ev *apigw.HTTPRequest) (apigw.HTTPResponse, error) {
		return h.handler.Lobby(ctx, ev), nil
	})
}

func (h *handlers) disconnect(ctx context.Context, ev *request) (response, signal.After) {
	return h.handler.Disconnect(ctx, ev), nil
}

// follow does the work that follows an answer. What fails there fails alone.
func (h *handlers) follow(work signal.After) {
	ctx, cancel := context.WithTimeout(h.base, afterWithin)
	defer cancel()
	defer func() {
		if v := recover(); v != nil {
			h.log.ErrorContext(ctx, "work failed", "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
		}
	}()
	work(ctx)
}

func (h *handlers) keepalive(ctx context.Context) error { return h.handler.Service.Keepalive(ctx) }

// close ends the work that follows answers.
func (h *handlers) close(ctx context.Context) {
	h.stop()
	done := make(chan struct{})
	go func() { h.after.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
		h.log.WarnContext(ctx, "work cut off", "error", ctx.Err())
	}
}
