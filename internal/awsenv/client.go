package awsenv

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"time"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
)

const (
	// attempt bounds one request to a service, of which the SDK makes several.
	attempt = 2 * time.Second

	// keptOpen is how many connections to a host are kept for the next requests: as
	// many as a function has requests under way at a time. The SDK's 10 would have
	// most of the requests of a round of keepalive open one, for several times the
	// processor time (BenchmarkPosts in internal/apigw).
	keptOpen = 128

	// pingAfter is how long an HTTP/2 connection may be silent before it is pinged,
	// pingWithin how long the answer may take.
	pingAfter  = time.Second
	pingWithin = time.Second
)

// Client is an HTTP client that survives connections that died in silence: of
// the requests to a host made one after the other, at most one is lost to them,
// however many there are. [NewClient] makes one. It is safe for concurrent use.
//
// A NAT gateway or a service forgets a connection without telling a client that
// is frozen or idle, and what the client then sends is never answered. Over
// HTTP/2 a request that times out only resets its stream, and the next one goes
// the same way; over HTTP/1.1 it closes its own connection, and the next one
// takes another that is as dead. So after a request without an answer in time,
// no later one takes a connection that was open before; unless that request had
// a connection of its own making, or none yet, or others were answered
// meanwhile: then the service is slow, or this machine, and dialing would make
// it worse. Client repeats nothing: that is up to the caller, who knows whether
// a request may arrive twice.
//
// The ping finds a dead HTTP/2 connection before the end of a request that may
// take longer than that, so that the SDK repeats it in time, or before a request
// meets it.
//
// A function's environment is frozen between invocations, and the monotonic
// clock may or may not go on meanwhile. If it does, a ping that is due is sent
// after the thaw, and has its whole time; if it does not, the ping is late by
// what was left of pingAfter. Either way a connection that works stays, unless
// the freeze fell between a ping and its answer, a few milliseconds after a
// second of silence. How long a connection was idle, net/http measures by the
// wall clock, which does go on, so none is used again that was idle for longer
// than the SDK's 90 seconds.
type Client struct {
	timeout   time.Duration
	transport *http.Transport // never used, only cloned
	pools     sync.Map        // of *pool, by host
}

// pool is the connections to one host.
type pool struct {
	http.Client
	answers atomic.Int64
}

// NewClient returns a Client each of whose requests may take timeout, reading
// the answer included. Redirects are not followed.
func NewClient(timeout time.Duration, options ...func(*http.Transport)) *Client {
	sdk := awshttp.NewBuildableClient().WithTransportOptions(keepOpen).WithTransportOptions(options...)
	return &Client{timeout: timeout, transport: sdk.GetTransport()}
}

func keepOpen(t *http.Transport) {
	t.MaxIdleConnsPerHost, t.MaxIdleConns = keptOpen, 2*keptOpen
	t.HTTP2 = &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingWithin}
}

func (c *Client) newPool() *pool {
	return &pool{Client: http.Client{
		Timeout:       c.timeout,
		Transport:     c.transport.Clone(),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// pool returns the connections to a host.
func (c *Client) pool(host string) *pool {
	p, ok := c.pools.Load(host)
	if !ok {
		p, _ = c.pools.LoadOrStore(host, c.newPool())
	}
	return p.(*pool)
}

// Do implements the HTTP client of the SDK. Requests under way on connections
// that are given up go on.
func (c *Client) Do(r *http.Request) (*http.Response, error) {
	p := c.pool(r.URL.Host)
	answered := p.answers.Load()
	var reused atomic.Bool
	trace := &httptrace.ClientTrace{GotConn: func(got httptrace.GotConnInfo) { reused.Store(got.Reused) }}
	response, err := p.Do(r.WithContext(httptrace.WithClientTrace(r.Context(), trace))) //nolint:gosec // the address is the caller's
	switch {
	case err == nil:
		p.answers.Add(1)
	case errors.Is(err, context.DeadlineExceeded) && reused.Load() && p.answers.Load() == answered:
		if c.pools.CompareAndSwap(r.URL.Host, p, c.newPool()) {
			p.CloseIdleConnections()
		}
	}
	return response, err
}

// CloseIdleConnections closes the connections that no request is using.
func (c *Client) CloseIdleConnections() {
	c.pools.Range(func(_, p any) bool {
		p.(*pool).CloseIdleConnections()
		return true
	})
}
