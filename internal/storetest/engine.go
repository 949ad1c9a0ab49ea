package storetest

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// EndpointVariable names the environment variable that puts the tests on a
// DynamoDB of your own: DynamoDB Local, or AWS's, as a URL.
const EndpointVariable = "OWT_TEST_DYNAMODB"

// engineStart bounds how long the engine may take to answer.
const engineStart = 10 * time.Second

// Engine is the endpoint of a real DynamoDB engine: the one that
// [EndpointVariable] names, or one started for this test, in memory, which
// ends with it.
func Engine(t testing.TB) (endpoint string) {
	t.Helper()
	if endpoint := os.Getenv(EndpointVariable); endpoint != "" {
		t.Logf("DynamoDB engine: %s", endpoint)
		return endpoint
	}
	if testing.Short() {
		t.Skip("starts a DynamoDB engine; not in -short")
	}
	_, file, _, _ := runtime.Caller(0)
	binary := filepath.Join(filepath.Dir(file), "..", "..", "e2e", "node_modules", "@dynoxide", "linux-x64", "dynoxide")
	if _, err := os.Stat(binary); err != nil {
		t.Fatalf("no DynamoDB engine at %s: run `make test`, which installs it, or set %s", binary, EndpointVariable)
	}
	port := freePort(t)
	cmd := exec.Command(binary, "--host", "127.0.0.1", "--port", port)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout = nil
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", binary, err)
	}
	var said strings.Builder
	read := make(chan struct{})
	go func() {
		defer close(read)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			fmt.Fprintln(&said, lines.Text())
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-read
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("DynamoDB engine said:\n%s", said.String())
		}
	})
	endpoint = "http://127.0.0.1:" + port
	awaitEngine(t, endpoint)
	t.Logf("DynamoDB engine: dynoxide at %s", endpoint)
	return endpoint
}

func awaitEngine(t testing.TB, endpoint string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), engineStart)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, endpoint, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			_ = resp.Body.Close()
			http.DefaultClient.CloseIdleConnections()
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("DynamoDB engine does not answer: %v", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}
