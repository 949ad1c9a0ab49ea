// Package clienttest has the client of Go programs meet the real server, in fake time.
package clienttest

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"go.uber.org/goleak"

	"github.com/owt-signal/owt-signal/client"
	"github.com/owt-signal/owt-signal/internal/apigw"
	"github.com/owt-signal/owt-signal/internal/app"
	"github.com/owt-signal/owt-signal/internal/gateway"
	"github.com/owt-signal/owt-signal/internal/limits"
	"github.com/owt-signal/owt-signal/internal/memory"
	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(suite{m}) }

// world is the real server, and clients of it, in a bubble of fake time.
type world struct {
	t       *testing.T
	address string
	backlog chan net.Conn
	server  *server
}

// inWorld runs a test in a world of its own, however many hours it takes there.
func inWorld(t *testing.T, test func(*testing.T, *world), set ...func(*app.Config)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, backlog: make(chan net.Conn), address: "ws://server/prod"}
		w.server = newServer(w.listen(), set...)
		t.Cleanup(func() { w.server.stop() })
		test(t, w)
	})
}

// replace ends the server, and has another service at its place, until the test ends.
func (w *world) replace(start func(*httptest.Server), h http.Handler) {
	w.server.stop()
	s := &httptest.Server{Listener: w.listen(), Config: &http.Server{Handler: h, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}}
	start(s)
	w.t.Cleanup(s.Close)
}

// server is one process of the server, with its records in its memory.
type server struct {
	gateway *gateway.Gateway
	http    http.Server
	after   sync.WaitGroup
	doomed  atomic.Bool // the next frame comes to nothing: its invocation dies
	cancel  context.CancelFunc
	served  chan struct{}
}

func newServer(l net.Listener, set ...func(*app.Config)) *server {
	s := &server{served: make(chan struct{})}
	var base context.Context
	base, s.cancel = context.WithCancel(context.Background())
	config := app.Config{
		Store:       memory.New(),
		Connections: s,
		Access:      signal.Access{Authenticator: authenticator{}, Anonymous: true},
		Limits:      limits.Config{RecoverFor: signal.DefaultRecoverFor},
		Endpoint:    func(events.APIGatewayWebsocketProxyRequestContext) string { return "local" },
		Log:         slog.New(slog.DiscardHandler),
	}
	for _, set := range set {
		set(&config)
	}
	handler := app.New(config)
	follow := func(route app.Route) gateway.FunctionFunc {
		return func(ctx context.Context, ev *events.APIGatewayWebsocketProxyRequest) (events.APIGatewayProxyResponse, error) {
			r, work := route(ctx, ev)
			if work != nil {
				s.after.Go(func() { work(base) })
			}
			return r, nil
		}
	}
	s.gateway = gateway.New(gateway.Config{Stage: "prod", Mappings: []string{"socket.io"}, Routes: gateway.Routes{
		Connect: follow(handler.Connect),
		Default: mortal(s, follow(handler.Message)),
		Disconnect: follow(func(ctx context.Context, ev *events.APIGatewayWebsocketProxyRequest) (events.APIGatewayProxyResponse, signal.After) {
			return handler.Disconnect(ctx, ev), nil
		}),
	}})
	s.http.Handler = s.gateway
	go func() {
		defer close(s.served)
		_ = s.http.Serve(l)
	}()
	return s
}

// mortal is f, of which an invocation that is doomed does nothing.
func mortal(s *server, f gateway.FunctionFunc) gateway.FunctionFunc {
	return func(ctx context.Context, ev *events.APIGatewayWebsocketProxyRequest) (events.APIGatewayProxyResponse, error) {
		if s.doomed.CompareAndSwap(true, false) {
			return events.APIGatewayProxyResponse{}, errors.New("died")
		}
		return f(ctx, ev)
	}
}

// authenticator takes the token for the user's name, and what may follow after
// a slash for how many seconds it lasts yet.
type authenticator struct{ signal.TokenIsName }

func (a authenticator) Authenticate(ctx context.Context, c signal.Credentials) (signal.Identity, error) {
	name, lasts, ends := strings.Cut(c.Token, "/")
	id, err := a.TokenIsName.Authenticate(ctx, signal.Credentials{Token: name})
	if seconds, e := strconv.Atoi(lasts); ends && e == nil {
		id.Expires = lane.At(time.Now().Add(time.Duration(seconds) * time.Second))
	}
	return id, err
}

// stop ends the process: what its memory held is gone.
func (s *server) stop() {
	_ = s.http.Close()
	<-s.served
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = s.gateway.Close(ctx)
	s.cancel()
	s.after.Wait()
}

