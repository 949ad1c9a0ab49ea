package e2e

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
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

// TestLambdaBinaries runs real clients against the binaries that are deployed:
// each in processes of their own over a Runtime API, on the real DynamoDB
// engine, posting through AWS's SDK to the gateway's @connections.
func TestLambdaBinaries(t *testing.T) {
	stack := deploy(t)
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	node(ctx, t, []string{"ENDPOINT=" + stack + "/prod", "MESSAGES=100"}, "clients/")
}

// deploy builds the functions and serves them behind a gateway. It returns the
// gateway's address.
func deploy(t *testing.T) string {
	t.Helper()
	const table, stage = "owt-signal", "prod"
	database := storetest.Engine(t)
	createTable(t, database, table)

	var g *gateway.Gateway
	management := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { g.Management().ServeHTTP(w, r) }))
	t.Cleanup(management.Close)
	env := map[string]string{
		"TABLE_NAME":                               table,
		"AWS_ENDPOINT_URL_DYNAMODB":                database,
		"AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI": management.URL + "/" + stage,
	}
	dir := t.TempDir()
	logs := &lockedBuffer{}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("gateway logs:\n%s", logs)
		}
	})
	g = gateway.New(gateway.Config{
		Stage: stage,
		Log:   slog.New(slog.NewJSONHandler(logs, nil)),
		Routes: gateway.Routes{
			Connect:    function(t, dir, "connect", env),
			Disconnect: function(t, dir, "disconnect", env),
			Default:    function(t, dir, "message", env),
		},
	})
	front := httptest.NewServer(g)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := g.Close(ctx); err != nil {
			t.Errorf("close gateway: %v", err)
		}
		front.Close()
	})
	return front.URL
}

func createTable(t *testing.T, endpoint, table string) {
	t.Helper()
	client := dynamodb.NewFromConfig(awsenv.ConfigOr("us-east-1", "test"), func(o *dynamodb.Options) { o.BaseEndpoint = &endpoint })
	if err := dynamo.New(client, table).EnsureTable(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// function builds a function as for Lambda, on this machine's processor, and
// gives it to the gateway.
func function(t *testing.T, dir, name string, env map[string]string) gateway.Function {
	t.Helper()
	bootstrap := filepath.Join(dir, name, "bootstrap")
	build := exec.Command("go", "build", "-tags", "lambda.norpc", "-o", bootstrap, "../functions/"+name)
	build.Env = append(build.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", name, err, out)
	}
	logs := &lockedBuffer{}
	f, err := lambdaenv.New(lambdaenv.Config{
		Name: name, Bootstrap: bootstrap, Env: env, Timeout: time.Minute, Logs: logs,
		MaxConcurrency: 1000, // an account's on AWS; past it a client gets an error frame
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := f.Close(ctx); err != nil {
			t.Errorf("close %s: %v", name, err)
		}
		if t.Failed() {
			t.Logf("%s logs:\n%s", name, logs)
		}
	})
	return gateway.FunctionFunc(func(ctx context.Context, ev *events.APIGatewayWebsocketProxyRequest) (r events.APIGatewayProxyResponse, err error) {
		err = f.InvokeJSON(ctx, ev, &r)
		return r, err
	})
}
