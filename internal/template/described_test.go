package template

import (
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Whoever deploys is asked for every parameter: it is described, grouped, and
// good as it stands, and nonsense is refused before anything is deployed.
func TestParameters(t *testing.T) {
	tpl := load(t)
	parameters := tpl["Parameters"].(map[string]any)
	var grouped []string
	for _, group := range at(map[string]any(tpl), "Metadata", "AWS::CloudFormation::Interface", "ParameterGroups").([]any) {
		if at(group, "Label", "default") == nil {
			t.Errorf("a group has no label: %s", text(group))
		}
		for _, name := range at(group, "Parameters").([]any) {
			grouped = append(grouped, name.(string))
		}
	}
	slices.Sort(grouped)
	if names := slices.Sorted(maps.Keys(parameters)); !slices.Equal(grouped, names) {
		t.Errorf("parameters are %q, in groups %q", names, grouped)
	}
	for name, p := range parameters {
		for _, key := range []string{"Type", "Default", "Description"} {
			if at(p, key) == nil {
				t.Errorf("%s has no %s", name, key)
			}
		}
		if at(p, "NoEcho") != nil && at(p, "Default") == "" {
			t.Errorf("sam deploy --guided asks for %s for ever: an empty value cannot be confirmed without echo", name)
		}
		bounded := at(p, "AllowedValues") != nil ||
			at(p, "Type") == "Number" && at(p, "MinValue") != nil && at(p, "MaxValue") != nil ||
			at(p, "Type") == "String" && at(p, "AllowedPattern") != nil && at(p, "MaxLength") != nil
		if !bounded {
			t.Errorf("%s takes any value", name)
		}
	}
}

// What samconfig.toml sets is there to be set.
func TestConfiguredParameters(t *testing.T) {
	config, err := os.ReadFile(root + "/samconfig.toml")
	if err != nil {
		t.Fatal(err)
	}
	parameters := load(t)["Parameters"].(map[string]any)
	overrides := regexp.MustCompile(`(?m)^parameter_overrides = "(.*)"$`).FindAllSubmatch(config, -1)
	if len(overrides) == 0 {
		t.Error("no profile sets a parameter")
	}
	for _, line := range overrides {
		for setting := range strings.FieldsSeq(string(line[1])) {
			if name, _, _ := strings.Cut(setting, "="); parameters[name] == nil {
				t.Errorf("samconfig.toml sets %s, which is no parameter", name)
			}
		}
	}
}

// sam local sets only those variables that the template has.
func TestLocalVariables(t *testing.T) {
	file, err := os.ReadFile(root + "/events/env.json")
	if err != nil {
		t.Fatal(err)
	}
	var env struct{ Parameters map[string]string }
	if err := json.Unmarshal(file, &env); err != nil {
		t.Fatal(err)
	}
	for name := range env.Parameters {
		if at(map[string]any(load(t)), "Globals", "Function", "Environment", "Variables", name) == nil {
			t.Errorf("events/env.json sets %s, which template.yaml lacks", name)
		}
	}
}

// Every alarm goes where the topic is, says in docs/operations.md what to do,
// and is on the dashboard, if there is it in every stack.
func TestAlarms(t *testing.T) {
	operations, err := os.ReadFile(root + "/docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	tpl := load(t)
	alarms := tpl.of("AWS::CloudWatch::Alarm")
	if len(alarms) == 0 {
		t.Fatal("there are no alarms")
	}
	actions := text(map[string]any{"Fn::If": []any{"Notify", []any{map[string]any{"Ref": "AlarmTopicArn"}}, map[string]any{"Ref": "AWS::NoValue"}}})
	dashboard := dashboard(t, tpl)
	for _, name := range alarms {
		p := tpl.properties(name)
		for _, key := range []string{"AlarmActions", "OKActions"} {
			if text(p[key]) != actions {
				t.Errorf("%s: %s is %s", name, key, text(p[key]))
			}
		}
		suffix, ok := strings.CutPrefix(at(p["AlarmName"], "Fn::Sub").(string), "${AWS::StackName}-")
		if !ok || !strings.Contains(string(operations), "`"+suffix+"`") {
			t.Errorf("docs/operations.md does not say what to do about %q", suffix)
		}
		if p["TreatMissingData"] == nil {
			t.Errorf("%s does not say what no data means", name)
		}
		conditional := at(map[string]any(tpl), "Resources", name, "Condition") != nil // which the dashboard cannot name
		if !conditional && !strings.Contains(dashboard, `"${`+name+`.Arn}"`) {
			t.Errorf("%s is not on the dashboard", name)
		}
	}
}

func TestDashboardIsJSON(t *testing.T) {
	body := substituted.ReplaceAllString(dashboard(t, load(t)), "x")
	var parsed struct{ Widgets []struct{ Type string } }
	if err := json.Unmarshal([]byte(body), &parsed); err != nil {
		t.Fatalf("%v in:\n%s", err, body)
	}
	if len(parsed.Widgets) == 0 {
		t.Error("nothing is on the dashboard")
	}
}

func dashboard(t *testing.T, tpl template) string {
	t.Helper()
	body, ok := at(tpl.properties("Dashboard"), "DashboardBody", "Fn::Sub").(string)
	if !ok {
		t.Fatal("there is no dashboard")
	}
	return body
}
