package gateway_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"github.com/owt-signal/owt-signal/internal/gateway"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds what should happen at once, for a machine under load.
const patience = 30 * time.Second

type (
	event    = events.APIGatewayWebsocketProxyRequest
	response = events.APIGatewayProxyResponse
	function = gateway.FunctionFunc
)

// inline has every gateway invoke functions inline.
var inline bool

// ok is what most functions answer: connects, and sends nothing.
var ok = response{StatusCode: http.StatusOK}

// echo answers a message with itself.
var echo = function(func(_ context.Context, e *event) (response, error) {
	return response{StatusCode: http.StatusOK, Body: e.Body}, nil
})

// recorder is a function that keeps its events.
type recorder struct {
	events chan *event
	answer response
}

func newRecorder() *recorder { return &recorder{make(chan *event, 4096), ok} }

func (r *recorder) Invoke(_ context.Context, e *event) (response, error) {
	r.events <- e
	return r.answer, nil
}

// next waits for an event.
func (r *recorder) next(t *testing.T) *event {
	t.Helper()
	select {
	case e := <-r.events:
		return e
	case <-time.After(patience):
		t.Fatal("function was not invoked")
		return nil
	}
}

// server is a gateway on a free port of the loopback interface.
type server struct {
	*gateway.Gateway
	http *httptest.Server
}

func serve(t testing.TB, config gateway.Config) *server {
	config.Inline = config.Inline || inline
	g := gateway.New(config)
	s := &server{g, httptest.NewUnstartedServer(g)}
	s.http.Config.ConnState = g.ConnState
	s.http.Start()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := g.Close(ctx); err != nil {
			t.Error(err)
		}
		s.http.Close()
	})
	return s
}

// dial connects with coder/websocket at path, and fails the test if refused.
func (s *server) dial(t testing.TB, path string, options ...func(*websocket.DialOptions)) *client {
	t.Helper()
	conn, _, err := s.try(path, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.CloseNow() })
	conn.SetReadLimit(1 << 20)
	return &client{conn}
}

// try connects, and returns the HTTP response also when refused.
func (s *server) try(path string, options ...func(*websocket.DialOptions)) (*websocket.Conn, *http.Response, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	dial := &websocket.DialOptions{HTTPClient: s.http.Client(), HTTPHeader: http.Header{}}
	for _, option := range options {
		option(dial)
	}
	return websocket.Dial(ctx, s.http.URL+path, dial)
}

func withHeader(key, value string) func(*websocket.DialOptions) {
	return func(o *websocket.DialOptions) { o.HTTPHeader.Add(key, value) }
}

// client is a well-behaved client.
type client struct{ *websocket.Conn }

func (c *client) send(t testing.TB, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := c.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
		t.Fatal(err)
	}
}

