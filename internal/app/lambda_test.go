package app

import (
	"log/slog"
	"strings"
	"testing"
)

func TestLogLevel(t *testing.T) {
	for level, lowest := range map[string]slog.Level{"": slog.LevelInfo, "WARN": slog.LevelWarn, "ERROR": slog.LevelError, "nonsense": slog.LevelInfo} {
		log := newLog(level).With("a", 1).WithGroup("g")
		if !log.Enabled(t.Context(), lowest) || log.Enabled(t.Context(), lowest-1) {
			t.Errorf("level %q is not %v", level, lowest)
		}
	}
}

func TestEnvironmentNeedsATable(t *testing.T) {
	t.Setenv(variableTable, "")
	if _, err := FromEnvironment(); err == nil || !strings.Contains(err.Error(), variableTable) {
		t.Errorf("without a table: %v", err)
	}
}
