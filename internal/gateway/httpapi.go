package gateway

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"
)

// HTTPFunction is what an HTTP API invokes: a Lambda function by its contract (payload format 2.0). An error or a panic
// is a failed invocation.
type HTTPFunction interface {
	InvokeHTTP(ctx context.Context, event *events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error)
}

// HTTPFunctionFunc makes an HTTPFunction of a func.
type HTTPFunctionFunc func(context.Context, *events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error)

// InvokeHTTP calls f.
func (f HTTPFunctionFunc) InvokeHTTP(ctx context.Context, event *events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
	return f(ctx, event)
}

// HTTPTimeout bounds one invocation for a request, and is what an HTTP API has at most ("Quotas for HTTP API").
const HTTPTimeout = 30 * time.Second

// HTTPAPI is a local stand-in for an HTTP API with one route, $default: it invokes a function for each request. Not
// imitated: throttles, and the 10 MB that a body may have, which whoever runs the server bounds.
type HTTPAPI struct {
	Function HTTPFunction
	Signer   *Signer      // who may call, as by the URL of a function with IAM's authorization; nil: anybody
	MaxBody  int64        // the longest body of a request, in bytes, inclusive
	Log      *slog.Logger // gets failed functions as warnings
}

// ServeHTTP answers a request with what the function returns. Refusals are JSON, {"message":…}: 413 past MaxBody, 400 for
// a body that ends early or does not come, 403 if it is not signed as it must be, 500 if the function fails. The invocation's context ends with the request's.
func (a *HTTPAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, a.MaxBody))
	if err != nil {
		refusal := httpError{status: http.StatusBadRequest, message: "Bad Request"}
		if _, long := errors.AsType[*http.MaxBytesError](err); long {
			refusal = httpError{status: http.StatusRequestEntityTooLarge, message: "Request Entity Too Large"}
		}
		refusal.write(w)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), HTTPTimeout)
	defer cancel()
	event := httpEvent(r, body)
	if a.Signer != nil {
		if !a.Signer.verify(r, body, time.Now()) {
			unsigned.write(w)
			return
		}
		event.RequestContext.Authorizer = a.Signer.principal()
	}
	response, err := callHTTP(ctx, a.Function, event)
	if err == nil && (response.StatusCode < 200 || response.StatusCode > 599) {
		err = fmt.Errorf("status %d", response.StatusCode)
	}
	if err != nil {
		if r.Context().Err() == nil { // otherwise whoever asked has gone
			a.Log.WarnContext(ctx, "function failed", "request", event.RequestContext.RequestID, "route", event.RawPath, "error", err)
		}
		(&httpError{status: http.StatusInternalServerError, message: "Internal Server Error"}).write(w)
		return
	}
	for name, value := range response.Headers {
		w.Header().Set(name, value)
	}
	w.WriteHeader(response.StatusCode)
	_, _ = io.WriteString(w, response.Body)
}

// httpEvent is the event of a request: header names in lower case, of several values of one a list; the query as it was
// sent, and decoded. A body is in base64 unless its type is one of text.
func httpEvent(r *http.Request, body []byte) *events.APIGatewayV2HTTPRequest {
	now, host := time.Now(), r.RemoteAddr
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	headers := map[string]string{"host": r.Host}
	for name, values := range r.Header {
		headers[strings.ToLower(name)] = strings.Join(values, ",")
	}
	query := make(map[string]string)
	for name, values := range r.URL.Query() {
		query[name] = strings.Join(values, ",")
	}
	event := &events.APIGatewayV2HTTPRequest{
		Version: "2.0", RouteKey: routeMessage, RawPath: r.URL.Path, RawQueryString: r.URL.RawQuery,
		Headers: headers, QueryStringParameters: query, Body: string(body),
		RequestContext: events.APIGatewayV2HTTPRequestContext{
			RouteKey: routeMessage, Stage: routeMessage, APIID: apiID, DomainName: domainName, RequestID: requestID(),
			Time: now.UTC().Format(requestTimeLayout), TimeEpoch: now.UnixMilli(),
			HTTP: events.APIGatewayV2HTTPRequestContextHTTPDescription{
				Method: r.Method, Path: r.URL.Path, Protocol: r.Proto, SourceIP: host, UserAgent: r.UserAgent(),
			},
		},
	}
	if kind := headers["content-type"]; kind != "" && !strings.HasPrefix(kind, "text/") {
		event.Body, event.IsBase64Encoded = base64.StdEncoding.EncodeToString(body), true
	}
	return event
}

// callHTTP makes an error of a panic.
func callHTTP(ctx context.Context, function HTTPFunction, event *events.APIGatewayV2HTTPRequest) (response events.APIGatewayV2HTTPResponse, err error) {
	defer recovered(&err)
	return function.InvokeHTTP(ctx, event)
}

var _ http.Handler = (*HTTPAPI)(nil)
