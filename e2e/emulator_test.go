package e2e

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/owt-signal/owt-signal/internal/need"
)

// TestRuntimeInterfaceEmulator has a client talk to functions in AWS's runtime
// interface emulator, in which `sam local` runs them, and which comes with it.
// It has one environment for each function.
func TestRuntimeInterfaceEmulator(t *testing.T) {
	t.Parallel()
	s := serveLambda(t, func(dir string, env map[string]string) http.Handler {
		mux := http.NewServeMux()
		for logicalID, name := range map[string]string{"ConnectFunction": "connect", "DisconnectFunction": "disconnect", "MessageFunction": "message"} {
			mux.Handle("POST /2015-03-31/functions/"+logicalID+"/invocations", emulate(t, filepath.Join(dir, name, "bootstrap"), env))
		}
		return mux
	})
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, strings.Replace(s.Plain, "http", "ws", 1)+"/prod?token=alice", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(websocket.StatusNormalClosure, "") }()
	var got []string
	for _, send := range []string{"", "", `{"type":"message","id":1,"to":"alice","data":"hello"}`, ""} {
		if send != "" {
			if err := conn.Write(ctx, websocket.MessageText, []byte(send)); err != nil {
				t.Fatal(err)
			}
		}
		_, m, err := conn.Read(ctx)
		if err != nil {
			t.Fatalf("after %q: %v", got, err)
		}
		kind, _, _ := strings.Cut(strings.TrimPrefix(string(m), `{"type":"`), `"`)
		got = append(got, kind)
	}
	if want := "open welcome message ack"; strings.Join(got, " ") != want {
		t.Errorf("got %q, want %s", got, want)
	}
}

// emulate runs a function in the emulator, for one invocation at a time.
func emulate(t *testing.T, bootstrap string, env map[string]string) http.Handler {
	t.Helper()
	arch := strings.ReplaceAll(runtime.GOARCH, "amd64", "x86_64")
	found, _ := filepath.Glob("../.venv/lib/python*/site-packages/samcli/local/rapid/aws-lambda-rie-" + arch)
	if len(found) == 0 {
		need.Missing(t, "an emulator of Lambda for "+arch, "`make test` installs it with the SAM CLI")
	}
	runtimeAPI, invokeAPI := freeAddress(t), freeAddress(t)
	cmd := exec.Command(found[0], "--runtime-api-address", runtimeAPI, "--runtime-interface-emulator-address", invokeAPI, bootstrap)
	cmd.Env = []string{"AWS_REGION=us-east-1", "AWS_ACCESS_KEY_ID=local", "AWS_SECRET_ACCESS_KEY=local", "AWS_LAMBDA_FUNCTION_TIMEOUT=60"}
	for name, value := range env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	logs := &lockedBuffer{}
	cmd.Stdout, cmd.Stderr = logs, logs
	cmd.WaitDelay = time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // with the function's process
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("emulator of %s:\n%s", bootstrap, logs)
		}
	})
	for _, address := range []string{runtimeAPI, invokeAPI} {
		awaitListener(t, address)
	}
	var one sync.Mutex
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL = &url.URL{Scheme: "http", Host: invokeAPI, Path: "/2015-03-31/functions/function/invocations"}
		},
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), // at the end, when the emulator is gone
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		one.Lock()
		defer one.Unlock()
		proxy.ServeHTTP(w, r)
	})
}

// freeAddress is one of the loopback interface that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

func awaitListener(t *testing.T, address string) {
	t.Helper()
	for end := time.Now().Add(soon); ; time.Sleep(10 * time.Millisecond) {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			_ = conn.Close()
			return
		}
		if time.Now().After(end) {
			t.Fatalf("nobody listens: %v", err)
		}
	}
}
