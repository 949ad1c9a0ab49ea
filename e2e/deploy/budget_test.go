package deploy

import (
	"context"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// spendBudget does what AWS does when the stack's budget is spent: it attaches the
// policy to the functions' roles. Then nobody is let in, until that is undone.
func (e *emulator) spendBudget(t *testing.T, s *stack) {
	t.Helper()
	var found struct {
		Budgets []struct {
			BudgetName  string
			BudgetLimit struct{ Amount, Unit string }
		}
	}
	e.call(t, "budgets", "describe_budgets", map[string]string{"AccountId": account}, &found)
	if len(found.Budgets) != 1 || found.Budgets[0].BudgetLimit.Amount != "200" {
		t.Fatalf("budgets: %+v", found)
	}
	var resources struct {
		StackResources []struct{ LogicalResourceID, PhysicalResourceID string }
	}
	e.call(t, "cloudformation", "describe_stack_resources", map[string]string{"StackName": stackName}, &resources)
	var roles []string
	var policy string
	for _, r := range resources.StackResources {
		switch {
		case r.LogicalResourceID == "BudgetPolicy":
			policy = r.PhysicalResourceID
		case slices.Contains([]string{"ConnectRole", "DisconnectRole", "KeepaliveRole", "MessageRole"}, r.LogicalResourceID):
			roles = append(roles, r.PhysicalResourceID)
		}
	}
	if policy == "" || len(roles) != 4 {
		t.Fatalf("the policy %q and the roles %q", policy, roles)
	}
	for _, step := range []struct {
		operation string
		status    int
	}{{"attach_role_policy", http.StatusServiceUnavailable}, {"detach_role_policy", http.StatusSwitchingProtocols}} {
		for _, role := range roles {
			e.call(t, "iam", step.operation, map[string]string{"RoleName": role, "PolicyArn": policy}, nil)
		}
		if got := handshake(t, s); got != step.status {
			t.Errorf("after %s a handshake is answered %d, want %d", step.operation, got, step.status)
		}
	}
}

// handshake is the status with which a handshake is answered.
func handshake(t *testing.T, s *stack) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	conn, response, err := websocket.Dial(ctx, s.endpoint(t), nil)
	if err == nil {
		defer func() { _ = conn.CloseNow() }()
	}
	if response == nil {
		t.Fatal(err)
	}
	return response.StatusCode
}
