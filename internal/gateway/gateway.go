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

	// Log gets failed functions as warnings, and connections coming and going at debug level; never message data.
	// Nil logs nothing.
	Log *slog.Logger
}

func (c Config) withDefaults() Config {
	c.Stage = cmp.Or(c.Stage, "default")
	c.Idle = cmp.Or(c.Idle, DefaultIdle)
	c.Duration = cmp.Or(c.Duration, DefaultDuration)
	c.IntegrationTimeout = cmp.Or(c.IntegrationTimeout, DefaultIntegrationTimeout)
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
}

// New makes a gateway. Close it when done.
func New(config Config) *Gateway {
	g := &Gateway{config: config.withDefaults(), connections: make(map[string]*connection)}
	g.base, g.cancel = context.WithCancel(context.Background())
	g.engine = socket.New(g.base, &g.work, socket.Config{
		MaxMessage: MaxMessage, MaxFrame: MaxFrame,
		Idle: g.config.Idle, Duration: g.config.Duration,
		Cork: g.config.Inline,
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

// enter counts a handshake as work under way, unless the gateway is closed. Whoever enters calls work.Done.
func (g *Gateway) enter() bool {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if g.closed {
		return false
	}
	g.work.Add(1)
	return true
}

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
}

func (g *Gateway) all() []*connection {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return slices.Collect(maps.Values(g.connections))
}

var _ http.Handler = (*Gateway)(nil)
