package e2e

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
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

// stack is what template.yaml deploys, on this machine, each part in the hands of
// the test; what needs no part of it in hand runs the command.
type stack struct {
	server    // the gateway
	functions map[string]*lambdaenv.Function
	logs      map[string]*lockedBuffer // of the functions
	// loseDisconnects: $disconnect never comes.
	loseDisconnects atomic.Bool
}

// The name of the stack, of its table and of its stage.
const (
	stackName = "owt-signal-test"
	tableName = "owt-signal"
	stageName = "prod"
)

// deploy builds the functions and serves them behind a gateway.
func deploy(t *testing.T) *stack {
	t.Helper()
	database := storetest.Engine(t)
	createTable(t, database, tableName)

	var g *gateway.Gateway
	management := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { g.Management().ServeHTTP(w, r) }))
	t.Cleanup(management.Close)
	s := &stack{functions: make(map[string]*lambdaenv.Function), logs: make(map[string]*lockedBuffer)}
	for _, name := range []string{"connect", "disconnect", "message", "keepalive"} {
		s.create(t, name, map[string]string{
			"TABLE_NAME":                               tableName,
			"STACK_NAME":                               stackName,
			"AWS_LAMBDA_LOG_FORMAT":                    "JSON",
			"AWS_ENDPOINT_URL_DYNAMODB":                database,
			"AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI": management.URL + "/" + stageName,
		})
	}
	logs := &lockedBuffer{}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("gateway logs:\n%s", logs)
		}
	})
	g = gateway.New(gateway.Config{
		Stage:    stageName,
		Mappings: []string{"socket.io"}, // as of a custom domain
		Log:      slog.New(slog.NewJSONHandler(logs, nil)),
		Routes: gateway.Routes{
			Connect: s.route("connect"),
			Disconnect: gateway.FunctionFunc(func(ctx context.Context, ev *events.APIGatewayWebsocketProxyRequest) (events.APIGatewayProxyResponse, error) {
				if s.loseDisconnects.Load() {
					return events.APIGatewayProxyResponse{}, nil
				}
				return s.route("disconnect").Invoke(ctx, ev)
			}),
			Default: s.route("message"),
		},
	})
	front := httptest.NewServer(g)
	s.Plain = front.URL
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), soon)
		defer cancel()
		if err := g.Close(ctx); err != nil {
			t.Errorf("close gateway: %v", err)
		}
		front.Close()
	})
	return s
}

func createTable(t testing.TB, endpoint, table string) {
	t.Helper()
	client := dynamodb.NewFromConfig(awsenv.ConfigOr("us-east-1", "test"), func(o *dynamodb.Options) { o.BaseEndpoint = &endpoint })
	if err := dynamo.New(client, table).EnsureTable(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// create makes a function, which ends with the test.
func (s *stack) create(t *testing.T, name string, env map[string]string) {
	t.Helper()
	dir, err := functions()
	if err != nil {
		t.Fatal(err)
	}
	logs := &lockedBuffer{}
	f, err := lambdaenv.New(lambdaenv.Config{
		Name: name, Bootstrap: filepath.Join(dir, name, "bootstrap"), Env: env, Timeout: time.Minute,
		Logs:           func(_ int, line []byte) { _, _ = logs.Write(line) },
		MaxConcurrency: 1000, // an account's on AWS; past it a client gets an error frame
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
		if t.Failed() {
			t.Logf("%s logs:\n%s", name, logs)
		}
	})
	s.functions[name], s.logs[name] = f, logs
}

// route gives a function to the gateway, which is there before it.
func (s *stack) route(name string) gateway.Function {
	return gateway.FunctionFunc(func(ctx context.Context, ev *events.APIGatewayWebsocketProxyRequest) (events.APIGatewayProxyResponse, error) {
		return route(s.functions[name])(ctx, ev)
	})
}

// route gives a function to the gateway.
func route(f *lambdaenv.Function) gateway.FunctionFunc {
	return func(ctx context.Context, ev *events.APIGatewayWebsocketProxyRequest) (events.APIGatewayProxyResponse, error) {
		return call[events.APIGatewayProxyResponse](ctx, f, ev)
	}
}

func httpRoute(f *lambdaenv.Function) gateway.HTTPFunctionFunc {
	return func(ctx context.Context, ev *events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
		return call[events.APIGatewayV2HTTPResponse](ctx, f, ev)
	}
}

// call invokes a function with an event.
func call[R any](ctx context.Context, f *lambdaenv.Function, event any) (r R, err error) {
	payload, err := json.Marshal(event)
	if err != nil {
		return r, err
	}
	answer, err := f.Invoke(ctx, payload)
	if err != nil {
		return r, err
	}
	err = json.Unmarshal(answer, &r)
	return r, err
}
