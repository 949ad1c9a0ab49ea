package awsenv_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/apigatewaymanagementapi"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/owt-signal/owt-signal/internal/awsenv"
	"github.com/owt-signal/owt-signal/internal/secret"
	"github.com/owt-signal/owt-signal/internal/storetest"
)

// path is a TCP proxy on the way to a server, which can stop to forward on the
// connections that are open, and tell neither end.
type path struct {
	net.Listener
	target string
	mu     sync.Mutex
	flows  []*flow
}

type flow struct {
	client, server net.Conn
	swallows       atomic.Bool
	closed         chan struct{} // by the client
}

func newPath(t *testing.T, target string) *path {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &path{Listener: l, target: target}
	var done sync.WaitGroup
	done.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", target)
			if err != nil {
				_ = client.Close()
				continue
			}
			f := &flow{client: client, server: server, closed: make(chan struct{})}
			p.mu.Lock()
			p.flows = append(p.flows, f)
			p.mu.Unlock()
			done.Go(func() { f.forward(server, client); close(f.closed) })
			done.Go(func() { f.forward(client, server) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		for _, f := range p.opened() {
			_, _ = f.client.Close(), f.server.Close()
		}
		done.Wait()
	})
	return p
}

func (f *flow) forward(to, from net.Conn) {
	b := make([]byte, 16<<10)
	for {
		n, err := from.Read(b)
		switch {
		case f.swallows.Load() && err != nil:
			return // and the other end hears nothing of it
		case f.swallows.Load():
		case err != nil:
			_ = to.Close()
			return
		default:
			_, _ = to.Write(b[:n])
		}
	}
}

func (p *path) opened() []*flow {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]*flow(nil), p.flows...)
}

func (p *path) swallow() {
	for _, f := range p.opened() {
		f.swallows.Store(true)
	}
}

// service is one that a Client is used for.
type service struct {
	name    string
	repeats bool // whether a request without an answer is made again
	// fromEnvironment is whether its endpoint is read there.
	fromEnvironment bool
	handler         http.Handler
	// caller returns what calls the service once.
	caller func(config aws.Config, endpoint string) func(context.Context) error
}

var posts = service{
	name:    "post",
	handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}),
	caller: func(config aws.Config, endpoint string) func(context.Context) error {
		client := apigatewaymanagementapi.NewFromConfig(config, func(o *apigatewaymanagementapi.Options) {
			o.BaseEndpoint = &endpoint
			o.Retryer = retry.NewStandard(func(o *retry.StandardOptions) { o.MaxAttempts = 1 })
		})
		return func(ctx context.Context) error {
			_, err := client.PostToConnection(ctx, &apigatewaymanagementapi.PostToConnectionInput{ConnectionId: aws.String("id="), Data: []byte("2")})
			return err
		}
	},
}

var invocations = service{
	name: "invocation", repeats: true,
	handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") }),
	caller: func(config aws.Config, endpoint string) func(context.Context) error {
		client := lambda.NewFromConfig(config, func(o *lambda.Options) { o.BaseEndpoint = &endpoint })
		return func(ctx context.Context) error {
			_, err := client.Invoke(ctx, &lambda.InvokeInput{FunctionName: aws.String("accounts")})
			return err
		}
	},
}

