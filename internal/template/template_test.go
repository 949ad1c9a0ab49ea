// Package template holds template.yaml to the code that it deploys: what each
// function may do, that a change of a parameter reaches it, and that what is
// there is described and watched.
package template

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// root is where the repository begins.
const root = "../.."

// template is template.yaml. Scalars are strings, and intrinsic functions have
// their long form: !Ref x is {"Ref": "x"}.
type template map[string]any

// load reads template.yaml anew, so that the caller may change it.
func load(t *testing.T) template {
	t.Helper()
	source, err := os.ReadFile(root + "/template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var document yaml.Node
	if err := yaml.Unmarshal(source, &document); err != nil {
		t.Fatalf("parse template.yaml: %v", err)
	}
	return long(document.Content[0]).(map[string]any)
}

// long is the value of a node, with intrinsic functions in their long form.
func long(n *yaml.Node) any {
	var v any
	switch n.Kind {
	case yaml.MappingNode:
		m := make(map[string]any, len(n.Content)/2)
		for i := 0; i < len(n.Content); i += 2 {
			m[n.Content[i].Value] = long(n.Content[i+1])
		}
		v = m
	case yaml.SequenceNode:
		list := make([]any, 0, len(n.Content))
		for _, c := range n.Content {
			list = append(list, long(c))
		}
		v = list
	default:
		v = n.Value
	}
	function, ok := strings.CutPrefix(n.Tag, "!")
	if !ok || strings.HasPrefix(function, "!") {
		return v
	}
	switch function {
	case "Ref", "Condition":
		return map[string]any{function: v}
	case "GetAtt":
		if s, ok := v.(string); ok {
			resource, attribute, _ := strings.Cut(s, ".")
			v = []any{resource, attribute}
		}
	}
	return map[string]any{"Fn::" + function: v}
}

// at is what is found in v by a path of keys; nil if there is nothing.
func at(v any, path ...string) any {
	for _, key := range path {
		m, _ := v.(map[string]any)
		v = m[key]
	}
	return v
}

// of is the names of all resources of a type.
func (tpl template) of(kind string) (names []string) {
	for name, resource := range tpl["Resources"].(map[string]any) {
		if at(resource, "Type") == kind {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (tpl template) properties(resource string) map[string]any {
	m, _ := at(map[string]any(tpl), "Resources", resource, "Properties").(map[string]any)
	return m
}

// functions is the logical ids of all functions.
func (tpl template) functions() []string { return tpl.of("AWS::Serverless::Function") }

// folder is the folder of a function below functions, by its logical id.
func folder(function string) string {
	return strings.ToLower(strings.TrimSuffix(function, "Function"))
}

// text is v as JSON, to compare and to show.
func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // of strings, lists and maps
	}
	return string(b)
}

// substituted is what Fn::Sub replaces.
var substituted = regexp.MustCompile(`\$\{([^!}][^}]*)\}`)

// parameters is the names of all parameters whose values go into v, those that
// decide its conditions among them.
func (tpl template) parameters(v any) map[string]bool {
	found := make(map[string]bool)
	add := func(name string) {
		if at(map[string]any(tpl), "Parameters", name) != nil {
			found[name] = true
		}
	}
	var look func(any)
	look = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, e := range v {
				look(e)
			}
		case map[string]any:
			for key, e := range v {
				switch e := e.(type) {
				case string:
					switch key {
					case "Ref":
						add(e)
					case "Condition":
						look(at(map[string]any(tpl), "Conditions", e))
					case "Fn::Sub":
						for _, m := range substituted.FindAllStringSubmatch(e, -1) {
							add(m[1])
						}
					}
				case []any:
					if key == "Fn::If" {
						look(at(map[string]any(tpl), "Conditions", e[0].(string)))
					}
				}
				look(e)
			}
		}
	}
	look(v)
	return found
}

func TestFunctionsAreDeployed(t *testing.T) {
	var folders []string
	entries, err := os.ReadDir(root + "/functions")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		folders = append(folders, e.Name())
	}
	var deployed []string
	for _, f := range load(t).functions() {
		deployed = append(deployed, folder(f))
	}
	if !slices.Equal(folders, deployed) {
		t.Errorf("functions/ has %q, template.yaml %q", folders, deployed)
	}
}

// Host names are those of the Region's partition: only principals of services
// end with amazonaws.com everywhere.
func TestNoRegionIsNamed(t *testing.T) {
	source, err := os.ReadFile(root + "/template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`.*(amazonaws\.|arn:aws).*`).FindAllString(string(source), -1) {
		if !strings.Contains(m, "Principal: ") && !strings.Contains(m, "Console: console.") {
			t.Errorf("template.yaml names a partition: %s", strings.TrimSpace(m))
		}
	}
	for _, partition := range []string{"aws", "aws-cn", "aws-eusc", "aws-us-gov"} {
		if at(map[string]any(load(t)), "Mappings", "Partitions", partition, "Console") == nil {
			t.Errorf("%s has no console", partition)
		}
	}
}
