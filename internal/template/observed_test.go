package template

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/owt-signal/owt-signal/internal/awsenv"
	"github.com/owt-signal/owt-signal/internal/dynamo"
	"github.com/owt-signal/owt-signal/internal/gateway"
	"github.com/owt-signal/owt-signal/internal/lambdaenv"
	"github.com/owt-signal/owt-signal/internal/storetest"
)

// An observed stack is the binaries that are deployed, behind a gateway and on a
// DynamoDB engine, of which is noted what CloudWatch would get: what the functions
// tell, and what Lambda, API Gateway and DynamoDB would count of what happened.
// How long things took is not: that depends on this machine (see timed).
type observed struct {
	url       string
	functions map[string]*lambdaenv.Function
	invoking  atomic.Int64
	// kill is the function whose next invocation dies.
	kill atomic.Value
	// table is what becomes of calls of the table.
	table atomic.Pointer[func(http.ResponseWriter, *http.Request) bool]

	mu   sync.Mutex
	data []datum
}

func observe(t *testing.T) *observed {
	t.Helper()
	const table, stage = "owt-signal", "prod"
	database := storetest.Engine(t)
	client := dynamodb.NewFromConfig(awsenv.ConfigOr("us-east-1", "test"), func(o *dynamodb.Options) { o.BaseEndpoint = &database })
	if err := dynamo.New(client, table).EnsureTable(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := &observed{functions: make(map[string]*lambdaenv.Function)}
	s.kill.Store("")
	engine, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(engine)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if answer := s.table.Load(); answer == nil || !(*answer)(w, r) {
			proxy.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(front.Close)

	var g *gateway.Gateway
	management := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { g.Management().ServeHTTP(w, r) }))
	t.Cleanup(management.Close)
	if _, err := built(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"connect", "disconnect", "message", "lobby", "keepalive"} {
		s.functions[name] = s.function(t, name, map[string]string{
			"TABLE_NAME":                table,
			"STACK_NAME":                pseudo["AWS::StackName"],
			"AWS_ENDPOINT_URL_DYNAMODB": front.URL,
			"AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI": management.URL + "/" + stage,
		})
	}
	g = gateway.New(gateway.Config{Stage: stage, Routes: gateway.Routes{
		Connect: s.route("connect"), Disconnect: s.route("disconnect"), Default: s.route("message"),
	}})
	api := httptest.NewServer(g)
	s.url = api.URL + "/" + stage
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), soon)
		defer cancel()
		_ = g.Close(ctx)
		api.Close()
	})
	return s
}

// environments is how many invocations a function may run at once.
const environments = 10

func (s *observed) function(t *testing.T, name string, env map[string]string) *lambdaenv.Function {
	t.Helper()
	f, err := lambdaenv.New(lambdaenv.Config{
		Name: name, Bootstrap: filepath.Join(buildDir, name), Env: env, Timeout: time.Minute, MaxConcurrency: environments,
		Logs: func(_ int, line []byte) { s.note(embedded(t, line)...) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), soon)
		defer cancel()
		if err := f.Close(ctx); err != nil {
			t.Errorf("close %s: %v", name, err)
		}
	})
	return f
}

func (s *observed) note(data ...datum) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.data = append(s.data, data...)
}

// invoke runs an invocation, and notes what Lambda counts of it: what it refuses
// is no invocation, and what it runs is an error or none ("Types of metrics for
// Lambda functions", Lambda Developer Guide).
func (s *observed) invoke(ctx context.Context, name string, payload []byte) (answer []byte, err error) {
	s.invoking.Add(1)
	defer s.invoking.Add(-1)
	if s.kill.CompareAndSwap(name, "") {
		answer, err = s.functions[name].InvokeAndKill(ctx, payload, 0)
	} else {
		answer, err = s.functions[name].Invoke(ctx, payload)
	}
	function := strings.ToUpper(name[:1]) + name[1:] + "Function"
	_, failed := errors.AsType[*lambdaenv.FunctionError](err)
	switch {
	case errors.Is(err, lambdaenv.ErrThrottled):
		s.note(datum{ofFunction("Throttles", function), 1})
	case failed:
		s.note(datum{ofFunction("Invocations", function), 1}, datum{ofFunction("Errors", function), 1})
	case err == nil:
		s.note(datum{ofFunction("Invocations", function), 1}, datum{ofFunction("Errors", function), 0})
	}
	return answer, err
}

