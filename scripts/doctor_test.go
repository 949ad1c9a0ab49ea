// Package scripts tests the scripts beside it.
package scripts

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/owt-signal/owt-signal/internal/need"
)

// patience bounds a run of the script, which starts several processes, on a
// machine under load.
const patience = 2 * time.Minute

// The requests that the AWS CLI makes for the script.
const (
	identity    = "POST /"
	apis        = "GET /v2/apis"
	concurrency = "GET /2016-08-19/account-settings"
	apiAccount  = "GET /account"
)

// answers are those of an account in which all is well. A test changes them to
// what no emulator gives.
func answers() map[string]string {
	return map[string]string{
		identity: `<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>` +
			`<Arn>arn:aws:iam::123456789012:user/ann</Arn><UserId>A</UserId><Account>123456789012</Account></GetCallerIdentityResult></GetCallerIdentityResponse>`,
		apis:        `{"items":[]}`,
		concurrency: `{"AccountLimit":{"ConcurrentExecutions":1000,"UnreservedConcurrentExecutions":1000}}`,
		apiAccount:  `{"throttleSettings":{"rateLimit":10000.0,"burstLimit":5000},"cloudwatchRoleArn":"arn:aws:iam::123456789012:role/logs"}`,
	}
}

// refused is an answer to those who lack a permission.
const refused = "refused"

// account serves an account's answers, and takes the request for no other.
func account(t *testing.T, said map[string]string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, ok := said[r.Method+" "+r.URL.Path]
		switch {
		case !ok:
			t.Errorf("asked for %s %s", r.Method, r.URL.Path)
			w.WriteHeader(http.StatusNotFound)
		case answer == refused:
			w.Header().Set("X-Amzn-Errortype", "AccessDeniedException")
			w.WriteHeader(http.StatusForbidden)
			_, _ = fmt.Fprint(w, `{"message":"User: arn:aws:iam::123456789012:user/ann is not authorized to perform this"}`)
		default:
			_, _ = fmt.Fprint(w, answer)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// patient is a machine and an account to be looked at: a copy of what the script
// reads of the repository, and the tools of AWS.
type patient struct {
	dir string // the repository
	bin string // comes first in PATH
	env []string

	tools string // where the real ones are
}

func newPatient(t *testing.T, endpoint string) *patient {
	t.Helper()
	tools := filepath.Dir(need.File(t, ".venv/bin/aws", "`make .venv/.stamp` installs it"))
	p := &patient{dir: t.TempDir(), bin: t.TempDir(), tools: tools}
	for _, file := range []string{"scripts/doctor", "template.yaml", "samconfig.toml", "go.mod"} {
		text, err := os.ReadFile("../" + file)
		if err != nil {
			t.Fatal(err)
		}
		p.write(t, filepath.Join(p.dir, file), string(text))
	}
	if err := os.Symlink(filepath.Join(tools, "aws"), filepath.Join(p.bin, "aws")); err != nil {
		t.Fatal(err)
	}
	p.install(t, "sam", "echo SAM CLI, version 1.158.0") // the real one takes a second to say so
	p.env = []string{
		"PATH=" + p.bin + ":" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "PYTHONDONTWRITEBYTECODE=1", "SAMCLI_CHECK_VERSION=0",
		"AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null", "AWS_EC2_METADATA_DISABLED=true", "AWS_MAX_ATTEMPTS=1",
		"AWS_ACCESS_KEY_ID=a", "AWS_SECRET_ACCESS_KEY=b", "AWS_REGION=us-east-1", "AWS_ENDPOINT_URL=" + endpoint,
	}
	return p
}

func (p *patient) write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
}

// install puts a program of our own in place of another.
func (p *patient) install(t *testing.T, program, script string) {
	t.Helper()
	p.write(t, filepath.Join(p.bin, program), "#!/bin/sh\n"+script+"\n")
}

// look runs the script, and sees that it ends with that status, and says all of
// these.
func (p *patient) look(t *testing.T, status int, says []string, arguments ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(p.dir, "scripts", "doctor"), arguments...)
	cmd.Env, cmd.Dir = p.env, t.TempDir()
	out, err := cmd.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		t.Fatal(err)
	} else if ok && exit.ExitCode() != status || !ok && status != 0 {
		t.Errorf("ended with %v, want %d", err, status)
	}
	for _, line := range says {
		if !regexp.MustCompile(`(?m)^` + line).Match(out) {
			t.Errorf("does not say %q", line)
		}
	}
	if t.Failed() {
		t.Logf("said:\n%s", out)
	}
	return string(out)
}

const command = `\s+aws service-quotas request-service-quota-increase --region `

