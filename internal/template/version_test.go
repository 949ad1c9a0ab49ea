package template

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// maxDescription is how long the description of a version may be
// (AWS::Lambda::Version, CloudFormation Template Reference).
const maxDescription = 256

// notOfVersion is the properties of a function that a published version does not
// have, or that say how it is published.
var notOfVersion = []string{
	"AutoPublishAlias", "AutoPublishAliasAllProperties", "DeploymentPreference", "EventInvokeConfig", "Events",
	"ReservedConcurrentExecutions", "VersionDescription",
}

// versioned is what a published version of a function consists of.
func (tpl template) versioned(function string) []any {
	own := tpl.properties(function)
	var all []any
	for key, v := range at(map[string]any(tpl), "Globals", "Function").(map[string]any) {
		if _, scalar := own[key].(string); !scalar && !slices.Contains(notOfVersion, key) { // lists and maps are joined
			all = append(all, v)
		}
	}
	for key, v := range own {
		if !slices.Contains(notOfVersion, key) {
			all = append(all, v)
		}
	}
	return all
}

// checkVersion checks that a function's version is published anew whenever a
// parameter changes it, and only then: what is published must have changed.
func (tpl template) checkVersion(function string) error {
	p := tpl.properties(function)
	if p["AutoPublishAliasAllProperties"] != "true" {
		return fmt.Errorf("%s: a change of its properties publishes no version", function)
	}
	have, need := tpl.parameters(p["VersionDescription"]), tpl.parameters(tpl.versioned(function))
	var wrong []error
	for name := range need {
		if !have[name] && (!have["Revision"] || !tpl.isRevised(name)) {
			wrong = append(wrong, fmt.Errorf("%s: a change of the parameter %s has no effect: VersionDescription lacks it", function, name))
		}
	}
	for name := range have {
		if !need[name] {
			wrong = append(wrong, fmt.Errorf("%s: a change of the parameter %s publishes what has not changed", function, name))
		}
	}
	length := len(substituted.ReplaceAllString(at(p["VersionDescription"], "Fn::Sub").(string), ""))
	for name := range have {
		length += tpl.longest(name)
	}
	if length > maxDescription {
		wrong = append(wrong, fmt.Errorf("%s: VersionDescription may have %d characters, %d at most", function, length, maxDescription))
	}
	return errors.Join(wrong...)
}

// isRevised reports whether a parameter's description says that its change needs
// that of another: all of them together are too long for the description.
func (tpl template) isRevised(parameter string) bool {
	description, _ := at(map[string]any(tpl), "Parameters", parameter, "Description").(string)
	return strings.HasSuffix(description, "Change Revision with it.")
}

// longest is how long the value of a parameter can be.
func (tpl template) longest(parameter string) int {
	p := at(map[string]any(tpl), "Parameters", parameter)
	if values, ok := at(p, "AllowedValues").([]any); ok {
		most := 0
		for _, v := range values {
			most = max(most, len(v.(string)))
		}
		return most
	}
	if highest, ok := at(p, "MaxValue").(string); ok {
		return len(highest)
	}
	n, err := strconv.Atoi(fmt.Sprint(at(p, "MaxLength")))
	if err != nil {
		return maxDescription + 1
	}
	return n
}

// Routes and schedule invoke an alias, so a changed parameter has an effect only
// if a version is published for it.
func TestParametersReachTheFunctions(t *testing.T) {
	for _, function := range load(t).functions() {
		tpl := load(t)
		if err := tpl.checkVersion(function); err != nil {
			t.Error(err)
		}
		names := tpl.parameters(tpl.properties(function)["VersionDescription"])
		if len(names) == 0 {
			t.Errorf("%s depends on no parameter", function)
		}
		for name := range names {
			tpl := load(t)
			others := maps.Clone(names)
			delete(others, name)
			description := ""
			for other := range others {
				description += "${" + other + "} "
			}
			tpl.properties(function)["VersionDescription"] = map[string]any{"Fn::Sub": description}
			if tpl.checkVersion(function) == nil {
				t.Errorf("%s: not found that %s has no effect", function, name)
			}
		}
	}
}

func TestRoutesInvokeTheAlias(t *testing.T) {
	tpl := load(t)
	if at(map[string]any(tpl), "Globals", "Function", "AutoPublishAlias") == nil {
		t.Error("there is no alias")
	}
	routes, _ := tpl.properties("Api")["Routes"].(map[string]any)
	for key, want := range map[string]string{"$connect": "ConnectFunction", "$disconnect": "DisconnectFunction", "$default": "MessageFunction"} {
		if got := at(routes, key, "FunctionArn", "Ref"); got != want+".Alias" {
			t.Errorf("route %s invokes %v", key, got)
		}
	}
	if len(routes) != 3 {
		t.Errorf("there are %d routes", len(routes))
	}
}
