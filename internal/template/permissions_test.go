package template

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// grant is one action on one resource; the resource is as JSON.
type grant struct{ action, resource string }

func (g grant) String() string { return g.action + " on " + g.resource }

// What permissions are for: the table, and the connections of this API's stage.
var (
	table    = text(getAtt("Records", "Arn"))
	anything = text("*")
)

func getAtt(resource, attribute string) any {
	return map[string]any{"Fn::GetAtt": []any{resource, attribute}}
}

func connections(method string) string {
	return text(map[string]any{"Fn::Sub": "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/${StageName}/" + method + "/@connections/*"})
}

// managed is the HTTP methods of @connections ("Use @connections commands in
// your backend service", API Gateway Developer Guide).
var managed = map[string]string{"PostToConnection": "POST", "GetConnection": "GET", "DeleteConnection": "DELETE"}

// needed is what a function must be granted for operations, and for its logs
// and traces. For all of DynamoDB's operations the action has the same name.
func (tpl template) needed(function string, operations []string) (map[grant]bool, error) {
	need := make(map[grant]bool)
	for _, operation := range operations {
		service, name, _ := strings.Cut(operation, ".")
		switch method := managed[name]; {
		case operation == "lambda.Invoke":
			need[grant{"lambda:InvokeFunction", text(map[string]any{"Ref": "AuthFunctionArn"})}] = true
			// Whoever asks a function may instead be asked to read a secret, by
			// operations that are no client's of the SDK (internal/auth, secret.go).
			for _, action := range []string{"secretsmanager:GetSecretValue", "ssm:GetParameter"} {
				need[grant{action, text(map[string]any{"Ref": "JwtSecretArn"})}] = true
			}
		case service == "dynamodb":
			need[grant{"dynamodb:" + name, table}] = true
		case service == "apigatewaymanagementapi" && method != "":
			need[grant{"execute-api:ManageConnections", connections(method)}] = true
		default:
			return nil, fmt.Errorf("%s can call %s: say here which permission that needs", function, operation)
		}
	}
	log, ok := at(tpl.properties(function), "LoggingConfig", "LogGroup", "Ref").(string)
	if !ok {
		return nil, fmt.Errorf("%s has no log group of its own", function)
	}
	need[grant{"logs:CreateLogStream", text(getAtt(log, "Arn"))}] = true
	need[grant{"logs:PutLogEvents", text(getAtt(log, "Arn"))}] = true
	// X-Ray has no resources to name.
	need[grant{"xray:PutTraceSegments", anything}] = true
	need[grant{"xray:PutTelemetryRecords", anything}] = true
	return need, nil
}

