package socket

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

const (
	// WriteStall closes a connection whose socket took not one byte for so long. Only a socket with data to write is
	// judged, so a silent client is not.
	WriteStall = 10 * time.Second

	// writeChunk is how much is written under one WriteStall deadline, in bytes.
	writeChunk = 64 << 10
)

// wire is the socket of a connection. It gives up on a peer that takes no data for WriteStall.
//
// One goroutine at a time may read, and one may write.
type wire struct {
	net.Conn

	raw    syscall.RawConn  // nil: it is not known when there is something to read, as with TLS
	first  []byte           // what has been read, and not yet by a reader
	buffer *[readAhead]byte // that first is in; nil: another
	one    [1]byte          // that it is in, if there is no raw
}

// buffers are for what connections at rest send first: one that waits has none.
var buffers = sync.Pool{New: func() any { return new([readAhead]byte) }}

// newWire takes a socket over from an HTTP server, with what that has read behind the handshake.
func newWire(conn net.Conn, buffered *bufio.Reader) *wire {
	behind, _ := buffered.Peek(buffered.Buffered()) // never fails: it is there
	return &wire{Conn: conn, raw: rawConn(conn), first: bytes.Clone(behind)}
}

// await waits for the first bytes that the client sends after some rest.
func (w *wire) await() (err error) {
	switch {
	case len(w.first) > 0:
		return nil
	case w.raw == nil:
		n, err := w.Conn.Read(w.one[:])
		if n > 0 {
			err = nil // if it was one it comes again
		}
		w.first = w.one[:n]
		return err
	}
	if failed := w.raw.Read(func(fd uintptr) (done bool) { done, err = w.readNow(fd); return done }); failed != nil {
		return failed
	}
	return err
}

// readNow reads what there is. It reports false if that is nothing yet.
func (w *wire) readNow(fd uintptr) (bool, error) {
	b := buffers.Get().(*[readAhead]byte)
	n, err := read(fd, b[:])
	if n > 0 {
		w.first, w.buffer = b[:n], b
		return true, nil
	}
	buffers.Put(b)
	if err == nil {
		err = io.EOF
	}
	return !errors.Is(err, syscall.EAGAIN), err
}

// readFirst reads what await has.
func (w *wire) readFirst(p []byte) int {
	n := copy(p, w.first)
	if w.first = w.first[n:]; len(w.first) > 0 {
		return n
	}
	w.first = nil // which may be large
	if w.buffer != nil {
		buffers.Put(w.buffer)
		w.buffer = nil
	}
	return n
}

// Write writes p, for however long the peer takes data. It fails when the peer takes none for WriteStall (for up to twice
// that, if it took some of the same writeChunk before).
func (w *wire) Write(p []byte) (n int, err error) {
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

// abort closes the socket at once: TLS would wait for the peer to take its last record.
func (w *wire) abort() {
	conn := w.Conn
	if encrypted, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = encrypted.NetConn()
	}
	_ = conn.Close()
}
