package template

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/owt-signal/owt-signal/internal/apigw"
	"github.com/owt-signal/owt-signal/internal/app"
	"github.com/owt-signal/owt-signal/internal/emf"
	"github.com/owt-signal/owt-signal/internal/faults"
	"github.com/owt-signal/owt-signal/internal/memory"
	"github.com/owt-signal/owt-signal/internal/signal"
)

// A timed stack runs the handlers on virtual time, with what they call as slow as
// a test wants it, and tells how long AWS would say that they took.
type timed struct {
	tpl     template
	handler *apigw.Handler
	metrics *emf.Metrics
	lines   bytes.Buffer // of the log, that metrics have written

	mu   sync.Mutex
	data []datum
}

// newTimed is to be called in a bubble of synctest.
func newTimed(t *testing.T, slow faults.Spec, posts apigw.Connections) *timed {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	f := faults.New(&slow, log)
	s := &timed{tpl: load(t)}
	s.metrics = emf.New(&s.lines, pseudo["AWS::StackName"], time.Now)
	s.handler = app.New(app.Config{
		Store: f.Store(memory.New()), Connections: f.Connections(posts), Access: signal.OpenAccess, Meter: s.metrics, Log: log,
		Endpoint: func(events.APIGatewayWebsocketProxyRequestContext) string { return "" },
	})
	return s
}

// told is what CloudWatch gets.
func (s *timed) told(t *testing.T) []datum {
	t.Helper()
	for line := range bytes.Lines(s.lines.Bytes()) {
		s.data = append(s.data, embedded(t, line)...)
	}
	return s.data
}

// anybody takes every post.
type anybody struct{}

func (anybody) Post(context.Context, string, signal.ConnectionID, []byte) error {
	time.Sleep(postTakes)
	return nil
}
func (anybody) Get(context.Context, string, signal.ConnectionID) error    { return nil }
func (anybody) Delete(context.Context, string, signal.ConnectionID) error { return nil }

// postTakes is how long a post takes on an ordinary day.
const postTakes = 20 * time.Millisecond

// timeout is a function's in template.yaml.
func (tpl template) timeout(function string) time.Duration {
	value := tpl.properties(function)["Timeout"]
	if value == nil {
		value = at(map[string]any(tpl), "Globals", "Function", "Timeout")
	}
	seconds, err := strconv.Atoi(fmt.Sprint(value))
	if err != nil {
		panic(err)
	}
	return time.Duration(seconds) * time.Second
}

// invoke runs an invocation. What Lambda reports as its duration is until the
// work that follows the answer is done, or the timeout ("Understanding the Lambda
// execution environment lifecycle", Lambda Developer Guide).
func (s *timed) invoke(function string, route func(context.Context) signal.After) {
	timeout := s.tpl.timeout(function)
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	start := time.Now()
	after := route(ctx)
	answered := time.Since(start)
	s.metrics.End(func() {
		if after != nil {
			after(ctx)
		}
	})
	took := min(time.Since(start), timeout)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.data = append(s.data, datum{ofFunction("Duration", function), milliseconds(took)})
	if function != "KeepaliveFunction" {
		s.data = append(s.data, datum{ofAPI("IntegrationLatency"), milliseconds(min(answered, apiTimeout))})
	}
}

// apiTimeout is how long API Gateway waits for an answer ("Amazon API Gateway
// quotas").
const apiTimeout = 29 * time.Second

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func ofFunction(name, function string) string {
	return metric("AWS/Lambda", name, map[string]any{"FunctionName": map[string]any{"Ref": function}})
}

func ofStack(name string) string {
	return metric("OWTSignal", name, map[string]any{"Stack": pseudo["AWS::StackName"]})
}

func ofTable(name string) string {
	return metric("AWS/DynamoDB", name, map[string]any{"TableName": map[string]any{"Ref": "Records"}})
}

func ofAPI(name string) string {
	return metric("AWS/ApiGateway", name, map[string]any{"ApiId": map[string]any{"Ref": "Api"}, "Stage": "prod"})
}

func (s *timed) connect(id, user string) {
	ev := event("CONNECT", id, "")
	ev.QueryStringParameters = map[string]string{"token": user}
	s.invoke("ConnectFunction", func(ctx context.Context) signal.After {
		_, after := s.handler.Connect(ctx, ev)
		return after
	})
}

func (s *timed) frame(id, body string) {
	s.invoke("MessageFunction", func(ctx context.Context) signal.After {
		_, after := s.handler.Message(ctx, event("MESSAGE", id, body))
		return after
	})
}

func (s *timed) round() {
	s.invoke("KeepaliveFunction", func(ctx context.Context) signal.After {
		_ = s.handler.Service.Keepalive(ctx)
		return nil
	})
}

func event(kind, connection, body string) *events.APIGatewayWebsocketProxyRequest {
	return &events.APIGatewayWebsocketProxyRequest{Body: body, RequestContext: events.APIGatewayWebsocketProxyRequestContext{
		EventType: kind, ConnectionID: connection, Stage: "prod",
	}}
}

func message(number int, to string) string {
	return fmt.Sprintf(`{"type":"message","id":%d,"to":"%s","data":"x"}`, number, to)
}

// talk has people connect, and the first of them send to the second, while what
// is called is as slow as that.
func talk(t *testing.T, slow faults.Spec, people, messages int, every time.Duration) (data []datum) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newTimed(t, slow, anybody{})
		for i := range people {
			s.connect(fmt.Sprint("c", i), fmt.Sprint("u", i))
		}
		var invocations sync.WaitGroup
		for i := range messages {
			invocations.Go(func() { s.frame("c0", message(i+1, "u1")) })
			time.Sleep(every)
		}
		invocations.Wait()
		data = s.told(t)
	})
	return data
}

// round is a round of keepalive for so many connections.
func round(t *testing.T, people int) (data []datum) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newTimed(t, faults.Spec{Seed: 1}, anybody{})
		for i := range people {
			s.connect(fmt.Sprint("c", i), fmt.Sprint("u", i))
		}
		time.Sleep(signal.MaxHandshake)
		rate, _ := s.tpl.value("PingRate", nil)
		s.handler.Service.PingRate, _ = strconv.Atoi(rate)
		s.data = nil
		s.lines.Reset()
		s.round()
		data = s.told(t)
	})
	return data
}

// dying has the first post last until the invocation has long been given up.
type dying struct {
	anybody
	died atomic.Bool
}

func (d *dying) Post(_ context.Context, _ string, id signal.ConnectionID, _ []byte) error {
	if id == "c1" && d.died.CompareAndSwap(false, true) {
		time.Sleep(time.Hour)
	}
	return nil
}

// overtaken is a message whose invocation dies, and the next one.
func overtaken(t *testing.T) (data []datum) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		d := &dying{}
		d.died.Store(true)
		s := newTimed(t, faults.Spec{Seed: 1}, d)
		s.connect("c0", "u0")
		s.connect("c1", "u1")
		d.died.Store(false)
		var invocations sync.WaitGroup
		for n := range 2 {
			invocations.Go(func() { s.frame("c0", message(n+1, "u1")) })
			time.Sleep(time.Second)
		}
		invocations.Wait()
		data = s.told(t)
	})
	return data
}
