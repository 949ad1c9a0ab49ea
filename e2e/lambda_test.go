package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/owt-signal/owt-signal/internal/lambdaenv"
	"github.com/owt-signal/owt-signal/internal/lambdatest"
	"github.com/owt-signal/owt-signal/internal/storetest"
)

// functions is the folder of the functions' binaries, built once for all tests.
var functions = sync.OnceValues(func() (dir string, err error) {
	dir = filepath.Join(filepath.Dir(binary), "functions")
	return dir, lambdatest.Build(dir)
})

// onFunctions is the flags for a server that runs the binaries that are
// deployed, each in processes of their own over a Runtime API, on the real
// DynamoDB engine, posting through AWS's SDK to the gateway's @connections.
func onFunctions(t *testing.T) []string {
	t.Helper()
	dir, err := functions()
	if err != nil {
		t.Fatal(err)
	}
	// Lambda's quota of an account. Past it a client gets an error frame, and
	// Socket.IO's reconnect.
	return []string{"-functions", dir, "-dynamodb", storetest.Engine(t), "-concurrency", "1000"}
}

// wantEnvironments sees that more than one process has served messages, so
// that none can have relied on its memory.
func wantEnvironments(t *testing.T, s *server) {
	t.Helper()
	started := regexp.MustCompile(`"environment started","function":"message","environment":(\d+)`).FindAllStringSubmatch(s.logs.String(), -1)
	t.Logf("%d environments of the function message", len(started))
	if len(started) < 2 {
		t.Errorf("%d environments of the function message, want at least 2", len(started))
	}
}

// TestLambdaEndpoint runs real clients against functions behind an Invoke API.
func TestLambdaEndpoint(t *testing.T) {
	t.Parallel()
	s := serveLambda(t, func(dir string, env map[string]string) http.Handler {
		deployed := startFunctions(t, dir, env)
		return invokeAPI(func(name string) *lambdaenv.Function { return deployed[name] })
	})
	ctx, cancel := context.WithTimeout(t.Context(), clientsWithin)
	defer cancel()
	node(ctx, t, []string{"ENDPOINT=" + s.Plain + "/socket.io/", "MESSAGES=10", "STRAGGLERS=1", "ANSWERS_LAST=1"},
		"clients/pairs.test.mjs", "clients/takeover.test.mjs", "clients/reconnect.test.mjs")
}

// serveLambda starts a server whose functions are behind a Lambda API: the one
// that deploy makes of the binaries in dir, for that environment.
func serveLambda(t *testing.T, deploy func(dir string, env map[string]string) http.Handler) *server {
	t.Helper()
	dir, err := functions()
	if err != nil {
		t.Fatal(err)
	}
	var deployed http.Handler
	ready := make(chan struct{})
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost { // the server sees whether anybody is there
			w.WriteHeader(http.StatusNotFound)
			return
		}
		<-ready
		deployed.ServeHTTP(w, r)
	}))
	t.Cleanup(api.Close)
	database := storetest.Engine(t)
	s := serve(t, "-lambda-endpoint", api.URL, "-dynamodb", database, "-log", "warn")
	deployed = deploy(dir, map[string]string{ // once the server says where its @connections are
		"TABLE_NAME":                               "owt-signal",
		"AWS_ENDPOINT_URL_DYNAMODB":                database,
		"AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI": s.Management,
	})
	close(ready)
	return s
}

// startFunctions makes functions of the binaries in dir.
func startFunctions(t *testing.T, dir string, env map[string]string) map[string]*lambdaenv.Function {
	t.Helper()
	deployed := make(map[string]*lambdaenv.Function)
	logs := &lockedBuffer{}
	for logicalID, name := range map[string]string{
		"ConnectFunction": "connect", "DisconnectFunction": "disconnect", "MessageFunction": "message", "LobbyFunction": "lobby", "KeepaliveFunction": "keepalive",
	} {
		f, err := lambdaenv.New(lambdaenv.Config{
			Bootstrap: filepath.Join(dir, name, "bootstrap"), Env: env, Timeout: time.Minute, MaxConcurrency: 1000,
			AnswersLast: true, // as in `sam local`
			Logs:        func(_ int, line []byte) { _, _ = logs.Write(line) },
		})
		if err != nil {
			t.Fatal(err)
		}
		deployed[logicalID] = f
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), soon)
			defer cancel()
			if err := f.Close(ctx); err != nil {
				t.Errorf("close %s: %v", name, err)
			}
		})
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("functions' logs:\n%s", logs)
		}
	})
	return deployed
}

// invokeAPI is Lambda's operation Invoke, as far as API Gateway has it.
func invokeAPI(find func(name string) *lambdaenv.Function) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /2015-03-31/functions/{name}/invocations", func(w http.ResponseWriter, r *http.Request) {
		f := find(r.PathValue("name"))
		payload, err := io.ReadAll(r.Body)
		if f == nil || err != nil {
			w.Header().Set("X-Amzn-Errortype", "ResourceNotFoundException")
			w.WriteHeader(http.StatusNotFound)
			return
		}
		answer, err := f.Invoke(r.Context(), payload)
		failure, failed := errors.AsType[*lambdaenv.FunctionError](err)
		switch {
		case failed:
			w.Header().Set("X-Amz-Function-Error", "Unhandled")
			answer = failure.Payload
		case errors.Is(err, lambdaenv.ErrThrottled):
			w.Header().Set("X-Amzn-Errortype", "TooManyRequestsException")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		case err != nil:
			answer, _ = json.Marshal(map[string]string{"Message": err.Error()})
			w.WriteHeader(http.StatusInternalServerError)
		}
		_, _ = w.Write(answer)
	})
	return mux
}
