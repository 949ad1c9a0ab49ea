package apigw_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/owt-signal/owt-signal/internal/apigw"
	"github.com/owt-signal/owt-signal/internal/app"
	"github.com/owt-signal/owt-signal/internal/memory"
	"github.com/owt-signal/owt-signal/internal/signal"
)

// sockets are @connections that remember what was posted.
type sockets struct {
	mu     sync.Mutex
	frames map[signal.ConnectionID][]string
}

func (s *sockets) Post(_ context.Context, endpoint string, id signal.ConnectionID, frame []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if endpoint != "https://api.execute-api.eu-west-1.amazonaws.com/prod" {
		return errors.New("post to " + endpoint)
	}
	s.frames[id] = append(s.frames[id], string(frame))
	return nil
}

func (s *sockets) Get(context.Context, string, signal.ConnectionID) error { return nil }

func (s *sockets) Delete(_ context.Context, _ string, id signal.ConnectionID) error {
	return s.Post(context.Background(), "https://api.execute-api.eu-west-1.amazonaws.com/prod", id, []byte("close"))
}

// brokenStore fails every call.
type brokenStore struct{ signal.Store }

var errBroken = errors.New("broken")

func (brokenStore) Create(context.Context, signal.Connection) error { return errBroken }

func newHandler(store signal.Store) (*apigw.Handler, *sockets) {
	s := &sockets{frames: make(map[signal.ConnectionID][]string)}
	return app.New(app.Config{Store: store, Connections: s, Endpoint: apigw.Endpoint("eu-west-1"), Access: signal.OpenAccess, Log: slog.New(slog.DiscardHandler)}), s
}

func event(id, body string, query map[string]string) *events.APIGatewayWebsocketProxyRequest {
	return &events.APIGatewayWebsocketProxyRequest{
		RequestContext:        events.APIGatewayWebsocketProxyRequestContext{ConnectionID: id, APIID: "api", Stage: "prod"},
		QueryStringParameters: query, Body: body,
	}
}

func TestHandshakes(t *testing.T) {
	for name, c := range map[string]struct {
		query  map[string]string
		offers []string
		status int
		chosen string
		frames []string
	}{
		"generation A": {
			query:  map[string]string{"EIO": "3", "token": "用户1", "clientVersion": "4.3.1", "clientType": "Web"},
			status: 200, frames: []string{open, "40", `42["server-authenticated",{"uid":"用户1"}]`},
		},
		"generation A on Engine.IO 4": {
			query:  map[string]string{"EIO": "4", "token": "a"},
			status: 200, frames: []string{open, `40{"sid":"id="}`, `42["server-authenticated",{"uid":"a"}]`},
		},
		"generation B, Engine.IO 3": {query: map[string]string{"EIO": "3"}, status: 200, frames: []string{open, "40"}},
		"generation B, Engine.IO 4": {query: map[string]string{"EIO": "4", "clientVersion": "5.0"}, status: 200, frames: []string{open}},
		"old version": {
			query:  map[string]string{"EIO": "3", "token": "a", "clientVersion": "4.1"},
			status: 200, frames: []string{open, `44"2103"`, "41", "1", "close"},
		},
		"old version, Engine.IO 4": {
			query:  map[string]string{"EIO": "4", "clientVersion": "4.1"},
			status: 200, frames: []string{open, `44{"message":"2103","data":{"code":2103}}`, "41", "1", "close"},
		},
		"Engine.IO 5": {query: map[string]string{"EIO": "5"}, status: 400},
		"JSON":        {offers: []string{"x, owt.signal.v1"}, status: 200, chosen: "owt.signal.v1"},
		"session": {
			query: map[string]string{"token": "a", "session": "s-1", "resume": "id=", "first": "7"}, status: 200,
		},
		"session without an id":          {query: map[string]string{"session": ""}, status: 400},
		"session id that is none":        {query: map[string]string{"session": "a b"}, status: 400},
		"resume without a session":       {query: map[string]string{"resume": "id="}, status: 400},
		"first without a session":        {query: map[string]string{"first": "1"}, status: 400},
		"first is zero":                  {query: map[string]string{"session": "s", "first": "0"}, status: 400},
		"first is no number":             {query: map[string]string{"session": "s", "first": "x"}, status: 400},
		"first is the highest number":    {query: map[string]string{"session": "s", "first": "9007199254740991"}, status: 200},
		"first is beyond it":             {query: map[string]string{"session": "s", "first": "9007199254740992"}, status: 400},
		"longest connection to resume":   {query: map[string]string{"session": "s", "resume": strings.Repeat("x", 128)}, status: 200},
		"connection to resume, too long": {query: map[string]string{"session": "s", "resume": strings.Repeat("x", 129)}, status: 400},
		"foreign subprotocol":            {offers: []string{"mqtt"}, status: 400},
	} {
		t.Run(name, func(t *testing.T) {
			h, s := newHandler(memory.New())
			ev := event("id=", "", c.query)
			if c.offers != nil {
				ev.MultiValueHeaders = map[string][]string{"sec-websocket-protocol": c.offers}
			}
			r, after := h.Connect(t.Context(), ev)
			if r.StatusCode != c.status || r.Headers["Sec-WebSocket-Protocol"] != c.chosen {
				t.Fatalf("response %+v", r)
			}
			if len(s.frames) > 0 {
				t.Errorf("posted before the handshake was answered: %q", s.frames)
			}
			if after != nil {
				joining := joins(t, h, c.query)
				after(t.Context())
				<-joining
			}
			if got := s.frames["id="]; c.frames != nil && !slices.Equal(got, c.frames) {
				t.Errorf("posted %q", got)
			}
		})
	}
}

