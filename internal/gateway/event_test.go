package gateway_test

import (
	"encoding/json"
	"reflect"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/owt-signal/owt-signal/internal/gateway"
)

var idPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{15}=$`)

// wantContext checks what the request contexts of all events share.
func wantContext(t *testing.T, e *event, routeKey, eventType string) {
	t.Helper()
	c := e.RequestContext
	for what, got := range map[string][2]string{
		"routeKey":         {c.RouteKey, routeKey},
		"eventType":        {c.EventType, eventType},
		"messageDirection": {c.MessageDirection, "IN"},
		"stage":            {c.Stage, "prod"},
		"domainName":       {c.DomainName, "local.execute-api.us-east-1.amazonaws.com"},
		"apiId":            {c.APIID, "local"},
		"sourceIp":         {c.Identity.SourceIP, "127.0.0.1"},
		"userAgent":        {c.Identity.UserAgent, "agent/1"},
		"extendedRequest":  {c.ExtendedRequestID, c.RequestID},
	} {
		if got[0] != got[1] {
			t.Errorf("%s: %q, want %q", what, got[0], got[1])
		}
	}
	for _, id := range []string{c.ConnectionID, c.RequestID} {
		if !idPattern.MatchString(id) || len(mustDecode(t, id)) != 11 {
			t.Errorf("id %q", id)
		}
	}
	now := time.Now()
	for what, at := range map[string]int64{"connectedAt": c.ConnectedAt, "requestTimeEpoch": c.RequestTimeEpoch} {
		if d := now.Sub(time.UnixMilli(at)); d < 0 || d > patience {
			t.Errorf("%s is %v ago", what, d)
		}
	}
	at, err := time.Parse("02/Jan/2006:15:04:05 -0700", c.RequestTime)
	if err != nil || at.Unix() != c.RequestTimeEpoch/1000 {
		t.Errorf("requestTime %q, %v", c.RequestTime, err)
	}
	if e.IsBase64Encoded || e.Path != "" || e.HTTPMethod != "" {
		t.Errorf("event %+v", e)
	}
}

func TestEvents(t *testing.T) {
	connect, message, disconnect := newRecorder(), newRecorder(), newRecorder()
	s := serve(t, gateway.Config{
		Stage:  "prod",
		Routes: gateway.Routes{Connect: connect, Default: message, Disconnect: disconnect},
	})
	c := s.dial(t, "/prod?a=1&b=%C3%A4+%26&a=2&empty=",
		withHeader("User-Agent", "agent/1"), withHeader("X-Twice", "one"), withHeader("X-Twice", "two"),
		withHeader("Origin", "https://app.test"))

	e := connect.next(t)
	wantContext(t, e, "$connect", "CONNECT")
	if want := map[string]string{"a": "2", "b": "ä &", "empty": ""}; !reflect.DeepEqual(e.QueryStringParameters, want) {
		t.Errorf("query %v, want %v", e.QueryStringParameters, want)
	}
	wantMulti := map[string][]string{"a": {"1", "2"}, "b": {"ä &"}, "empty": {""}}
	if !reflect.DeepEqual(e.MultiValueQueryStringParameters, wantMulti) {
		t.Errorf("query %v, want %v", e.MultiValueQueryStringParameters, wantMulti)
	}
	for key, want := range map[string]string{
		"X-Twice": "two", "Origin": "https://app.test", "Host": s.http.Listener.Addr().String(), "Sec-Websocket-Version": "13", "User-Agent": "agent/1",
	} {
		if got := e.Headers[key]; got != want {
			t.Errorf("header %s: %q, want %q", key, got, want)
		}
	}
	if got := e.MultiValueHeaders["X-Twice"]; !slices.Equal(got, []string{"one", "two"}) {
		t.Errorf("multi-value header %q", got)
	}
	if e.Body != "" || e.RequestContext.MessageID != nil || e.RequestContext.DisconnectReason != nil {
		t.Errorf("event %+v", e)
	}
	id, connectedAt := e.RequestContext.ConnectionID, e.RequestContext.ConnectedAt

	c.send(t, "häi")
	e = message.next(t)
	wantContext(t, e, "$default", "MESSAGE")
	if e.Body != "häi" || e.RequestContext.ConnectionID != id || e.RequestContext.ConnectedAt != connectedAt {
		t.Errorf("event %+v", e)
	}
	if messageID, is := e.RequestContext.MessageID.(string); !is || !idPattern.MatchString(messageID) || messageID == e.RequestContext.RequestID {
		t.Errorf("message id %v", e.RequestContext.MessageID)
	}
	if e.Headers != nil || e.MultiValueHeaders != nil || e.QueryStringParameters != nil {
		t.Errorf("event %+v", e)
	}

	c.Close(4000, "done")
	e = disconnect.next(t)
	wantContext(t, e, "$disconnect", "DISCONNECT")
	if e.RequestContext.ConnectionID != id || e.RequestContext.DisconnectStatusCode != 4000 || *e.RequestContext.DisconnectReason != "done" {
		t.Errorf("event %+v", e)
	}
}

func TestEventWithoutQueryHasNoQueryKeys(t *testing.T) {
	connect := newRecorder()
	s := serve(t, gateway.Config{Routes: gateway.Routes{Connect: connect}})
	for _, path := range []string{"/default", "/default?"} {
		s.dial(t, path)
		encoded, err := json.Marshal(connect.next(t))
		if err != nil {
			t.Fatal(err)
		}
		var keys map[string]any
		json.Unmarshal(encoded, &keys)
		for _, key := range []string{"queryStringParameters", "multiValueQueryStringParameters", "stageVariables", "body", "path", "httpMethod"} {
			if _, is := keys[key]; is {
				t.Errorf("%s: event has %s: %s", path, key, encoded)
			}
		}
		if encoded, is := keys["isBase64Encoded"]; encoded != false || !is {
			t.Errorf("isBase64Encoded: %v", encoded)
		}
	}
}

func TestIDsDiffer(t *testing.T) {
	connect, message := newRecorder(), newRecorder()
	s := serve(t, gateway.Config{Routes: gateway.Routes{Connect: connect, Default: message}})
	seen := map[string]bool{}
	note := func(id string) {
		if seen[id] {
			t.Errorf("id %q comes twice", id)
		}
		seen[id] = true
	}
	for range 20 {
		c := s.dial(t, "/default")
		context := connect.next(t).RequestContext
		note(context.ConnectionID)
		note(context.RequestID)
		c.send(t, "x")
		context = message.next(t).RequestContext
		note(context.RequestID)
		note(context.MessageID.(string))
	}
}