var secrets = service{
	name: "secret", repeats: true, fromEnvironment: true,
	handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"SecretString":"s"}`) }),
	caller: func(config aws.Config, _ string) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := secret.Fetch(ctx, config, "arn:aws:secretsmanager:us-east-1:123456789012:secret:s")
			return err
		}
	},
}

// table is a real DynamoDB engine.
func table(t *testing.T) service {
	engine, err := url.Parse(storetest.Engine(t))
	if err != nil {
		t.Fatal(err)
	}
	return service{
		name: "store call", repeats: true, handler: httputil.NewSingleHostReverseProxy(engine),
		caller: func(config aws.Config, endpoint string) func(context.Context) error {
			client := dynamodb.NewFromConfig(config, func(o *dynamodb.Options) { o.BaseEndpoint = &endpoint })
			return func(ctx context.Context) error {
				_, err := client.ListTables(ctx, &dynamodb.ListTablesInput{})
				return err
			}
		},
	}
}

// protocol is how a service is spoken to, and what ends a request that gets no
// answer.
type protocol struct {
	name    string
	version int
	timeout time.Duration
	options []func(*http.Transport)
}

var protocols = []protocol{
	{"HTTP/1.1", 1, 4 * time.Second, nil},
	{"HTTP/2 until a ping is lost", 2, time.Minute, nil},
	{"HTTP/2 until the time-out", 2, 4 * time.Second, []func(*http.Transport){func(t *http.Transport) { t.HTTP2 = nil }}},
}

// open is how many requests are under way together before the connections die.
const open = 8

// serve starts the service. Its first requests are answered when all of them
// are there, and so use as many connections as the protocol needs.
func (s service) serve(t *testing.T, p protocol) (server *httptest.Server, arrived *atomic.Int64) {
	t.Helper()
	all := make(chan struct{})
	arrived = new(atomic.Int64)
	server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != p.version {
			t.Errorf("the request is %s", r.Proto)
		}
		if arrived.Add(1) == open {
			close(all)
		}
		<-all
		s.handler.ServeHTTP(w, r)
	}))
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // of connections that were dialed and not needed
	if server.EnableHTTP2 = p.version == 2; server.EnableHTTP2 {
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	return server, arrived
}

// survives sees that of calls one after the other at most one is lost when all
// connections have died in silence, none if it is repeated, and that none
// arrives twice.
func (s service) survives(t *testing.T, p protocol) {
	if !s.fromEnvironment {
		t.Parallel()
	}
	server, arrived := s.serve(t, p)
	way := newPath(t, strings.TrimPrefix(strings.TrimPrefix(server.URL, "https://"), "http://"))
	client := awsenv.NewClient(p.timeout, append(p.options, func(t *http.Transport) {
		if p.version == 2 {
			t.TLSClientConfig = &tls.Config{RootCAs: server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}
		}
	})...)
	t.Cleanup(client.CloseIdleConnections)
	scheme, _, _ := strings.Cut(server.URL, ":")
	config := awsenv.ConfigOr("us-east-1", "test")
	config.HTTPClient = client
	endpoint := scheme + "://" + way.Addr().String()
	if s.fromEnvironment {
		t.Setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", endpoint)
	}
	call := s.caller(config, endpoint)

	var together sync.WaitGroup
	for range open {
		together.Go(func() {
			if err := call(t.Context()); err != nil {
				t.Errorf("before: %v", err)
			}
		})
	}
	together.Wait()
	if n := len(way.opened()); p.version == 1 && n != open || n == 0 {
		t.Errorf("%d connections are open", n)
	}
	way.swallow()
	const calls = 4
	lost := 0
	for range calls {
		if err := call(t.Context()); err != nil {
			t.Logf("lost: %v", err)
			lost++
		}
	}
	if lost > 1 || s.repeats && lost > 0 || arrived.Load() != int64(open+calls-lost) {
		t.Errorf("of %d calls %d are lost, %d arrived", calls, lost, arrived.Load()-open)
	}
}

// TestDeadConnections: connections that died in silence cost one request, or
// none where it may be repeated.
func TestDeadConnections(t *testing.T) {
	for _, p := range protocols {
		for _, s := range []service{posts, invocations, secrets} {
			t.Run(fmt.Sprintf("%s over %s", s.name, p.name), func(t *testing.T) { s.survives(t, p) })
		}
	}
}

// TestDeadConnectionsToTheTable is the same for DynamoDB.
func TestDeadConnectionsToTheTable(t *testing.T) {
	s := table(t)
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) { s.survives(t, p) })
	}
}

// TestPingFindsDeadConnection: an HTTP/2 connection that died while nobody used
// it costs no request, once a ping was lost.
func TestPingFindsDeadConnection(t *testing.T) {
	server := httptest.NewUnstartedServer(posts.handler)
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	way := newPath(t, strings.TrimPrefix(server.URL, "https://"))
	config := awsenv.ConfigOr("us-east-1", "test")
	config.HTTPClient = awsenv.NewClient(time.Minute, func(t *http.Transport) {
		t.TLSClientConfig = &tls.Config{RootCAs: server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}
	})
	post := posts.caller(config, "https://"+way.Addr().String())
	if err := post(t.Context()); err != nil {
		t.Fatal(err)
	}
	way.swallow()
	<-way.opened()[0].closed
	if err := post(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestSlowRequestsCostNoConnections: a request that gets no answer in time while
// others do is the service's fault, and the connections stay.
func TestSlowRequestsCostNoConnections(t *testing.T) {
	var opened atomic.Int64
	hangs, release := make(chan struct{}), make(chan struct{})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hang" {
			close(hangs)
			<-release
		}
	}))
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			opened.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	defer close(release)
	client := awsenv.NewClient(time.Minute)
	get := func(ctx context.Context, path string) error {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+path, http.NoBody)
		if err != nil {
			return err
		}
		response, err := client.Do(r)
		if err == nil {
			_, _ = io.Copy(io.Discard, response.Body)
			err = response.Body.Close()
		}
		return err
	}
	if err := get(t.Context(), "/"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	slow := make(chan error)
	go func() { slow <- get(ctx, "/hang") }() // over the connection that there is
	<-hangs
	if err := get(t.Context(), "/"); err != nil { // over a second one
		t.Error(err)
	}
	if err := <-slow; !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the request that hangs: %v", err)
	}
	if err := get(t.Context(), "/"); err != nil {
		t.Error(err)
	}
	if opened.Load() != 2 {
		t.Errorf("%d connections were opened, want 2", opened.Load())
	}
}
