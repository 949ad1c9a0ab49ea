package httpapi

import (
	"context"
	"encoding/base64"
	"strings"

	"github.com/aws/aws-lambda-go/events"

	"github.com/owt-signal/owt-signal/internal/signal"
)

// Invoke answers an invocation by a function's URL ("Invoking Lambda function URLs",
// AWS Lambda Developer Guide), which IAM has authorized: whom it does not know it
// refuses, lest a URL without authorization serves everybody.
func (a *API) Invoke(ctx context.Context, ev *events.LambdaFunctionURLRequest) events.LambdaFunctionURLResponse {
	caller, ok := principal(ev)
	if !ok {
		a.Log.WarnContext(ctx, "backend refused", "request", ev.RequestContext.RequestID)
		return errPrincipal.saying("IAM does not say who calls.").response().toURL()
	}
	body := []byte(ev.Body)
	if ev.IsBase64Encoded {
		decoded, err := base64.StdEncoding.DecodeString(ev.Body)
		if err != nil {
			return errRequest.saying("The body is not in base64.").response().toURL()
		}
		body = decoded
	}
	if len(body) > MaxBody {
		return errBody.response().toURL()
	}
	return a.Do(ctx, caller, Request{
		Method: ev.RequestContext.HTTP.Method, Path: ev.RawPath, Query: ev.RawQueryString,
		ContentType: ev.Headers["content-type"], Key: ev.Headers["idempotency-key"], Body: body,
	}).toURL()
}

func (r Response) toURL() events.LambdaFunctionURLResponse {
	return events.LambdaFunctionURLResponse{StatusCode: r.Status, Headers: r.Header, Body: string(r.Body)}
}

// principal returns who calls, and so what it sends under: the name of its role or user.
func principal(ev *events.LambdaFunctionURLRequest) (c Caller, ok bool) {
	if ev.RequestContext.Authorizer == nil || ev.RequestContext.Authorizer.IAM == nil {
		return c, false
	}
	arn := ev.RequestContext.Authorizer.IAM.UserARN
	c = Caller{Principal: arn, Request: ev.RequestContext.RequestID, Name: signal.BackendPrefix + signal.UserName(principalName(arn))}
	return c, signal.CheckBackend(c.Name) == nil
}

// principalName returns the name in the ARN of a principal ("IAM identifiers", AWS IAM
// User Guide): of a role that is assumed its own, not that of the session; empty if it
// is another kind of ARN.
func principalName(arn string) string {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) != 6 || parts[0] != "arn" {
		return ""
	}
	resource := strings.Split(parts[5], "/")
	switch kind := resource[0]; {
	case kind == "root" && len(resource) == 1:
		return "root"
	case kind == "assumed-role" && len(resource) == 3:
		return resource[1]
	case (kind == "user" || kind == "federated-user") && len(resource) > 1:
		return resource[len(resource)-1]
	default:
		return ""
	}
}
