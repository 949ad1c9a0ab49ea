package clienttest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/owt-signal/owt-signal/client"
	"github.com/owt-signal/owt-signal/internal/app"
	"github.com/owt-signal/owt-signal/internal/versions"
)

const secretToken = "a-secret-word"

// badDial is a way to fail.
type badDial struct {
	url    string // "": the server's
	world  func(w *world)
	server func(c *app.Config)
	set    func(o *client.Options)
	says   string
	code   client.Code // the server's; zero: it does not say one
	is     error       // nil: any
}

func tokens(token string, err error) func(*client.Options) {
	return func(o *client.Options) {
		o.TokenSource = func(context.Context) (string, error) { return token, err }
	}
}

// fromOrigin is a browser's transport.
type fromOrigin struct{ http.RoundTripper }

func (f fromOrigin) RoundTrip(r *http.Request) (*http.Response, error) {
	r.Header.Set("Origin", "https://example.org")
	return f.RoundTripper.RoundTrip(r)
}

var badDials = map[string]badDial{
	"nobody listens": {world: func(w *world) { w.server.stop() }, says: "nobody listens"},
	"no host":        {url: "ws://?token=" + secretToken, says: "names no host"},
	"no URL":         {url: "ws://[?token=" + secretToken, says: "missing ']'"},
	"no scheme":      {url: "server:8095?token=" + secretToken, says: "none of ws://, wss://, http:// and https://"},
	"another scheme": {url: "ftp://server?token=" + secretToken, says: "none of ws://, wss://, http:// and https://"},
	"a bad query":    {url: "ws://server?token=" + secretToken + "%", says: "cannot be decoded"},
	"half a query":   {url: "ws://server?token=" + secretToken + ";b", says: "cannot be decoded"},
	"another path":   {url: "ws://server/other", says: "403 Forbidden: it does not serve this path"},
	"no WebSocket": {
		world: func(w *world) { w.replace((*httptest.Server).Start, http.NotFoundHandler()) },
		says:  "404 Not Found, not with a WebSocket",
	},
	"another service": {
		world: func(w *world) {
			w.replace((*httptest.Server).Start, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				if ws, err := websocket.Accept(rw, r, nil); err == nil {
					_ = ws.CloseNow()
				}
			}))
		},
		says: "another service",
	},
	"a certificate that nobody has signed": {
		url: "wss://example.com/prod", says: "certificate signed by unknown authority",
		world: func(w *world) { w.replace((*httptest.Server).StartTLS, http.NotFoundHandler()) },
	},
	"TLS where there is none": {url: "https://server", says: "server gave HTTP response to HTTPS client"},
	"a refused origin": {
		server: func(c *app.Config) { c.Limits.Origins = []string{"https://example.com"} },
		set:    func(o *client.Options) { o.HTTPClient.Transport = fromOrigin{o.HTTPClient.Transport} },
		says:   "403 Forbidden: it does not serve this path, or not for this origin",
	},
	"no token":              {set: func(o *client.Options) { o.Token = "" }, is: client.ErrNoToken},
	"a token not in UTF-8":  {set: func(o *client.Options) { o.Token = "\xff" }, says: "not UTF-8"},
	"no token today":        {set: tokens("", nil), is: client.ErrNoToken},
	"no token for a reason": {set: tokens("", http.ErrNoCookie), is: http.ErrNoCookie, says: "get a token"},
	"a refused token":       {set: tokens(secretToken+strings.Repeat("x", 257), nil), code: client.CodeToken},
	"nobody is anonymous": {
		server: func(c *app.Config) { c.Access.Anonymous = false },
		set:    func(o *client.Options) { o.Token, o.Anonymous = "", true }, code: client.CodeNobody,
	},
	"a refused version": {
		server: func(c *app.Config) { c.Access.Versions, _ = versions.Parse("required") }, code: client.CodeUnsupported,
	},
}

