package local

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/coder/websocket"

	"github.com/owt-signal/owt-signal/internal/awsenv"
	"github.com/owt-signal/owt-signal/internal/dynamo"
	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/storetest"
)

// engine is the address of a DynamoDB engine.
func engine(t *testing.T) string { return storetest.Engine(t) }

// valve is a DynamoDB engine whose requests can be made to wait.
type valve struct {
	url     string
	mu      sync.RWMutex // held for writing while they wait
	waiting chan struct{}
}

func newValve(t *testing.T) *valve {
	t.Helper()
	target, err := url.Parse(engine(t))
	if err != nil {
		t.Fatal(err)
	}
	v := &valve{waiting: make(chan struct{}, 1000)}
	transport := &http.Transport{}
	proxy := &httputil.ReverseProxy{
		Transport: transport,
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ErrorLog:  slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), // of processes that have gone
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !v.mu.TryRLock() {
			v.waiting <- struct{}{}
			v.mu.RLock()
		}
		defer v.mu.RUnlock()
		proxy.ServeHTTP(w, r)
	}))
	v.url = s.URL
	t.Cleanup(func() { s.CloseClientConnections(); s.Close(); transport.CloseIdleConnections() })
	return v
}

// shut makes requests wait until the valve is opened, or the test ends.
func (v *valve) shut(t *testing.T) (open func()) {
	v.mu.Lock()
	open = sync.OnceFunc(v.mu.Unlock)
	t.Cleanup(open)
	return open
}

// await waits for a request that waits.
func (v *valve) await(t *testing.T) {
	t.Helper()
	select {
	case <-v.waiting:
	case <-time.After(soon):
		t.Fatal("nobody has asked the store")
	}
}

var environmentStarted = regexp.MustCompile(`"environment started","function":"(\w+)","environment":\d+,"process":(\d+)`)

// processes are those that have been started for a function, or all for none.
func (s *running) processes(t *testing.T, of string) (pids []int) {
	t.Helper()
	for _, m := range environmentStarted.FindAllStringSubmatch(s.stderr.String(), -1) {
		if of == "" || of == m[1] {
			pid, err := strconv.Atoi(m[2])
			if err != nil {
				t.Fatal(err)
			}
			pids = append(pids, pid)
		}
	}
	return pids
}

// wantGone sees that no process is left.
func (s *running) wantGone(t *testing.T) {
	t.Helper()
	pids := s.processes(t, "")
	if len(pids) == 0 {
		t.Error("no process was started")
	}
	for _, pid := range pids {
		if syscall.Kill(-pid, 0) == nil {
			t.Errorf("process %d is left", pid)
		}
	}
}

func TestFunctionsOfBothLayouts(t *testing.T) {
	for layout := range layouts {
		t.Run(layout, func(t *testing.T) {
			t.Parallel()
			s := start(t, "-functions", lay(t, layout), "-dynamodb", engine(t), "-stage", "beta", "-idle-timeout", "7m", "-versions", "9.9")
			alice := s.dial(t, "ws://"+s.plain+"/beta?token=alice&clientVersion=9.9")
			if m := next(t, alice); !strings.Contains(m, `"type":"open"`) || !strings.Contains(m, `"idle":420`) {
				t.Errorf("first %s, want open, and 7 idle minutes", m)
			}
			next(t, alice) // welcome
			say(t, alice, `{"type":"message","id":1,"to":"alice","data":"hello"}`)
			next(t, alice) // the message and its ack, in any order
			next(t, alice)
			if got := closeCode(s.dial(t, "ws://"+s.plain+"/beta?token=bob&clientVersion=4.3")); got != websocket.StatusNormalClosure {
				t.Errorf("a version that is not accepted: closed with %d, want 1000", got)
			}
			eventually(t, "a line of the function connect", func() bool {
				return regexp.MustCompile(`(?m)^connect/\d+: \{.*"message":"version not supported"`).MatchString(s.stderr.String())
			})
			s.wantEnd(t)
			s.wantGone(t)
			if text := s.stderr.String(); strings.Contains(text, "hello") {
				t.Errorf("the logs have message data:\n%s", text)
			}
		})
	}
}

// TestFunctionsPing sees that the function keepalive is invoked on the ping
// interval.
func TestFunctionsPing(t *testing.T) {
	t.Parallel()
	s := start(t, "-functions", lay(t, "make build"), "-dynamodb", engine(t), "-ping-interval", "100ms", "-ping-timeout", "7s")
	conn := s.dial(t, "ws://"+s.plain+"/socket.io/?EIO=4&token=x")
	if got := next(t, conn); !strings.Contains(got, `"pingInterval":100,"pingTimeout":7000`) {
		t.Errorf("open packet %s, want the heartbeat of the command line", got)
	}
	say(t, conn, "40")
	for range 3 {
		for next(t, conn) != "2" {
		}
	}
	if len(s.processes(t, "keepalive")) == 0 {
		t.Error("nobody pings but the function")
	}
}

