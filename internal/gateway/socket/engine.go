// Package socket is the server's end of WebSockets, RFC 6455: frames and messages, a bounded queue for what is sent, the
// closing handshake, and limits on time and size. A connection at rest costs one goroutine with a small stack.
package socket

import (
	"context"
	"net/netip"
	"sync"
	"time"
)

// Config describes the connections of an Engine.
type Config struct {
	// MaxMessage and MaxFrame bound what a client sends, in bytes of payload, inclusive. A larger message or frame closes
	// the connection with 1009, before its payload is read. Messages to the client are fragmented into frames of at most
	// MaxFrame, which is less than 64 KB.
	MaxMessage, MaxFrame int

	// Idle closes a connection on which no message went either way for so long, Duration one that has lasted so long,
	// both with GoingAway.
	Idle, Duration time.Duration

	// MaxUnfinished bounds what is kept of messages that have not come to their end, on all connections, in bytes. Past it
	// one is closed without a close frame: of the source for which most is kept the one that has waited for longest.
	MaxUnfinished int

	// Cork makes what is sent to a client wait while a reader is at work on its connection: if the Handler sends its
	// answers before it returns, they are written together.
	Cork bool
}

// Handler is what a connection is for.
type Handler interface {
	// Message handles a message of the client. The connection is not read from until it returns.
	Message(text string)

	// Closed is called once for a connection that was started, after its socket is closed.
	Closed(why CloseReason)
}

// Engine makes connections, and reads from them.
type Engine struct {
	config Config
	ctx    context.Context
	work   *sync.WaitGroup

	unread chan *Conn    // taken by a reader that is idle
	idle   chan struct{} // an element for each that is

	unfinished unfinished
}

// New returns an Engine whose idle readers end with ctx. It counts its connections and their writers in work.
func New(ctx context.Context, work *sync.WaitGroup, config Config) *Engine {
	return &Engine{
		config: config, ctx: ctx, work: work,
		unread: make(chan *Conn), idle: make(chan struct{}, maxIdleReaders),
		unfinished: unfinished{max: config.MaxUnfinished, from: make(map[netip.Prefix]int)},
	}
}
