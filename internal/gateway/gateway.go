// Package gateway is a local stand-in for an API Gateway WebSocket API: it holds the sockets, invokes a function for
// each connect, message and disconnect by the contract of Lambda proxy integrations, and serves the @connections
// operations. It keeps API Gateway's limits, error frames and close codes, so that handlers meet on one machine what
// they will meet on AWS, including frames of one connection being handled concurrently and in any order.
//
// Where the service's behaviour is known, the package follows it; where nobody published it, a comment says so, and
// handlers should not depend on what was chosen here. Not imitated: authorizers, route selection other than $default,
// account throttles, IAM.
package gateway

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/owt-signal/owt-signal/internal/gateway/socket"
)

// Config describes one stage of one WebSocket API. The zero value of each field has a meaning.
type Config struct {
	Routes Routes

	// Stage is the path the gateway is served at, and appears in every event; handlers build the @connections endpoint
	// from it and the domain's name. Zero value: "default".
	Stage string

	// Mappings are the API mapping keys of a custom domain: further paths, without slashes around them, at which the
	// same stage is served. "socket.io" serves /socket.io and /socket.io/; the empty key serves /.
	Mappings []string

	// Idle, Duration and IntegrationTimeout are DefaultIdle, DefaultDuration and DefaultIntegrationTimeout if zero.
	Idle               time.Duration
	Duration           time.Duration
	IntegrationTimeout time.Duration

	// Early accepts what is posted to a connection whose Connect function has not returned, and sends it after the 101;
	// API Gateway answers 410. AWS's runtime interface emulator, in which `sam local` runs functions, withholds an answer
	// until the work that follows it is done, so that no post of that work would ever find the connection.
	Early bool

	// Inline invokes the Default function in the goroutine that reads from the connection, which is much cheaper, if the
	// function works for microseconds: messages of one connection are then handled one after the other, in order, and it
	// is not read from while one is, nor while it does not take its answers. A function that does not return by its
	// deadline is waited for.
	Inline bool

	Limits Limits

	// Log gets failed functions as warnings, and connections coming and going at debug level; never message data.
	// Nil logs nothing.
	Log *slog.Logger
}

func (c Config) withDefaults() Config {
	c.Stage = cmp.Or(c.Stage, "default")
	c.Idle = cmp.Or(c.Idle, DefaultIdle)
	c.Duration = cmp.Or(c.Duration, DefaultDuration)
	c.IntegrationTimeout = cmp.Or(c.IntegrationTimeout, DefaultIntegrationTimeout)
	c.Limits.Connections = cmp.Or(c.Limits.Connections, DefaultConnections)
	c.Limits.PerAddress = cmp.Or(c.Limits.PerAddress, DefaultPerAddress)
	c.Limits.Unfinished = cmp.Or(c.Limits.Unfinished, DefaultUnfinished)
	c.Log = cmp.Or(c.Log, slog.New(slog.DiscardHandler))
	return c
}

// Gateway is one stage of one WebSocket API. Its methods may be called concurrently. It is itself the handler of the
// WebSocket endpoint; Management is the handler of the @connections endpoint.
type Gateway struct {
	config Config

	// base is the context of every invocation; cancelled when Close gives up waiting.
	base   context.Context
	cancel context.CancelFunc

	// work counts handshakes, connections, writers and invocations under way.
	work sync.WaitGroup

	engine *socket.Engine
	second atomic.Pointer[second] // the last one that an event was made in

	mu          sync.RWMutex // protects what follows
	closed      bool
	connections map[string]*connection // from the 101, or from the handshake if Early, until the socket is closed
	admitted    quota                  // connections, from the handshake until the socket is closed
	sockets     quota                  // of the HTTP server, until they are a WebSocket's or closed
	refused     Refused
}

// New makes a gateway. Close it when done.
func New(config Config) *Gateway {
	g := &Gateway{config: config.withDefaults(), connections: make(map[string]*connection)}
	g.admitted.from, g.sockets.from = make(map[netip.Prefix]int), make(map[netip.Prefix]int)
	g.base, g.cancel = context.WithCancel(context.Background())
	g.engine = socket.New(g.base, &g.work, socket.Config{
		MaxMessage: MaxMessage, MaxFrame: MaxFrame,
		Idle: g.config.Idle, Duration: g.config.Duration,
		MaxUnfinished: g.config.Limits.Unfinished,
		Cork:          g.config.Inline,
	})
	return g
}

// Close closes every connection with 1001 "Going away" and waits until their $disconnect and all other invocations
// under way have returned. When ctx ends first, Close cuts the sockets, cancels the contexts of the invocations, and
// returns the error of ctx without waiting further. New handshakes get 503 from the start.
func (g *Gateway) Close(ctx context.Context) error {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	for _, c := range g.all() {
		c.End(socket.GoingAway)
	}

	idle := make(chan struct{})
	go func() {
		g.work.Wait()
		close(idle)
	}()
	defer g.cancel()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		for _, c := range g.all() {
			c.Cut()
		}
		return fmt.Errorf("close gateway: %w", ctx.Err())
	}
}

// enter admits a connection and counts its handshake as work under way, unless the gateway is closed or full. Whoever
// enters calls work.Done, and leave when the connection has ended.
func (g *Gateway) enter(from netip.Prefix) *httpError {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.closed:
		return unavailable
	case g.admitted.all >= g.config.Limits.Connections:
		g.refused.Connections++
		return unavailable
	case g.admitted.from[from] >= g.config.Limits.PerAddress:
		g.refused.PerAddress++
		return &httpError{status: http.StatusTooManyRequests, message: "Too Many Requests"}
	}
	g.admitted.add(from)
	g.work.Add(1)
	return nil
}

var unavailable = &httpError{status: http.StatusServiceUnavailable, message: "Service Unavailable"}

// join makes c known to the @connections operations and reports whether the gateway is still open.
func (g *Gateway) join(c *connection) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.connections[c.id] = c
	return !g.closed
}

func (g *Gateway) leave(c *connection) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.connections, c.id)
	g.admitted.remove(c.network)
}

func (g *Gateway) all() []*connection {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return slices.Collect(maps.Values(g.connections))
}

var _ http.Handler = (*Gateway)(nil)