// TestKilledEnvironment: a process that is killed at work costs its client an
// error frame of API Gateway's, and nothing else.
func TestKilledEnvironment(t *testing.T) {
	t.Parallel()
	store := newValve(t)
	s := start(t, "-functions", lay(t, "make build"), "-dynamodb", store.url)
	alice := s.join(t, "alice")
	open := store.shut(t)
	say(t, alice, `{"type":"message","id":1,"to":"alice","data":1}`)
	store.await(t)
	pids := s.processes(t, "message")
	if len(pids) != 1 {
		t.Fatalf("processes %v, want one", pids)
	}
	if err := syscall.Kill(pids[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	var frame struct{ Message, ConnectionID, RequestID string }
	if m := next(t, alice); json.Unmarshal([]byte(m), &frame) != nil || frame.Message != "Internal server error" || frame.RequestID == "" {
		t.Errorf("after the kill: %s, want API Gateway's error frame", m)
	}
	open()
	say(t, alice, `{"type":"message","id":2,"to":"alice","data":2}`)
	for deadline := time.Now().Add(soon); ; {
		m := next(t, alice)
		if strings.Contains(m, `"data":1`) {
			t.Errorf("a message of a process that was killed before it took it: %s", m)
		}
		if strings.Contains(m, `"data":2`) || time.Now().After(deadline) {
			break
		}
	}
	if !regexp.MustCompile(`(?m)^message/1: RequestId: .*signal: killed`).MatchString(s.stderr.String()) {
		t.Errorf("the logs do not tell of it:\n%s", &s.stderr)
	}
}

// TestEndFinishesInvocations: what is under way has its time, after the sockets
// are closed.
func TestEndFinishesInvocations(t *testing.T) {
	t.Parallel()
	store := newValve(t)
	s := start(t, "-functions", lay(t, "make build"), "-dynamodb", store.url)
	alice := s.join(t, "alice")
	open := store.shut(t)
	go func() { _ = closeCode(alice) }() // which answers the server's close
	time.AfterFunc(time.Second, open)
	s.wantEnd(t)
	s.wantGone(t)
	store.await(t)
	table := dynamo.New(dynamodb.NewFromConfig(awsenv.ConfigOr("us-east-1", "test"), func(d *dynamodb.Options) { d.BaseEndpoint = &store.url }), "owt-signal")
	if p, err := table.Owner(context.Background(), "alice", signal.SystemClock{}.Now()); err == nil {
		t.Errorf("alice is still %v: the function disconnect has not done its work", p)
	}
}

// TestEndCutsInvocationsOff: the end is bounded.
func TestEndCutsInvocationsOff(t *testing.T) {
	t.Parallel()
	store := newValve(t)
	s := start(t, "-functions", lay(t, "make build"), "-dynamodb", store.url)
	alice := s.join(t, "alice")
	store.shut(t)
	say(t, alice, `{"type":"message","id":1,"to":"alice","data":1}`)
	store.await(t)
	go func() { _ = closeCode(alice) }()
	s.wantEnd(t)
	s.wantGone(t)
	if text := s.stderr.String(); !strings.Contains(text, `"msg":"work cut off","function":"message"`) {
		t.Errorf("the logs do not tell of it:\n%s", text)
	}
}

// TestConcurrency: past it, API Gateway answers for Lambda.
func TestConcurrency(t *testing.T) {
	t.Parallel()
	store := newValve(t)
	s := start(t, "-functions", lay(t, "make build"), "-dynamodb", store.url, "-concurrency", "1")
	alice := s.join(t, "alice")
	store.shut(t)
	say(t, alice, `{"type":"message","id":1,"to":"alice","data":1}`)
	store.await(t)
	say(t, alice, `{"type":"message","id":2,"to":"alice","data":2}`)
	if m := next(t, alice); !strings.HasPrefix(m, `{"message": "Internal server error"`) {
		t.Errorf("%s, want API Gateway's error frame", m)
	}
	if n := len(s.processes(t, "message")); n != 1 {
		t.Errorf("%d processes, want 1", n)
	}
}

func TestManagementAddress(t *testing.T) {
	dir := lay(t, "make build")
	taken := busy(t)
	wantRefused(t, loopback("-functions", dir, "-dynamodb", engine(t), "-management", taken), taken, "in use")
	s := start(t, "-functions", dir, "-dynamodb", engine(t), "-management", "127.0.0.1:0")
	at := regexp.MustCompile(`@connections +(http://127\.0\.0\.1:\d+/prod)\n`).FindStringSubmatch(s.stdout.String())
	if at == nil {
		t.Fatalf("the greeting does not name it:\n%s", &s.stdout)
	}
	for host, want := range map[string]int{"": http.StatusGone, "evil.example": http.StatusForbidden} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, at[1]+"/@connections/L0SM9cOFvHcCIhw=", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Host, r.Close = host, true
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != want {
			t.Errorf("post to nobody, for host %q: %d, want %d", host, answer.StatusCode, want)
		}
	}
}
