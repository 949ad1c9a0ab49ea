package e2e

import (
	"bufio"
	"context"
	endian "encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// soon bounds what should happen at once, for a machine under load.
const soon = 30 * time.Second

// Parts of a frame's first byte (RFC 6455 section 5.2).
const (
	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xa
	final          = 0x80
)

// API Gateway's quotas, in bytes ("Quotas for configuring and running a
// WebSocket API in API Gateway").
const (
	largestFrame   = 32 << 10
	largestMessage = 128 << 10
)

// rawClient is a client that is free to misbehave: it writes the bytes it is
// told to, and takes the server's frames apart by itself.
type rawClient struct {
	*net.TCPConn
	in *bufio.Reader
}

// dialTCP connects to a server, named as in http://127.0.0.1:80, and says
// nothing yet.
func dialTCP(t *testing.T, server string) *rawClient {
	t.Helper()
	_, address, _ := strings.Cut(server, "://")
	conn, err := net.DialTimeout("tcp", address, soon)
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &rawClient{conn.(*net.TCPConn), bufio.NewReader(conn)}
}

// dialRaw connects to a server up to the 101.
func dialRaw(t *testing.T, server, path string) *rawClient {
	t.Helper()
	c := dialTCP(t, server)
	c.put(t, []byte(upgradeRequest(path)))
	if status := c.status(t); status != http.StatusSwitchingProtocols {
		t.Fatalf("handshake at %s: status %d, want 101", path, status)
	}
	return c
}

// upgradeRequest is the handshake of RFC 6455 section 1.2, with more headers
// if need be.
func upgradeRequest(path string, headers ...string) string {
	return strings.Join(append([]string{
		"GET " + path + " HTTP/1.1", "Host: owt.test", "Connection: Upgrade", "Upgrade: websocket",
		"Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
	}, headers...), "\r\n") + "\r\n\r\n"
}

// status is that of the HTTP answer that comes next.
func (c *rawClient) status(t *testing.T) int {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(soon))
	answer, err := http.ReadResponse(c.in, nil)
	if err != nil {
		t.Fatalf("awaiting an HTTP answer: %v", err)
	}
	return answer.StatusCode
}

// put writes bytes as they are.
func (c *rawClient) put(t *testing.T, b []byte) {
	t.Helper()
	_ = c.SetWriteDeadline(time.Now().Add(soon))
	if _, err := c.Write(b); err != nil {
		t.Fatalf("write %d bytes: %v", len(b), err)
	}
}

// send sends a text message, in frames as large as API Gateway takes.
func (c *rawClient) send(t *testing.T, message string) {
	t.Helper()
	c.put(t, fragments(message, largestFrame))
}

// frame encodes a client's frame, masked. Its first byte is given whole.
func frame(first byte, payload string) []byte {
	f := []byte{first}
	switch n := len(payload); {
	case n < 126:
		f = append(f, 0x80|byte(n))
	case n < 1<<16:
		f = endian.BigEndian.AppendUint16(append(f, 0x80|126), uint16(n))
	default:
		f = endian.BigEndian.AppendUint64(append(f, 0x80|127), uint64(n))
	}
	key := [4]byte{0x12, 0x34, 0x56, 0x78}
	f = append(f, key[:]...)
	for i := range len(payload) {
		f = append(f, payload[i]^key[i%len(key)])
	}
	return f
}

// fragments encodes a text message in frames of at most size bytes.
func fragments(message string, size int) (all []byte) {
	opcode := byte(opText)
	for len(message) > size {
		all = append(all, frame(opcode, message[:size])...)
		opcode, message = opContinuation, message[size:]
	}
	return append(all, frame(final|opcode, message)...)
}

// closing is the payload of a close frame (RFC 6455 section 5.5.1).
func closing(code websocket.StatusCode) string {
	return string(endian.BigEndian.AppendUint16(nil, uint16(code)))
}

// readFrame reads a frame of the server, which does not mask.
func (c *rawClient) readFrame() (first byte, payload string, err error) {
	_ = c.SetReadDeadline(time.Now().Add(soon))
	var head [2]byte
	if _, err := io.ReadFull(c.in, head[:]); err != nil {
		return 0, "", err
	}
	length := uint64(head[1])
	var long []byte
	switch length {
	case 126:
		long = make([]byte, 2)
	case 127:
		long = make([]byte, 8)
	}
	if _, err := io.ReadFull(c.in, long); err != nil {
		return 0, "", err
	}
	if len(long) > 0 {
		length = endian.BigEndian.Uint64(append(make([]byte, 8-len(long)), long...))
	}
	if length > largestFrame {
		return 0, "", fmt.Errorf("frame of %d bytes, more than API Gateway sends", length)
	}
	b := make([]byte, length)
	_, err = io.ReadFull(c.in, b)
	return head[0], string(b), err
}

