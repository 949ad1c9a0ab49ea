// Package deploy holds the deployment against an AWS that nobody here wrote:
// the SAM CLI builds and deploys template.yaml into MiniStack, and real clients
// talk through what comes of it. What MiniStack lacks is added in emulator.py.
package deploy

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// root is the repository's.
var root, _ = filepath.Abs("../..")

// stackName is what samconfig.toml calls the stack.
const stackName = "owt-signal"

// architecture is this machine's, by the name that the template has for it.
var architecture = map[string]string{"amd64": "x86_64", "arm64": "arm64"}[runtime.GOARCH]

// project is a copy of what is deployed, as a user has it, built once for all tests.
var project = struct {
	dir  string
	once sync.Once
	err  error
}{}

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "owt-signal-deploy")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	project.dir = dir
	return m.Run()
}

// checkOut copies what is deployed to dir.
func checkOut(dir string) error {
	for _, name := range []string{"template.yaml", "samconfig.toml", "Makefile", "go.mod", "go.sum"} {
		content, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return err
		}
	}
	for _, name := range []string{"functions", "internal"} {
		if err := os.CopyFS(filepath.Join(dir, name), os.DirFS(filepath.Join(root, name))); err != nil {
			return err
		}
	}
	return nil
}

// built is the folder of the project, built for this machine.
func built(t *testing.T) string {
	t.Helper()
	sam := need(t, ".venv/bin/sam", "make deploy-test")
	project.once.Do(func() {
		if project.err = checkOut(project.dir); project.err != nil {
			return
		}
		cmd := exec.Command(sam, "build", "--parameter-overrides", "Architecture="+architecture)
		cmd.Dir = project.dir
		cmd.Env = append(os.Environ(), "SAM_CLI_TELEMETRY=0", "AWS_DEFAULT_REGION="+region, "AWS_EC2_METADATA_DISABLED=true")
		if out, err := cmd.CombinedOutput(); err != nil {
			project.err = fmt.Errorf("sam build: %w\n%s", err, out)
		}
	})
	if project.err != nil {
		t.Fatal(project.err)
	}
	return project.dir
}

// deploysWithin bounds one run of the SAM CLI.
const deploysWithin = 3 * time.Minute

// sam runs the SAM CLI in a folder, and returns what it says.
func (e *emulator) sam(t *testing.T, dir string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deploysWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, need(t, ".venv/bin/sam", "make deploy-test"), args...)
	cmd.Dir, cmd.Env, cmd.WaitDelay = dir, e.environment(), time.Second
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// deploy deploys the stack, or changes it, with these parameters and the defaults of the others.
func (e *emulator) deploy(t *testing.T, parameters ...string) *stack {
	t.Helper()
	began := time.Now()
	out, err := e.tryDeploy(t, parameters...)
	if err != nil {
		t.Fatalf("sam deploy: %v\n%s", err, out)
	}
	t.Logf("deployed in %v: %s", time.Since(began).Round(time.Second), strings.Join(parameters, " "))
	return e.stack(t)
}

func (e *emulator) tryDeploy(t *testing.T, parameters ...string) (string, error) {
	t.Helper()
	return e.sam(t, built(t), append([]string{
		"deploy", "--no-confirm-changeset", "--no-progressbar", "--parameter-overrides", "Architecture=" + architecture,
	}, parameters...)...)
}

// stack is a deployed one.
type stack struct {
	emulator *emulator
	outputs  map[string]string
	api      string // the id of its API
	stage    string
}

func (e *emulator) stack(t *testing.T) *stack {
	t.Helper()
	var described struct {
		Stacks []struct {
			StackStatus string
			Outputs     []struct{ OutputKey, OutputValue string }
		}
	}
	e.call(t, "cloudformation", "describe_stacks", map[string]string{"StackName": stackName}, &described)
	s := &stack{emulator: e, outputs: make(map[string]string)}
	for _, output := range described.Stacks[0].Outputs {
		s.outputs[output.OutputKey] = output.OutputValue
	}
	host, stage, _ := strings.Cut(strings.TrimPrefix(s.outputs["Endpoint"], "wss://"), "/")
	s.api, _, _ = strings.Cut(host, ".")
	s.stage = stage
	if want := s.api + ".execute-api." + region + ".amazonaws.com"; host != want || s.api == "" {
		t.Fatalf("the stack's endpoint is at %q, want %q", host, want)
	}
	return s
}

// endpoint is where clients on this machine find the stack's API.
func (s *stack) endpoint(t *testing.T) string {
	t.Helper()
	return s.emulator.front(t, s.api+".execute-api."+region+".amazonaws.com") + "/" + s.stage
}

// clientsWithin bounds one run of real clients.
const clientsWithin = 3 * time.Minute

// clients runs files of the suite of real clients against an endpoint.
func clients(t *testing.T, endpoint string, env []string, files ...string) {
	t.Helper()
	need(t, "e2e/node_modules/.package-lock.json", "make deploy-test")
	ctx, cancel := context.WithTimeout(t.Context(), clientsWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", append([]string{"--test", "--test-concurrency=1", "--test-reporter=spec"}, files...)...)
	cmd.Dir = filepath.Join(root, "e2e")
	cmd.Env = append(append(os.Environ(), "ENDPOINT="+endpoint, "STRAGGLERS=1", "MESSAGES=20"), env...)
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Errorf("node: %v", err)
	}
}
