package prom_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/owt-signal/owt-signal/internal/emf"
	"github.com/owt-signal/owt-signal/internal/prom"
	"github.com/owt-signal/owt-signal/internal/signal"
)

func TestNames(t *testing.T) {
	for name, want := range map[string]string{
		"Acks": "owt_signal_acks", "Acks2100": "owt_signal_acks_2100", "StoreLatency": "owt_signal_store_latency", "MaxConnections": "owt_signal_max_connections",
	} {
		if got := prom.Name(name); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
}

// TestMetricsOfTheDocs: what is told is what the docs say, and all of it.
func TestMetricsOfTheDocs(t *testing.T) {
	docs, err := os.ReadFile(filepath.Join("..", "..", "docs", "metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	told := []string{emf.PostLatency, emf.StoreLatency}
	for _, m := range signal.Metrics() {
		told = append(told, string(m))
	}
	var said []string
	for _, row := range regexp.MustCompile("(?m)^\\| (`[A-Z]\\w*` ?)+\\|").FindAllString(string(docs), -1) {
		said = append(said, regexp.MustCompile(`\w+`).FindAllString(row, -1)...)
	}
	slices.Sort(told)
	slices.Sort(said)
	if !slices.Equal(told, said) {
		t.Errorf("told are %v, and in the docs %v", told, said)
	}
}

// A nil Metrics, and one that has no such metric, count nothing.
func TestNothingToCount(*testing.T) {
	for _, m := range []*prom.Metrics{nil, prom.New(nil)} {
		m.Count(signal.MetricClaims, 1)
		m.Observe(emf.PostLatency, 1)
	}
}
