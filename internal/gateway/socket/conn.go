package socket

import (
	"bufio"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// closeWait is how long a client may take to answer a close frame.
const closeWait = 5 * time.Second

// Conn is a connection to one client. While it is idle it costs one goroutine, which waits; messages to the client are
// written by a goroutine that lives only while there are some (see queue.go), and one timer serves both time limits. Its
// methods may be called concurrently.
type Conn struct {
	engine  *Engine
	handler Handler
	source  netip.Prefix
	created time.Time
	wire    *wire        // nil until Start
	active  atomic.Int64 // when the last message went either way, in nanoseconds since created

	mu      sync.Mutex // protects what follows
	queue   queue
	timer   *time.Timer
	ended   bool
	why     CloseReason   // once ended
	closing chan struct{} // non-nil if a close frame is to be sent; closed when it is, or cannot be
}

// NewConn returns a connection from a source that accepts messages for its client, and writes them once it is started.
func (e *Engine) NewConn(handler Handler, source netip.Prefix) *Conn {
	c := &Conn{engine: e, handler: handler, source: source, created: time.Now()}
	c.queue.room.L = &c.mu
	c.queue.flushing = true // nothing is written before Start
	return c
}

// Start takes a socket over from an HTTP server that has answered the handshake, with what it has read behind that.
// The Handler is called from here on.
func (c *Conn) Start(conn net.Conn, buffered *bufio.Reader) {
	c.mu.Lock()
	c.wire = newWire(conn, buffered)
	c.queue.flushing = false
	if c.queue.out != nil || c.ended {
		c.flushSoon()
	}
	if !c.ended {
		c.timer = time.AfterFunc(min(c.engine.config.Idle, c.engine.config.Duration), c.watch)
	}
	c.mu.Unlock()
	c.engine.work.Add(1) // until finish
	go c.await()
}

// Created returns when the connection was made.
func (c *Conn) Created() time.Time { return c.created }

// Active returns when a message was last received, or accepted for the client.
func (c *Conn) Active() time.Time { return c.created.Add(time.Duration(c.active.Load())) }

// Ended reports whether the connection has ended or is closing.
func (c *Conn) Ended() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ended
}

// End ends the connection, and reports whether it had not ended before. From here on it accepts no message. A close
// frame follows what is queued, unless the reason is Abnormal.
func (c *Conn) End(why CloseReason) bool {
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
	if why != Abnormal {
		c.closing = make(chan struct{})
		c.flushSoon()
	}
	return true
}

// Cut closes the socket, if there is one yet.
func (c *Conn) Cut() {
	c.mu.Lock()
	wire := c.wire
	c.mu.Unlock()
	if wire != nil {
		wire.Close()
	}
}

// conclude ends the connection for what was found in reading. A failed write may have ended it as Abnormal just
// before; what the client said is the better reason.
func (c *Conn) conclude(why CloseReason) {
	if c.End(why) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.why == Abnormal {
		c.why = why
	}
}

// await waits until the client sends something, for a reader, or is gone.
func (c *Conn) await() {
	if err := c.wire.await(); err != nil {
		c.conclude(Abnormal)
		c.finish()
		return
	}
	c.engine.read(c)
}

// finish closes the socket of a connection that has ended and is not read from any more, after its close frame.
func (c *Conn) finish() {
	defer c.engine.work.Done()
	if c.closing != nil {
		<-c.closing
	}
	c.wire.Close()
	c.handler.Closed(c.why)
}

// touch notes that a message went either way.
func (c *Conn) touch() { c.active.Store(int64(time.Since(c.created))) }

// watch runs when a time limit may have been reached, and ends the connection or sets the timer to when one can next
// be: the timer need not be touched with every message.
func (c *Conn) watch() {
	age := time.Since(c.created)
	due := min(time.Duration(c.active.Load())+c.engine.config.Idle, c.engine.config.Duration)
	if age >= due {
		c.End(GoingAway)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ended {
		c.timer.Reset(due - age)
	}
}