// next reads the next text message. At the server's close frame it answers
// that and gives a [websocket.CloseError].
func (c *rawClient) next() (string, error) {
	var message strings.Builder
	for {
		first, payload, err := c.readFrame()
		switch {
		case err != nil:
			return message.String(), err
		case first == final|opPong:
			continue
		case first == final|opClose:
			return message.String(), c.answerClose(payload)
		case first&0x70 != 0 || first&0xf != opText && first&0xf != opContinuation:
			return message.String(), fmt.Errorf("frame that begins with %#x", first)
		}
		message.WriteString(payload)
		if first&final != 0 {
			return message.String(), nil
		}
	}
}

// answerClose answers a close frame and says what it said.
func (c *rawClient) answerClose(payload string) websocket.CloseError {
	if len(payload) < 2 {
		_, _ = c.Write(frame(final|opClose, ""))
		return websocket.CloseError{Code: websocket.StatusNoStatusRcvd}
	}
	_, _ = c.Write(frame(final|opClose, payload[:2]))
	return websocket.CloseError{Code: websocket.StatusCode(endian.BigEndian.Uint16([]byte(payload))), Reason: payload[2:]}
}

// wantCloseFrame sees that the server's close frame is what comes next.
func (c *rawClient) wantCloseFrame(t *testing.T, code websocket.StatusCode) {
	t.Helper()
	message, err := c.next()
	if closed, ok := errors.AsType[websocket.CloseError](err); !ok || closed.Code != code {
		t.Fatalf("awaiting close %d: %.200q, %v", code, message, err)
	}
}

// wantClosed sees that the server closes as the service does on DELETE, which
// cannot name another code.
func (c *rawClient) wantClosed(t *testing.T) {
	t.Helper()
	c.wantCloseFrame(t, websocket.StatusNormalClosure)
	c.wantEnd(t)
}

// wantClosedOr sees that the server closes, or sends this message after what
// else it may have to say.
func (c *rawClient) wantClosedOr(t *testing.T, message string) {
	t.Helper()
	for {
		got, err := c.next()
		if _, ok := errors.AsType[websocket.CloseError](err); ok || got == message {
			return
		}
		if err != nil {
			t.Fatalf("awaiting %s or a close frame: %q, %v", message, got, err)
		}
	}
}

// rest is what the server says until it ends the TCP connection, if it does so
// in time.
func (c *rawClient) rest(within time.Duration) (said string, ended bool) {
	_ = c.SetReadDeadline(time.Now().Add(within))
	b, err := io.ReadAll(c.in)
	return string(b), !errors.Is(err, os.ErrDeadlineExceeded)
}

// reset ends the TCP connection by a RST.
func (c *rawClient) reset() {
	_ = c.SetLinger(0)
	_ = c.Close()
}

// wantEnd sees that the server ends the TCP connection without another word.
func (c *rawClient) wantEnd(t *testing.T) {
	t.Helper()
	first, payload, err := c.readFrame()
	if network, ok := errors.AsType[net.Error](err); err == nil || ok && network.Timeout() {
		t.Fatalf("awaiting the end of the connection: frame %#x %.200q, %v", first, payload, err)
	}
}

// goodSocket is a WebSocket in good hands: coder/websocket's.
type goodSocket struct{ *websocket.Conn }

func dialGood(t *testing.T, server, path string) goodSocket {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), soon)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, server+path, nil)
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	t.Cleanup(func() { _ = conn.CloseNow() })
	conn.SetReadLimit(2 * largestMessage)
	return goodSocket{conn}
}

func (s goodSocket) send(t *testing.T, message string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), soon)
	defer cancel()
	if err := s.Write(ctx, websocket.MessageText, []byte(message)); err != nil {
		t.Fatalf("send: %v", err)
	}
}

func (s goodSocket) next() (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), soon)
	defer cancel()
	kind, b, err := s.Read(ctx)
	if err == nil && kind != websocket.MessageText {
		err = fmt.Errorf("message of kind %v", kind)
	}
	return string(b), err
}

// socket is a connection with messages in and out.
type socket interface {
	send(t *testing.T, message string)
	next() (string, error)
}

// made are the names that the server makes up: connections' and users'.
var made = regexp.MustCompile(`[A-Za-z0-9_-]{15}=|[0-9a-f]{32}(@anonymous)`)

// want sees that these messages come next. ID stands for what the server makes
// up.
func want(t *testing.T, s socket, messages ...string) {
	t.Helper()
	for _, m := range messages {
		got, err := s.next()
		if err != nil {
			t.Fatalf("awaiting %s: %.200q, %v", m, got, err)
		}
		if got := made.ReplaceAllString(got, "ID$1"); got != m {
			t.Fatalf("awaiting %s: %.300s", m, got)
		}
	}
}

