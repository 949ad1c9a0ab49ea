package deploy

import (
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/owt-signal/owt-signal/internal/need"
)

// TestDoctorOfANewAccount has scripts/doctor look at an account that may run 10
// invocations at once, of which the first deployment would make something that
// TestNewAccount shows.
func TestDoctorOfANewAccount(t *testing.T) {
	t.Parallel()
	e := startEmulator(t, "LAMBDA_ACCOUNT_CONCURRENCY=10")
	need.File(t, ".venv/bin/aws", installs)
	cmd := exec.CommandContext(t.Context(), filepath.Join(need.Root(), "scripts", "doctor"))
	cmd.Env = e.environment()
	out, err := cmd.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 2 {
		t.Errorf("ended with %v, want 2", err)
	}
	for _, line := range []string{
		"\nwell     credentials  account " + account, "\nwell     Region       " + region + "\n", "\nlow      Lambda       10 invocations at once",
		"aws service-quotas request-service-quota-increase --region " + region + " --service-code lambda --quota-code L-B99A9384 --desired-value 1000\n",
		"\nwell     API Gateway  10000 requests/s", "\nwell     access logs  no role",
	} {
		if !strings.Contains(string(out), line) {
			t.Errorf("does not say %q:\n%s", line, out)
		}
	}
}
