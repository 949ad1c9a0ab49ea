package app

import (
	"log/slog"
	"strings"
	"testing"
	"time"

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