func TestDoctor(t *testing.T) {
	for name, test := range map[string]struct {
		said      map[string]string // instead of what is well
		env       []string
		samconfig string // in addition
		arguments []string
		status    int
		says      []string
	}{
		"well": {
			says: []string{
				`well +go +\d`, `well +make `, `well +SAM CLI +1\.`, `well +credentials +account 123456789012, arn:aws:iam::123456789012:user/ann$`,
				`well +Region +us-east-1$`, `well +Lambda +1000 invocations`,
				`well +API Gateway +10000 requests/s, burst 5000, as the Region has it`, `well +access logs +arn:aws:iam::123456789012:role/logs`,
			},
		},
		"a new account": {
			said:   map[string]string{concurrency: `{"AccountLimit":{"ConcurrentExecutions":10,"UnreservedConcurrentExecutions":10}}`},
			status: 2,
			says:   []string{`low +Lambda +10 invocations at once`, command + `us-east-1 --service-code lambda --quota-code L-B99A9384 --desired-value 1000$`},
		},
		"one below": {
			said:   map[string]string{concurrency: `{"AccountLimit":{"ConcurrentExecutions":999,"UnreservedConcurrentExecutions":999}}`},
			status: 2,
			says:   []string{`low +Lambda +999 `},
		},
		"set aside what is there": {
			arguments: []string{"ConnectConcurrency=300", "MessageConcurrency=600"},
			says:      []string{`well +Lambda`},
		},
		"set aside more than there is": {
			arguments: []string{"ConnectConcurrency=300", "MessageConcurrency=601"},
			status:    1,
			says:      []string{`broken +Lambda +of 1000 .* take 901: 100 must stay`, command + `us-east-1 .*--desired-value 1901$`},
		},
		"a smaller Region": {
			said:      map[string]string{apiAccount: `{"throttleSettings":{"rateLimit":2500.0,"burstLimit":1250}}`},
			env:       []string{"AWS_REGION=eu-central-2"},
			status:    2,
			arguments: []string{"ThrottlingRate=4000", "ThrottlingBurst=2000", "PingRate=1000"},
			says: []string{
				`low +API Gateway +2500 requests/s, burst 1250, as the Region has it, .* may take 9000,$`, `\s+burst 4000, with 4000 frames/s`,
				`\s+ThrottlingRate=1000 ThrottlingBurst=500 PingRate=500,`,
				command + `eu-central-2 --service-code apigateway --quota-code L-8A5B8E43 --desired-value 9000$`, `well +access logs +no role`,
			},
		},
		"a smaller Region, and the defaults": {
			said: map[string]string{apiAccount: `{"throttleSettings":{"rateLimit":2500.0,"burstLimit":1250}}`},
			env:  []string{"AWS_REGION=mx-central-1"},
			says: []string{`well +API Gateway +2500 requests/s, burst 1250, as the Region has it: the stack takes 2500, burst 1000$`},
		},
		"at the limit of the burst": {
			arguments: []string{"ThrottlingBurst=2500"},
			says:      []string{`well +API Gateway .* the stack takes 2500, burst 5000$`},
		},
		"over the limit of the burst": {
			arguments: []string{"ThrottlingBurst=2501"},
			status:    2,
			says:      []string{`low +API Gateway`},
		},
		"less than the Region has": {
			said:   map[string]string{apiAccount: `{"throttleSettings":{"rateLimit":500.0,"burstLimit":5000}}`},
			status: 2,
			says:   []string{`low +API Gateway +500 requests/s, burst 5000, for all`, command + `us-east-1 --service-code apigateway`},
		},
		"an environment of samconfig.toml": {
			samconfig: "\n[big.deploy.parameters]\nregion = \"eu-west-3\"\nparameter_overrides = \"ThrottlingRate=\\\"5001\\\" AccessLogs=\\\"true\\\"\"\n",
			said:      map[string]string{apiAccount: `{"throttleSettings":{"rateLimit":10000.0,"burstLimit":5000}}`},
			arguments: []string{"--config-env", "big"},
			status:    1,
			says:      []string{`well +Region +eu-west-3$`, `low +API Gateway .* may take 10502,$`, `broken +access logs +AccessLogs=true needs a role`},
		},
		"arguments come first": {
			samconfig: "\n[big.deploy.parameters]\nparameter_overrides = [\"ThrottlingRate=9000\", \"AccessLogs=true\"]\n",
			arguments: []string{"--config-env", "big", "ThrottlingRate=4750"},
			says:      []string{`well +API Gateway .* the stack takes 10000, burst`},
		},
		"may not ask": {
			said:   map[string]string{apis: refused, concurrency: refused, apiAccount: refused},
			status: 2,
			says: []string{
				`unseen +Region +us-east-1: .* lack the permission apigateway:GET$`, `unseen +Lambda +.* lack the permission lambda:GetAccountSettings$`,
				`unseen +API Gateway +.* lack the permission apigateway:GET$`, `\s+As it comes, us-east-1 has 10000 requests/s, burst 5000\.$`,
			},
		},
		"AWS in trouble": {
			said:   map[string]string{concurrency: `{}`, apiAccount: `{}`},
			status: 2,
			says:   []string{`unseen +Lambda +how many invocations at once cannot be asked: `, `unseen +API Gateway +the account's limits cannot be asked: AWS did not say$`},
		},
		"no Region": {
			env:    []string{"AWS_REGION="},
			status: 1,
			says:   []string{`broken +Region +is not set: aws configure set region`},
		},
		"no credentials": {
			env:    []string{"AWS_ACCESS_KEY_ID=", "AWS_SECRET_ACCESS_KEY="},
			status: 1,
			says:   []string{`broken +credentials +are missing or not valid: aws configure`},
		},
		"no such profile": {
			samconfig: "\n[other.deploy.parameters]\nprofile = \"nobody\"\n",
			arguments: []string{"--config-env", "other"},
			status:    1,
			says:      []string{`broken +credentials +are missing or not valid.*nobody`},
		},
		"a Region that there is not": {
			env:    []string{"AWS_REGION=eu-west-9", "AWS_ENDPOINT_URL=http://127.0.0.1:1"},
			status: 1,
			says:   []string{`broken +Region +eu-west-9 does not answer`},
		},
		"a Region without WebSocket APIs": {
			env:    []string{"AWS_ENDPOINT_URL_APIGATEWAYV2=http://127.0.0.1:1"},
			status: 1,
			says:   []string{`broken +Region +us-east-1 has no API Gateway for WebSocket APIs`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			said := answers()
			maps.Copy(said, test.said)
			p := newPatient(t, account(t, said))
			p.env = append(p.env, test.env...)
			if test.samconfig != "" {
				p.write(t, filepath.Join(p.dir, "samconfig.toml"), test.samconfig)
			}
			out := p.look(t, test.status, test.says, test.arguments...)
			if test.status == 0 && strings.Contains(out, "aws ") {
				t.Errorf("asks for something though all is well:\n%s", out)
			}
		})
	}
}

