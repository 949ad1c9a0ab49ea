package gateway

import (
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-lambda-go/events"
)

// connection is one client. While it is idle it costs one goroutine, which waits; messages to the client are written by
// a goroutine that lives only while there are some (see queue.go), and one timer serves both time limits.
type connection struct {
	gateway     *Gateway
	id          string
	sourceIP    string
	userAgent   string
	connectedAt time.Time

	wire  *wire         // nil until start
	slots chan struct{} // one element for each invocation under way; nil if functions are invoked inline

	// active is when the last message went either way, in nanoseconds since connectedAt.
	active atomic.Int64

	mu    sync.Mutex // protects what follows
	queue queue
	timer *time.Timer
	ended bool
	why   closure       // once ended
	told  chan struct{} // non-nil if a close frame is to be sent; closed when the closing handshake is over
}

func (g *Gateway) newConnection(r *http.Request) *connection {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	c := &connection{
		gateway:     g,
		id:          connectionID(),
		sourceIP:    host,
		userAgent:   strings.Clone(r.UserAgent()),
		connectedAt: time.Now(),
	}
	if !g.config.Inline {
		c.slots = make(chan struct{}, MaxInvocations)
	}
	c.queue.room.L = &c.mu
	c.queue.flushing = true // nothing is written before start
	return c
}

// start is called when the 101 has been written. From here on the connection can be posted to, if it could not before.
func (c *connection) start(wire *wire) {
	c.mu.Lock()
	c.wire = wire
	c.queue.flushing = false
	if c.queue.out != nil || c.ended {
		c.flushSoon()
	}
	if !c.ended {
		c.timer = time.AfterFunc(min(c.gateway.config.Idle, c.gateway.config.Duration), c.watch)
	}
	c.mu.Unlock()
	c.gateway.config.Log.Debug("connected", "connection", c.id)
	open := c.gateway.join(c)
	c.gateway.work.Add(1) // until finish
	go c.await()
	if !open {
		c.end(goingAway, true)
	}
}

// abandon ends a connection that was not started.
func (c *connection) abandon() {
	c.mu.Lock()
	started := c.wire != nil
	c.mu.Unlock()
	if !started {
		c.end(abnormal, false)
		c.gateway.leave(c)
	}
}

// cut closes the socket, if there is one yet.
func (c *connection) cut() {
	c.mu.Lock()
	wire := c.wire
	c.mu.Unlock()
	if wire != nil {
		wire.Close()
	}
}

// await waits until the client sends something, for a hand to read, or is gone.
func (c *connection) await() {
	if err := c.wire.await(); err != nil {
		c.conclude(judge(err))
		c.finish()
		return
	}
	c.gateway.read(c)
}

// finish is the end of a connection that is not read from any more. It waits until the client has been told, if it is to
// be, and tells Disconnect.
func (c *connection) finish() {
	defer c.gateway.work.Done()
	c.waitTold()
	c.wire.Close()
	c.gateway.leave(c)
	c.gateway.config.Log.Debug("disconnected", "connection", c.id, "code", int(c.why.code))
	if function := c.gateway.config.Routes.Disconnect; function != nil {
		c.gateway.invoke(function, c.gateway.disconnectEvent(c, c.why), func(events.APIGatewayProxyResponse, error) {})
	}
}

// take takes a message that was received.
func (c *connection) take(body string) {
	if !c.isEnded() {
		c.touch()
		c.dispatch(body)
	}
}

// dispatch invokes the Default function for a message, concurrently with those before it unless that is to be inline.
func (c *connection) dispatch(body string) {
	g := c.gateway
	event := g.messageEvent(c, body)
	request := event.RequestContext.RequestID
	if g.config.Routes.Default == nil {
		c.respond(request, errorFrame(messageForbidden, c.id, request))
		return
	}
	if g.config.Inline {
		response, err := g.invokeInline(g.config.Routes.Default, event)
		c.answer(request, response, err)
		return
	}
	c.slots <- struct{}{}
	g.work.Go(func() {
		g.invoke(g.config.Routes.Default, event, func(response events.APIGatewayProxyResponse, err error) {
			defer func() { <-c.slots }()
			c.answer(request, response, err)
		})
	})
}

// answer tells the client how the invocation for its message ended.
func (c *connection) answer(request string, response events.APIGatewayProxyResponse, err error) {
	switch {
	case err != nil:
		c.respond(request, errorFrame(messageInternalError, c.id, request))
	case response.Body != "":
		c.respond(request, response.Body)
	}
}

// respond sends the answer to a message, waiting for room if the client takes its messages slowly. An answer larger
// than MaxMessage becomes an error frame (what API Gateway does is not known); one for an ended connection is dropped.
func (c *connection) respond(request, body string) {
	if len(body) > MaxMessage {
		c.gateway.config.Log.Warn("response too large", "connection", c.id, "request", request, "route", routeMessage, "bytes", len(body))
		body = errorFrame(messageInternalError, c.id, request)
	}
	if err := send(c, body, true); err != nil {
		c.gateway.config.Log.Debug("response dropped", "connection", c.id, "request", request, "route", routeMessage, "error", err)
	}
}

// Messages of the error frames and refusals that API Gateway itself sends.
const (
	messageForbidden     = "Forbidden"
	messageInternalError = "Internal server error"
)

// errorFrame is what API Gateway sends to a client on its own behalf, byte for byte as observed.
func errorFrame(message, connection, request string) string {
	return `{"message": "` + message + `", "connectionId":"` + connection + `", "requestId":"` + request + `"}`
}

// touch notes that a message went either way.
func (c *connection) touch() { c.active.Store(int64(time.Since(c.connectedAt))) }

// watch runs when a time limit may have been reached, and ends the connection or sets the timer to when one can next
// be: the timer need not be touched with every message.
func (c *connection) watch() {
	age := time.Since(c.connectedAt)
	due := min(time.Duration(c.active.Load())+c.gateway.config.Idle, c.gateway.config.Duration)
	if age >= due {
		c.end(goingAway, true)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ended {
		c.timer.Reset(due - age)
	}
}

// end ends the connection, if it has not ended, and reports whether it had not. From here on it is gone to callers. If
// the client is to be told, a close frame follows what is queued.
func (c *connection) end(why closure, tell bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return false
	}
	c.ended, c.why = true, why
	if c.timer != nil {
		c.timer.Stop()
	}
	c.queue.room.Broadcast()
	if tell {
		c.told = make(chan struct{})
		c.flushSoon()
	}
	return true
}

// conclude ends the connection for what was found in reading. A failed write may have ended it as abnormal just
// before; what the client said is the better reason.
func (c *connection) conclude(why closure, tell bool) {
	if c.end(why, tell) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.why == abnormal {
		c.why = why
	}
}

func (c *connection) isEnded() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ended
}

func (c *connection) waitTold() {
	c.mu.Lock()
	told := c.told
	c.mu.Unlock()
	if told != nil {
		<-told
	}
}
