package template

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/coder/websocket"

	"github.com/owt-signal/owt-signal/internal/awsenv"
	"github.com/owt-signal/owt-signal/internal/dynamo"
	"github.com/owt-signal/owt-signal/internal/gateway"
	"github.com/owt-signal/owt-signal/internal/lambdaenv"
	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/storetest"
)

// soon bounds what should happen at once, for a machine under load.
const soon = 30 * time.Second

// TestEvents gives the events in events/ to the binaries that are deployed, in
// place of those that the gateway makes for a real connection, whose id and time
// they are given.
func TestEvents(t *testing.T) {
	const name, stage = "owt-signal-events", "prod"
	database := storetest.Engine(t)
	client := dynamodb.NewFromConfig(awsenv.ConfigOr("us-east-1", "test"), func(o *dynamodb.Options) { o.BaseEndpoint = &database })
	store := dynamo.New(client, name)
	if err := store.EnsureTable(t.Context()); err != nil {
		t.Fatal(err)
	}

	var g *gateway.Gateway
	management := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { g.Management().ServeHTTP(w, r) }))
	t.Cleanup(management.Close)
	env := map[string]string{
		"TABLE_NAME":                               name,
		"AWS_ENDPOINT_URL_DYNAMODB":                database,
		"AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI": management.URL + "/" + stage,
	}
	connect, message := start(t, "connect", env), start(t, "message", env)
	disconnect, keepalive := start(t, "disconnect", env), start(t, "keepalive", env)

	gone := make(chan string, 1)
	g = gateway.New(gateway.Config{
		Stage: stage,
		Routes: gateway.Routes{
			Connect: gateway.FunctionFunc(func(ctx context.Context, ev *events.APIGatewayWebsocketProxyRequest) (events.APIGatewayProxyResponse, error) {
				file := "connect-json.json"
				if ev.QueryStringParameters["EIO"] != "" {
					file = "connect-socketio.json"
				}
				return replay(ctx, t, connect, file, ev)
			}),
			Default: gateway.FunctionFunc(func(ctx context.Context, ev *events.APIGatewayWebsocketProxyRequest) (events.APIGatewayProxyResponse, error) {
				return replay(ctx, t, message, "message.json", ev)
			}),
			Disconnect: gateway.FunctionFunc(func(ctx context.Context, ev *events.APIGatewayWebsocketProxyRequest) (events.APIGatewayProxyResponse, error) {
				r, err := replay(ctx, t, disconnect, "disconnect.json", ev)
				gone <- ev.RequestContext.ConnectionID
				return r, err
			}),
		},
	})
	front := httptest.NewServer(g)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), soon)
		defer cancel()
		_ = g.Close(ctx)
		front.Close()
	})
	ctx, cancel := context.WithTimeout(t.Context(), 4*soon)
	defer cancel()

	t.Run("json", func(t *testing.T) {
		c := dial(ctx, t, front.URL+"/prod", string(signal.JSON))
		if c.Subprotocol() != string(signal.JSON) {
			t.Errorf("subprotocol is %q", c.Subprotocol())
		}
		await(ctx, t, c, `{"type":"open"`)
		await(ctx, t, c, `{"type":"welcome","user":"bob"`)
		leave(c)
		<-gone
	})
	t.Run("socket.io", func(t *testing.T) {
		c := dial(ctx, t, front.URL+"/prod?EIO=4")
		await(ctx, t, c, `0{"sid"`)
		if err := c.Write(ctx, websocket.MessageText, []byte("in place of which message.json is handled")); err != nil {
			t.Fatal(err)
		}
		await(ctx, t, c, `430[{"uid":"alice"}]`)

		event, err := os.ReadFile(root + "/events/keepalive.json")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := keepalive.Invoke(ctx, event); err != nil {
			t.Fatalf("keepalive: %v", err)
		}
		await(ctx, t, c, "2")

		leave(c)
		id := signal.ConnectionID(<-gone)
		if _, err := store.Get(ctx, id, signal.SystemClock{}.Now()); !errors.Is(err, signal.ErrNoConnection) {
			t.Errorf("after disconnect.json: record of connection: %v", err)
		}
	})
}

