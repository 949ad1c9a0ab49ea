package app

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/owt-signal/owt-signal/internal/awsenv"
	"github.com/owt-signal/owt-signal/internal/limits"
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
	if _, err := FromEnvironment(t.Context(), nil); err == nil || !strings.Contains(err.Error(), variableTable) {
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
		key, err := logKey(t.Context(), limits.Config{LogKeySecret: "/owt/log"}, awsenv.ConfigOr("us-east-1", "test"))
		if value != "" && (key != want || err != nil) || value == "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %q, %v", value, key, err)
		}
	}
	if key, err := logKey(t.Context(), limits.Config{LogKey: "local"}, aws.Config{}); key != "local" || err != nil {
		t.Errorf("given: %q, %v", key, err)
	}
}

func TestTimersOfTheEnvironment(t *testing.T) {
	heartbeat, idle, err := timersFromEnvironment()
	if err != nil || heartbeat != socketio.DefaultHeartbeat || idle != 0 {
		t.Errorf("by default %v, %v, %v", heartbeat, idle, err)
	}
	t.Setenv(variablePing, "1200ms")
	t.Setenv(variablePingTimeout, "")
	t.Setenv(variableIdle, "3s")
	heartbeat, idle, err = timersFromEnvironment()
	if want := (socketio.Heartbeat{Interval: 1200 * time.Millisecond, Timeout: socketio.DefaultHeartbeat.Timeout}); err != nil || heartbeat != want || idle != 3*time.Second {
		t.Errorf("got %v, %v, %v", heartbeat, idle, err)
	}
	t.Setenv(variableTable, "x")
	for _, text := range []string{"5", "soon", "0s", "-1m"} {
		t.Setenv(variablePingTimeout, text)
		if _, err := FromEnvironment(t.Context(), nil); err == nil || !strings.Contains(err.Error(), variablePingTimeout) || !strings.Contains(err.Error(), text) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
