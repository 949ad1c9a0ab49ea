package e2e

import (
	"context"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/owt-signal/owt-signal/internal/need"
)

// away is how far the endpoint is: as a Region on the next continent, there and
// back in 100 ms.
const away = 50 * time.Millisecond

// TestEndpoint holds an endpoint at a distance against the real clients as
// anybody would, by make: some of them, to be short.
func TestEndpoint(t *testing.T) {
	t.Parallel()
	s := serve(t, "-log", "warn", "-faults", "delay=40ms")
	endpoint := "ws://" + distant(t, strings.TrimPrefix(s.Plain, "http://"), away) + "/prod"
	out, err := makeTarget(t, "e2e", "ENDPOINT="+endpoint, "MESSAGES=5",
		"CLIENTS=clients/idle.test.mjs clients/pairs.test.mjs clients/reconnect.test.mjs clients/secure.test.mjs")
	t.Logf("%s", out)
	if err != nil {
		t.Errorf("make e2e: %v", err)
	}
	for _, want := range []string{"# SECURE_ENDPOINT is not set", "# IDLE_SCALE is not set", "| path as given | 101 |"} {
		if !strings.Contains(out, want) {
			t.Errorf("make e2e did not say %q", want)
		}
	}
}

// TestEndpointIsNeeded: nobody means to test what happens to run on this
// machine.
func TestEndpointIsNeeded(t *testing.T) {
	t.Parallel()
	for _, target := range []string{"e2e", "probe"} {
		if out, err := makeTarget(t, target, "ENDPOINT="); err == nil || !strings.Contains(out, "make "+target+" ENDPOINT=wss://…") {
			t.Errorf("make %s: %v\n%s", target, err, out)
		}
	}
}

// TestNoEndpoint: where nobody is served, the probe says so, and fails.
func TestNoEndpoint(t *testing.T) {
	t.Parallel()
	s := serve(t, "-log", "warn")
	out, err := makeTarget(t, "probe", "ENDPOINT="+s.Plain+"/elsewhere")
	if err == nil || !strings.Contains(out, "| greeting | **failed**: handshake answered 403 |") {
		t.Errorf("make probe: %v\n%s", err, out)
	}
}

// makeTarget runs a target of the Makefile and returns what it says.
func makeTarget(t *testing.T, target string, variables ...string) (string, error) {
	t.Helper()
	nodePath(t)
	ctx, cancel := context.WithTimeout(context.Background(), clientsWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, need.Program(t, "make"), append([]string{"-C", "..", "--no-print-directory", target}, variables...)...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}
