package gateway

import (
	"bufio"
	"io"
	"runtime"
)

// maxIdleHands is how many hands wait for work at most.
const maxIdleHands = 16

// hands read from connections, and invoke functions in place if Config.Inline. They have the large stacks and buffers
// that it takes, so that a connection at rest, of which a goroutine only waits for the first bytes, can do with a small
// stack and a small buffer.
type hands struct {
	work chan *connection // taken by whoever is idle
	idle chan struct{}    // an element for each that is
}

func newHands() hands {
	return hands{work: make(chan *connection), idle: make(chan struct{}, maxIdleHands)}
}

// hand reads from one connection at a time.
type hand struct {
	c      *connection // the one at hand
	input  *bufio.Reader
	frames frameReader
}

// read has what the client sends read by a hand, until it sends no more for now.
func (g *Gateway) read(c *connection) {
	select {
	case g.hands.work <- c:
	default:
		go g.lendHand(c)
	}
}

// lendHand reads from one connection after the other.
func (g *Gateway) lendHand(c *connection) {
	h := &hand{}
	h.input = bufio.NewReaderSize(h, readAhead)
	h.frames.input = h.input
	for {
		h.serve(c)
		select {
		case g.hands.idle <- struct{}{}:
		default:
			return // there are enough
		}
		select {
		case c = <-g.hands.work:
			<-g.hands.idle
		case <-g.base.Done():
			return
		}
	}
}

// serve reads from the connection what it has, and leaves it to wait for more, or to end.
func (h *hand) serve(c *connection) {
	h.c = c
	h.input.Reset(h)
	h.frames.reset()
	c.hold()
	messages, err := h.readAll()
	c.letGo()
	if err != nil {
		c.conclude(judge(err))
		if isRefusal(err) {
			h.frames.drain()
		}
		go c.finish()
		return
	}
	// Those who write what was posted go first: the scheduler would prefer the goroutine that is started here, and the
	// one that it wakes in turn, for the rest of their time slice.
	if messages > 1 {
		runtime.Gosched()
	}
	go c.await()
}

// readAll reads frames until none has been begun, and tells how many messages they were.
func (h *hand) readAll() (messages int, err error) {
	for {
		body, complete, err := h.frames.next(h.c.pong)
		if err != nil {
			return messages, err
		}
		if complete {
			messages++
			h.c.take(body)
		}
		if h.input.Buffered() == 0 && !h.frames.within() {
			return messages, nil
		}
	}
}

// Read implements io.Reader. What waits for the hand to be done does not wait for the client.
func (h *hand) Read(p []byte) (int, error) {
	if n := h.c.wire.readFirst(p); n > 0 {
		return n, nil
	}
	h.c.letGo()
	defer h.c.hold()
	return h.c.wire.Read(p)
}

var _ io.Reader = (*hand)(nil)
