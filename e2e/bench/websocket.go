package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"time"
)

// conn is a client's WebSocket connection that costs as little as possible, since
// it shares the machine with the server that is measured: messages of one frame,
// masked with zero (RFC 6455 section 5.3), and no control frames but close.
type conn struct {
	net.Conn
	r *bufio.Reader
	w []byte // frames to be written
}

const (
	opText  = 0x1
	opClose = 0x8
	final   = 0x80
	masked  = 0x80
)

// dialTimeout bounds a handshake.
const dialTimeout = 30 * time.Second

func dial(address, target string, readBuffer int) (*conn, error) {
	d := net.Dialer{Timeout: dialTimeout}
	c, err := d.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	_ = c.SetDeadline(time.Now().Add(dialTimeout))
	r := bufio.NewReaderSize(c, readBuffer)
	_, err = fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n", target, address)
	if err == nil {
		var response *http.Response
		response, err = http.ReadResponse(r, nil) //nolint:bodyclose // a 101 has none
		if err == nil && response.StatusCode != http.StatusSwitchingProtocols {
			err = fmt.Errorf("handshake: %s", response.Status)
		}
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	_ = c.SetDeadline(time.Time{})
	return &conn{Conn: c, r: r}, nil
}

// queue adds a message to what flush writes.
func (c *conn) queue(parts ...[]byte) {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	switch {
	case n < 126:
		c.w = append(c.w, final|opText, masked|byte(n))
	case n <= 0xffff:
		c.w = binary.BigEndian.AppendUint16(append(c.w, final|opText, masked|126), uint16(n))
	default:
		c.w = binary.BigEndian.AppendUint64(append(c.w, final|opText, masked|127), uint64(n))
	}
	c.w = append(c.w, 0, 0, 0, 0)
	for _, p := range parts {
		c.w = append(c.w, p...)
	}
}

func (c *conn) flush() error {
	_, err := c.Write(c.w)
	c.w = c.w[:0]
	return err
}

var errClosed = errors.New("the server has closed the connection")

// next reads a message into b, in as many frames as it has.
func (c *conn) next(b []byte) ([]byte, error) {
	for b = b[:0]; ; {
		h, err := c.r.Peek(2)
		if err != nil {
			return b, err
		}
		first, n, size := h[0], int(h[1]), 2
		switch n {
		case 126:
			if h, err = c.r.Peek(4); err != nil {
				return b, err
			}
			n, size = int(binary.BigEndian.Uint16(h[2:])), 4
		case 127:
			if h, err = c.r.Peek(10); err != nil {
				return b, err
			}
			n, size = int(binary.BigEndian.Uint64(h[2:])), 10
		}
		_, _ = c.r.Discard(size)
		at := len(b)
		b = slices.Grow(b, n)[:at+n]
		if _, err := io.ReadFull(c.r, b[at:]); err != nil {
			return b, err
		}
		switch op := first & 0x0f; {
		case op == opClose:
			return b, errClosed
		case op > opClose: // a ping of Node's ws library, say: none is sent by default
			b = b[:at]
		case first&final != 0:
			return b, nil
		}
	}
}

// await reads until a message contains what.
func (c *conn) await(what string) error {
	_ = c.SetReadDeadline(time.Now().Add(dialTimeout))
	defer func() { _ = c.SetReadDeadline(time.Time{}) }()
	var b []byte
	for {
		var err error
		if b, err = c.next(b); err != nil {
			return fmt.Errorf("wait for %q: %w", what, err)
		}
		if bytes.Contains(b, []byte(what)) {
			return nil
		}
	}
}