// dialect is what a kind of client speaks. Data is JSON.
type dialect interface {
	path(name string) string                         // of the handshake
	enter(t *testing.T, s socket, name string)       // from the 101 on, until the client is that user
	message(id int, to, data string) string          // a client's, of which 1 is the first
	stored(id int) string                            // the answer at once to one that comes early
	acked(id int) string                             // the last answer to it
	failed(id, code int) string                      // the other one
	answered(message string) (id, code int, ok bool) // reads either
	delivered(message string) (from, data string)    // what the receiver gets of it; from is empty if that is something else
	alive() (question, answer string)                // what is asked of a connection that is not closed
	refused(code int) []string                       // the last words before the server closes
}

// socketIO is OWT's SDKs, by their version of Engine.IO.
type socketIO int

func (v socketIO) path(string) string {
	return fmt.Sprintf("/socket.io/?EIO=%d&transport=websocket", v)
}

func (v socketIO) connect(t *testing.T, s socket) {
	t.Helper()
	if open, err := s.next(); !strings.HasPrefix(open, `0{"sid":`) {
		t.Fatalf("awaiting the open packet: %q, %v", open, err)
	}
	if v == 3 {
		want(t, s, "40")
		return
	}
	s.send(t, "40")
	want(t, s, `40{"sid":"ID"}`)
}

func (v socketIO) enter(t *testing.T, s socket, name string) {
	t.Helper()
	v.connect(t, s)
	s.send(t, `420["authentication",{"token":"`+name+`"}]`)
	want(t, s, `42["server-authenticated",{"uid":"`+name+`"}]`, `430[{"uid":"`+name+`"}]`, "6")
}

func (socketIO) message(id int, to, data string) string {
	return fmt.Sprintf(`42%d["owt-message",{"to":"%s","data":%s}]`, id, to, data)
}

func (socketIO) stored(int) string { return "6" }

func (socketIO) acked(id int) string { return fmt.Sprintf(`43%d[]`, id) }

func (socketIO) failed(id, code int) string { return fmt.Sprintf(`43%d[%d]`, id, code) }

func (socketIO) answered(message string) (id, code int, ok bool) {
	return answered(ackPacket, message)
}

func (socketIO) delivered(message string) (from, data string) {
	event, ok := strings.CutPrefix(message, `42["owt-message",`)
	event, ok2 := strings.CutSuffix(event, "]")
	if !ok || !ok2 {
		return "", ""
	}
	return delivered(event, "")
}

func (socketIO) alive() (question, answer string) { return "2alive", "3alive" }

func (v socketIO) refused(code int) []string {
	if v == 3 {
		return []string{fmt.Sprintf(`44"%d"`, code), "41", "1"}
	}
	return []string{fmt.Sprintf(`44{"message":"%d","data":{"code":%d}}`, code, code), "41", "1"}
}

// ended is how a client is told that its connection ends, after the CONNECT.
func (v socketIO) ended(code int) []string {
	if v == 3 {
		return v.refused(code)
	}
	return []string{fmt.Sprintf(`42["server-refused",{"error":%d}]`, code), "41", "1"}
}

// plainJSON is everybody else.
type plainJSON struct{}

func (plainJSON) path(name string) string { return "/prod?token=" + name }

func (plainJSON) enter(t *testing.T, s socket, name string) {
	t.Helper()
	for _, prefix := range []string{`{"type":"open",`, `{"type":"welcome","user":"` + name + `"`} {
		if got, err := s.next(); !strings.HasPrefix(got, prefix) {
			t.Fatalf("awaiting %s…: %q, %v", prefix, got, err)
		}
	}
}

func (plainJSON) message(id int, to, data string) string {
	return fmt.Sprintf(`{"type":"message","id":%d,"to":"%s","data":%s}`, id, to, data)
}

func (plainJSON) stored(id int) string { return fmt.Sprintf(`{"type":"stored","id":%d}`, id) }

func (plainJSON) acked(id int) string { return fmt.Sprintf(`{"type":"ack","id":%d}`, id) }

func (plainJSON) failed(id, code int) string {
	return fmt.Sprintf(`{"type":"error","id":%d,"code":%d,"message":"%s"}`, id, code, meaning[code])
}

func (plainJSON) answered(message string) (id, code int, ok bool) {
	return answered(ackFrame, message)
}

func (plainJSON) delivered(message string) (from, data string) { return delivered(message, "message") }

func (plainJSON) alive() (question, answer string) { return `{"type":"ping"}`, `{"type":"pong"}` }

