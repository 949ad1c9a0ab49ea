package costs

import (
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"

	"github.com/owt-signal/owt-signal/internal/dynamo"
	"github.com/owt-signal/owt-signal/internal/httpapi"
)

// TestBackend: what a backend costs, and what each connection does where there may be
// one, since users may be refused.
func TestBackend(t *testing.T) {
	s := newService(t)
	s.connect("bob-0-AAAAAAAAA=", "token=bob")
	without, _ := s.did()
	store := dynamo.New(s.table, tableName)
	s.handler.Service.Backends, s.handler.Service.Refusals = store, store
	s.connect("bob-AAAAAAAAAAA=", "token=bobby")
	with, _ := s.did()
	if more := with.more(without); more != (Steps{Reads: refusalReads}) {
		t.Errorf("a connection takes %+v more, want %d reads", more, refusalReads)
	}

	api := &httpapi.API{Service: s.handler.Service, Log: s.handler.Log}
	call := func(method, path, query, key, body string) (Steps, string) {
		t.Helper()
		ev := &events.LambdaFunctionURLRequest{RawPath: path, RawQueryString: query, Body: body, Headers: map[string]string{"content-type": "application/json", "idempotency-key": key}}
		ev.RequestContext.HTTP.Method = method
		ev.RequestContext.Authorizer = &events.LambdaFunctionURLRequestContextAuthorizerDescription{
			IAM: &events.LambdaFunctionURLRequestContextAuthorizerIAMDescription{UserARN: "arn:aws:sts::123456789012:assumed-role/calendar/session"},
		}
		s.steps.Invocations++
		s.metrics.End(func() {
			if r := api.Invoke(t.Context(), ev); r.StatusCode != 200 {
				t.Errorf("%s %s: %d %s", method, path, r.StatusCode, r.Body)
			}
		})
		return s.did()
	}
	const message = `{"to":"bobby","data":1}`
	call("POST", "/v1/messages", "", "first", message) // which makes the lane
	if steps, said := call("POST", "/v1/messages", "", "second", message); steps != dispatched || !strings.Contains(said, `"from":"backend:calendar"`) {
		t.Errorf("a message with a key: %+v, want %+v; said %s", steps, dispatched, said)
	}
	if steps, _ := call("POST", "/v1/messages", "", "", message); steps != dispatched.more(Steps{Writes: 2}) {
		t.Errorf("a message without a key: %+v, want two writes less than %+v", steps, dispatched)
	}
	if steps, said := call("POST", "/v1/messages", "", "second", message); steps.Posts != 0 || said != "" {
		t.Errorf("the same again: %+v, said %s", steps, said)
	}
	if steps, _ := call("GET", "/v1/presence", "user=bobby", "", ""); steps != asked {
		t.Errorf("is a user online: %+v, want %+v", steps, asked)
	}
}
