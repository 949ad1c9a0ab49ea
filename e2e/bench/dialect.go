package main

import (
	"bytes"
	"fmt"
	"net/url"
	"strconv"
)

// dialect is what a client speaks to a server.
type dialect struct {
	name   string
	target func(user string) string
	login  func(c *conn, user string) error
	// message is a numbered message, in parts. Its data is a number and a padding.
	message func(number int64, to string, padding []byte) [][]byte
	ack     []byte // how an ack begins; its number follows
	success []byte // what follows the number of an ack that is one
	// isMessage is in every message, and before is what its data's number follows.
	isMessage, before []byte
	ping, pong        []byte // a ping of the server's, and its answer; empty: none
	// otherwise ignored frames begin so
	ignored [][]byte
}

var socketIO = dialect{
	name:   "Socket.IO",
	target: func(string) string { return "/socket.io/?EIO=4&transport=websocket" },
	login: func(c *conn, user string) error {
		if err := c.await(`0{"sid":`); err != nil {
			return err
		}
		c.queue([]byte("40"))
		if err := c.flush(); err != nil {
			return err
		}
		if err := c.await(`40{"sid":`); err != nil {
			return err
		}
		c.queue([]byte(fmt.Sprintf(`420["authentication",{"token":%q}]`, user)))
		if err := c.flush(); err != nil {
			return err
		}
		// The event and the ack come in either order.
		if err := c.await(`"uid":`); err != nil {
			return err
		}
		return c.await(`"uid":`)
	},
	message: func(number int64, to string, padding []byte) [][]byte {
		head := strconv.AppendInt([]byte("42"), number, 10)
		head = append(append(append(head, `["owt-message",{"to":"`...), to...), `","data":{"n":`...)
		head = append(strconv.AppendInt(head, number, 10), `,"p":"`...)
		return [][]byte{head, padding, []byte(`"}}]`)}
	},
	ack:       []byte("43"),
	success:   []byte("[]"),
	isMessage: []byte(`42["owt-message",`),
	before:    []byte(`"data":{"n":`),
	ping:      []byte("2"),
	pong:      []byte("3"),
	ignored:   [][]byte{[]byte("6")},
}

var plainJSON = dialect{
	name:   "JSON",
	target: func(user string) string { return "/prod?token=" + url.QueryEscape(user) },
	login:  func(c *conn, _ string) error { return c.await(`"type":"welcome"`) },
	message: func(number int64, to string, padding []byte) [][]byte {
		head := strconv.AppendInt([]byte(`{"type":"message","id":`), number, 10)
		head = append(append(append(head, `,"to":"`...), to...), `","data":{"n":`...)
		head = append(strconv.AppendInt(head, number, 10), `,"p":"`...)
		return [][]byte{head, padding, []byte(`"}}`)}
	},
	ack:       []byte(`{"type":"ack","id":`),
	success:   []byte("}"),
	isMessage: []byte(`{"type":"message",`),
	before:    []byte(`"data":{"n":`),
	ignored:   [][]byte{[]byte(`{"type":"stored"`), []byte(`{"type":"nothing"`)},
}

// frame is what came.
type frame struct {
	isAck, isMessage, isPing bool
	number                   int64
}

// parse reads a frame; anything that is not expected is an error.
func (d *dialect) parse(b []byte) (frame, error) {
	switch {
	case bytes.HasPrefix(b, d.isMessage):
		_, rest, found := bytes.Cut(b, d.before)
		n, _ := leadingNumber(rest)
		if !found {
			return frame{}, fmt.Errorf("no number in %.200q", b)
		}
		return frame{isMessage: true, number: n}, nil
	case bytes.HasPrefix(b, d.ack):
		n, rest := leadingNumber(b[len(d.ack):])
		if !bytes.Equal(rest, d.success) {
			return frame{}, fmt.Errorf("message %d failed: %.200q", n, b)
		}
		return frame{isAck: true, number: n}, nil
	case len(d.ping) > 0 && bytes.Equal(b, d.ping):
		return frame{isPing: true}, nil
	}
	for _, p := range d.ignored {
		if bytes.HasPrefix(b, p) {
			return frame{}, nil
		}
	}
	return frame{}, fmt.Errorf("unexpected frame %.200q", b)
}

func leadingNumber(b []byte) (n int64, rest []byte) {
	i := 0
	for ; i < len(b) && '0' <= b[i] && b[i] <= '9'; i++ {
		n = 10*n + int64(b[i]-'0')
	}
	return n, b[i:]
}