// TestDoctorOfTheMachine: tools that are missing or too old are said.
func TestDoctorOfTheMachine(t *testing.T) {
	t.Run("old", func(t *testing.T) {
		t.Parallel()
		p := newPatient(t, account(t, answers()))
		p.install(t, "sam", "echo SAM CLI, version 1.157.9")
		p.install(t, "go", `[ "$2" = GOVERSION ] && echo go1.21.13 || echo local`)
		p.look(t, 1, []string{`broken +SAM CLI +is 1\.157\.9, 1\.158 or later`, `broken +go +is 1\.21\.13, 1\.\d+`, `well +Lambda`})
	})
	t.Run("just enough", func(t *testing.T) {
		t.Parallel()
		p := newPatient(t, account(t, answers()))
		p.install(t, "go", `[ "$2" = GOVERSION ] && echo go1.21.13 || echo auto`) // gets what go.mod names
		p.look(t, 0, []string{`well +SAM CLI +1\.158\.0$`, `well +go +1\.21\.13$`})
	})
	t.Run("as it is", func(t *testing.T) {
		t.Parallel()
		p := newPatient(t, account(t, answers()))
		sam := filepath.Join(p.bin, "sam")
		if err := errors.Join(os.Remove(sam), os.Symlink(p.tools+"/sam", sam)); err != nil {
			t.Fatal(err)
		}
		p.look(t, 0, []string{`well +SAM CLI +1\.`})
	})
	t.Run("missing", func(t *testing.T) {
		t.Parallel()
		p := newPatient(t, account(t, answers()))
		bin := t.TempDir() // with what the script itself needs, and no more
		for _, tool := range []string{"bash", "env", "dirname", "awk", "sed", "sort", "head", "tail", "tr", "grep", "mktemp", "rm"} {
			path, err := exec.LookPath(tool)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(path, filepath.Join(bin, tool)); err != nil {
				t.Fatal(err)
			}
		}
		p.env = append(p.env, "PATH="+bin)
		p.look(t, 1, []string{`broken +go +is missing`, `broken +make +is missing`, `broken +SAM CLI +is missing`, `broken +AWS CLI +is missing: without it`})
	})
	t.Run("usage", func(t *testing.T) {
		t.Parallel()
		p := newPatient(t, "")
		p.look(t, 1, []string{`    scripts/doctor \[--config-env NAME\]`}, "--wrong")
	})
}
