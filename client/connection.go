package client

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

// What API Gateway takes (docs/protocol.md), until the server says otherwise.
const (
	maxFrame    = 32 << 10  // bytes of one WebSocket frame; larger messages are fragmented
	maxPayload  = 128 << 10 // bytes of one message
	maxInFlight = 128       // messages
)

// connection is one WebSocket connection. Its fields are protected by the
// client's lock unless it says otherwise.
type connection struct {
	client *Client
	ws     *websocket.Conn
	life   context.Context
	cancel context.CancelFunc
	done   chan struct{} // closed when nothing more comes from it
	up     chan struct{} // closed when it was welcome
	first  int64         // the lowest number that the server was told of
	since  time.Time     // when it was welcome

	id     string // the server's name for it
	idle   time.Duration
	window int // messages
	// maxWatched is how many users may be watched; zero: the server does not know of it.
	maxWatched int
	welcomed   bool
	early      []frame // came before the welcome, of an epoch that is not known yet
	refusal    *Error  // why the server closes it
	ending     error   // why nothing more comes from it, unless refusal says it

	heard time.Time // when something last came
	asked time.Time // since when an answer is due, if nothing has come since; zero: none is
	// stalled: the program does not receive, so nothing is read. Not under the
	// lock.
	stalled atomic.Bool

	out       sync.Mutex // protects what follows
	queue     []outFrame // to be written
	maxBatch  int        // how many messages the server takes in a frame; zero: no arrays
	writeSoon chan struct{}
}

// read hands on what comes until the connection ends.
func (k *connection) read() {
	err := k.readAll()
	k.cancel()
	_ = k.ws.CloseNow()
	k.client.lost(k, err)
	close(k.done)
}

func (k *connection) readAll() error {
	for {
		_, text, err := k.ws.Read(k.life)
		if err != nil {
			return err
		}
		frames := readFrames(text)
		if len(frames) > maxUnreceived { // more than any server says at once
			return errors.New("the server sent too many objects in a frame")
		}
		if !k.admit(frames) {
			return k.life.Err()
		}
		k.client.handle(k, frames)
	}
}

// admit waits until there is room for the messages.
func (k *connection) admit(frames []frame) bool {
	for _, f := range frames {
		if f.Type == typeMessage && !k.admitMessage() {
			return false
		}
	}
	return true
}

func (k *connection) admitMessage() bool {
	select {
	case k.client.slots <- struct{}{}:
		return true
	default:
	}
	k.stalled.Store(true)
	defer k.stalled.Store(false)
	select {
	case k.client.slots <- struct{}{}:
		return true
	case <-k.life.Done():
		return false
	}
}

// send queues frames: what is queued is bounded by the window, and by what the
// client itself asks for.
func (k *connection) send(frames ...outFrame) {
	k.out.Lock()
	k.queue = append(k.queue, frames...)
	k.out.Unlock()
	select {
	case k.writeSoon <- struct{}{}:
	default:
	}
}

// ask queues frames that the server answers. The client's lock is held.
func (k *connection) ask(now time.Time, frames ...outFrame) {
	if len(frames) == 0 {
		return
	}
	if k.asked.IsZero() {
		k.asked = now
	}
	k.send(frames...)
}

// write writes what is queued until the connection ends.
func (k *connection) write() {
	for {
		select {
		case <-k.life.Done():
			return
		case <-k.writeSoon:
		}
		k.out.Lock()
		queue, most := k.queue, k.maxBatch
		k.queue = nil
		k.out.Unlock()
		for len(queue) > 0 {
			n := together(queue, most)
			if k.writeMessage(k.life, join(queue[:n])) != nil {
				k.cancel()
				return
			}
			queue = queue[n:]
		}
	}
}

// writeMessage writes a message in frames that API Gateway takes.
func (k *connection) writeMessage(ctx context.Context, text []byte) error {
	if len(text) <= maxFrame {
		return k.ws.Write(ctx, websocket.MessageText, text)
	}
	w, err := k.ws.Writer(ctx, websocket.MessageText)
	if err != nil {
		return err
	}
	for len(text) > 0 {
		n := min(maxFrame, len(text))
		if _, err := w.Write(text[:n]); err != nil {
			return err
		}
		text = text[n:]
	}
	return w.Close()
}