// Post implements [apigw.Connections].
func (s *server) Post(ctx context.Context, _ string, id signal.ConnectionID, frame []byte) error {
	err := s.gateway.Post(ctx, string(id), frame)
	if errors.Is(err, gateway.ErrGone) {
		return signal.ErrGone
	}
	return err
}

// Get implements [apigw.Connections].
func (s *server) Get(ctx context.Context, _ string, id signal.ConnectionID) error {
	_, err := s.gateway.Get(ctx, string(id))
	return err
}

// Delete implements [apigw.Connections].
func (s *server) Delete(ctx context.Context, _ string, id signal.ConnectionID) error {
	_ = s.gateway.Delete(ctx, string(id))
	return nil
}

var _ apigw.Connections = (*server)(nil)

// exampleServer is the URL of a server that the examples share, and that lasts as
// long as they do.
var exampleServer = sync.OnceValue(func() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	examples = newServer(l)
	return "http://" + l.Addr().String()
})

var examples *server

// suite is the tests, after which the examples' server ends.
type suite struct{ *testing.M }

func (s suite) Run() int {
	defer func() {
		if examples != nil {
			examples.stop()
		}
	}()
	return s.M.Run()
}

func (w *world) listen() net.Listener {
	return &listener{backlog: w.backlog, closed: make(chan struct{})}
}

// listener accepts links.
type listener struct {
	backlog <-chan net.Conn
	once    sync.Once
	closed  chan struct{}
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.backlog:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *listener) Addr() net.Addr { return &net.TCPAddr{} }

// link is a client's end of a connection, which can be cut, or become deaf: then
// what either side sends is lost, and neither is told.
type link struct {
	net.Conn
	mu   sync.Mutex
	deaf bool
	left int // reads and writes until it is cut; zero: it is not

	reads, writes int
}

// count returns how much was read and written since the last look.
func (l *link) count() (reads, writes int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	reads, writes = l.reads, l.writes
	l.reads, l.writes = 0, 0
	return reads, writes
}

// wear counts a read or a write.
func (l *link) wear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.left > 0 {
		if l.left--; l.left == 0 {
			_ = l.Conn.Close()
		}
	}
}

func (l *link) isDeaf() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.deaf
}

func (l *link) Read(p []byte) (int, error) {
	for {
		l.wear()
		n, err := l.Conn.Read(p)
		l.mu.Lock()
		l.reads++
		l.mu.Unlock()
		if !l.isDeaf() || err != nil {
			return n, err
		}
	}
}

func (l *link) Write(p []byte) (int, error) {
	l.wear()
	l.mu.Lock()
	l.writes++
	l.mu.Unlock()
	if l.isDeaf() {
		return len(p), nil
	}
	return l.Conn.Write(p)
}

// network is an HTTP client whose connections are the world's, and which can be
// disturbed apart from those of others.
type network struct {
	world *world
	mu    sync.Mutex
	links []*link
	down  bool
	lasts func(i int) int // reads and writes that link i lasts; nil: for ever
}

func (n *network) dial(context.Context, string, string) (net.Conn, error) {
	n.mu.Lock()
	down := n.down
	n.mu.Unlock()
	here, there := net.Pipe()
	select {
	case <-time.After(time.Millisecond):
		return nil, errors.New("nobody listens")
	case n.world.backlog <- there:
	}
	if down {
		_ = here.Close()
		return nil, errors.New("no network")
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	l := &link{Conn: here}
	if n.lasts != nil {
		l.left = n.lasts(len(n.links))
	}
	n.links = append(n.links, l)
	return l, nil
}

// cut ends all connections. It says how many there have been.
func (n *network) cut() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, l := range n.links {
		_ = l.Conn.Close()
	}
	return len(n.links)
}

// deafen makes all connections half-open.
func (n *network) deafen() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, l := range n.links {
		l.mu.Lock()
		l.deaf = true
		l.mu.Unlock()
	}
}

// set turns the network off and on: what is open stays.
func (n *network) set(down bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.down = down
}

// made is how many connections there have been.
func (n *network) made() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.links)
}

// dial connects a user on a network of its own.
func (w *world) dial(user string, options ...func(*client.Options)) (*client.Client, *network) {
	w.t.Helper()
	n := &network{world: w}
	c, err := w.try(n, user, options...)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = c.Close() })
	return c, n
}

func (w *world) try(n *network, user string, options ...func(*client.Options)) (*client.Client, error) {
	o := client.Options{Token: user, Anonymous: user == "", HTTPClient: &http.Client{Transport: &http.Transport{DialContext: n.dial, DisableKeepAlives: true}}}
	for _, set := range options {
		set(&o)
	}
	return client.Dial(w.t.Context(), w.address, o)
}
