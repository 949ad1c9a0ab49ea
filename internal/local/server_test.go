package local

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// running is the server in this process.
type running struct {
	plain, secure  string // host:port; empty: off
	stdout, stderr lockedBuffer
	cancel         context.CancelFunc
	end            func() error // waits for run's error, for as long as it may take
	ended          bool         // the test has seen to that
}

// start runs the server on free ports until the test's end, at which it must
// end without an error.
func start(t *testing.T, args ...string) *running {
	t.Helper()
	s, result := &running{}, make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	go func() { result <- Run(ctx, loopback(args...), &s.stdout, &s.stderr) }()
	s.end = sync.OnceValue(func() error {
		select {
		case err := <-result:
			return err
		case <-time.After(shutdown + soon):
			return errors.New("run does not return")
		}
	})
	t.Cleanup(func() {
		cancel()
		if err := s.end(); err != nil && !s.ended {
			t.Errorf("run: %v", err)
		}
	})
	eventually(t, "the greeting", func() bool { return strings.Contains(s.stdout.String(), "io('") || len(result) > 0 })
	s.plain, s.secure = s.address("ws"), s.address("wss")
	return s
}

// address is what the greeting says of a scheme.
func (s *running) address(scheme string) string {
	if m := regexp.MustCompile(` ` + scheme + `://([^/]+)/`).FindStringSubmatch(s.stdout.String()); m != nil {
		return m[1]
	}
	return ""
}

// dial opens a WebSocket; to TLS it trusts what the server shows.
func (s *running) dial(t *testing.T, url string) *websocket.Conn {
	t.Helper()
	transport := &http.Transport{}
	if strings.HasPrefix(url, "wss:") {
		transport.TLSClientConfig = &tls.Config{RootCAs: poolOf(s.certificate(t)), MinVersion: tls.VersionTLS12}
	}
	t.Cleanup(transport.CloseIdleConnections)
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, url, &websocket.DialOptions{HTTPClient: &http.Client{Transport: transport}})
	if err != nil {
		t.Fatalf("connect to %s: %v", url, err)
	}
	t.Cleanup(func() { _ = conn.CloseNow() })
	return conn
}

// next is the message that comes next.
func next(t *testing.T, conn *websocket.Conn) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	_, message, err := conn.Read(ctx)
	if err != nil {
		t.Fatalf("awaiting a message: %v", err)
	}
	return string(message)
}

// closeCode reads until the server closes.
func closeCode(conn *websocket.Conn) websocket.StatusCode {
	ctx, cancel := context.WithTimeout(context.Background(), soon)
	defer cancel()
	for {
		if _, _, err := conn.Read(ctx); err != nil {
			return websocket.CloseStatus(err) // -1 if it did not
		}
	}
}

func TestServesBothProtocolsOnBothListeners(t *testing.T) {
	s := start(t)
	for _, base := range []string{"ws://" + s.plain, "wss://" + s.secure} {
		for path, first := range map[string]string{
			"/prod": `{"type":"open",`, "/prod/?token=x": `{"type":"open",`,
			"/socket.io/?EIO=3&transport=websocket": `0{"sid":`, "/socket.io/?EIO=4&transport=websocket": `0{"sid":`,
			"/socket.io?EIO=4": `0{"sid":`, "/prod?EIO=4": `0{"sid":`,
		} {
			conn := s.dial(t, base+path)
			if got := next(t, conn); !strings.HasPrefix(got, first) {
				t.Errorf("%s%s: first %s, want %s…", base, path, got, first)
			}
			_ = conn.Close(websocket.StatusNormalClosure, "")
		}
	}
}

func TestListenerThatIsOff(t *testing.T) {
	for _, flag := range []string{"-plain", "-secure"} {
		s := start(t, flag, "off")
		if off := map[string]string{"-plain": s.plain, "-secure": s.secure}[flag]; off != "" {
			t.Errorf("%s off: serves at %s", flag, off)
		}
	}
}

