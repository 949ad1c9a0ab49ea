package template

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// grant is one action on one resource, under a condition if there is one;
// resource and condition are as JSON.
type grant struct{ action, resource, condition string }

func (g grant) String() string {
	return strings.TrimSpace(g.action + " on " + g.resource + " " + g.condition)
}

// Deployments in which every condition on a permission is met once, and none.
var deployments = []deployment{
	{},
	{"JwtSecretArn": secretARN, "LogUserKeyArn": parameterARN, "SecretKeyArn": keyARN},
	{"JwtSecretArn": parameterARN},
	{"JwtSecretArn": parameterARN, "SecretKeyArn": keyARN},
	{"AuthSecretArn": secretARN},
	{"AuthSecretArn": parameterARN, "SecretKeyArn": keyARN},
	{"IceServers": "turn:a", "TurnSecretArn": parameterARN, "SecretKeyArn": keyARN},
	{"IceServers": "turn:a", "TurnSecretArn": secretARN},
	{"EventBus": "default"},
	everything,
}

var everything = deployment{"EventBus": "users", "AuthFunctionArn": "arn:aws:lambda:eu-west-1:123456789012:function:tickets", "LogUserKeyArn": secretARN, "SecretKeyArn": keyARN, "JwtSecretArn": secretARN, "AuthSecretArn": secretARN, "IceServers": "turn:a", "TurnSecretArn": secretARN}

const (
	secretARN    = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:owt-AbCdEf"
	parameterARN = "arn:aws:ssm:eu-west-1:123456789012:parameter/owt"
	keyARN       = "arn:aws:kms:eu-west-1:123456789012:key/0b6b8f6e-0000-4000-8000-000000000000"
)

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

// viaSecrets is the condition under which a function may use a key.
const viaSecrets = `{"StringEquals":{"kms:ViaService":["secretsmanager.eu-west-1.amazonaws.com","ssm.eu-west-1.amazonaws.com"]}}`

// readsSecret is the action on a secret by its ARN's service.
func readsSecret(arn string) string {
	if strings.HasPrefix(arn, "arn:aws:ssm:") {
		return "ssm:GetParameter"
	}
	return "secretsmanager:GetSecretValue"
}

// needed is what a function must be granted for operations, and for its logs
// and traces. For all of DynamoDB's operations the action has the same name.
func (tpl template) needed(function string, operations []string, d deployment) (map[grant]bool, error) {
	need := make(map[grant]bool)
	secret := func(parameter string) {
		if arn := d[parameter]; arn != "" {
			need[grant{action: readsSecret(arn), resource: text(arn)}] = true
			if key := d["SecretKeyArn"]; key != "" {
				need[grant{"kms:Decrypt", text(key), viaSecrets}] = true
			}
		}
	}
	for _, operation := range operations {
		service, name, _ := strings.Cut(operation, ".")
		switch method := managed[name]; {
		case operation == "secret.Fetch":
			secret("LogUserKeyArn")
		case operation == "lambda.Invoke":
			if d["AuthFunctionArn"] != "" {
				need[grant{action: "lambda:InvokeFunction", resource: text(d["AuthFunctionArn"])}] = true
			}
			// Whoever asks a function may instead be asked to read a secret.
			secret("JwtSecretArn")
			secret("AuthSecretArn")
		case operation == "ice.FromEnvironment":
			secret("TurnSecretArn")
		case operation == "eventbridge.PutEvents":
			// The name of a stack is part of the source of its events.
			need[grant{"events:PutEvents", text("arn:aws:events:eu-west-1:123456789012:event-bus/" + d["EventBus"]), `{"StringEquals":{"events:source":"owt-signal.` + pseudo["AWS::StackName"] + `"}}`}] = true
		case service == "dynamodb":
			need[grant{action: "dynamodb:" + name, resource: table}] = true
		case service == "apigatewaymanagementapi" && method != "":
			need[grant{action: "execute-api:ManageConnections", resource: connections(method)}] = true
		default:
			return nil, fmt.Errorf("%s can call %s: say here which permission that needs", function, operation)
		}
	}
	if tpl.streams(function) { // Lambda reads it for the function ("Using AWS Lambda with Amazon DynamoDB")
		for _, action := range []string{"DescribeStream", "GetRecords", "GetShardIterator", "ListStreams"} {
			need[grant{action: "dynamodb:" + action, resource: text(map[string]any{"Fn::Sub": "${Records.Arn}/stream/*"})}] = true
		}
	}
	log, ok := at(tpl.properties(function), "LoggingConfig", "LogGroup", "Ref").(string)
	if !ok {
		return nil, fmt.Errorf("%s has no log group of its own", function)
	}
	need[grant{action: "logs:CreateLogStream", resource: text(getAtt(log, "Arn"))}] = true
	need[grant{action: "logs:PutLogEvents", resource: text(getAtt(log, "Arn"))}] = true
	// X-Ray has no resources to name.
	need[grant{action: "xray:PutTraceSegments", resource: anything}] = true
	need[grant{action: "xray:PutTelemetryRecords", resource: anything}] = true
	return need, nil
}