func (c *client) receive(t testing.TB) string {
	t.Helper()
	text, err := c.read()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func (c *client) read() (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	kind, text, err := c.Read(ctx)
	if err == nil && kind != websocket.MessageText {
		err = fmt.Errorf("message of kind %v", kind)
	}
	return string(text), err
}

func (c *client) want(t testing.TB, text string) {
	t.Helper()
	if got := c.receive(t); got != text {
		t.Fatalf("received %q, want %q", got, text)
	}
}

// wantClose reads until the connection is closed by a close frame.
func (c *client) wantClose(t testing.TB, code int, reason string) {
	t.Helper()
	for {
		_, err := c.read()
		if err == nil {
			continue
		}
		closed, is := errors.AsType[websocket.CloseError](err)
		if !is || int(closed.Code) != code || closed.Reason != reason {
			t.Fatalf("closed with %v, want %d %q", err, code, reason)
		}
		return
	}
}

// raw is a client that is free to misbehave.
type raw struct {
	net.Conn
	r *bufio.Reader
}

// rawDial connects a raw client up to the 101, at path /default.
func (s *server) rawDial(t testing.TB) *raw {
	t.Helper()
	c := s.rawConn(t)
	c.handshake(t)
	return c
}

func (s *server) rawConn(t testing.TB) *raw {
	t.Helper()
	conn, err := net.Dial("tcp", s.http.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return newRaw(t, conn)
}

func newRaw(t testing.TB, conn net.Conn) *raw {
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(24 * time.Hour)) // a day is for the bubbles of synctest
	if _, is := conn.(*net.TCPConn); is {
		conn.SetDeadline(time.Now().Add(patience))
	}
	return &raw{conn, bufio.NewReader(conn)}
}

const upgradeRequest = "GET /default HTTP/1.1\r\nHost: gateway.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

func (c *raw) handshake(t testing.TB) {
	t.Helper()
	c.write(t, []byte(upgradeRequest))
	c.wantSwitch(t)
}

func (c *raw) wantSwitch(t testing.TB) {
	t.Helper()
	res, err := http.ReadResponse(c.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("handshake answered with %s", res.Status)
	}
}

func (c *raw) write(t testing.TB, p []byte) {
	t.Helper()
	if _, err := c.Write(p); err != nil {
		t.Fatal(err)
	}
}

const (
	opContinued = 0x0
	opText      = 0x1
	opBinary    = 0x2
	opClose     = 0x8
	opPing      = 0x9
	opPong      = 0xa
	final       = 0x80
)

// maskedFrame encodes a client's frame; the first byte is given whole.
func maskedFrame(first byte, payload string) []byte {
	f := []byte{first}
	switch n := len(payload); {
	case n < 126:
		f = append(f, 0x80|byte(n))
	case n < 1<<16:
		f = binary.BigEndian.AppendUint16(append(f, 0x80|126), uint16(n))
	default:
		f = binary.BigEndian.AppendUint64(append(f, 0x80|127), uint64(n))
	}
	key := [4]byte{0x12, 0x34, 0x56, 0x78}
	f = append(f, key[:]...)
	for i := range len(payload) {
		f = append(f, payload[i]^key[i%4])
	}
	return f
}

func closePayload(code int, reason string) string {
	return string(binary.BigEndian.AppendUint16(nil, uint16(code))) + reason
}

// readFrame reads one frame of the gateway, which must be unmasked.
func (c *raw) readFrame() (first byte, payload string, err error) {
	var head [2]byte
	if _, err := io.ReadFull(c.r, head[:]); err != nil {
		return 0, "", err
	}
	n := uint64(head[1])
	switch n {
	case 126:
		var ext [2]byte
		_, err = io.ReadFull(c.r, ext[:])
		n = uint64(binary.BigEndian.Uint16(ext[:]))
	case 127:
		var ext [8]byte
		_, err = io.ReadFull(c.r, ext[:])
		n = binary.BigEndian.Uint64(ext[:])
	}
	if err != nil {
		return 0, "", err
	}
	p := make([]byte, n)
	_, err = io.ReadFull(c.r, p)
	return head[0], string(p), err
}

func (c *raw) wantFrame(t testing.TB, first byte, payload string) {
	t.Helper()
	gotFirst, got, err := c.readFrame()
	if err != nil {
		t.Fatal(err)
	}
	if gotFirst != first || got != payload {
		t.Fatalf("received frame %#x %.100q, want %#x %.100q", gotFirst, got, first, payload)
	}
}

// wantCode reads until a close frame, and checks its code.
func (c *raw) wantCode(t testing.TB, code int) {
	t.Helper()
	for {
		first, payload, err := c.readFrame()
		if err != nil {
			t.Fatal(err)
		}
		if first == final|opClose {
			if got := int(binary.BigEndian.Uint16([]byte(payload))); got != code {
				t.Fatalf("closed with %d %q, want %d", got, payload[2:], code)
			}
			return
		}
	}
}

// bubble is a gateway on connections in memory, to be made and used in a bubble of synctest: time passes there only when
// everything waits, so the limits are those of AWS, and tested to the nanosecond.
type bubble struct {
	*gateway.Gateway
	listener *pipeListener
}

func newBubble(t *testing.T, config gateway.Config) *bubble {
	config.Inline = config.Inline || inline
	b := &bubble{gateway.New(config), &pipeListener{make(chan net.Conn), make(chan struct{}), sync.Once{}}}
	server := &http.Server{Handler: b}
	go server.Serve(b.listener)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := b.Close(ctx); err != nil {
			t.Error(err)
		}
		server.Close()
	})
	return b
}

func (b *bubble) dial(t *testing.T) *raw {
	t.Helper()
	client, server := net.Pipe()
	b.listener.conns <- server
	c := newRaw(t, client)
	c.handshake(t)
	return c
}

type pipeListener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

// eventually waits until what another goroutine is about to do is done.
func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	for start := time.Now(); !done(); time.Sleep(time.Millisecond) {
		if time.Since(start) > patience {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

func mustDecode(t testing.TB, id string) []byte {
	t.Helper()
	raw, err := base64.URLEncoding.DecodeString(id)
	if err != nil {
		t.Fatalf("id %q: %v", id, err)
	}
	return raw
}

func bytesOf(n int) string { return strings.Repeat("x", n) }