func TestOptionsReachTheServer(t *testing.T) {
	s := start(t, "-stage", "beta", "-ping-interval", "50ms", "-ping-timeout", "7s", "-versions", "9.9")
	conn := s.dial(t, "ws://"+s.plain+"/socket.io/?EIO=4&clientVersion=9.9&token=x")
	if got := next(t, conn); !strings.Contains(got, `"pingInterval":50,"pingTimeout":7000`) {
		t.Errorf("open packet %s, want the heartbeat of the command line", got)
	}
	say(t, conn, "40")
	for next(t, conn) != "2" { // Engine.IO's ping, which the server sends in version 4
	}
	if got := closeCode(s.dial(t, "ws://"+s.plain+"/socket.io/?EIO=3&clientVersion=4.3&token=x")); got != websocket.StatusNormalClosure {
		t.Errorf("a version that is not accepted: closed with %d, want 1000", got)
	}
	s.dial(t, "ws://"+s.plain+"/beta")
	_, answer, err := websocket.Dial(t.Context(), "ws://"+s.plain+"/prod", nil)
	if answer == nil || answer.StatusCode != http.StatusForbidden {
		t.Errorf("/prod with -stage beta: %v, want 403", err)
	}
}

func TestTimeoutsOfTheCommandLine(t *testing.T) {
	for _, flag := range []string{"-idle-timeout", "-max-duration"} {
		s := start(t, flag, "200ms")
		if got := closeCode(s.dial(t, "ws://"+s.plain+"/prod")); got != websocket.StatusGoingAway {
			t.Errorf("%s: closed with %d, want 1001", flag, got)
		}
	}
}

func TestBusyPort(t *testing.T) {
	taken := busy(t)
	for _, args := range [][]string{
		{"-plain", taken, "-secure", "off"},
		{"-plain", "off", "-secure", taken},
		{"-plain", "127.0.0.1:0", "-secure", taken},
	} {
		wantRefused(t, args, taken, "in use")
	}
	wantRefused(t, []string{"-plain", "127.0.0.1:nonsense", "-secure", "off"}, "nonsense")
	wantRefused(t, []string{"-plain", "192.0.2.1:0", "-secure", "off"}, "192.0.2.1") // RFC 5737: of no machine
}

func TestBusyPortFreesTheOther(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free := l.Addr().String()
	_ = l.Close()
	taken := busy(t)
	for range 2 {
		wantRefused(t, []string{"-plain", free, "-secure", taken}, taken, "in use")
	}
}

// A limit of this machine is the client's answer, and a count in the log.
func TestLimitsOfTheMachine(t *testing.T) {
	s := start(t, "-max-connections", "2", "-max-per-address", "1", "-trusted-proxies", "127.0.0.1", "-ping-interval", "20ms")
	dial := func(from string) int {
		conn, answer, err := websocket.Dial(t.Context(), "ws://"+s.plain+"/prod", &websocket.DialOptions{HTTPHeader: http.Header{"X-Forwarded-For": {from}}})
		if err == nil {
			t.Cleanup(func() { _ = conn.CloseNow() })
		}
		if answer == nil {
			t.Fatal(err)
		}
		return answer.StatusCode
	}
	for _, test := range []struct {
		from   string
		status int
	}{{"192.0.2.1", 101}, {"192.0.2.1", 429}, {"192.0.2.2", 101}, {"192.0.2.3", 503}, {"192.0.2.3", 503}} {
		if got := dial(test.from); got != test.status {
			t.Errorf("from %s: %d, want %d", test.from, got, test.status)
		}
	}
	eventually(t, "the counts in the log", func() bool {
		return strings.Contains(s.stderr.String(), `"refused":{"connections":2,"perAddress":1,"sockets":0,"unfinished":0},"forgotten":{"names":0,"sessions":0,"ended":0}`)
	})
	if n := strings.Count(s.stderr.String(), "limits reached"); n > 3 { // once for each change at most
		t.Errorf("logged %d times", n)
	}
}

// The headers of a request are bounded.
func TestLongHeaders(t *testing.T) {
	s := start(t)
	for length, want := range map[int]int{maxHeader - 1000: http.StatusSwitchingProtocols, maxHeader + 8192: http.StatusRequestHeaderFieldsTooLarge} {
		conn, answer, err := websocket.Dial(t.Context(), "ws://"+s.plain+"/prod", &websocket.DialOptions{HTTPHeader: http.Header{"Origin": {"http://" + s.plain}, "X": {strings.Repeat("x", length)}}})
		if err == nil {
			t.Cleanup(func() { _ = conn.CloseNow() })
		}
		if answer == nil || answer.StatusCode != want {
			t.Errorf("%d bytes: %v, %v, want %d", length, answer, err, want)
		}
	}
}