// streams reports whether a function is invoked by the table's stream.
func (tpl template) streams(function string) bool {
	all, _ := tpl.properties(function)["Events"].(map[string]any)
	for _, source := range all {
		if at(source, "Type") == "DynamoDB" && text(at(source, "Properties", "Stream")) == text(getAtt("Records", "StreamArn")) {
			return true
		}
	}
	return false
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

// policies is those of a function's role.
func (tpl template) policies(function string) ([]any, error) {
	role, err := tpl.role(function)
	if err != nil {
		return nil, err
	}
	all, _ := role["Policies"].([]any)
	return all, nil
}

// granted is what a function is granted in a deployment.
func (tpl template) granted(function string, d deployment) (map[grant]bool, error) {
	policies, err := tpl.policies(function)
	if err != nil {
		return nil, err
	}
	have := make(map[grant]bool)
	for _, policy := range policies {
		statements, _ := tpl.evaluate(at(policy, "PolicyDocument", "Statement"), d).([]any)
		for _, statement := range statements {
			s, _ := statement.(map[string]any)
			condition, conditional := s["Condition"]
			if s["Effect"] != "Allow" || s["Action"] == nil || s["Resource"] == nil || len(s) != 3 && (!conditional || len(s) != 4) {
				return nil, fmt.Errorf("role of %s: only Allow, Action, Resource and Condition are understood, not %s", function, text(s))
			}
			for _, action := range list(s["Action"]) {
				for _, resource := range list(s["Resource"]) {
					g := grant{action: action.(string), resource: text(resource)}
					if conditional {
						g.condition = text(condition)
					}
					have[g] = true
				}
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

// check compares what a function is granted with what its code can call, in
// every deployment.
func (tpl template) check(function string, operations []string) error {
	var wrong []error
	for _, d := range deployments {
		have, err := tpl.granted(function, d)
		if err != nil {
			return err
		}
		need, err := tpl.needed(function, operations, d)
		if err != nil {
			return err
		}
		for _, g := range slices.SortedFunc(maps.Keys(need), byName) {
			if !have[g] {
				wrong = append(wrong, fmt.Errorf("%s can call what it may not, with %v: %s", function, d, g))
			}
		}
		for _, g := range slices.SortedFunc(maps.Keys(have), byName) {
			if !need[g] {
				wrong = append(wrong, fmt.Errorf("%s may do what it cannot call, with %v: %s", function, d, g))
			}
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
			if s["Condition"] != nil {
				tpl := load(t)
				delete(statementsOf(t, tpl, function)[i], "Condition")
				found(tpl, text(s["Action"])+" without its condition")
			}
			if text(s["Resource"]) != anything {
				tpl := load(t)
				statementsOf(t, tpl, function)[i]["Resource"] = "*"
				found(tpl, text(s["Action"])+" on everything")
			}
		}
		have, err := load(t).granted(function, everything)
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

// statementsOf is the statements of a function's role, whatever their condition,
// to be changed.
func statementsOf(t *testing.T, tpl template, function string) (all []map[string]any) {
	t.Helper()
	policies, err := tpl.policies(function)
	if err != nil {
		t.Fatal(err)
	}
	for _, policy := range policies {
		for _, s := range at(policy, "PolicyDocument", "Statement").([]any) {
			if choice, ok := at(s, "Fn::If").([]any); ok {
				s = choice[1]
			}
			all = append(all, s.(map[string]any))
		}
	}
	return all
}

// excess is grants that somebody might add.
func excess() (all []grant) {
	for _, action := range []string{
		"BatchGetItem", "BatchWriteItem", "ConditionCheckItem", "DeleteItem", "DeleteTable", "DescribeTable", "GetItem",
		"PartiQLSelect", "PutItem", "Query", "Scan", "UpdateItem", "UpdateTable", "*",
	} {
		all = append(all, grant{action: "dynamodb:" + action, resource: table})
	}
	for method := range maps.Values(managed) {
		all = append(all, grant{action: "execute-api:ManageConnections", resource: connections(method)})
	}
	return append(all, grant{action: "*", resource: table}, grant{action: "lambda:InvokeFunction", resource: anything}, grant{action: "s3:GetObject", resource: anything})
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
