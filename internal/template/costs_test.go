package template

import (
	"encoding/json"
	"fmt"
	"strconv"
	"testing"
)

// maxDashboard is how many metrics a dashboard may show to be free, of the first
// three of an account (Amazon CloudWatch pricing).
const maxDashboard = 50

// TestDashboardIsFree: what the dashboard shows is free. A metric that is shown
// twice counts twice here: AWS does not say.
func TestDashboardIsFree(t *testing.T) {
	var parsed struct {
		Widgets []struct {
			Properties struct{ Metrics []any }
		}
	}
	if err := json.Unmarshal([]byte(substituted.ReplaceAllString(dashboard(t, load(t)), "x")), &parsed); err != nil {
		t.Fatal(err)
	}
	shown := 0
	for _, w := range parsed.Widgets {
		shown += len(w.Properties.Metrics)
	}
	t.Logf("%d metrics", shown)
	if shown == 0 || shown > maxDashboard {
		t.Errorf("the dashboard shows %d metrics, want 1 to %d", shown, maxDashboard)
	}
}

// TestAlarmsArePaid: the model of costs has each metric that an alarm looks at.
func TestAlarmsArePaid(t *testing.T) {
	tpl := load(t)
	looked := 0
	for _, name := range tpl.of("AWS::CloudWatch::Alarm") {
		if at(map[string]any(tpl), "Resources", name, "Condition") != nil {
			continue // not as the stack comes
		}
		p := tpl.properties(name)
		if p["MetricName"] != nil {
			looked++
		}
		queries, _ := p["Metrics"].([]any)
		for _, q := range queries {
			if at(q, "MetricStat") != nil {
				looked++
			}
		}
	}
	paid := find(t, "internal/costs/usage.go", `alarmMetrics, customMetrics = (\d+),`)
	if len(paid) != 1 || paid[0] != strconv.Itoa(looked) {
		t.Errorf("alarms look at %d metrics, internal/costs pays for %v", looked, paid)
	}
}

// TestNothingElseIsCharged: what charges by itself is off as the stack comes, and
// the limits are those that docs/costs.md reckons with.
func TestNothingElseIsCharged(t *testing.T) {
	tpl := load(t)
	for name, want := range map[string]string{
		"Tracing": "PassThrough", "AccessLogs": "false", "ThrottlingRate": "1000", "TableReadUnits": "10000", "TableWriteUnits": "10000", "PingRate": "500",
		"MonthlyBudget": "0", "BudgetCutsOff": "false",
	} {
		if got := at(map[string]any(tpl), "Parameters", name, "Default"); fmt.Sprint(got) != want {
			t.Errorf("%s is %v by default, want %v", name, got, want)
		}
	}
	if encryption := tpl.properties("Records")["SSESpecification"]; encryption != nil {
		t.Errorf("the table is encrypted with a key whose requests are charged: %s", text(encryption))
	}
}