// TestConnectedAt: a connection is dated by API Gateway, so that which one is newer
// does not depend on the clocks of functions.
func TestConnectedAt(t *testing.T) {
	store := memory.New()
	h, _ := newHandler(store)
	ev := event("id=", "", nil)
	const at = 1_712_345_678_901
	ev.RequestContext.ConnectedAt = at
	if r, _ := h.Connect(t.Context(), ev); r.StatusCode != 200 {
		t.Fatalf("response %+v", r)
	}
	if c, err := store.Get(t.Context(), "id=", at); err != nil || c.Since != at {
		t.Errorf("since %d, want %d; %v", c.Since, int64(at), err)
	}
}

const open = `0{"sid":"id=","upgrades":[],"pingInterval":300000,"pingTimeout":240000,"maxPayload":131072}`

func TestHandshakeFailsWithoutTheStore(t *testing.T) {
	h, _ := newHandler(brokenStore{})
	if r, after := h.Connect(t.Context(), event("id=", "", nil)); r.StatusCode != http.StatusServiceUnavailable || after != nil {
		t.Errorf("response %+v", r)
	}
}

// A handler never fails: the store's nil pointer below is a fault of the
// server, and answered with an ack.
func TestMessageSurvivesAPanic(t *testing.T) {
	h, _ := newHandler(brokenStore{})
	for body, want := range map[string]string{
		`427["owt-message",{"to":"bob","data":1}]`:        `437[2100]`,
		`427["authentication",{"token":"a"}]`:             `6`, // {error} and DISCONNECT are posted
		`{"type":"message","id":3,"to":"bob","data":1}`:   `{"type":"error","id":3,"code":2100,"message":"server error"}`,
		`{"type":"presence","user":"bob"}`:                `{"type":"error","code":2100,"message":"server error","user":"bob"}`,
		`{"type":"watch","user":"bob"}`:                   `{"type":"error","code":2100,"message":"server error","user":"bob"}`,
		`{"type":"message","to":"bob","data":"unacked"}`:  `{"type":"error","code":2100,"message":"server error"}`,
		`42["owt-message",{"to":"bob","data":"unacked"}]`: `6`,
	} {
		r, after := h.Message(t.Context(), event("id=", body, nil))
		if r.StatusCode != http.StatusOK || r.Body != want || after != nil {
			t.Errorf("%s: %+v", body, r)
		}
	}
}

