package auth_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/owt-signal/owt-signal/internal/auth"
	"github.com/owt-signal/owt-signal/internal/awsenv"
	"github.com/owt-signal/owt-signal/internal/lambdaenv"
	"github.com/owt-signal/owt-signal/internal/signal"
)

// accounts is a real function that says who a client is, behind Lambda's
// Invoke operation, and the authenticator that asks it.
type accounts struct {
	signal.Access
	asked atomic.Int64
}

// bootstrap is the function's binary, built once.
var bootstrap string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "auth")
	if err == nil {
		bootstrap = filepath.Join(dir, "accounts", "bootstrap")
		build := exec.Command("go", "build", "-tags", "lambda.norpc", "-o", bootstrap, "./testdata/accounts")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		var out []byte
		if out, err = build.CombinedOutput(); err != nil {
			err = fmt.Errorf("build the function: %w\n%s", err, out)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

func newAccounts(t *testing.T, change func(*auth.Config)) *accounts {
	t.Helper()
	f, err := lambdaenv.New(lambdaenv.Config{Name: "accounts", Bootstrap: bootstrap, Timeout: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	a := &accounts{}
	api := invokeAPI("accounts", f)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.asked.Add(1)
		api.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = f.Close(ctx)
		server.CloseClientConnections()
		server.Close()
	})
	t.Setenv("AWS_ENDPOINT_URL_LAMBDA", server.URL)
	c := auth.NewConfig()
	c.Mode, c.Function, c.Timeout = auth.ModeLambda, "accounts", auth.MaxTimeout
	if change != nil {
		change(&c)
	}
	if a.Access, err = auth.New(t.Context(), c, awsenv.ConfigOr("us-east-1", "test"), quiet); err != nil {
		t.Fatal(err)
	}
	return a
}

// invokeAPI is Lambda's operation Invoke (Lambda API Reference) for one function.
func invokeAPI(name string, f *lambdaenv.Function) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /2015-03-31/functions/{name}/invocations", func(w http.ResponseWriter, r *http.Request) {
		payload, err := io.ReadAll(r.Body)
		if r.PathValue("name") != name || err != nil {
			w.Header().Set("X-Amzn-Errortype", "ResourceNotFoundException")
			w.WriteHeader(http.StatusNotFound)
			return
		}
		answer, err := f.Invoke(r.Context(), payload)
		if failed, ok := errors.AsType[*lambdaenv.FunctionError](err); ok {
			w.Header().Set("X-Amz-Function-Error", "Unhandled")
			answer = failed.Payload
		} else if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
		}
		_, _ = w.Write(answer)
	})
	return mux
}

func TestFunctionSays(t *testing.T) {
	a := newAccounts(t, func(c *auth.Config) { c.Headers = []string{"origin", "user-agent"} })
	if a.Anonymous || a.Caution != "" {
		t.Errorf("access %+v", a.Access)
	}
	if needs := a.Needs(); !needs.Client || !reflect.DeepEqual(needs.Headers, []string{"origin", "user-agent"}) {
		t.Errorf("needs %+v", needs)
	}
	id, err := authenticate(t, a.Authenticator, "user:用户1")
	if err != nil || id.User != "用户1" || id.Expires != 0 || !reflect.DeepEqual(id.Attributes, map[string]string{"role": "doctor"}) {
		t.Errorf("%+v, %v", id, err)
	}
	if id, err := authenticate(t, a.Authenticator, "until:1999999999.5"); err != nil || id.Expires != 1999999999500 {
		t.Errorf("with an end: %+v, %v", id, err)
	}
	if id, err := authenticate(t, a.Authenticator, "until:1e300"); err != nil || id.Expires != 0 {
		t.Errorf("with an end beyond all time: %+v, %v", id, err)
	}
	if id, err := authenticate(t, a.Authenticator, "until:-1"); err != nil || id.Expires <= 0 || id.Expires > 1000 {
		t.Errorf("with an end before all time: %+v, %v", id, err)
	}
	wantRefused(t, a.Authenticator, "stranger", "")
	wantRefused(t, a.Authenticator, `raw:{"user":"alice","refused":true}`, "")

	client := signal.Client{Type: "Web", Version: "5.0", Address: "192.0.2.1", Headers: map[string]string{"origin": "https://a.example"}}
	for want, c := range map[string]signal.Client{
		`{"token":"echo","clientType":"Web","clientVersion":"5.0","sourceIp":"192.0.2.1","headers":{"origin":"https://a.example"}}`: client,
		`{"token":"echo","clientType":"","clientVersion":"","sourceIp":"","headers":{}}`:                                            {},
	} {
		id, err := a.Authenticator.Authenticate(t.Context(), signal.Credentials{Token: "echo", Client: c})
		if err != nil || !sameJSON(string(id.User), want) {
			t.Errorf("asked %s, %v, want %s", id.User, err, want)
		}
	}
}

