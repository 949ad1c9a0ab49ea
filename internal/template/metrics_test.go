package template

import (
	"os"
	"regexp"
	"testing"
)

// TestMetricsAreTold: an alarm or a widget on a metric that nobody tells stays
// green for ever. docs/metrics.md names those that there are.
func TestMetricsAreTold(t *testing.T) {
	documented := make(map[string]bool)
	for _, m := range find(t, "docs/metrics.md", "`([A-Z][A-Za-z]+[0-9]*)`") {
		documented[m] = true
	}
	code := make(map[string]bool)
	for file, name := range map[string]string{
		"internal/signal/metric.go": `"([A-Z][a-z]+[0-9]*)"`,
		"internal/emf/latency.go":   `= "([A-Z][A-Za-z]+)"`,
	} {
		for _, m := range find(t, file, name) {
			code[m] = true
			if !documented[m] {
				t.Errorf("metric %s of %s is not in docs/metrics.md", m, file)
			}
		}
	}
	watched := append(find(t, "template.yaml", `"OWTSignal", "(\w+)"`), find(t, "template.yaml", `Namespace: OWTSignal\n\s+MetricName: (\w+)`)...)
	if len(watched) < 25 || len(code) < 20 {
		t.Fatalf("%d metrics watched, %d told", len(watched), len(code))
	}
	for _, m := range watched {
		if !code[m] {
			t.Errorf("template.yaml watches metric %s, which nobody tells", m)
		}
	}
}

// find is what the first group of a pattern matches in a file of the repository.
func find(t *testing.T, file, pattern string) (all []string) {
	t.Helper()
	text, err := os.ReadFile(root + "/" + file)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(text), -1) {
		all = append(all, m[1])
	}
	return all
}
