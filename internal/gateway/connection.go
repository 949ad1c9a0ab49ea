package gateway

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-lambda-go/events"
	"github.com/coder/websocket"
)

// connection is one client. While it is idle it costs one goroutine, which reads; messages to the client are written by
// a goroutine that lives only while there are some (see queue.go), and one timer serves both time limits.
type connection struct {
	gateway     *Gateway
	id          string
	sourceIP    string
	userAgent   string
	connectedAt time.Time

	ws    *websocket.Conn
	wire  *wire         // nil until start
	slots chan struct{} // one element for each invocation under way; nil if functions are invoked inline

	message io.Reader  // to be handled by a hand
	handled chan error // what came of it; nil unless functions are invoked inline

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
	if g.config.Inline {
		c.handled = make(chan error, 1)
	} else {
		c.slots = make(chan struct{}, MaxInvocations)
	}
	c.queue.room.L = &c.mu
	c.queue.flushing = true // nothing is written before start
	return c
}

// start is called when the 101 has been written. From here on the connection can be posted to, if it could not before.
func (c *connection) start(ws *websocket.Conn, wire *wire) {
	ws.SetReadLimit(-1) // receive has its own, to choose what the close frame says
	c.mu.Lock()
	c.ws, c.wire = ws, wire
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
	c.gateway.work.Go(c.run)
	if !open {
		c.end(goingAway, true)
	}
}

// abandon ends a connection that was not started.
func (c *connection) abandon() {
	if c.ws == nil {
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

// run lives as long as the connection, and a $disconnect longer.
func (c *connection) run() {
	c.conclude(c.read())
	c.waitTold()
	c.ws.CloseNow()
	c.gateway.leave(c)
	c.gateway.config.Log.Debug("disconnected", "connection", c.id, "code", int(c.why.code))
	if function := c.gateway.config.Routes.Disconnect; function != nil {
		c.gateway.invoke(function, c.gateway.disconnectEvent(c, c.why), func(events.APIGatewayProxyResponse, error) {})
	}
}

// read hands on messages until the connection ends, and returns why and whether the client is to be told.
func (c *connection) read() (why closure, tell bool) {
	for {
		message, err := c.await()
		switch {
		case err != nil:
		case c.gateway.config.Inline:
			err = c.gateway.handle(c, message)
		default:
			var body string
			if body, err = c.receive(message); err == nil {
				c.take(body)
			}
		}
		if err != nil {
			return judge(err, c.wire.broken.Load())
		}
	}
}

// take takes a message that was received.
func (c *connection) take(body string) {
	if !c.isEnded() {
		c.touch()
		c.dispatch(body)
	}
}

var readBuffers = sync.Pool{New: func() any { return new(make([]byte, 0, 4<<10)) }}

// await waits for a message.
func (c *connection) await() (io.Reader, error) {
	kind, r, err := c.ws.Reader(context.Background())
	if err == nil && kind != websocket.MessageText {
		err = errBinary
	}
	return r, err
}

// receive reads a message.
func (c *connection) receive(message io.Reader) (string, error) {
	buffer := readBuffers.Get().(*[]byte)
	var err error
	*buffer, err = appendAll((*buffer)[:0], message)
	if err == nil && c.wire.cut() {
		err = io.ErrUnexpectedEOF // websocket.Conn takes the end of the stream for that of the message
	}
	text := string(*buffer)
	if cap(*buffer) <= keepBuffer {
		readBuffers.Put(buffer)
	}
	if err == nil && !utf8.ValidString(text) {
		err = errNotUTF8
	}
	return text, err
}

// appendAll appends what r has, which may be MaxMessage bytes.
func appendAll(dst []byte, r io.Reader) ([]byte, error) {
	for {
		if len(dst) == cap(dst) {
			dst = append(dst, 0)[:len(dst)]
		}
		n, err := r.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		switch {
		case len(dst) > MaxMessage:
			return dst, errMessageTooLarge
		case err == io.EOF:
			return dst, nil
		case err != nil:
			return dst, err
		}
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

// conclude ends the connection for what the reading goroutine found. A failed write may have ended it as abnormal just
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
