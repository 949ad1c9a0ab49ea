package local

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// upgrade is the handshake of RFC 6455 section 1.2.
const upgrade = "GET /prod HTTP/1.1\r\nHost: owt.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

func TestEndClosesWebSockets(t *testing.T) {
	s := start(t)
	codes := make(chan websocket.StatusCode, 4)
	for _, url := range []string{
		"ws://" + s.plain + "/prod", "ws://" + s.plain + "/socket.io/?EIO=3", "wss://" + s.secure + "/prod", "wss://" + s.secure + "/socket.io/?EIO=4",
	} {
		conn := s.dial(t, url)
		next(t, conn)
		go func() { codes <- closeCode(conn) }()
	}
	s.wantEnd(t)
	for range cap(codes) {
		if got := <-codes; got != websocket.StatusGoingAway {
			t.Errorf("closed with %d, want 1001", got)
		}
	}
}

// TestEndWaitsForNobody holds the end of the server to clients that are in no
// hurry: it is bounded, and no failure.
func TestEndWaitsForNobody(t *testing.T) {
	for name, words := range map[string]string{
		"says nothing":             "",
		"says half a request":      upgrade[:40],
		"never sends its body":     "POST /socket.io/ HTTP/1.1\r\nHost: owt.test\r\nContent-Length: 2\r\n\r\n",
		"waits after an answer":    "GET / HTTP/1.1\r\nHost: owt.test\r\n\r\n",
		"never answers a close":    upgrade,
		"never finishes a message": upgrade + "\x01\x80\x00\x00\x00\x00",
	} {
		t.Run("client "+name, func(t *testing.T) {
			t.Parallel()
			s := start(t, "-secure", "off")
			conn, err := net.Dial("tcp", s.plain)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			if _, err := conn.Write([]byte(words)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond) // for the server to have read it
			s.wantEnd(t)
		})
	}
}

// TestEndIsNoFailure ends servers that have just begun.
func TestEndIsNoFailure(t *testing.T) {
	for range 50 {
		s := start(t)
		s.wantEnd(t)
		if t.Failed() {
			return
		}
	}
}

func TestEndBeforeTheBeginning(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stdout, stderr lockedBuffer
	if err := Run(ctx, loopback(), &stdout, &stderr); err != nil {
		t.Errorf("run: %v", err)
	}
}

// wantEnd sees that the server ends, without an error.
func (s *running) wantEnd(t *testing.T) {
	t.Helper()
	s.cancel()
	err := s.end()
	s.ended = true
	if err != nil {
		t.Errorf("run: %v", err)
	}
}