func (plainJSON) refused(code int) []string {
	return []string{fmt.Sprintf(`{"type":"error","code":%d,"message":"%s","closing":true}`, code, meaning[code])}
}

// meaning is what the codes that occur here mean (OWT's SDKs, "P2PError").
var meaning = map[int]string{
	2100: "server error",
	2102: "server busy",
	2103: "not supported",
	2110: "client error",
	2121: "wrong user name or token",
	2201: "target unreachable",
}

// Acks and errors, by their id and code.
var (
	ackPacket = regexp.MustCompile(`^43(\d+)\[(\d*)\]$`)
	ackFrame  = regexp.MustCompile(`^\{"type":"(?:ack|error)","id":(\d+)(?:,"code":(\d+),"message":"[a-z ]+")?\}$`)
)

func answered(form *regexp.Regexp, message string) (id, code int, ok bool) {
	m := form.FindStringSubmatch(message)
	if m == nil {
		return 0, 0, false
	}
	id, _ = strconv.Atoi(m[1])
	code, _ = strconv.Atoi(m[2]) // none: success
	return id, code, true
}

// delivered reads a message as a receiver does, and knows no member that it
// should not have.
func delivered(message, kind string) (from, data string) {
	var m struct {
		Type  string          `json:"type"`
		From  string          `json:"from"`
		Data  json.RawMessage `json:"data"`
		Epoch string          `json:"epoch"`
		Seq   int64           `json:"seq"`
	}
	d := json.NewDecoder(strings.NewReader(message))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil || m.Type != kind || m.Epoch == "" || m.Seq < 1 {
		return "", ""
	}
	return m.From, string(m.Data)
}

// user is somebody who is connected.
type user struct {
	socket
	dialect
	name string
	sent int // messages
}

// join connects over a socket in good hands.
func join(t *testing.T, s *server, d dialect, name string) *user {
	t.Helper()
	u := &user{dialGood(t, s.Plain, d.path(name)), d, name, 0}
	u.enter(t, u, name)
	return u
}

// joinRaw connects over a socket that may misbehave.
func joinRaw(t *testing.T, s *server, d dialect, name string) (*user, *rawClient) {
	t.Helper()
	c := dialRaw(t, s.Plain, d.path(name))
	d.enter(t, c, name)
	return &user{c, d, name, 0}, c
}

// tell sends somebody a message, which arrives and is acked.
func (u *user) tell(t *testing.T, to *user) {
	t.Helper()
	u.sent++
	data := fmt.Sprintf(`"message %d of %s, a planted-secret"`, u.sent, u.name)
	u.send(t, u.message(u.sent, to.name, data))
	message, err := to.next()
	if from, got := to.delivered(message); from != u.name || got != data {
		t.Fatalf("awaiting %s at %s: %.300q, %v", data, to.name, message, err)
	}
	want(t, u, u.acked(u.sent))
}

// last is a message to oneself. What was accepted for a connection before it
// comes before it.
const last = `"to myself"`

// wantDelivered sees that this, and nothing else, has come from somebody.
func (u *user) wantDelivered(t *testing.T, sender string, data ...string) {
	t.Helper()
	u.sent++
	u.send(t, u.message(u.sent, u.name, last))
	all, err := u.collect(sender)
	if err != nil {
		t.Fatal(err)
	}
	want(t, u, u.acked(u.sent))
	if !slices.Equal(all, data) {
		t.Errorf("delivered %.300q, want %.300q", all, data)
	}
}

// collect is what comes from somebody before the last.
func (u *user) collect(sender string) (all []string, err error) {
	for {
		message, err := u.next()
		if err != nil {
			return all, fmt.Errorf("%s awaiting messages of %s, after %d: %w", u.name, sender, len(all), err)
		}
		switch from, data := u.delivered(message); {
		case from == u.name && data == last:
			return all, nil
		case from != sender:
			return all, fmt.Errorf("%s awaiting messages of %s: %.300q", u.name, sender, message)
		default:
			all = append(all, data)
		}
	}
}

// answers reads until each message from 1 on is answered, once, and gives the
// codes.
func (u *user) answers(t *testing.T, messages int) map[int]int {
	t.Helper()
	codes := make(map[int]int, messages)
	for len(codes) < messages {
		message, err := u.next()
		if err != nil {
			t.Fatalf("awaiting answers, after %d of %d: %v", len(codes), messages, err)
		}
		id, code, ok := u.answered(message)
		if _, again := codes[id]; ok && (again || id < 1 || id > messages) {
			t.Errorf("number %d is answered again, or was not sent: %s", id, message)
		}
		if ok {
			codes[id] = code
		}
	}
	return codes
}