func sameJSON(a, b string) bool {
	var x, y any
	return json.Unmarshal([]byte(a), &x) == nil && json.Unmarshal([]byte(b), &y) == nil && reflect.DeepEqual(x, y)
}

// A function that fails, or whose answer is not what it may be, lets nobody in.
func TestFunctionFails(t *testing.T) {
	a := newAccounts(t, nil)
	long := strings.Repeat("x", signal.MaxUserName)
	wantUser(t, a.Authenticator, "user:"+long, signal.UserName(long))
	for _, token := range []string{
		"error:a secret of the client's", "panic:a secret of the client's", "exit", "large",
		"user:", "user:" + long + "x",
		`raw:{}`, `raw:null`, `raw:[]`, `raw:"alice"`, `raw:{"user":null}`, `raw:{"user":7}`, `raw:{"user":["alice"]}`, `raw:{"user":true}`,
		`raw:{"refused":"yes"}`, `raw:{"refused":false}`, `raw:{"user":"alice","refused":1}`,
		`raw:{"user":"alice","expires":"tomorrow"}`, `raw:{"user":"alice","expires":1e400}`,
		`raw:{"user":"alice","attributes":[]}`, `raw:{"user":"alice","attributes":{"a":1}}`, `raw:{"user":"alice","attributes":{"":"x"}}`,
		`raw:{"user":"alice","attributes":{"a":"` + strings.Repeat("x", signal.MaxAttributesSize) + `"}}`,
		`raw:{"name":"alice"}`,
	} {
		t.Run(fmt.Sprintf("%.40s", token), func(t *testing.T) { wantUnavailable(t, a.Authenticator, token) })
	}
}

func TestFunctionIsSlow(t *testing.T) {
	a := newAccounts(t, func(c *auth.Config) { c.Timeout = 300 * time.Millisecond })
	wantUnavailable(t, a.Authenticator, "slow") // it would answer after a minute
	if n := a.asked.Load(); n != 1 {
		t.Errorf("a slow function was asked %d times", n)
	}
}

func TestFunctionIsNotThere(t *testing.T) {
	a := newAccounts(t, func(c *auth.Config) { c.Function = "arn:aws:lambda:us-east-1:000000000000:function:nobody" })
	wantUnavailable(t, a.Authenticator, "user:alice")
	t.Setenv("AWS_ENDPOINT_URL_LAMBDA", "http://127.0.0.1:1")
	c := auth.NewConfig()
	c.Mode, c.Function = auth.ModeLambda, "accounts"
	access, err := auth.New(t.Context(), c, awsenv.ConfigOr("us-east-1", "test"), quiet)
	if err != nil {
		t.Fatal(err)
	}
	wantUnavailable(t, access.Authenticator, "user:alice")
}

// throttled answers so for a while.
func TestFunctionIsBusyForAMoment(t *testing.T) {
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) == 1 {
			w.Header().Set("X-Amzn-Errortype", "TooManyRequestsException")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		fmt.Fprint(w, `{"user":"alice"}`)
	}))
	defer server.Close()
	t.Setenv("AWS_ENDPOINT_URL_LAMBDA", server.URL)
	c := auth.NewConfig()
	c.Mode, c.Function = auth.ModeLambda, "accounts"
	access, err := auth.New(t.Context(), c, awsenv.ConfigOr("us-east-1", "test"), quiet)
	if err != nil {
		t.Fatal(err)
	}
	wantUser(t, access.Authenticator, "t", "alice")
	if errors.Is(t.Context().Err(), context.Canceled) || asked.Load() != 2 {
		t.Errorf("asked %d times", asked.Load())
	}
}
