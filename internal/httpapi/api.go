// Package httpapi is the HTTP API for backends: whether users are online, messages to
// them, and their end. openapi.yaml describes it. Who calls is found out before: by a
// key on one machine, by IAM in front of a function's URL.
package httpapi

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal"
)

// MaxBody is the longest body of a request, in bytes: a message as large as may be,
// and names, all escaped.
const MaxBody = signal.MaxPost + 4<<10

// workWithin bounds how long an answer takes, in the 30 s that a function has.
const workWithin = 25 * time.Second

// Description is what the API serves as its description, in OpenAPI 3.1.
//
//go:embed openapi.yaml
var Description []byte

// API answers backends.
type API struct {
	Service *signal.Service // with its Backends
	Log     *slog.Logger    // gets a line for each request
}

// Caller is who calls.
type Caller struct {
	// Name is what it sends under, or as the beginning of a longer name with / behind it.
	Name signal.UserName
	// Principal is who it is, for the log.
	Principal string
	// Request is the request's id, for the log.
	Request string
}

// Request is what is asked, however it came.
type Request struct {
	Method, Path, Query string // the query as it was sent
	ContentType         string
	Key                 string // the header Idempotency-Key
	Body                []byte
}

// Response is the answer.
type Response struct {
	Status int
	Header map[string]string
	Body   []byte
}

// operation is one that the API has. What it answers is JSON, or [http.StatusNoContent]
// if it is nil.
type operation func(a *API, ctx context.Context, c *call) (any, error)

// call is one request for an operation.
type call struct {
	Request
	caller Caller
	audit  []any // for the log
}

// note adds to the line that is logged.
func (c *call) note(attrs ...any) { c.audit = append(c.audit, attrs...) }

// operations are those that there are, by path and method.
var operations = map[string]map[string]operation{
	"/openapi.yaml":      {http.MethodGet: (*API).describe},
	"/v1/presence":       {http.MethodGet: (*API).presence},
	"/v1/users":          {http.MethodGet: (*API).users},
	"/v1/messages":       {http.MethodPost: (*API).send},
	"/v1/disconnections": {http.MethodPost: (*API).disconnect},
	"/v1/refusals":       {http.MethodDelete: (*API).readmit},
	"/v1/ice-servers":    {http.MethodGet: (*API).iceServers},
}

// Do answers a request. What was begun is done also if whoever asked has gone.
func (a *API) Do(ctx context.Context, caller Caller, in Request) (out Response) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), workWithin)
	defer cancel()
	c := &call{Request: in, caller: caller}
	defer func() {
		if failure := recover(); failure != nil {
			a.Log.ErrorContext(ctx, "request failed", "request", caller.Request, "panic", fmt.Sprint(failure), "stack", string(debug.Stack()))
			a.Service.Count(signal.MetricFailures, 1)
			out = errServer.response()
		}
		a.Log.InfoContext(ctx, "backend", append([]any{
			"principal", caller.Principal, "request", caller.Request, "operation", operationName(in), "status", out.Status,
		}, c.audit...)...)
	}()
	return a.do(ctx, c)
}

// operationName is what a request asks for, in the log: nothing of its own words.
func operationName(in Request) string {
	if _, ok := operations[in.Path][in.Method]; ok {
		return in.Method + " " + in.Path
	}
	return "unknown"
}

func (a *API) do(ctx context.Context, c *call) Response {
	methods, ok := operations[c.Path]
	if !ok {
		return errNoPath.response()
	}
	do, ok := methods[c.Method]
	if !ok {
		r := errMethod.response()
		r.Header["Allow"] = strings.Join(slices.Sorted(maps.Keys(methods)), ", ")
		return r
	}
	answer, err := do(a, ctx, c)
	if err != nil {
		p := problemOf(err)
		c.note("problem", p.Type.name())
		if p.Status >= http.StatusInternalServerError {
			a.Log.ErrorContext(ctx, "operation failed", "request", c.caller.Request, "operation", operationName(c.Request), "error", err)
		}
		return p.response()
	}
	return answered(answer)
}

// answered returns the answer of an operation that has succeeded.
func answered(answer any) Response {
	r := Response{Status: http.StatusOK, Header: map[string]string{"Cache-Control": "no-store"}}
	switch answer := answer.(type) {
	case nil:
		r.Status = http.StatusNoContent
	case description:
		r.Header["Content-Type"], r.Body = "application/yaml", answer
	default:
		r.Header["Content-Type"] = "application/json"
		r.Body, _ = json.Marshal(answer) // of texts, numbers and JSON that was checked
	}
	return r
}

type description []byte

func (*API) describe(_ context.Context, c *call) (any, error) {
	_, err := c.parameters()
	return description(Description), err
}
