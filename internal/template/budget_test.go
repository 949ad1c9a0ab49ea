package template

import (
	"slices"
	"strings"
	"testing"
)

// budgetResources are those of the budget, each with its condition.
var budgetResources = map[string]string{"Budget": "HasBudget", "BudgetAction": "CutsOff", "BudgetPolicy": "CutsOff", "BudgetRole": "CutsOff"}

// TestBudgetIsAnOption: nothing of a budget is there unless asked for.
func TestBudgetIsAnOption(t *testing.T) {
	tpl := load(t)
	for name, condition := range budgetResources {
		if got := at(map[string]any(tpl), "Resources", name, "Condition"); got != condition {
			t.Errorf("%s is there if %v, want %s", name, got, condition)
		}
	}
	for _, test := range []struct {
		d                  deployment
		hasBudget, cutsOff bool
	}{
		{deployment{}, false, false},
		{deployment{"MonthlyBudget": "1"}, true, false},
		{deployment{"MonthlyBudget": "0", "BudgetCutsOff": "true"}, false, false},
		{deployment{"MonthlyBudget": "1", "BudgetCutsOff": "true"}, true, true},
	} {
		if tpl.holds("HasBudget", test.d) != test.hasBudget || tpl.holds("CutsOff", test.d) != test.cutsOff {
			t.Errorf("%v: HasBudget is not %t, or CutsOff not %t", test.d, test.hasBudget, test.cutsOff)
		}
	}
}

// TestBudgetCutsOff: the action denies every role of a function whatever it may call
// that is charged and that others could be made to call; and the role of the
// budget may do that, and nothing else.
func TestBudgetCutsOff(t *testing.T) {
	tpl := load(t)
	denied := at(tpl.properties("BudgetPolicy"), "PolicyDocument", "Statement").([]any)
	if len(denied) != 1 || at(denied[0], "Effect") != "Deny" || at(denied[0], "Resource") != "*" {
		t.Fatalf("the policy is %s", text(denied))
	}
	isDenied := func(action string) bool {
		return slices.ContainsFunc(at(denied[0], "Action").([]any), func(pattern any) bool {
			prefix, all := strings.CutSuffix(pattern.(string), "*")
			return action == pattern || all && strings.HasPrefix(action, prefix)
		})
	}
	kept := []string{"execute-api:ManageConnections", "logs:CreateLogStream", "logs:PutLogEvents", "events:PutEvents", "xray:PutTelemetryRecords", "xray:PutTraceSegments",
		// events are of what the table's stream says, which is denied;
		"ssm:GetParameter", "secretsmanager:GetSecretValue", "kms:Decrypt"} // the last three at a start, or once in minutes
	var roles, arns []any
	for _, function := range tpl.functions() {
		role := at(tpl.properties(function), "Role", "Fn::GetAtt").([]any)[0].(string)
		roles, arns = append(roles, tpl.ifThere(role, map[string]any{"Ref": role})), append(arns, tpl.ifThere(role, getAtt(role, "Arn")))
		have, err := tpl.granted(function, everything)
		if err != nil {
			t.Fatal(err)
		}
		for g := range have {
			if isDenied(g.action) == slices.Contains(kept, g.action) {
				t.Errorf("%s: whether %s is denied has not been decided", function, g.action)
			}
		}
	}
	action := tpl.properties("BudgetAction")
	wantText(t, "the roles of the action", at(action, "Definition", "IamActionDefinition", "Roles"), roles)
	wantText(t, "its policy", at(action, "Definition", "IamActionDefinition", "PolicyArn"), map[string]any{"Ref": "BudgetPolicy"})
	wantText(t, "what it runs as", action["ExecutionRoleArn"], getAtt("BudgetRole", "Arn"))
	wantText(t, "its budget", action["BudgetName"], map[string]any{"Ref": "Budget"})
	if action["ApprovalModel"] != "AUTOMATIC" || action["NotificationType"] != "ACTUAL" {
		t.Errorf("the action waits: %s", text(action))
	}
	policies := tpl.properties("BudgetRole")["Policies"].([]any)
	wantText(t, "what the role of the budget may do", at(policies[0], "PolicyDocument", "Statement"), []any{map[string]any{
		"Effect": "Allow", "Action": []any{"iam:AttachRolePolicy", "iam:DetachRolePolicy"}, "Resource": arns,
		"Condition": map[string]any{"ArnEquals": map[string]any{"iam:PolicyARN": map[string]any{"Ref": "BudgetPolicy"}}},
	}})
	if len(policies) != 1 {
		t.Errorf("the role of the budget has %d policies", len(policies))
	}
	trust := at(tpl.properties("BudgetRole"), "AssumeRolePolicyDocument", "Statement").([]any)
	if len(trust) != 1 || text(at(trust[0], "Principal")) != `{"Service":"budgets.amazonaws.com"}` || at(trust[0], "Condition", "StringEquals", "aws:SourceAccount") == nil {
		t.Errorf("the role of the budget may be taken by %s", text(trust))
	}
}

// ifThere is a value under the condition of a resource, if that has one.
func (tpl template) ifThere(resource string, value any) any {
	if condition := at(map[string]any(tpl), "Resources", resource, "Condition"); condition != nil {
		return map[string]any{"Fn::If": []any{condition, value, map[string]any{"Ref": "AWS::NoValue"}}}
	}
	return value
}

func wantText(t *testing.T, what string, got, want any) {
	t.Helper()
	if text(got) != text(want) {
		t.Errorf("%s: %s, want %s", what, text(got), text(want))
	}
}
