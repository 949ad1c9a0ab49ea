package gateway

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// hijacker puts a wire between websocket.Accept and the connection of the HTTP server, and replaces the server's
// buffers of 4 KB each by the small ones of an idle connection.
type hijacker struct {
	http.ResponseWriter
	wire *wire
}

// Hijack implements http.Hijacker. What the HTTP server has already read behind the handshake stays first on the wire.
func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffers, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, fmt.Errorf("hijack connection: %w", err)
	}
	early, err := buffers.Reader.Peek(buffers.Reader.Buffered())
	if err != nil {
		conn.Close()
		return nil, nil, fmt.Errorf("hijack connection: %w", err)
	}
	h.wire = &wire{Conn: conn, early: bytes.Clone(early)}
	h.wire.buffer = bufio.NewReaderSize(h.wire, readBuffer)
	return h.wire, bufio.NewReadWriter(h.wire.buffer, bufio.NewWriterSize(h.wire, writeBuffer)), nil
}

// wire is a connection that refuses frames larger than MaxFrame, which websocket.Conn would hide, and gives up on
// a peer that takes no data for WriteStall.
//
// Read may be called by one goroutine at a time, as websocket.Conn does. Write may be called concurrently, each time
// with a whole number of frames: data and pong frames come from the connection's queue, close frames from
// websocket.Conn.
type wire struct {
	net.Conn

	buffer  *bufio.Reader // what websocket.Conn reads from, which reads from here
	ahead   []byte        // what Conn has is read into here first, so that many small frames cost one system call; nil: it is not
	early   []byte        // to be read before what is in Conn
	frames  frameScanner
	refused bool // the frame too large has been reported

	// broken is set when Conn failed to be read, or ended: no fault of what the client sent.
	broken atomic.Bool

	writing sync.Mutex // protects what follows, and the order of frames
	closing bool       // a close frame has been written
}

// Read reads up to the first frame larger than MaxFrame, then fails once with errFrameTooLarge. After that it discards
// what comes, up to the end of the client's close frame, and is then at io.EOF: so the closing handshake can complete.
func (w *wire) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if w.frames.over {
		return 0, w.refuse(p)
	}
	n, err := w.receive(p)
	n = w.frames.scan(p[:n])
	if n == 0 && w.frames.over {
		return 0, w.refuse(p)
	}
	return n, err
}

func (w *wire) refuse(p []byte) error {
	if !w.refused {
		w.refused = true
		return errFrameTooLarge
	}
	for !w.frames.end {
		n, err := w.receive(p)
		if err != nil {
			return err
		}
		w.frames.scan(p[:n])
	}
	return io.EOF
}

func (w *wire) receive(p []byte) (int, error) {
	if len(w.early) > 0 {
		n := copy(p, w.early)
		w.early = w.early[n:]
		return n, nil
	}
	if len(w.ahead) > len(p) {
		n, err := w.read(w.ahead)
		w.early = w.ahead[:n]
		n = copy(p, w.early)
		w.early = w.early[n:]
		return n, err
	}
	return w.read(p)
}

func (w *wire) read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	if err != nil {
		w.broken.Store(true)
	}
	return n, err
}

// readNoFurther lets go of the buffer that is read ahead into.
func (w *wire) readNoFurther() { w.ahead, w.early = nil, bytes.Clone(w.early) }

// buffered is how much has been read from Conn that websocket.Conn has not taken.
func (w *wire) buffered() int { return w.buffer.Buffered() + len(w.early) }

// cut tells whether the stream ended within a message.
func (w *wire) cut() bool { return w.broken.Load() && w.frames.within() }

// Write writes p, for however long the peer takes data. It fails after a close frame, and when the peer takes none for WriteStall (for up to
// twice that, if it took some of the same writeChunk before).
func (w *wire) Write(p []byte) (n int, err error) {
	w.writing.Lock()
	defer w.writing.Unlock()
	if w.closing {
		return 0, net.ErrClosed // nothing follows a close frame, RFC 6455 section 5.5.1
	}
	w.closing = len(p) > 0 && p[0]&opcodeMask == opClose
	for n < len(p) {
		if err := w.Conn.SetWriteDeadline(time.Now().Add(WriteStall)); err != nil {
			return n, err
		}
		m, err := w.Conn.Write(p[n:min(n+writeChunk, len(p))])
		n += m
		if err != nil && (m == 0 || !errors.Is(err, os.ErrDeadlineExceeded)) {
			return n, err
		}
	}
	return n, nil
}
