package gateway_test

import (
	"context"
	"errors"
	"net"
	"testing"

	"github.com/coder/websocket"

	"github.com/owt-signal/owt-signal/internal/gateway"
)

func TestDisconnectTellsWhy(t *testing.T) {
	sendClose := func(payload string) func(*testing.T, *server, string, *raw) {
		return func(t *testing.T, _ *server, _ string, c *raw) {
			c.write(t, maskedFrame(final|opClose, payload))
			c.wantFrame(t, final|opClose, payload) // echoed, RFC 6455 section 5.5.1
		}
	}
	for _, test := range []struct {
		name   string
		end    func(*testing.T, *server, string, *raw)
		code   int64
		reason string
	}{
		{"close frame", sendClose(closePayload(1000, "bye")), 1000, "bye"},
		{"tab closed", sendClose(closePayload(1001, "")), 1001, ""},
		{"application code", sendClose(closePayload(4321, "mine")), 4321, "mine"},
		{"highest code", sendClose(closePayload(4999, "")), 4999, ""},
		{"no status", sendClose(""), 1005, "Client-side close frame status not set"},
		{"end of file", func(_ *testing.T, _ *server, _ string, c *raw) { c.Close() }, 1006, ""},
		{"reset", func(_ *testing.T, _ *server, _ string, c *raw) {
			c.Conn.(*net.TCPConn).SetLinger(0)
			c.Close()
		}, 1006, ""},
		{"half closed", func(t *testing.T, _ *server, _ string, c *raw) {
			c.Conn.(*net.TCPConn).CloseWrite()
			if _, _, err := c.readFrame(); err == nil {
				t.Error("still connected")
			}
		}, 1006, ""},
		{"half closed within a frame", func(t *testing.T, _ *server, _ string, c *raw) {
			c.write(t, maskedFrame(final|opText, "hello")[:8])
			c.Conn.(*net.TCPConn).CloseWrite()
		}, 1006, ""},
		{"deleted", func(t *testing.T, s *server, id string, c *raw) {
			eventually(t, "deleted", func() bool { return s.Delete(t.Context(), id) == nil })
			c.wantFrame(t, final|opClose, closePayload(1000, "Connection Closed Normally"))
			c.write(t, maskedFrame(final|opClose, closePayload(1000, "")))
		}, 1000, "Connection Closed Normally"},
		{"deleted, unanswered", func(t *testing.T, s *server, id string, c *raw) {
			eventually(t, "deleted", func() bool { return s.Delete(t.Context(), id) == nil })
			c.wantCode(t, 1000)
			c.Close()
		}, 1000, "Connection Closed Normally"},
	} {
		t.Run(test.name, func(t *testing.T) {
			connect, disconnect := newRecorder(), newRecorder()
			s := serve(t, gateway.Config{Routes: gateway.Routes{Connect: connect, Disconnect: disconnect}})
			c := s.rawDial(t)
			id := connect.next(t).RequestContext.ConnectionID
			test.end(t, s, id, c)
			context := disconnect.next(t).RequestContext
			if context.DisconnectStatusCode != test.code || *context.DisconnectReason != test.reason {
				t.Errorf("told %d %q, want %d %q", context.DisconnectStatusCode, *context.DisconnectReason, test.code, test.reason)
			}
			if context.ConnectionID != id {
				t.Errorf("told of connection %q, want %q", context.ConnectionID, id)
			}
		})
	}
}

func TestDisconnectComesOnceAfterTheSocketIsClosed(t *testing.T) {
	type end struct {
		id  string
		get error
	}
	ends := make(chan end, 100)
	var s *server
	open := make(chan *raw, 1)
	s = serve(t, gateway.Config{Routes: gateway.Routes{
		Disconnect: function(func(ctx context.Context, e *event) (response, error) {
			if _, _, err := (<-open).readFrame(); err == nil {
				t.Error("socket is open during $disconnect")
			}
			id := e.RequestContext.ConnectionID
			_, err := s.Get(ctx, id)
			ends <- end{id, err}
			return ok, errors.New("ignored")
		}),
	}})
	for range 10 {
		c := s.rawDial(t)
		c.write(t, maskedFrame(final|opClose, ""))
		c.wantFrame(t, final|opClose, "")
		open <- c
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	close(ends)
	seen := map[string]bool{}
	for end := range ends {
		if seen[end.id] || !errors.Is(end.get, gateway.ErrGone) {
			t.Errorf("disconnect of %q, again: %v, get: %v", end.id, seen[end.id], end.get)
		}
		seen[end.id] = true
	}
	if len(seen) != 10 {
		t.Errorf("%d disconnects, want 10", len(seen))
	}
}

func TestDisconnectIsNotForRefusedHandshakes(t *testing.T) {
	disconnect := newRecorder()
	s := serve(t, gateway.Config{Routes: gateway.Routes{
		Connect:    function(func(context.Context, *event) (response, error) { return response{StatusCode: 403}, nil }),
		Disconnect: disconnect,
	}})
	s.try("/default")
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(disconnect.events) != 0 {
		t.Error("$disconnect of a connection that never was")
	}
}

func TestDisconnectMayFailOrBeAbsent(t *testing.T) {
	s := serve(t, gateway.Config{Routes: gateway.Routes{
		Disconnect: function(func(context.Context, *event) (response, error) { panic("last words") }),
	}})
	s.dial(t, "/default").Close(websocket.StatusNormalClosure, "")
	absent := serve(t, gateway.Config{})
	absent.dial(t, "/default").Close(websocket.StatusNormalClosure, "")
}
