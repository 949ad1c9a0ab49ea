package app

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/owt-signal/owt-signal/internal/awsenv"
	"github.com/owt-signal/owt-signal/internal/limits"
	"github.com/owt-signal/owt-signal/internal/setting"
	"github.com/owt-signal/owt-signal/internal/socketio"
)

func TestLogLevel(t *testing.T) {
	for level, lowest := range map[string]slog.Level{"": slog.LevelInfo, "WARN": slog.LevelWarn, "ERROR": slog.LevelError, "nonsense": slog.LevelInfo} {
		log := newLog(level, "").With("a", 1).WithGroup("g")
		if !log.Enabled(t.Context(), lowest) || log.Enabled(t.Context(), lowest-1) {
			t.Errorf("level %q is not %v", level, lowest)
		}
	}
}

func TestEnvironmentNeedsATable(t *testing.T) {
	t.Setenv(variableTable, "")
	if _, err := FromEnvironment(t.Context(), nil, nil); err == nil || !strings.Contains(err.Error(), variableTable) {
		t.Errorf("without a table: %v", err)
	}
}

func TestLogKey(t *testing.T) {
	for value, want := range map[string]string{"k": "k", "": "the secret is empty"} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, `{"Parameter":{"Value":%q}}`, value)
		}))
		t.Cleanup(server.Close)
		t.Setenv("AWS_ENDPOINT_URL_SSM", server.URL)
		key, err := LogKey(t.Context(), limits.Config{LogKeySecret: "/owt/log"}, awsenv.ConfigOr("us-east-1", "test"))
		if value != "" && (key != want || err != nil) || value == "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %q, %v", value, key, err)
		}
	}
	if key, err := LogKey(t.Context(), limits.Config{LogKey: "local"}, aws.Config{}); key != "local" || err != nil {
		t.Errorf("given: %q, %v", key, err)
	}
}

func TestTimersOfTheEnvironment(t *testing.T) {
	timers := NewTimers()
	read := func() error { return setting.FromEnvironment(os.Getenv, timers.Settings()) }
	if err := read(); err != nil || timers != (Timers{socketio.DefaultHeartbeat, 10 * time.Minute}) {
		t.Errorf("by default %v, %v", timers, err)
	}
	t.Setenv("PING_INTERVAL", "1200ms")
	t.Setenv("PING_TIMEOUT", "")
	t.Setenv("IDLE_TIMEOUT", "3s")
	want := Timers{socketio.Heartbeat{Interval: 1200 * time.Millisecond, Timeout: socketio.DefaultHeartbeat.Timeout}, 3 * time.Second}
	if err := read(); err != nil || timers != want {
		t.Errorf("got %v, %v", timers, err)
	}
	t.Setenv(variableTable, "x")
	for _, text := range []string{"5", "soon", "0s", "-1m"} {
		t.Setenv("PING_TIMEOUT", text)
		if _, err := FromEnvironment(t.Context(), nil, nil); err == nil || !strings.Contains(err.Error(), "PING_TIMEOUT") || !strings.Contains(err.Error(), text) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
