package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/owt-signal/owt-signal/internal/gateway"
	"github.com/owt-signal/owt-signal/internal/lambdaenv"
	"github.com/owt-signal/owt-signal/internal/lambdatest"
	"github.com/owt-signal/owt-signal/internal/storetest"
)

// measured are the functions that serve clients: a round goes through them.
var measured = []string{"connect", "disconnect", "message", "lobby", "keepalive"}

// BenchmarkFunctions measures what the functions take to start and to run, as
// they are deployed but for the processor: on the real engine, and with posts to
// a gateway, over plain HTTP. Each round begins with new processes. All but the
// sizes are medians.
func BenchmarkFunctions(b *testing.B) {
	m := newMeasurement(b, lambdatest.Release...)
	for _, name := range measured {
		b.Run(name, func(b *testing.B) {
			var first, second []lambdaenv.Report
			for b.Loop() {
				reports := m.round(b)[name]
				first, second = append(first, reports[0]), append(second, reports[1])
			}
			ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
			b.ReportMetric(0, "ns/op") // would be that of all functions together
			b.ReportMetric(ms(median(first, func(r lambdaenv.Report) time.Duration { return r.Init })), "init-ms")
			b.ReportMetric(ms(median(first, func(r lambdaenv.Report) time.Duration { return r.Duration })), "first-ms")
			b.ReportMetric(ms(median(second, func(r lambdaenv.Report) time.Duration { return r.Duration })), "second-ms")
			b.ReportMetric(ms(median(second, func(r lambdaenv.Report) time.Duration { return r.Answered })), "second-answer-ms")
			b.ReportMetric(float64(median(second, func(r lambdaenv.Report) int64 { return r.MaxMemory }))/1e6, "peak-MB")
			b.ReportMetric(float64(m.size(b, name))/1e6, "binary-MB")
		})
	}
}

// TestMeasurement: there is something to measure.
func TestMeasurement(t *testing.T) {
	t.Parallel()
	m := newMeasurement(t)
	reports := m.round(t)
	for _, name := range measured {
		r := reports[name]
		if len(r) != 2 || r[0].Init <= 0 || r[1].Init != 0 || r[1].Environment != r[0].Environment || m.size(t, name) < 1e6 {
			t.Errorf("%s: reports %+v", name, r)
		}
	}
}

func median[V time.Duration | int64](reports []lambdaenv.Report, of func(lambdaenv.Report) V) V {
	values := make([]V, len(reports))
	for i, r := range reports {
		values[i] = of(r)
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// measurement is what all rounds have in common.
type measurement struct {
	dir, database string
	users         int
}

func newMeasurement(t testing.TB, flags ...string) *measurement {
	t.Helper()
	m := &measurement{dir: t.TempDir(), database: storetest.Engine(t)}
	if err := lambdatest.Build(m.dir, flags...); err != nil {
		t.Fatal(err)
	}
	createTable(t, m.database, tableName)
	return m
}

func (m *measurement) bootstrap(name string) string { return filepath.Join(m.dir, name, "bootstrap") }

func (m *measurement) size(t testing.TB, name string) int64 {
	t.Helper()
	info, err := os.Stat(m.bootstrap(name))
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// round starts every function anew and has each invoked twice, one after the
// other: two users connect, one sends the other two messages, two lobbies are
// opened, keepalive visits both users, both leave. It returns the reports of each function.
func (m *measurement) round(t testing.TB) map[string][]lambdaenv.Report {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), clientsWithin)
	defer cancel()
	var g *gateway.Gateway
	management := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { g.Management().ServeHTTP(w, r) }))
	defer management.Close()

	reports := make(map[string][]lambdaenv.Report)
	reported := make(map[string]chan lambdaenv.Report)
	deployed := make(map[string]*lambdaenv.Function)
	defer func() {
		for _, f := range deployed {
			_ = f.Close(ctx)
		}
	}()
	for _, name := range measured {
		ended := make(chan lambdaenv.Report, 2)
		f, err := lambdaenv.New(lambdaenv.Config{
			Bootstrap: m.bootstrap(name), Timeout: time.Minute, MemoryMB: 256, Reports: func(r lambdaenv.Report) { ended <- r },
			Env: map[string]string{
				"TABLE_NAME":                               tableName,
				"STACK_NAME":                               stackName,
				"AWS_LAMBDA_LOG_FORMAT":                    "JSON",
				"AWS_ENDPOINT_URL_DYNAMODB":                m.database,
				"AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI": management.URL + "/" + stageName,
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		deployed[name], reported[name] = f, ended
	}
	await := func(name string) {
		t.Helper()
		select {
		case r := <-reported[name]:
			reports[name] = append(reports[name], r)
		case <-ctx.Done():
			t.Fatalf("no report of %s", name)
		}
	}
	g = gateway.New(gateway.Config{Stage: stageName, Routes: gateway.Routes{
		Connect: route(deployed["connect"]), Disconnect: route(deployed["disconnect"]), Default: route(deployed["message"]),
	}})
	front := httptest.NewServer(g)
	defer front.Close()
	defer func() { _ = g.Close(ctx) }()

	m.users += 2
	receiver := fmt.Sprintf("user%d", m.users)
	var sockets []*websocket.Conn
	defer func() {
		for _, c := range sockets {
			_ = c.CloseNow()
		}
	}()
	for _, user := range []string{fmt.Sprintf("user%d", m.users-1), receiver} {
		c, _, err := websocket.Dial(ctx, front.URL+"/"+stageName+"?token="+user, nil)
		if err != nil {
			t.Fatal(err)
		}
		sockets = append(sockets, c)
		readFrame(ctx, t, c, "welcome")
		await("connect")
	}
	for id := range 2 {
		message := fmt.Sprintf(`{"type":"message","id":%d,"to":%q,"data":%q}`, id+1, receiver, sdp)
		if err := sockets[0].Write(ctx, websocket.MessageText, []byte(message)); err != nil {
			t.Fatal(err)
		}
		readFrame(ctx, t, sockets[0], "ack")
		readFrame(ctx, t, sockets[1], "message")
		await("message")
	}
	lobbies := httptest.NewServer(&gateway.HTTPAPI{Function: httpRoute(deployed["lobby"]), MaxBody: 1 << 10, Log: slog.New(slog.DiscardHandler)})
	defer lobbies.Close()
	for range 2 {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, lobbies.URL+"/socket.io/?EIO=4&transport=polling", nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusOK {
			t.Fatalf("open a lobby: %s", response.Status)
		}
		await("lobby")
	}
	for range 2 {
		if _, err := deployed["keepalive"].Invoke(ctx, nil); err != nil {
			t.Fatal(err)
		}
		await("keepalive")
	}
	for _, c := range sockets {
		_ = c.Close(websocket.StatusNormalClosure, "")
		await("disconnect")
	}
	return reports
}

// sdp stands for the data of a message: as long as an ICE candidate with all
// that an SDK puts around it.
var sdp = string(slices.Repeat([]byte("x"), 300))

// readFrame reads frames until one of a type.
func readFrame(ctx context.Context, t testing.TB, c *websocket.Conn, kind string) {
	t.Helper()
	for {
		_, text, err := c.Read(ctx)
		if err != nil {
			t.Fatalf("read %s: %v", kind, err)
		}
		var frame struct{ Type string }
		if err := json.Unmarshal(text, &frame); err != nil {
			t.Fatal(err)
		}
		switch frame.Type {
		case kind:
			return
		case "error", "superseded":
			t.Fatalf("read %s: %s", kind, text)
		}
	}
}