func TestMessageAnswers(t *testing.T) {
	h, s := newHandler(memory.New())
	_, after := h.Connect(t.Context(), event("id=", "", map[string]string{"EIO": "3"}))
	after(t.Context())
	s.frames = make(map[signal.ConnectionID][]string)
	for _, c := range []struct{ body, answer string }{
		{`2`, `3`},
		{`420["owt-message",{"to":"alice","data":"held"}]`, `6`},
		{`421["authentication",{"token":"alice"}]`, `6`},
		{`422["owt-message",{"to":"alice","data":1.10}]`, `432[]`},
		{`423["owt-message",{"to":"bob","data":1}]`, `433[2201]`},
		{`45`, `6`},
	} {
		r, after := h.Message(t.Context(), event("id=", c.body, nil))
		if r.Body != c.answer {
			t.Errorf("%s is answered %s, want %s", c.body, r.Body, c.answer)
		}
		if after != nil {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			after(ctx)
			cancel()
		}
	}
	for _, want := range []string{`42["server-authenticated",{"uid":"alice"}]`, `431[{"uid":"alice"}]`, `430[]`, `44"2103"`, `41`, `close`} {
		if !slices.Contains(s.frames["id="], want) {
			t.Errorf("%s was not posted: %q", want, s.frames["id="])
		}
	}
}

func TestEndpoint(t *testing.T) {
	rc := events.APIGatewayWebsocketProxyRequestContext{APIID: "abc", Stage: "prod", DomainName: "signal.example"}
	for region, want := range map[string]string{
		"eu-west-1":      "https://abc.execute-api.eu-west-1.amazonaws.com/prod",
		"us-gov-west-1":  "https://abc.execute-api.us-gov-west-1.amazonaws.com/prod",
		"cn-north-1":     "https://abc.execute-api.cn-north-1.amazonaws.com.cn/prod",
		"eusc-de-east-1": "https://abc.execute-api.eusc-de-east-1.amazonaws.eu/prod",
	} {
		if got := apigw.Endpoint(region)(rc); got != want {
			t.Errorf("%s: %s", region, got)
		}
	}
	t.Setenv("URL_SUFFIX", "aws.example")
	if got, want := apigw.Endpoint("new-west-1")(rc), "https://abc.execute-api.new-west-1.aws.example/prod"; got != want {
		t.Errorf("by the environment: %s", got)
	}
}

// Browsers say which page connects; others say nothing.
func TestOrigins(t *testing.T) {
	h, _ := newHandler(memory.New())
	for _, c := range []struct {
		allowed []string
		origin  string
		status  int
	}{
		{nil, "https://evil.example", 200},
		{[]string{"https://a.example"}, "", 200},
		{[]string{"https://a.example"}, "https://a.example", 200},
		{[]string{"https://a.example"}, "HTTPS://A.example", 200},
		{[]string{"https://a.example"}, "https://a.example.evil.example", 403},
		{[]string{"https://a.example"}, "http://a.example", 403},
		{[]string{"https://a.example"}, "null", 403},
		{[]string{"null"}, "null", 200},
		{[]string{"https://*.a.example"}, "https://x.a.example", 200},
		{[]string{"https://b.example", "https://*.a.example:8443"}, "https://X.a.example:8443", 200},
		{[]string{"https://*.a.example"}, "https://a.example", 403},
		{[]string{"https://*.a.example"}, "https://.a.example", 403},
		{[]string{"https://*.a.example"}, "https://x.y.a.example", 403},
		{[]string{"https://*.a.example"}, "https://x.a.example:8443", 403},
		{[]string{"https://*.a.example"}, "http://x.a.example", 403},
		{[]string{"https://*.a.example"}, "https://evil.example/.a.example", 403},
		{[]string{"https://*.a.example"}, "https://xa.example", 403},
	} {
		h.Origins = c.allowed
		ev := event("id=", "", nil)
		if c.origin != "" {
			ev.MultiValueHeaders = map[string][]string{"origin": {c.origin}}
		}
		if r, _ := h.Connect(t.Context(), ev); r.StatusCode != c.status {
			t.Errorf("%q where %q may: %d", c.origin, c.allowed, r.StatusCode)
		}
	}
}
