package gateway_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/owt-signal/owt-signal/internal/gateway"
)

func TestHandshakeServesStageAndMappings(t *testing.T) {
	s := serve(t, gateway.Config{Stage: "prod_1", Mappings: []string{"socket.io"}})
	for path, status := range map[string]int{
		"/prod_1":                     101,
		"/prod_1/":                    101,
		"/prod_1?a=b":                 101,
		"/socket.io":                  101,
		"/socket.io/":                 101,
		"/socket.io/?EIO=4":           101,
		"/":                           403,
		"/default":                    403,
		"/PROD_1":                     403,
		"/prod_1/socket.io":           403,
		"/prod_1//":                   403,
		"//prod_1":                    403,
		"/socket.io/prod_1":           403,
		"/prod_1/@connections/abc":    403,
		"/prod_1/%2e%2e/prod_1":       403,
		"/prod_1" + "%2F" + "further": 403,
	} {
		conn, res, err := s.try(path)
		if err == nil {
			conn.CloseNow()
		}
		if res == nil || res.StatusCode != status {
			t.Errorf("%s: %v, %v, want status %d", path, res, err, status)
		}
	}
}

func TestHandshakeServesTheRootForTheEmptyMapping(t *testing.T) {
	s := serve(t, gateway.Config{Mappings: []string{""}})
	s.dial(t, "/")
	s.dial(t, "")
}

