package deploy

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// TestDefaults deploys the stack with the defaults, has real clients talk through
// it, changes parameters, has some talk through its distribution, and deletes it.
func TestDefaults(t *testing.T) {
	t.Parallel()
	e := startEmulator(t)
	before := e.inventory(t)
	s := e.deploy(t)
	clients(t, s.endpoint(t), nil, some, 14, "clients/pairs.test.mjs", "clients/takeover.test.mjs", "clients/unreachable.test.mjs", "clients/reconnect.test.mjs")
	clients(t, s.endpoint(t), nil, ".", 1, "deploy/recovery.test.mjs")
	wantNames(t, s)

	if said := greeting(t, s); said != "welcome" {
		t.Errorf("without a token: %s, want welcome", said)
	}
	s = e.deploy(t, "Anonymous=refuse", "OneAddress=true", "Revision=1")
	s.oneAddress(t)
	if said := greeting(t, s); said != "2120" {
		t.Errorf("without a token, once Anonymous=refuse: %s, want 2120", said)
	}

	made := without(e.inventory(t), before)
	for _, kind := range []string{"list_tables", "list_functions", "get_apis", "list_roles", "describe_log_groups", "describe_alarms", "list_dashboards", "list_schedules", "list_distributions"} {
		if !slices.ContainsFunc(made, func(what string) bool { return strings.HasPrefix(what, kind+" ") }) {
			t.Errorf("the stack has nothing of %s: %q", kind, made)
		}
	}
	if out, err := e.sam(t, built(t, architecture), "delete", "--no-prompts", "--region", region); err != nil {
		t.Fatalf("sam delete: %v\n%s", err, out)
	}
	left := without(e.inventory(t), before)
	// docs/operations.md, Remove
	left = slices.DeleteFunc(left, func(what string) bool {
		return strings.HasPrefix(what, "describe_stacks aws-sam-cli-managed-default") || strings.HasPrefix(what, "list_buckets aws-sam-cli-managed-default-")
	})
	if len(left) > 0 {
		t.Errorf("sam delete left %q", left)
	}
}

// wantNames sees that the functions have called AWS by the names that it has, and
// nobody else.
func wantNames(t *testing.T, s *stack) {
	t.Helper()
	want := []string{s.api + ".execute-api." + region + ".amazonaws.com", "dynamodb." + region + ".amazonaws.com"}
	slices.Sort(want)
	if got := s.emulator.names.hosts(); !slices.Equal(got, want) {
		t.Errorf("the functions have called %q, want %q", got, want)
	}
}

// greeting is what a client without a token is told: "welcome", or the code of an error.
func greeting(t *testing.T, s *stack) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, s.endpoint(t), &websocket.DialOptions{Subprotocols: []string{"owt.signal.v1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.CloseNow() }()
	for {
		_, frame, err := conn.Read(ctx)
		if err != nil {
			t.Fatal(err)
		}
		var said struct {
			Type string
			Code json.Number
		}
		if err := json.Unmarshal(frame, &said); err != nil {
			t.Fatalf("%s: %v", frame, err)
		}
		if said.Code != "" {
			return said.Code.String()
		}
		if said.Type == "welcome" {
			return said.Type
		}
	}
}
