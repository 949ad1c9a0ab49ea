package socket

import (
	"bufio"
	"container/list"
	"runtime"
)

const (
	// maxIdleReaders is how many readers wait for work at most.
	maxIdleReaders = 64

	// readAhead is how much a reader reads at once, in bytes.
	readAhead = 16 << 10

	// keepBuffer is the largest buffer that stays with a reader, in bytes.
	keepBuffer = 64 << 10
)

// reader reads from one connection at a time, and calls its Handler. A few readers have the large stacks and buffers
// that it takes, so that a connection at rest, of which a goroutine only waits for the first bytes, can do with a small
// stack and a small buffer.
type reader struct {
	c      *Conn // the present one
	input  *bufio.Reader
	frames frameReader
	waits  bool // perhaps among the unfinished

	place *list.Element // among the unfinished, which protect it; nil: it is not
	held  int           // bytes, as they count them
	cut   bool          // was cut off, and holds nothing however long it takes to find out
}

// read has what the client sends read by a reader, until it sends no more for now.
func (e *Engine) read(c *Conn) {
	select {
	case e.unread <- c:
	default:
		go e.runReader(c)
	}
}

// runReader reads from one connection after the other.
func (e *Engine) runReader(c *Conn) {
	r := &reader{}
	r.input = bufio.NewReaderSize(r, readAhead)
	r.frames = frameReader{input: r.input, maxMessage: e.config.MaxMessage, maxFrame: e.config.MaxFrame}
	for {
		r.serve(c)
		select {
		case e.idle <- struct{}{}:
		default:
			return // there are enough
		}
		select {
		case c = <-e.unread:
			<-e.idle
		case <-e.ctx.Done():
			return
		}
	}
}

// serve reads from the connection what it has, and leaves it to wait for more, or to end.
func (r *reader) serve(c *Conn) {
	r.c, r.cut = c, false
	r.input.Reset(r)
	r.frames.reset()
	c.cork()
	messages, err := r.readAll()
	c.uncork()
	if err != nil {
		why, refused := reasonOf(err)
		c.conclude(why)
		if refused {
			r.frames.drain()
		}
		r.done()
		go c.finish()
		return
	}
	r.done()
	// Those who write what was posted go first: the scheduler would prefer the goroutine that is started here, and the
	// one that it wakes in turn, for the rest of their time slice.
	if messages > 1 {
		runtime.Gosched()
	}
	go c.await()
}

// readAll reads frames until none has been begun, and returns how many messages they were.
func (r *reader) readAll() (messages int, err error) {
	for {
		text, complete, err := r.frames.next(r.c.pong)
		if err != nil {
			return messages, err
		}
		if complete {
			r.done()
			messages++
			if !r.c.Ended() {
				r.c.touch()
				r.c.handler.Message(text)
			}
		}
		if r.input.Buffered() == 0 && !r.frames.within() {
			return messages, nil
		}
	}
}

// Read implements io.Reader. What waits for the reader to be done does not wait for the client.
func (r *reader) Read(p []byte) (int, error) {
	if n := r.c.wire.readFirst(p); n > 0 {
		return n, nil
	}
	r.c.uncork()
	defer r.c.cork()
	r.waits = true
	r.c.engine.unfinished.wait(r)
	return r.c.wire.Read(p)
}

// done notes that no message of the present connection is unfinished.
func (r *reader) done() {
	if r.waits {
		r.c.engine.unfinished.done(r)
		r.waits = false
	}
}