// role is the properties of a function's role, which must be one of the
// template's: SAM would add permissions to its own.
func (tpl template) role(function string) (map[string]any, error) {
	for _, key := range []string{"Policies", "PermissionsBoundary", "Role"} {
		if at(map[string]any(tpl), "Globals", "Function", key) != nil || key != "Role" && tpl.properties(function)[key] != nil {
			return nil, fmt.Errorf("%s has %s from elsewhere than its role", function, key)
		}
	}
	reference, _ := at(tpl.properties(function), "Role", "Fn::GetAtt").([]any)
	if len(reference) != 2 || reference[1] != "Arn" {
		return nil, fmt.Errorf("%s has no role of the template", function)
	}
	role := tpl.properties(reference[0].(string))
	for key := range role {
		if key != "AssumeRolePolicyDocument" && key != "Policies" {
			return nil, fmt.Errorf("role of %s has %s", function, key)
		}
	}
	trust, _ := at(role, "AssumeRolePolicyDocument", "Statement").([]any)
	lambda := map[string]any{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": map[string]any{"Service": "lambda.amazonaws.com"}}
	if text(trust) != text([]any{lambda}) {
		return nil, fmt.Errorf("role of %s may be assumed by %s", function, text(trust))
	}
	return role, nil
}

// statements is those of all policies of a function's role.
func (tpl template) statements(function string) (all []map[string]any, err error) {
	role, err := tpl.role(function)
	if err != nil {
		return nil, err
	}
	policies, _ := role["Policies"].([]any)
	for _, policy := range policies {
		list, _ := at(policy, "PolicyDocument", "Statement").([]any)
		for _, s := range list {
			if choice, ok := at(s, "Fn::If").([]any); ok && text(choice[2]) == text(map[string]any{"Ref": "AWS::NoValue"}) {
				s = choice[1] // granted where it is asked for
			}
			all = append(all, s.(map[string]any))
		}
	}
	return all, nil
}

// granted is what a function is granted.
func (tpl template) granted(function string) (map[grant]bool, error) {
	statements, err := tpl.statements(function)
	if err != nil {
		return nil, err
	}
	have := make(map[grant]bool)
	for _, s := range statements {
		if len(s) != 3 || s["Effect"] != "Allow" || s["Action"] == nil || s["Resource"] == nil {
			return nil, fmt.Errorf("role of %s: only Allow, Action and Resource are understood, not %s", function, text(s))
		}
		for _, action := range list(s["Action"]) {
			for _, resource := range list(s["Resource"]) {
				have[grant{action.(string), text(resource)}] = true
			}
		}
	}
	return have, nil
}

// list is v, or a list of it alone.
func list(v any) []any {
	if l, ok := v.([]any); ok {
		return l
	}
	return []any{v}
}

// check compares what a function is granted with what its code can call.
func (tpl template) check(function string, operations []string) error {
	have, err := tpl.granted(function)
	if err != nil {
		return err
	}
	need, err := tpl.needed(function, operations)
	if err != nil {
		return err
	}
	var wrong []error
	for _, g := range slices.SortedFunc(maps.Keys(need), byName) {
		if !have[g] {
			wrong = append(wrong, fmt.Errorf("%s can call what it may not: %s", function, g))
		}
	}
	for _, g := range slices.SortedFunc(maps.Keys(have), byName) {
		if !need[g] {
			wrong = append(wrong, fmt.Errorf("%s may do what it cannot call: %s", function, g))
		}
	}
	return errors.Join(wrong...)
}

func byName(a, b grant) int { return strings.Compare(a.String(), b.String()) }

func TestPermissionsAreThoseTheCodeCanUse(t *testing.T) {
	tpl := load(t)
	for _, function := range tpl.functions() {
		calls := reached(t, function)
		t.Logf("%s can call %q", function, calls)
		if err := tpl.check(function, calls); err != nil {
			t.Error(err)
		}
	}
}

// Whatever is taken from a role, added to it or widened is found.
func TestWrongPermissionsAreFound(t *testing.T) {
	for _, function := range load(t).functions() {
		calls := reached(t, function)
		found := func(tpl template, change string) {
			t.Helper()
			if tpl.check(function, calls) == nil {
				t.Errorf("%s: not found: %s", function, change)
			}
		}
		for i, s := range statementsOf(t, load(t), function) {
			for _, key := range []string{"Action", "Resource"} {
				for j, element := range list(s[key]) {
					tpl := load(t)
					changed := statementsOf(t, tpl, function)[i]
					changed[key] = slices.Delete(list(changed[key]), j, j+1)
					found(tpl, "without "+text(element))
				}
			}
			if text(s["Resource"]) != anything {
				tpl := load(t)
				statementsOf(t, tpl, function)[i]["Resource"] = "*"
				found(tpl, text(s["Action"])+" on everything")
			}
		}
		have, err := load(t).granted(function)
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range excess() {
			if have[g] {
				continue
			}
			tpl := load(t)
			s := statementsOf(t, tpl, function)[0]
			add(s, g)
			found(tpl, "with "+g.String())
		}
		tpl := load(t)
		role, err := tpl.role(function)
		if err != nil {
			t.Fatal(err)
		}
		role["ManagedPolicyArns"] = []any{"arn:aws:iam::aws:policy/AdministratorAccess"}
		found(tpl, "with a managed policy")
	}
}

func statementsOf(t *testing.T, tpl template, function string) []map[string]any {
	t.Helper()
	s, err := tpl.statements(function)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// excess is grants that somebody might add.
func excess() (all []grant) {
	for _, action := range []string{
		"BatchGetItem", "BatchWriteItem", "ConditionCheckItem", "DeleteItem", "DeleteTable", "DescribeTable", "GetItem",
		"PartiQLSelect", "PutItem", "Query", "Scan", "UpdateItem", "UpdateTable", "*",
	} {
		all = append(all, grant{"dynamodb:" + action, table})
	}
	for method := range maps.Values(managed) {
		all = append(all, grant{"execute-api:ManageConnections", connections(method)})
	}
	return append(all, grant{"*", table}, grant{"lambda:InvokeFunction", anything}, grant{"s3:GetObject", anything})
}

// add grants more by a statement that is there.
func add(s map[string]any, g grant) {
	s["Action"] = append(slices.Clone(list(s["Action"])), any(g.action))
	for _, r := range list(s["Resource"]) {
		if text(r) == g.resource {
			return
		}
	}
	s["Resource"] = append(slices.Clone(list(s["Resource"])), any(g.resource))
}
