package main

import (
	"context"
	"errors"
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

// localAPI is the handlers behind a local gateway, in one process.
type localAPI struct {
	gateway *gateway.Gateway
	handler *apigw.Handler
	faults  *faults.Faults // nil: none
	ping    time.Duration  // between two rounds of keepalive
	log     *slog.Logger
	after   sync.WaitGroup // work that follows an answer
	stop    context.CancelFunc
	base    context.Context
}

func newLocalAPI(o options, store signal.Store, log *slog.Logger) *localAPI {
	api := &localAPI{ping: o.heartbeat.Interval, log: log, faults: faults.New(o.faults, log)}
	api.base, api.stop = context.WithCancel(context.Background())
	api.handler = app.New(app.Config{
		Store:       api.faults.Store(store),
		Connections: api.faults.Connections(api),
		Endpoint:    func(events.APIGatewayWebsocketProxyRequestContext) string { return "local" },
		Versions:    signal.ParseVersions(o.versions),
		Heartbeat:   o.heartbeat,
		Idle:        o.idle,
		Log:         log,
	})
	api.gateway = gateway.New(gateway.Config{
		Routes: gateway.Routes{
			Connect:    api.function(api.handler.Connect),
			Disconnect: api.function(api.disconnect),
			Default:    api.function(api.handler.Message),
		},
		Stage:    o.stage,
		Mappings: []string{"socket.io"},
		Idle:     o.idle,
		Duration: o.duration,
		Log:      log,
	})
	return api
}

func (a *localAPI) disconnect(ctx context.Context, ev *events.APIGatewayWebsocketProxyRequest) (events.APIGatewayProxyResponse, signal.After) {
	return a.handler.Disconnect(ctx, ev), nil
}

// function runs a route in this process, and what follows its answer after it.
func (a *localAPI) function(route app.Route) gateway.Function {
	route = a.faults.Route(route)
	return a.faults.Function(gateway.FunctionFunc(func(ctx context.Context, ev *events.APIGatewayWebsocketProxyRequest) (events.APIGatewayProxyResponse, error) {
		r, work := route(ctx, ev)
		if work != nil {
			a.after.Go(func() { a.follow(work) })
		}
		return r, nil
	}), a)
}

// follow does the work that follows an answer. What fails there fails alone.
func (a *localAPI) follow(work signal.After) {
	ctx, cancel := context.WithTimeout(a.base, afterWithin)
	defer cancel()
	defer func() {
		if v := recover(); v != nil {
			a.log.ErrorContext(ctx, "work failed", "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
		}
	}()
	work(ctx)
}

// keepalive is the schedule of the function of that name.
func (a *localAPI) keepalive(ctx context.Context) {
	tick := time.NewTicker(a.ping)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := a.handler.Service.Keepalive(ctx); err != nil && ctx.Err() == nil {
				a.log.ErrorContext(ctx, "keepalive failed", "error", err)
			}
		}
	}
}

// close closes every connection and ends the work that follows. It returns when
// both are done, or ctx ends.
func (a *localAPI) close(ctx context.Context) {
	if err := a.gateway.Close(ctx); err != nil {
		a.log.InfoContext(ctx, "clients cut off", "error", err)
	}
	a.stop()
	done := make(chan struct{})
	go func() { a.after.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
		a.log.WarnContext(ctx, "work cut off", "error", ctx.Err())
	}
}

// Post implements [apigw.Connections] by a call in this process.
func (a *localAPI) Post(ctx context.Context, _ string, id signal.ConnectionID, frame []byte) error {
	return translate(a.gateway.Post(ctx, string(id), frame))
}

// Get implements [apigw.Connections] by a call in this process.
func (a *localAPI) Get(ctx context.Context, _ string, id signal.ConnectionID) error {
	_, err := a.gateway.Get(ctx, string(id))
	return translate(err)
}

// Delete implements [apigw.Connections] by a call in this process.
func (a *localAPI) Delete(ctx context.Context, _ string, id signal.ConnectionID) error {
	err := translate(a.gateway.Delete(ctx, string(id)))
	if errors.Is(err, signal.ErrGone) {
		return nil
	}
	return err
}

// translate maps the gateway's errors to the domain's.
func translate(err error) error {
	for theirs, ours := range map[error]error{
		gateway.ErrGone:            signal.ErrGone,
		gateway.ErrLimitExceeded:   signal.ErrBusy,
		gateway.ErrPayloadTooLarge: signal.ErrTooLarge,
	} {
		if errors.Is(err, theirs) {
			return fmt.Errorf("%w: %w", ours, err)
		}
	}
	return err
}