// route is a function behind the gateway. API Gateway counts what it could not
// call and, by the status of the answer, what was refused ("Monitor WebSocket API
// execution with CloudWatch metrics", API Gateway Developer Guide). It does not
// say as what it counts a function that died: here as nothing.
func (s *observed) route(name string) gateway.Function {
	return gateway.FunctionFunc(func(ctx context.Context, ev *events.APIGatewayWebsocketProxyRequest) (r events.APIGatewayProxyResponse, err error) {
		payload, err := json.Marshal(ev)
		if err != nil {
			return r, err
		}
		answer, err := s.invoke(ctx, name, payload)
		if err == nil {
			err = json.Unmarshal(answer, &r)
		}
		switch {
		case errors.Is(err, lambdaenv.ErrThrottled), errors.Is(err, context.DeadlineExceeded):
			s.note(datum{ofAPI("ExecutionError"), 1})
		case err == nil && r.StatusCode >= http.StatusBadRequest:
			s.note(datum{ofAPI("IntegrationError"), 1})
		}
		return r, err
	})
}

// during is what CloudWatch gets while something happens, and of what follows,
// in which all of these metrics must be.
func (s *observed) during(t *testing.T, happens func(ctx context.Context), metrics ...string) []datum {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 6*soon)
	defer cancel()
	s.drain(ctx, t)
	s.mu.Lock()
	s.data = nil
	s.mu.Unlock()
	happens(ctx)
	for { // a line of a log comes when it comes
		s.drain(ctx, t)
		s.mu.Lock()
		data := slices.Clone(s.data)
		s.mu.Unlock()
		lacks := slices.DeleteFunc(slices.Clone(metrics), func(metric string) bool {
			return slices.ContainsFunc(data, func(d datum) bool { return d.metric == metric && d.value > 0 })
		})
		if len(lacks) == 0 {
			return data
		}
		if ctx.Err() != nil {
			t.Fatalf("CloudWatch gets no %q, but %v", lacks, data)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// drain waits until nothing is at work.
func (s *observed) drain(ctx context.Context, t *testing.T) {
	t.Helper()
	for s.invoking.Load() > 0 && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
	for _, f := range s.functions {
		if err := f.Drain(ctx); err != nil {
			t.Fatal(err)
		}
	}
}

// failing has calls of the table answered so while something happens.
func (s *observed) failing(answer func(http.ResponseWriter, *http.Request) bool, happens func(context.Context)) func(context.Context) {
	return func(ctx context.Context) {
		s.table.Store(&answer)
		defer s.table.Store(nil)
		happens(ctx)
	}
}

// down is a DynamoDB in trouble.
func down(w http.ResponseWriter, _ *http.Request) bool {
	w.WriteHeader(http.StatusServiceUnavailable)
	return true
}

// throttled refuses writes, and notes each, as DynamoDB counts them ("DynamoDB
// metrics and dimensions", DynamoDB Developer Guide).
func (s *observed) throttled(w http.ResponseWriter, r *http.Request) bool {
	if _, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), "."); operation != "UpdateItem" && operation != "PutItem" && operation != "DeleteItem" {
		return false
	}
	s.note(datum{ofTable("WriteThrottleEvents"), 1})
	w.WriteHeader(http.StatusBadRequest)
	_, _ = io.WriteString(w, `{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException","message":"throttled"}`)
	return true
}
