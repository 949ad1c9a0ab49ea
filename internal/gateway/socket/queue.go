package socket

import (
	"errors"
	"runtime"
	"sync"
	"time"
)

const (
	// MaxQueuedMessages bounds what is accepted for one connection and not yet written to its socket, inclusive. Past
	// half of this or of MaxQueuedBytes, Post takes a millisecond; past either, Post fails and Send waits.
	MaxQueuedMessages = 1024

	// MaxQueuedBytes bounds the same by payload.
	MaxQueuedBytes = 1 << 20

	// behindMessages and behindBytes, queued, are how far a writer may be behind before those who post give way.
	behindMessages = 64
	behindBytes    = 64 << 10

	// pushBack is how long each Post takes while more than half of MaxQueuedMessages or MaxQueuedBytes is queued.
	pushBack = time.Millisecond

	// maxCorkedMessages and maxCorkedBytes bound what waits until the reader at work on a connection is done.
	maxCorkedMessages = 256
	maxCorkedBytes    = 64 << 10

	// keepBatch is the largest batch whose memory is used again, in bytes.
	keepBatch = 256 << 10
)

// What Post and Send fail with.
var (
	ErrEnded = errors.New("connection is gone")
	ErrFull  = errors.New("queue is full")
)

// queue is what a connection has accepted for its client and not yet written. The connection's mu protects it.
type queue struct {
	out      *batch // frames to write next; nil if none
	messages int    // in out and in the batch being written
	bytes    int    // payload of those
	flushing bool   // a goroutine is writing
	corked   bool   // a reader is at work on the connection, and writes when it is done
	room     sync.Cond
}

// batch is a run of encoded frames, to be written at once.
type batch struct {
	frames   []byte
	messages int
	bytes    int // payload
}

var batches = sync.Pool{New: func() any { return new(batch) }}

// Post accepts a text message for the client, and copies it. It fails with ErrEnded, or with ErrFull.
//
// It lets whoever writes the queue go first, if that is behind: on a busy machine the scheduler might prefer those who post
// for so long that the queue is full. Where half of the queue is full it waits a little, so that a client that does not
// read for a moment costs time, and no message.
func (c *Conn) Post(message []byte) error {
	err := send(c, message, false)
	c.mu.Lock()
	messages, bytes := c.queue.messages, c.queue.bytes
	c.mu.Unlock()
	switch {
	case messages > MaxQueuedMessages/2 || bytes > MaxQueuedBytes/2:
		time.Sleep(pushBack)
	case messages > behindMessages || bytes > behindBytes:
		runtime.Gosched()
	}
	return err
}

// Send accepts a text message for the client, and waits for room if it takes its messages slowly. It fails with ErrEnded.
func (c *Conn) Send(message string) error { return send(c, message, true) }

func send[T string | []byte](c *Conn, message T, wait bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.admit(len(message), wait); err != nil {
		return err
	}
	c.queue.out.frames = appendText(c.queue.out.frames, message, c.engine.config.MaxFrame)
	c.touch()
	c.flushSoon()
	return nil
}

// pong answers a ping of the client in turn with its messages, and drops the answer when the queue is full (RFC 6455
// section 5.5.3 lets a later one do for it).
func (c *Conn) pong(payload []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.admit(len(payload), false) == nil {
		c.queue.out.frames = appendFrame(c.queue.out.frames, frameFinal|opPong, payload)
		c.flushSoon()
	}
}

// admit makes room for n bytes of payload in queue.out. c.mu is held, but while it waits.
func (c *Conn) admit(n int, wait bool) error {
	q := &c.queue
	for !c.ended && (q.messages+1 > MaxQueuedMessages || q.bytes+n > MaxQueuedBytes) {
		if !wait {
			return ErrFull
		}
		q.room.Wait()
	}
	if c.ended {
		return ErrEnded
	}
	if q.out == nil {
		q.out = batches.Get().(*batch)
	}
	q.messages, q.out.messages = q.messages+1, q.out.messages+1
	q.bytes, q.out.bytes = q.bytes+n, q.out.bytes+n
	return nil
}

// flushSoon sees to it that a goroutine writes the queue. c.mu is held.
func (c *Conn) flushSoon() {
	q := &c.queue
	if q.corked && q.messages < maxCorkedMessages && q.bytes < maxCorkedBytes && c.closing == nil {
		return
	}
	if !q.flushing {
		q.flushing = true
		c.engine.work.Go(c.flush)
	}
}

// cork makes what is sent to the client wait for uncork, if Config.Cork.
func (c *Conn) cork() {
	c.mu.Lock()
	c.queue.corked = c.engine.config.Cork
	c.mu.Unlock()
}

// uncork writes what was sent meanwhile.
func (c *Conn) uncork() {
	c.mu.Lock()
	q := &c.queue
	q.corked = false
	mine := q.out != nil && !q.flushing
	q.flushing = q.flushing || mine
	c.mu.Unlock()
	if mine {
		c.flush()
	}
}

// flush writes until the queue is empty, and then the close frame, if there is to be one.
func (c *Conn) flush() {
	for out, last := c.next(nil); ; out, last = c.next(out) {
		if last {
			c.sendClose()
		}
		if out == nil {
			return
		}
		if _, err := c.wire.Write(out.frames); err != nil {
			c.End(Abnormal)
			c.wire.Close()
		}
	}
}

// next drops the batch that has been written, if any, and takes what is to be written: another; or, last, the close frame;
// or nothing, and then the goroutine that asked must write no more.
func (c *Conn) next(written *batch) (out *batch, last bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	q := &c.queue
	if written != nil {
		q.messages -= written.messages
		q.bytes -= written.bytes
		q.room.Broadcast()
		if cap(written.frames) <= keepBatch {
			*written = batch{frames: written.frames[:0]}
			batches.Put(written)
		}
	}
	out, q.out = q.out, nil
	// After a close frame flushing stays set: nothing is written any more, RFC 6455 section 5.5.1.
	last = out == nil && c.closing != nil
	q.flushing = out != nil || last
	return out, last
}

// sendClose sends the close frame, and gives the client some time for its answer.
func (c *Conn) sendClose() {
	defer close(c.closing)
	if _, err := c.wire.Write(c.why.appendFrame(nil)); err != nil {
		c.wire.Close()
		return
	}
	_ = c.wire.SetReadDeadline(time.Now().Add(closeWait)) // fails if the socket is closed, and then nobody waits
}
