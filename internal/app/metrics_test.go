package app

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/owt-signal/owt-signal/internal/apigw"
	"github.com/owt-signal/owt-signal/internal/emf"
	"github.com/owt-signal/owt-signal/internal/memory"
	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// calls are the calls that a message costs: those of the store, which are made
// in memory, and those of connections.
type calls struct {
	signal.Store
	made []string
}

// connections are the calls of connections.
type connections struct{ *calls }

func (c *calls) Update(ctx context.Context, id signal.ConnectionID, u signal.Update, now lane.Instant) (signal.Connection, bool, error) {
	c.made = append(c.made, string(u.Kind))
	return c.Store.Update(ctx, id, u, now)
}

func (c *calls) Route(ctx context.Context, user signal.UserName, messages int, now lane.Instant) (signal.Route, error) {
	c.made = append(c.made, "route")
	return c.Store.Route(ctx, user, messages, now)
}

func (c *calls) Get(ctx context.Context, id signal.ConnectionID, now lane.Instant) (signal.Connection, error) {
	c.made = append(c.made, "read")
	return c.Store.Get(ctx, id, now)
}

func (c connections) Post(context.Context, string, signal.ConnectionID, []byte) error {
	c.made = append(c.made, "post")
	return nil
}

func (c connections) Get(context.Context, string, signal.ConnectionID) error {
	c.made = append(c.made, "get")
	return nil
}

func (c connections) Delete(context.Context, string, signal.ConnectionID) error {
	c.made = append(c.made, "delete")
	return nil
}

// sender is a handler with a JSON client that sends messages to itself.
type sender struct {
	handler *apigw.Handler
	metrics *emf.Metrics
	calls   *calls
	sent    int
}

func newSender(t *testing.T, metrics *emf.Metrics) *sender {
	t.Helper()
	s := &sender{metrics: metrics, calls: &calls{Store: memory.New()}}
	s.handler = New(Config{
		Store: s.calls, Connections: connections{s.calls}, Access: signal.OpenAccess, Meter: metrics, Log: slog.New(slog.DiscardHandler),
		Endpoint: func(events.APIGatewayWebsocketProxyRequestContext) string { return "" },
	})
	ev := event("")
	ev.QueryStringParameters = map[string]string{"token": "alice"}
	metrics.End(func() {
		_, after := s.handler.Connect(t.Context(), ev)
		after(t.Context())
	})
	s.calls.made = nil
	return s
}

func event(body string) *events.APIGatewayWebsocketProxyRequest {
	return &events.APIGatewayWebsocketProxyRequest{Body: body, RequestContext: events.APIGatewayWebsocketProxyRequestContext{ConnectionID: "c="}}
}

// send is an invocation.
func (s *sender) send(t *testing.T) {
	s.sent++
	ev := event(fmt.Sprintf(`{"type":"message","id":%d,"to":"alice","data":"hello"}`, s.sent))
	want := fmt.Sprintf(`{"type":"ack","id":%d}`, s.sent)
	s.metrics.End(func() {
		if r, after := s.handler.Message(t.Context(), ev); r.Body != want || after != nil {
			t.Fatalf("answered %+v", r)
		}
	})
}

// TestMetricsOfAMessage: an undisturbed message makes the calls that it makes
// without metrics, and allocates no more.
func TestMetricsOfAMessage(t *testing.T) {
	var out bytes.Buffer
	with, without := newSender(t, emf.New(&out, "owt", time.Now)), newSender(t, nil)
	out.Reset()
	with.send(t)
	without.send(t)
	if want := []string{"take", "route", "post", "finish"}; !slices.Equal(with.calls.made, want) || !slices.Equal(without.calls.made, want) {
		t.Errorf("calls %v, without metrics %v, want %v", with.calls.made, without.calls.made, want)
	}
	var told map[string]any
	if err := json.Unmarshal(out.Bytes(), &told); err != nil || strings.Count(out.String(), "\n") != 1 {
		t.Fatalf("told %s: %v", &out, err)
	}
	if told["Messages"] != 1.0 || told["Acks"] != 1.0 || len(told) != 4 || told["Stack"] != "owt" {
		t.Errorf("told %s", &out)
	}

	const margin = 2 // now and then a buffer grows
	before := testing.AllocsPerRun(200, func() { without.send(t) })
	after := testing.AllocsPerRun(200, func() { with.send(t) })
	t.Logf("%v allocations, without metrics %v", after, before)
	if after > before+margin {
		t.Errorf("%v allocations, without metrics %v", after, before)
	}
}

// TestMetricsOfTheEdge: what a handler refuses by itself, and its panics.
func TestMetricsOfTheEdge(t *testing.T) {
	var out bytes.Buffer
	s := newSender(t, emf.New(&out, "owt", time.Now))
	s.handler.Service.Store = nil
	for want, act := range map[string]func(){
		`"Refusals":1}`: func() {
			ev := event("")
			ev.QueryStringParameters = map[string]string{"EIO": "5"}
			if r, after := s.handler.Connect(t.Context(), ev); r.StatusCode != http.StatusBadRequest || after != nil {
				t.Errorf("answered %+v", r)
			}
		},
		`"Acks2100":1,"Failures":1,"Messages":1}`: func() {
			r, after := s.handler.Message(t.Context(), event(`{"type":"message","id":1,"to":"alice","data":1}`))
			if r.Body != `{"type":"error","id":1,"code":2100,"message":"server error"}` || after != nil {
				t.Errorf("answered %+v", r)
			}
		},
	} {
		out.Reset()
		s.metrics.End(act)
		if !strings.HasSuffix(out.String(), `"Stack":"owt",`+want+"\n") {
			t.Errorf("told %s, want %s", &out, want)
		}
	}
}
