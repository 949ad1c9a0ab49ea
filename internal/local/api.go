// Package local is the service on one machine: a local API Gateway, what answers
// behind it, and a page to try it with.
package local

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/owt-signal/owt-signal/internal/apigw"
	"github.com/owt-signal/owt-signal/internal/auth"
	"github.com/owt-signal/owt-signal/internal/awsenv"
	"github.com/owt-signal/owt-signal/internal/faults"
	"github.com/owt-signal/owt-signal/internal/gateway"
	"github.com/owt-signal/owt-signal/internal/ice"
	"github.com/owt-signal/owt-signal/internal/memory"
	"github.com/owt-signal/owt-signal/internal/prom"
	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/webhook"
)

type (
	request  = events.APIGatewayWebsocketProxyRequest
	response = events.APIGatewayProxyResponse
)

// mapping is the path of Socket.IO clients, beside that of the stage.
const mapping = "socket.io"

// backend is what answers behind the gateway: the handlers in this process, or
// functions built for Lambda.
type backend interface {
	// function returns what the gateway invokes.
	function(f function) gateway.Function
	// httpFunction returns what requests invoke that are not for a WebSocket.
	httpFunction(f function) gateway.HTTPFunction
	// keepalive is one round of pings.
	keepalive(ctx context.Context) error
	// close ends what is under way, once the gateway is closed: by itself, if
	// ctx does not end before.
	close(ctx context.Context)
}

// api is a local API Gateway with its backend.
type api struct {
	gateway    *gateway.Gateway
	lobby      http.Handler // for clients that begin by long polling
	backend    backend
	management *service       // @connections, for functions in other processes; nil: there are none
	ping       time.Duration  // between two rounds of keepalive
	caution    string         // what whoever runs it is to be told of who may connect
	faults     *faults.Faults // nil: none
	log        *slog.Logger
	backends   signal.BackendStore         // nil: there is no API for them
	memory     *memory.Store               // nil: the records are elsewhere
	metrics    *prom.Metrics               // nil: none are told
	events     *webhook.Queue              // nil: nobody is told of any
	reach      func(context.Context) error // sees that where the records are is there
	reached    reached                     // when it was last logged
}

func newAPI(ctx context.Context, o options, log *slog.Logger, logs io.Writer) (a *api, err error) {
	a = &api{ping: o.timers.Heartbeat.Interval, faults: faults.New(o.faults, log), metrics: newMetrics(o), log: log}
	switch {
	case o.functions != "":
		a.backend, err = newEnvironments(ctx, o, a, logs)
	case o.lambda != "":
		a.backend, err = newInvokeAPI(ctx, o, a)
	default:
		a.backend, err = a.inProcess(ctx, o)
	}
	if err != nil {
		a.management.close()
		return nil, err
	}
	route := func(f function) gateway.Function { return a.faults.Function(a.backend.function(f), a) }
	a.gateway = gateway.New(gateway.Config{
		Routes:   gateway.Routes{Connect: route(connect), Disconnect: route(disconnect), Default: route(message)},
		Stage:    o.stage,
		Mappings: []string{mapping},
		Idle:     o.timers.Idle,
		Duration: o.duration,
		Early:    o.lambda != "",
		Inline:   o.isQuick(),
		Limits:   o.admission,
		Log:      log,
	})
	a.lobby = limited(&gateway.HTTPAPI{Function: a.faults.HTTP(a.backend.httpFunction(lobby)), MaxBody: int64(apigw.MaxPayload), Log: log})
	return a, nil
}

// inProcess is the backend of the handlers in this process.
func (a *api) inProcess(ctx context.Context, o options) (backend, error) {
	config := awsenv.ConfigOr("us-east-1", "local")
	access, err := auth.New(ctx, o.auth, config, a.log)
	if err != nil {
		return nil, err
	}
	servers, err := ice.New(ctx, o.ice, config)
	if err != nil {
		return nil, err
	}
	store, err := newStore(ctx, o, a.faults, a.metrics)
	if err != nil {
		return nil, err
	}
	a.reach = reachStore(store)
	a.caution = access.Caution
	a.memory, _ = store.(*memory.Store)
	if o.api != "" {
		a.backends, _ = store.(signal.BackendStore) // as each that is made here is
	}
	if store, err = a.tellEvents(ctx, o, store); err != nil {
		return nil, err
	}
	return newHandlers(o, store, access, servers, a), nil
}

// keepalive is the schedule of the function of that name.
func (a *api) keepalive(ctx context.Context) {
	tick := time.Tick(a.ping)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick:
			if err := a.backend.keepalive(ctx); err != nil && ctx.Err() == nil {
				a.log.ErrorContext(ctx, "keepalive failed", "error", err)
			}
			a.logReached(ctx)
		}
	}
}

// close closes every connection and ends the work that follows. It returns when
// both are done, or after shutdown; clients have until lastWork before.
func (a *api) close() {
	ctx, cancel := context.WithTimeout(context.Background(), shutdown)
	defer cancel()
	clients, cancelClients := context.WithTimeout(ctx, shutdown-lastWork)
	defer cancelClients()
	if err := a.gateway.Close(clients); err != nil {
		a.log.InfoContext(ctx, "clients cut off", "error", err)
	}
	a.backend.close(ctx)
	a.closeEvents()
	a.management.close()
}