func TestHandshakeRefusals(t *testing.T) {
	connect := newRecorder()
	s := serve(t, gateway.Config{Routes: gateway.Routes{Connect: connect}})
	for _, test := range []struct {
		name, method, path string
		replace            [2]string
		status             int
		body               string
	}{
		{"plain", "GET", "/default", [2]string{"Upgrade", "X"}, 426, `{"message":"Upgrade Required"}`},
		{"another upgrade", "GET", "/default", [2]string{"websocket", "h2c"}, 426, `{"message":"Upgrade Required"}`},
		{"post", "POST", "/default", [2]string{}, 426, `{"message":"Upgrade Required"}`},
		{"old HTTP", "GET", "/default", [2]string{"HTTP/1.1", "HTTP/1.0"}, 426, `{"message":"Upgrade Required"}`},
		{"version", "GET", "/default", [2]string{"13", "8"}, 400, `{"message":"Bad Request"}`},
		{"no key", "GET", "/default", [2]string{"Sec-WebSocket-Key", "X"}, 400, `{"message":"Bad Request"}`},
		{"short key", "GET", "/default", [2]string{"dGhlIHNhbXBsZSBub25jZQ==", "dGhl"}, 400, `{"message":"Bad Request"}`},
		{"body", "GET", "/default", [2]string{"Host:", "Content-Length: 1\r\nHost:"}, 400, `{"message":"Bad Request"}`},
		{"body of unknown length", "GET", "/default", [2]string{"Host:", "Transfer-Encoding: chunked\r\nHost:"}, 400, `{"message":"Bad Request"}`},
		{"path", "GET", "/other", [2]string{}, 403, `{"message":"Forbidden"}`},
		{"plain path", "GET", "/other", [2]string{"Upgrade", "X"}, 403, `{"message":"Forbidden"}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			request := upgradeRequest
			if test.replace[0] != "" {
				request = strings.ReplaceAll(request, test.replace[0], test.replace[1])
			}
			request = strings.Replace(request, "GET /default", test.method+" "+test.path, 1)
			c := s.rawConn(t)
			c.write(t, []byte(request))
			res, err := http.ReadResponse(c.r, nil)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(res.Body)
			if res.StatusCode != test.status || string(body) != test.body || err != nil {
				t.Errorf("answered with %d %s %v, want %d %s", res.StatusCode, body, err, test.status, test.body)
			}
			if got := res.Header.Get("Content-Type"); got != "application/json" {
				t.Errorf("content type %q", got)
			}
		})
	}
	if len(connect.events) != 0 {
		t.Error("a refused request reached the function")
	}
}

// What cannot be decoded is refused: left out, it would make a client somebody else, or speak another protocol.
func TestHandshakeQueries(t *testing.T) {
	connect := newRecorder()
	s := serve(t, gateway.Config{Routes: gateway.Routes{Connect: connect}})
	for query, token := range map[string]string{
		"token=100%25": "100%", "token=a%3Bb": "a;b", "token=a+b": "a b", "token=a%2Bb": "a+b", "token=%C3%A4": "ä", "token=": "", "token": "", "token=a&&x=": "a", "token=a=b": "a=b",
	} {
		s.dial(t, "/default?"+query)
		if e := connect.next(t); e.QueryStringParameters["token"] != token {
			t.Errorf("%s: token %q, want %q", query, e.QueryStringParameters["token"], token)
		}
	}
	for _, query := range []string{"token=100%", "token=a;b", "EIO=4;transport=websocket", "token=%zz", "%=a", "x=%C&token=a", "a=1&token=%"} {
		c := s.rawConn(t)
		c.write(t, []byte(strings.Replace(upgradeRequest, "/default", "/default?"+query, 1)))
		res, err := http.ReadResponse(c.r, nil)
		if err != nil || res.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %v, %v, want 400", query, res, err)
		}
	}
	if len(connect.events) != 0 {
		t.Error("a refused request reached the function")
	}
}

// Proxies write these headers in their own ways.
func TestHandshakeAcceptsLists(t *testing.T) {
	for _, with := range []string{
		"Connection: keep-alive\r\nConnection: foo, UPGRADE\r\nUpgrade: websocket\r\n",
		"Connection: Upgrade\r\nUpgrade: h2c\r\nUpgrade: WebSocket, foo\r\n",
		"Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n",
	} {
		c := serve(t, gateway.Config{}).rawConn(t)
		c.write(t, []byte(strings.Replace(upgradeRequest, "Connection: Upgrade\r\nUpgrade: websocket\r\n", with, 1)))
		c.wantSwitch(t)
	}
}

func TestHandshakeURLLimit(t *testing.T) {
	s := serve(t, gateway.Config{})
	const path = "/default?q="
	s.dial(t, path+bytesOf(gateway.MaxURL-len(path)))
	_, res, err := s.try(path + bytesOf(gateway.MaxURL-len(path)+1))
	if res == nil || res.StatusCode != http.StatusRequestURITooLong {
		t.Errorf("one byte more: %v, %v", res, err)
	}
}

func TestHandshakeIsHeldBackUntilConnectReturns(t *testing.T) {
	var connected atomic.Bool
	release := make(chan struct{})
	early := make(chan bool, 1)
	s := serve(t, gateway.Config{Routes: gateway.Routes{
		Connect: function(func(context.Context, *event) (response, error) {
			<-release
			connected.Store(true)
			return ok, nil
		}),
		Default: function(func(_ context.Context, e *event) (response, error) {
			early <- !connected.Load()
			return response{Body: e.Body}, nil
		}),
	}})

	c := s.rawConn(t)
	c.write(t, append([]byte(upgradeRequest), maskedFrame(final|opText, "eager")...))
	c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if b, err := c.r.Peek(1); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("read %q, %v before Connect had returned", b, err)
	}
	c.SetReadDeadline(time.Now().Add(patience))
	close(release)
	c.wantSwitch(t)
	c.wantFrame(t, final|opText, "eager")
	if <-early {
		t.Error("message was invoked before Connect had returned")
	}
}

func TestHandshakeAnswersWithTheStatusOfConnect(t *testing.T) {
	var answer response
	var failure error
	s := serve(t, gateway.Config{Routes: gateway.Routes{
		Connect: function(func(context.Context, *event) (response, error) { return answer, failure }),
	}})
	internal := `{"message":"Internal server error"}`
	for _, test := range []struct {
		answer response
		err    error
		status int
		body   string
	}{
		{response{StatusCode: 200}, nil, 101, ""},
		{response{StatusCode: 204}, nil, 101, ""},
		{response{StatusCode: 299, Body: "ignored"}, nil, 101, ""},
		{response{StatusCode: 300}, nil, 300, ""},
		{response{StatusCode: 401, Body: "who?"}, nil, 401, "who?"},
		{response{StatusCode: 403}, nil, 403, ""},
		{response{StatusCode: 429, Body: "slow"}, nil, 429, "slow"},
		{response{StatusCode: 599, Body: "x"}, nil, 599, "x"},
		{response{StatusCode: 600}, nil, 502, internal},
		{response{StatusCode: 199}, nil, 502, internal},
		{response{}, nil, 502, internal},
		{response{StatusCode: 200}, errors.New("thrown"), 502, internal},
	} {
		answer, failure = test.answer, test.err
		conn, res, err := s.try("/default")
		if err == nil {
			conn.CloseNow()
		}
		if res == nil || res.StatusCode != test.status {
			t.Errorf("%+v, %v: %v, %v, want status %d", test.answer, test.err, res, err, test.status)
			continue
		}
		if test.status == 101 {
			continue
		}
		if body, _ := io.ReadAll(res.Body); string(body) != test.body {
			t.Errorf("%+v, %v: body %q, want %q", test.answer, test.err, body, test.body)
		}
	}
}

func TestHandshakeSurvivesAConnectThatPanicsOrHangs(t *testing.T) {
	release := make(chan struct{})
	s := serve(t, gateway.Config{IntegrationTimeout: 20 * time.Millisecond, Routes: gateway.Routes{
		Connect: function(func(_ context.Context, e *event) (response, error) {
			if e.QueryStringParameters["do"] == "panic" {
				panic("at the disco")
			}
			<-release
			return ok, nil
		}),
	}})
	defer close(release)
	for _, path := range []string{"/default?do=panic", "/default?do=hang"} {
		if _, res, err := s.try(path); res == nil || res.StatusCode != 502 {
			t.Errorf("%s: %v, %v", path, res, err)
		}
	}
}

func TestHandshakeSubprotocolIsWhatTheResponseSays(t *testing.T) {
	var answer response
	s := serve(t, gateway.Config{Routes: gateway.Routes{
		Connect: function(func(context.Context, *event) (response, error) { return answer, nil }),
	}})
	for _, test := range []struct {
		answer response
		want   string
	}{
		{response{}, ""},
		{response{Headers: map[string]string{"X": "y"}}, ""},
		{response{Headers: map[string]string{"sec-websocket-protocol": "v2"}}, "v2"},
		{response{Headers: map[string]string{"Sec-WebSocket-Protocol": "v1"}}, "v1"},
		{response{MultiValueHeaders: map[string][]string{"SEC-WEBSOCKET-PROTOCOL": {"v2"}}}, "v2"},
		{response{
			Headers:           map[string]string{"Sec-WebSocket-Protocol": "v1"},
			MultiValueHeaders: map[string][]string{"Sec-WebSocket-Protocol": {"v2"}},
		}, "v2"},
	} {
		answer = test.answer
		answer.StatusCode = 200
		c := s.dial(t, "/default", func(o *websocket.DialOptions) { o.Subprotocols = []string{"v1", "v2"} })
		if got := c.Subprotocol(); got != test.want {
			t.Errorf("%+v: subprotocol %q, want %q", test.answer, got, test.want)
		}
	}
}

func TestHandshakeAcceptsAnyOriginAndNoCompression(t *testing.T) {
	s := serve(t, gateway.Config{})
	conn, res, err := s.try("/default", withHeader("Origin", "https://elsewhere.test"), func(o *websocket.DialOptions) {
		o.CompressionMode = websocket.CompressionContextTakeover
	})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	if got := res.Header.Get("Sec-Websocket-Extensions"); got != "" {
		t.Errorf("negotiated %q", got)
	}
}
