package deploy

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/owt-signal/owt-signal/internal/need"
)

// region is the emulator's; account is whose everything in it is.
const (
	region  = "us-east-1"
	account = "000000000000"
)

// installs is how a test gets what it lacks.
const installs = "`make deploy-test` installs it"

// emulator is a MiniStack of its own for one test, with permissions enforced.
type emulator struct {
	URL   string // http://127.0.0.1:port
	names *names
	home  string // of the AWS tools: has no credentials, and takes their files
	logs  *lockedBuffer
	shown sync.Once // the functions' logs, at the end
}

// startEmulator starts an emulator with these variables in its environment,
// such as LAMBDA_ACCOUNT_CONCURRENCY=10. It ends with the test.
func startEmulator(t *testing.T, env ...string) *emulator {
	t.Helper()
	python := need.File(t, ".venv-emulator/bin/python", installs)
	// The socket is there before the process: no port is lost, and whoever comes early waits.
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	socket, err := listener.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = socket.Close() }()

	e := &emulator{URL: "http://" + listener.Addr().String(), home: t.TempDir(), logs: &lockedBuffer{}}
	e.names = startNames(t, e.URL)
	state := t.TempDir()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	cmd := exec.Command(python, "emulator.py")
	cmd.ExtraFiles = []*os.File{socket} // file descriptor 3
	cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + e.home, "PYTHONDONTWRITEBYTECODE=1",
		"TMPDIR=" + state, "STATE_DIR=" + state, "S3_DATA_DIR=" + state,
		"GATEWAY_PORT=" + port, "IOT_MTLS_ENABLED=0", "SFTP_ENABLED=0",
		"MINISTACK_REGION=" + region, "MINISTACK_ACCOUNT_ID=" + account,
		"AUTH=true", "LOG_LEVEL=WARNING",
		// The functions inherit the environment: they call AWS by its own names, and
		// the proxy leads them back here. They log as LoggingConfig says, which
		// MiniStack does not tell them.
		"AWS_LAMBDA_LOG_FORMAT=JSON",
		"MINISTACK_HOST=" + region + ".amazonaws.com",
		"HTTPS_PROXY=" + e.names.URL, "SSL_CERT_FILE=" + e.names.authority,
	}, env...)
	cmd.Stdout, cmd.Stderr = e.logs, e.logs
	if _, err := cmd.StdinPipe(); err != nil { // ends it if the test is killed
		t.Fatal(err)
	}
	cmd.WaitDelay = time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // with the functions' processes
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("emulator:\n%s", e.logs)
		}
	})
	e.await(t)
	return e
}

// startsWithin bounds the start of an emulator on a busy machine.
const startsWithin = time.Minute

func (e *emulator) await(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startsWithin)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, e.URL+"/_ministack/health", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatalf("the emulator does not answer: %v", err)
	}
	_ = response.Body.Close()
}

// environment is that of AWS's tools for which the emulator is AWS: neither
// this machine's credentials nor its configuration are in it.
func (e *emulator) environment() []string {
	return []string{
		"PATH=" + filepath.Join(need.Root(), ".venv", "bin") + ":" + os.Getenv("PATH"), "HOME=" + e.home,
		"AWS_ENDPOINT_URL=" + e.URL, "AWS_DEFAULT_REGION=" + region, "AWS_REGION=" + region,
		"AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test", "AWS_EC2_METADATA_DISABLED=true",
		"AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null",
		"SAM_CLI_TELEMETRY=0", "SAMCLI_CHECK_VERSION=0", "PYTHONDONTWRITEBYTECODE=1",
	}
}

// call makes a call of an AWS service by way of botocore, which comes with the
// SAM CLI, and decodes the answer into result, unless that is nil.
func (e *emulator) call(t *testing.T, service, operation string, input, result any) {
	t.Helper()
	out, err := e.try(t.Context(), t, service, operation, input)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", service, operation, err, out)
	}
	if result == nil {
		return
	}
	if err := json.Unmarshal(out, result); err != nil {
		t.Fatalf("%s %s: %v\n%s", service, operation, err, out)
	}
}

// caller calls an operation with the input of standard input, page by page if it has pages.
const caller = `
import base64, botocore.session, json, sys
service, operation = sys.argv[1:]
client, asked = botocore.session.get_session().create_client(service), json.load(sys.stdin)
if service == "lambda" and "Code" in asked:
    asked["Code"]["ZipFile"] = base64.b64decode(asked["Code"]["ZipFile"])
if client.can_paginate(operation):
    result = client.get_paginator(operation).paginate(**asked).build_full_result()
else:
    result = getattr(client, operation)(**asked)
json.dump(result, sys.stdout, default=lambda v: v.read().decode() if hasattr(v, "read") else str(v))
`

func (e *emulator) try(ctx context.Context, t *testing.T, service, operation string, input any) ([]byte, error) {
	t.Helper()
	asked, err := json.Marshal(input)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, need.File(t, ".venv/bin/python", installs), "-c", caller, service, operation)
	cmd.Env, cmd.Stdin = e.environment(), bytes.NewReader(asked)
	out := &lockedBuffer{}
	cmd.Stderr = out
	answer, err := cmd.Output()
	if err != nil {
		return out.Bytes(), err
	}
	return answer, nil
}

// lockedBuffer collects what a process writes.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) Bytes() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Clone(l.b.Bytes())
}

func (l *lockedBuffer) String() string { return strings.ToValidUTF8(string(l.Bytes()), "?") }
