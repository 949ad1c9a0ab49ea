package deploy

import (
	"strings"
	"testing"
)

// TestRefused has CloudFormation refuse what functions would refuse only when
// they start.
func TestRefused(t *testing.T) {
	t.Parallel()
	e := startEmulator(t)
	for parameter, want := range map[string]string{
		"AuthMode=jwt":          "AuthMode=jwt needs JwtIssuer, JwtJwksUrl or JwtSecretArn",
		"AuthenticateWithin=2h": "AuthenticateWithin",
	} {
		if said := e.refusal(t, parameter); !strings.Contains(said, want) {
			t.Errorf("%s: refused by %q, want %q", parameter, said, want)
		}
	}
	var stacks struct {
		Stacks []struct{ StackName, StackStatus string }
	}
	e.call(t, "cloudformation", "describe_stacks", map[string]string{}, &stacks)
	for _, s := range stacks.Stacks {
		if s.StackName == stackName && s.StackStatus != "REVIEW_IN_PROGRESS" {
			t.Errorf("the stack is %s", s.StackStatus)
		}
	}
}

// refusal is what CloudFormation says to a change set with these parameters, which
// is not executed. The test fails if it says nothing.
func (e *emulator) refusal(t *testing.T, parameters ...string) string {
	t.Helper()
	out, err := e.sam(t, built(t, architecture), append([]string{
		"deploy", "--no-execute-changeset", "--no-progressbar", "--parameter-overrides", "Architecture=" + architecture,
	}, parameters...)...)
	if err == nil {
		t.Errorf("%q: accepted\n%s", parameters, out)
	}
	_, said, _ := strings.Cut(out, "Failed to create changeset")
	return strings.TrimSpace(said)
}
