package socket

import (
	"bufio"
	"bytes"
	"errors"
	"net"
	"os"
	"time"
)

const (
	// WriteStall closes a connection whose socket took not one byte for so long. Only a socket with data to write is
	// judged, so a silent client is not.
	WriteStall = 10 * time.Second

	// writeChunk is how much is written under one WriteStall deadline, in bytes.
	writeChunk = 64 << 10

	// firstRead is how much is read from a connection at rest, at once, in bytes.
	firstRead = 256
)

// wire is the socket of a connection. It gives up on a peer that takes no data for WriteStall.
//
// One goroutine at a time may read, and one may write.
type wire struct {
	net.Conn

	first  []byte // what has been read, and not yet by a reader
	buffer [firstRead]byte
}

// newWire takes a socket over from an HTTP server, with what that has read behind the handshake.
func newWire(conn net.Conn, buffered *bufio.Reader) *wire {
	behind, _ := buffered.Peek(buffered.Buffered()) // never fails: it is there
	return &wire{Conn: conn, first: bytes.Clone(behind)}
}

// await waits for the first bytes that the client sends after some rest.
func (w *wire) await() error {
	if len(w.first) > 0 {
		return nil
	}
	n, err := w.Conn.Read(w.buffer[:])
	if n > 0 {
		err = nil // if it was one it comes again
	}
	w.first = w.buffer[:n]
	return err
}

// readFirst reads what await has.
func (w *wire) readFirst(p []byte) int {
	n := copy(p, w.first)
	if w.first = w.first[n:]; len(w.first) == 0 {
		w.first = nil // which may be larger than buffer
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
