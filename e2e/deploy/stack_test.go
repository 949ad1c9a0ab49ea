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
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/owt-signal/owt-signal/internal/need"
)

// stackName is what samconfig.toml calls the stack.
const stackName = "owt-signal"

// architecture is this machine's, by the name that the template has for it.
var architecture = map[string]string{"amd64": "x86_64", "arm64": "arm64"}[runtime.GOARCH]

// projects is what a user has who has built what is deployed, once for all tests
// and by architecture.
var projects struct {
	sync.Mutex
	dir   string
	built map[string]string
}

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "owt-signal-deploy")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	projects.dir, projects.built = dir, make(map[string]string)
	return m.Run()
}

// built is a folder with the project, built for that architecture.
func built(t *testing.T, architecture string) string {
	t.Helper()
	sam := need.File(t, ".venv/bin/sam", installs)
	projects.Lock()
	defer projects.Unlock()
	if dir, ok := projects.built[architecture]; ok {
		return dir
	}
	dir := filepath.Join(projects.dir, architecture)
	if err := checkOut(dir); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), sam, "build", "--parameter-overrides", "Architecture="+architecture)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "SAM_CLI_TELEMETRY=0", "AWS_DEFAULT_REGION="+region, "AWS_EC2_METADATA_DISABLED=true")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("sam build: %v\n%s", err, out)
	}
	projects.built[architecture] = dir
	return dir
}

// checkOut copies what is deployed to dir.
func checkOut(dir string) error {
	for _, name := range []string{"functions", "internal"} {
		if err := os.CopyFS(filepath.Join(dir, name), os.DirFS(filepath.Join(need.Root(), name))); err != nil {
			return err
		}
	}
	for _, name := range []string{"template.yaml", "samconfig.toml", "Makefile", "go.mod", "go.sum"} {
		content, err := os.ReadFile(filepath.Join(need.Root(), name))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// deploysWithin bounds one run of the SAM CLI.
const deploysWithin = 3 * time.Minute

// sam runs the SAM CLI in a folder, and returns what it says.
func (e *emulator) sam(t *testing.T, dir string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deploysWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, need.File(t, ".venv/bin/sam", installs), args...)
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
	e.shown.Do(func() { e.showLogs(t) })
	t.Logf("deployed in %v: %s", time.Since(began).Round(time.Second), strings.Join(parameters, " "))
	return e.stack(t)
}

func (e *emulator) tryDeploy(t *testing.T, parameters ...string) (string, error) {
	t.Helper()
	return e.sam(t, built(t, architecture), append([]string{
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

// showLogs writes what the functions have logged, if the test fails.
func (e *emulator) showLogs(t *testing.T) {
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		for _, function := range []string{"connect", "disconnect", "message", "lobby", "keepalive", "events", "api"} {
			out, err := e.try(context.Background(), t, "logs", "filter_log_events", map[string]string{"logGroupName": "/aws/lambda/" + stackName + "/" + function})
			t.Logf("%s (%v):\n%s", function, err, out)
		}
	})
}

// endpoint is where clients on this machine find the stack's API.
func (s *stack) endpoint(t *testing.T) string {
	t.Helper()
	return s.emulator.front(t, s.api+".execute-api."+region+".amazonaws.com") + "/" + s.stage
}

// clientsWithin bounds one run of real clients.
const clientsWithin = 3 * time.Minute

// some picks of the suite of real clients, by the names of its tests, each kind of
// client with one other.
const some = "Socket.IO 2.*Socket.IO 3|Socket.IO 3.*Socket.IO 4|Socket.IO 4.*JSON|JSON.*Socket.IO 2|(2|JSON): others are not held up"

var passed = regexp.MustCompile(`(?m)^ℹ pass (\d+)$`)

// clients runs tests of real clients against an endpoint: at least so many, with
// names that have the pattern.
func clients(t *testing.T, endpoint string, env []string, pattern string, atLeast int, files ...string) {
	t.Helper()
	node := need.Node(t)
	ctx, cancel := context.WithTimeout(t.Context(), clientsWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, node, append([]string{
		"--test", "--test-concurrency=1", "--test-reporter=spec", "--test-name-pattern=" + pattern,
	}, files...)...)
	cmd.Dir = filepath.Join(need.Root(), "e2e")
	cmd.Env = append(append(os.Environ(), "ENDPOINT="+endpoint, "STRAGGLERS=1", "MESSAGES=20"), env...)
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Errorf("node: %v", err)
	}
	if m := passed.FindSubmatch(out); m == nil {
		t.Error("node did not say how many tests passed")
	} else if n, _ := strconv.Atoi(string(m[1])); n < atLeast {
		t.Errorf("%d tests of clients passed, want at least %d", n, atLeast)
	}
}
