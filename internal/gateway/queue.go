package gateway

import (
	"runtime"
	"sync"
	"time"
)

// queue is what a connection has accepted for its client and not yet written. The connection's mu protects it.
type queue struct {
	out      *batch // frames to write next; nil if none
	messages int    // in out and in the batch being written
	bytes    int    // payload of those
	flushing bool   // a goroutine is writing
	held     bool   // a hand is at work on the connection, and writes when it is done
	room     sync.Cond
}

// batch is a run of encoded frames, to be written at once.
type batch struct {
	frames   []byte
	messages int
	bytes    int // payload
}

var batches = sync.Pool{New: func() any { return new(batch) }}

// send accepts a message for the client. It fails with ErrPayloadTooLarge; with ErrGone; and, unless it is to wait for
// room, with ErrLimitExceeded. It copies the message.
func send[T string | []byte](c *connection, message T, wait bool) error {
	if len(message) > MaxMessage {
		return ErrPayloadTooLarge
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.admit(len(message), wait); err != nil {
		return err
	}
	c.queue.out.frames = appendText(c.queue.out.frames, message)
	c.touch()
	c.flushSoon()
	return nil
}

// pong answers a ping of the client in turn with its messages, and drops the answer when the queue is full (RFC 6455
// section 5.5.3 lets a later one do for it).
func (c *connection) pong(payload []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.admit(len(payload), false) == nil {
		c.queue.out.frames = append(appendHeader(c.queue.out.frames, frameFinal|opPong, len(payload)), payload...)
		c.flushSoon()
	}
}

// admit makes room for n bytes of payload in queue.out. c.mu is held, but while it waits.
func (c *connection) admit(n int, wait bool) error {
	q := &c.queue
	for !c.ended && (q.messages+1 > MaxQueuedMessages || q.bytes+n > MaxQueuedBytes) {
		if !wait {
			return ErrLimitExceeded
		}
		q.room.Wait()
	}
	if c.ended {
		return ErrGone
	}
	if q.out == nil {
		q.out = batches.Get().(*batch)
	}
	q.messages, q.out.messages = q.messages+1, q.out.messages+1
	q.bytes, q.out.bytes = q.bytes+n, q.out.bytes+n
	return nil
}

// flushSoon sees to it that a goroutine writes the queue. c.mu is held.
func (c *connection) flushSoon() {
	q := &c.queue
	if q.held && q.messages < maxHeldMessages && q.bytes < maxHeldBytes && c.told == nil {
		return
	}
	if !q.flushing {
		q.flushing = true
		c.gateway.work.Go(c.flush)
	}
}

// giveWay lets whoever writes the queue go first, if it is behind: on a busy machine the scheduler might prefer those who
// post for so long that the queue is full. Where half of the queue is full they wait a little, so that a client that does
// not read for a moment costs time, and no message.
func (c *connection) giveWay() {
	c.mu.Lock()
	messages, bytes := c.queue.messages, c.queue.bytes
	c.mu.Unlock()
	switch {
	case messages > MaxQueuedMessages/2 || bytes > MaxQueuedBytes/2:
		time.Sleep(pushBack)
	case messages > behindMessages || bytes > behindBytes:
		runtime.Gosched()
	}
}

// hold has what is sent to the client wait for letGo, if functions are invoked inline: then answers come at once, and
// are written together by the hand that gets them.
func (c *connection) hold() {
	c.mu.Lock()
	c.queue.held = c.gateway.config.Inline
	c.mu.Unlock()
}

// letGo writes what was sent meanwhile.
func (c *connection) letGo() {
	c.mu.Lock()
	q := &c.queue
	q.held = false
	mine := q.out != nil && !q.flushing
	if mine {
		q.flushing = true
	}
	c.mu.Unlock()
	if mine {
		c.flush()
	}
}

// flush writes until the queue is empty, and then the close frame, if there is to be one.
func (c *connection) flush() {
	for {
		out, tell := c.next()
		if tell {
			c.tell()
		}
		if out == nil {
			return
		}
		if _, err := c.wire.Write(out.frames); err != nil {
			c.end(abnormal, false)
			c.wire.Close()
		}
		c.written(out)
	}
}

// tell sends the close frame, and gives the client some time for its answer.
func (c *connection) tell() {
	defer close(c.told)
	if _, err := c.wire.Write(c.why.appendFrame(nil)); err != nil {
		c.wire.Close()
		return
	}
	_ = c.wire.SetReadDeadline(time.Now().Add(closeWait)) // fails if the socket is closed, and then nobody waits
}

// next takes what is to be written: a batch; or the close frame, after all batches; or nothing, and then the goroutine
// that asked must write no more.
func (c *connection) next() (out *batch, tell bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	out, c.queue.out = c.queue.out, nil
	if out != nil {
		return out, false
	}
	if c.told != nil {
		return nil, true // and flushing stays set: nothing is written after a close frame, RFC 6455 section 5.5.1
	}
	c.queue.flushing = false
	return nil, false
}

func (c *connection) written(out *batch) {
	c.mu.Lock()
	c.queue.messages -= out.messages
	c.queue.bytes -= out.bytes
	c.queue.room.Broadcast()
	c.mu.Unlock()
	if cap(out.frames) <= keepBuffer {
		*out = batch{frames: out.frames[:0]}
		batches.Put(out)
	}
}
