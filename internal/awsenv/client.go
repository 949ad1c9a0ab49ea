package awsenv

import (
	"context"
	"errors"
	"net/http"
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
// the requests made one after the other, at most one is lost to them, however
// many there are. [NewClient] makes one. It is safe for concurrent use.
//
// A NAT gateway or a service forgets a connection without telling a client that
// is frozen or idle, and what the client then sends is never answered. Over
// HTTP/2 a request that times out only resets its stream, and the next one goes
// the same way; over HTTP/1.1 it closes its own connection, and the next one
// takes another that is as dead. So after a request without an answer in time,
// no later one takes a connection that was open before. As that request must
// have begun after the last such change, there is at most one in each timeout,
// whatever hangs. Client repeats nothing: that is up to the caller, who knows
// whether a request may arrive twice.
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
	current   atomic.Pointer[http.Client]
}

// NewClient returns a Client each of whose requests may take timeout, reading
// the answer included. Redirects are not followed.
func NewClient(timeout time.Duration, options ...func(*http.Transport)) *Client {
	sdk := awshttp.NewBuildableClient().WithTransportOptions(keepOpen).WithTransportOptions(options...)
	c := &Client{timeout: timeout, transport: sdk.GetTransport()}
	c.current.Store(c.fresh())
	return c
}

func keepOpen(t *http.Transport) {
	t.MaxIdleConnsPerHost, t.MaxIdleConns = keptOpen, 2*keptOpen
	t.HTTP2 = &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingWithin}
}

// fresh returns a client without connections.
func (c *Client) fresh() *http.Client {
	return &http.Client{
		Timeout:       c.timeout,
		Transport:     c.transport.Clone(),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Do implements the HTTP client of the SDK. Requests under way on connections
// that are given up go on.
func (c *Client) Do(r *http.Request) (*http.Response, error) {
	used := c.current.Load()
	response, err := used.Do(r) //nolint:gosec // the address is the caller's
	if errors.Is(err, context.DeadlineExceeded) && c.current.CompareAndSwap(used, c.fresh()) {
		used.CloseIdleConnections()
	}
	return response, err
}

// CloseIdleConnections closes the connections that no request is using.
func (c *Client) CloseIdleConnections() { c.current.Load().CloseIdleConnections() }