// start starts a function as Lambda would.
func start(t *testing.T, name string, env map[string]string) *lambdaenv.Function {
	t.Helper()
	if _, err := built(); err != nil {
		t.Fatal(err)
	}
	f, err := lambdaenv.New(lambdaenv.Config{
		Name: name, Bootstrap: filepath.Join(buildDir, name), Env: env, Timeout: time.Minute,
		Logs: func(_ int, line []byte) { _, _ = t.Output().Write(line) },
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

// replay invokes a function with an event of a file, as if it were of ev's
// connection, and compares the two.
func replay(ctx context.Context, t *testing.T, f *lambdaenv.Function, file string, ev *events.APIGatewayWebsocketProxyRequest) (r events.APIGatewayProxyResponse, err error) {
	payload, err := os.ReadFile(root + "/events/" + file)
	if err != nil {
		t.Error(err)
		return r, err
	}
	var recorded events.APIGatewayWebsocketProxyRequest
	strict := json.NewDecoder(bytes.NewReader(payload))
	strict.DisallowUnknownFields()
	if err := strict.Decode(&recorded); err != nil {
		t.Errorf("%s: %v", file, err)
		return r, err
	}
	if have, want := members(t, recorded.RequestContext), members(t, ev.RequestContext); !slices.Equal(have, want) {
		t.Errorf("%s: requestContext has %q, the gateway's %q", file, have, want)
	}
	rc := recorded.RequestContext
	if rc.RouteKey != ev.RequestContext.RouteKey || rc.EventType != ev.RequestContext.EventType {
		t.Errorf("%s: route %q, event %q", file, rc.RouteKey, rc.EventType)
	}
	if want := time.UnixMilli(rc.RequestTimeEpoch).UTC().Format("02/Jan/2006:15:04:05 -0700"); rc.RequestTime != want {
		t.Errorf("%s: requestTime is %q, requestTimeEpoch is %q", file, rc.RequestTime, want)
	}
	payload = bytes.ReplaceAll(payload, []byte(`"`+rc.ConnectionID+`"`), []byte(`"`+ev.RequestContext.ConnectionID+`"`))
	payload = bytes.ReplaceAll(payload, fmt.Appendf(nil, `"connectedAt": %d`, rc.ConnectedAt), fmt.Appendf(nil, `"connectedAt": %d`, ev.RequestContext.ConnectedAt))
	answer, err := f.Invoke(ctx, payload)
	if err == nil {
		err = json.Unmarshal(answer, &r)
	}
	if err != nil {
		t.Errorf("%s: %v", file, err)
	}
	return r, err
}

// members is the names of the members of v that say something.
func members(t *testing.T, v any) []string {
	t.Helper()
	encoded, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(encoded, &all); err != nil {
		t.Fatal(err)
	}
	maps.DeleteFunc(all, func(_ string, v json.RawMessage) bool {
		return slices.Contains([]string{`null`, `""`, `0`, `false`, `{}`}, string(v))
	})
	return slices.Sorted(maps.Keys(all))
}

func dial(ctx context.Context, t *testing.T, url string, subprotocols ...string) *websocket.Conn {
	t.Helper()
	c, _, err := websocket.Dial(ctx, url, &websocket.DialOptions{Subprotocols: subprotocols})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.CloseNow() })
	return c
}

// leave closes without a status, to which API Gateway gives a reason of its own.
func leave(c *websocket.Conn) { _ = c.Close(websocket.StatusNoStatusRcvd, "") }

// await reads until a frame comes that begins so.
func await(ctx context.Context, t *testing.T, c *websocket.Conn, prefix string) {
	t.Helper()
	for {
		_, frame, err := c.Read(ctx)
		if err != nil {
			t.Fatalf("awaiting %s: %v", prefix, err)
		}
		if strings.HasPrefix(string(frame), prefix) {
			return
		}
	}
}
