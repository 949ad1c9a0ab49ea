package local

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// admin is the URL of a path for whoever looks after the server.
func (s *running) admin(t *testing.T, path string) string {
	t.Helper()
	m := regexp.MustCompile(`Health and metrics +(http://[^/]+)/`).FindStringSubmatch(s.stdout.String())
	if m == nil {
		t.Fatalf("the greeting has no address of it:\n%s", &s.stdout)
	}
	return m[1] + path
}

// get is the status and the body of what is served at a URL.
func get(t *testing.T, url string, header ...string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Close = true
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
		if header[i] == "Host" {
			r.Host = header[i+1]
		}
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

// scrape reads the metrics with Prometheus's own parser.
func (s *running) scrape(t *testing.T) map[string]*dto.MetricFamily {
	t.Helper()
	status, body := get(t, s.admin(t, "/metrics"))
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(body))
	if status != http.StatusOK || err != nil {
		t.Fatalf("metrics: %d, %v", status, err)
	}
	problems, err := promlint.New(strings.NewReader(body)).Lint()
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	if err != nil {
		t.Error(err)
	}
	return families
}

// TestMetricsCount holds the metrics to a load of known size.
func TestMetricsCount(t *testing.T) {
	const users, messages = 5, 20
	s := start(t, "-admin", "127.0.0.1:0", "-max-connections", "6")
	for user := range users {
		conn := s.dial(t, fmt.Sprintf("ws://%s/prod?token=user%d", s.plain, user))
		await := func(what string) {
			for !strings.Contains(next(t, conn), what) {
			}
		}
		await(`"welcome"`)
		for n := range messages {
			say(t, conn, `{"type":"message","id":%d,"to":"user%d","data":1}`, n+1, user)
			await(fmt.Sprintf(`{"type":"ack","id":%d}`, n+1))
		}
		say(t, conn, `{"type":"message","id":%d,"to":"nobody","data":1}`, messages+1)
		await(`2201`)
	}
	if status, _ := get(t, "http://"+s.plain+"/prod?EIO=9", "Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="); status != http.StatusBadRequest {
		t.Errorf("a handshake of Engine.IO 9 is answered %d", status)
	}
	metrics := s.scrape(t)
	for name, want := range map[string]float64{
		"owt_signal_connects_total": users, "owt_signal_claims_total": users, "owt_signal_takeovers_total": 0, "owt_signal_refusals_total": 1,
		"owt_signal_messages_total": users * (messages + 1), "owt_signal_acks_total": users * messages, "owt_signal_acks_2201_total": users,
		"owt_signal_acks_2100_total": 0, "owt_signal_failures_total": 0,
		"owt_signal_connections": users, "owt_signal_max_connections": 6,
	} {
		family := metrics[name]
		if family == nil {
			t.Errorf("there is no %s", name)
			continue
		}
		one := family.GetMetric()[0]
		if got := one.GetCounter().GetValue() + one.GetGauge().GetValue(); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	for name, want := range map[string]int{"owt_signal_refused_total": 4, "owt_signal_forgotten_total": 3, "owt_signal_post_latency_seconds": 1, "owt_signal_certificate_expiry_seconds": 1, "process_open_fds": 1, "go_build_info": 1} {
		if got := len(metrics[name].GetMetric()); got != want {
			t.Errorf("%s: %d of them, want %d", name, got, want)
		}
	}
	if posts := metrics["owt_signal_post_latency_seconds"].GetMetric()[0].GetHistogram().GetSampleCount(); posts < users*(messages+1) { // and a welcome
		t.Errorf("%d posts", posts)
	}
}

// TestReady: a server whose records cannot be reached is alive, and not ready.
func TestReady(t *testing.T) {
	target, err := url.Parse(engine(t))
	if err != nil {
		t.Fatal(err)
	}
	var cut atomic.Bool
	proxy := httputil.NewSingleHostReverseProxy(target)
	database := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if cut.Load() {
			panic(http.ErrAbortHandler)
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(database.Close)
	s := start(t, "-admin", "127.0.0.1:0", "-dynamodb", database.URL)
	for _, is := range []struct {
		cut   bool
		ready int
	}{{false, 200}, {true, 503}, {false, 200}} {
		cut.Store(is.cut)
		if status, body := get(t, s.admin(t, "/readyz")); status != is.ready || strings.Count(body, "\n") != 1 {
			t.Errorf("cut off %v: ready %d, %q", is.cut, status, body)
		}
		if status, _ := get(t, s.admin(t, "/healthz")); status != http.StatusOK {
			t.Errorf("cut off %v: alive %d", is.cut, status)
		}
	}
	if n := s.scrape(t)["owt_signal_store_latency_seconds"].GetMetric()[0].GetHistogram().GetSampleCount(); n < 3 {
		t.Errorf("%d calls of the store", n)
	}
}

// TestNotReadyWhileEnding: clients are sent elsewhere before they are closed.
func TestNotReadyWhileEnding(t *testing.T) {
	s := &server{}
	s.ending.Store(true)
	if err := s.ready(t.Context()); err == nil {
		t.Error("ready")
	}
}

// TestAdminIsForPrograms: no page reads it, and no name that was made to point here.
func TestAdminIsForPrograms(t *testing.T) {
	s := start(t, "-admin", "127.0.0.1:0")
	for _, header := range [][]string{{"Host", "evil.example"}, {"Origin", "http://localhost"}, {"Sec-Fetch-Site", "same-origin"}} {
		if status, _ := get(t, s.admin(t, "/metrics"), header...); status != http.StatusForbidden {
			t.Errorf("%v: answered %d", header, status)
		}
	}
	if status, _ := get(t, "http://"+s.plain+"/metrics"); status == http.StatusOK {
		t.Error("it is public")
	}
}

func TestLogFormat(t *testing.T) {
	for format, want := range map[string]string{"json": `"msg":"server ends","reason":"context canceled"`, "text": `msg="server ends" reason="context canceled"`} {
		s := start(t, "-log-format", format)
		s.wantEnd(t)
		if !strings.Contains(s.stderr.String(), want) {
			t.Errorf("%s: the log is %s", format, &s.stderr)
		}
	}
}

// TestDashboard: what the dashboard and the alarms ask for is told.
func TestDashboard(t *testing.T) {
	s := start(t, "-admin", "127.0.0.1:0", "-dynamodb", engine(t))
	told := s.scrape(t)
	for _, name := range []string{"grafana.json", "alarms.yml"} {
		text, err := os.ReadFile(filepath.Join("..", "..", "examples", "one-machine", name))
		if err != nil {
			t.Fatal(err)
		}
		asked := regexp.MustCompile(`\b(owt_signal|process)_[a-z_\d]+`).FindAllString(string(text), -1)
		for _, metric := range asked {
			if told[strings.TrimSuffix(metric, "_bucket")] == nil && metric != "owt_signal_acks_" {
				t.Errorf("%s asks for %s, which there is not", name, metric)
			}
		}
		if len(asked) < 5 || name == "grafana.json" && !json.Valid(text) {
			t.Errorf("%s asks for %v", name, asked)
		}
	}
	if told["owt_signal_forgotten_total"] != nil {
		t.Error("tells of what was forgotten, though the records are not in memory")
	}
}