// Whatever keeps a client from its server is said at once, without its token.
func TestDialFails(t *testing.T) {
	for name, test := range badDials {
		t.Run(name, func(t *testing.T) {
			server := test.server
			if server == nil {
				server = func(*app.Config) {}
			}
			inWorld(t, test.dial, server)
		})
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	if _, err := client.Dial(t.Context(), "http://"+l.Addr().String(), client.Options{Token: "alice"}); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("nobody listens: %v", err)
	}
}

func (test badDial) dial(t *testing.T, w *world) {
	if test.url != "" {
		w.address = test.url
	}
	if test.world != nil {
		test.world(w)
	}
	start := time.Now()
	c, err := w.try(&network{world: w}, secretToken, func(o *client.Options) {
		if test.set != nil {
			test.set(o)
		}
	})
	if err == nil {
		_ = c.Close()
		t.Fatal("it has connected")
	}
	e, refused := errors.AsType[*client.Error](err)
	switch {
	case !strings.Contains(err.Error(), test.says),
		strings.Contains(err.Error(), secretToken),
		test.is != nil && !errors.Is(err, test.is),
		refused != (test.code != 0), refused && e.Code != test.code:
		t.Errorf("it says: %v", err)
	}
	if d := time.Since(start); d > time.Second {
		t.Errorf("it says so after %v", d)
	}
}

// An address as users know it is enough, whatever its scheme.
func TestAddresses(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		for _, address := range []string{"http://server", "ws://server/", "ws://server/prod", "http://server:8095/socket.io/", "ws://server/prod?token=alice"} {
			w.address = address
			c, _ := w.dial("alice", func(o *client.Options) {
				if strings.Contains(address, "?") {
					o.Token = ""
				}
			})
			if c.User() != "alice" {
				t.Errorf("%s: the user is %q", address, c.User())
			}
			_ = c.Close()
		}
	})
}

// What becomes of a client is told, with the reason, one call after the other.
func TestStates(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		told := make(chan string, 100)
		type answer struct {
			token string
			err   error
		}
		var source atomic.Value
		source.Store(answer{"alice", nil})
		a, network := w.dial("", func(o *client.Options) {
			o.TokenSource = func(context.Context) (string, error) { a := source.Load().(answer); return a.token, a.err }
			o.OnState = func(s client.State, why error) { told <- fmt.Sprintf("%v: %v", s, why) }
		})
		expect := func(s client.State, why string) {
			t.Helper()
			if got := <-told; !strings.HasPrefix(got, s.String()+": ") || !strings.Contains(got, why) {
				t.Errorf("told %q, want %v: %s", got, s, why)
			}
			if a.State() != s {
				t.Errorf("the client is %v, want %v", a.State(), s)
			}
		}
		expect(client.StateConnected, "<nil>")
		source.Store(answer{"", errors.New("no token today")})
		network.cut()
		expect(client.StateReconnecting, "closed")
		expect(client.StateReconnecting, "no token today")
		source.Store(answer{"alice", nil})
		expect(client.StateConnected, "<nil>")
		network.deafen()
		expect(client.StateReconnecting, "did not answer")
		expect(client.StateConnected, "<nil>")
		if a.Err() != nil {
			t.Errorf("it has ended: %v", a.Err())
		}
		source.Store(answer{strings.Repeat("x", 257), nil})
		network.cut()
		expect(client.StateReconnecting, "closed")
		expect(client.StateEnded, "2121")
		<-a.Done()
		if e, ok := errors.AsType[*client.Error](a.Err()); !ok || e.Code != client.CodeToken {
			t.Errorf("it has ended: %v", a.Err())
		}
		for _, err := range a.Messages(t.Context()) {
			if !errors.Is(err, a.Err()) {
				t.Errorf("receive: %v", err)
			}
		}
		_ = a.Close()
		if len(told) > 0 {
			t.Errorf("told %s, too", <-told)
		}
	})
}
