package socket

import (
	"bufio"
	"errors"
	"io"
	"math"
	"slices"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// frameReader reads the frames of a client, and makes messages of them (RFC 6455 section 5).
type frameReader struct {
	input                *bufio.Reader
	maxMessage, maxFrame int
	state                ws.State
	message              []byte // what has come of the present one
	left                 int64  // of the payload of the present frame, in bytes
}

// reset begins a stream, between two messages.
func (r *frameReader) reset() {
	r.state, r.left = ws.StateServerSide, 0
	if cap(r.message) > keepBuffer {
		r.message = nil
	}
}

// within tells whether a message has begun that is not complete.
func (r *frameReader) within() bool { return r.state.Fragmented() }

// next reads a frame. If a message is complete with it, that is its result; a ping is for pong. It fails with a closeError
// if the frame is a close frame, or one to close the connection for, and as the input does.
func (r *frameReader) next(pong func(payload []byte)) (body string, complete bool, err error) {
	h, err := r.header()
	if err != nil {
		return "", false, err
	}
	if h.OpCode.IsControl() {
		return "", false, r.control(h, pong)
	}
	if h.OpCode == ws.OpBinary {
		return "", false, errBinary
	}
	if h.OpCode == ws.OpText {
		r.message = r.message[:0]
	}
	if len(r.message)+int(h.Length) > r.maxMessage {
		return "", false, errMessageTooLarge
	}
	r.message = slices.Grow(r.message, int(h.Length)) // seen by who counts what is held, while it comes
	if r.message, err = r.payload(r.message, h); err != nil {
		return "", false, err
	}
	if !h.Fin {
		r.state = r.state.Set(ws.StateFragmented)
		return "", false, nil
	}
	r.state = r.state.Clear(ws.StateFragmented)
	body = string(r.message)
	if !utf8.ValidString(body) {
		return "", false, errNotUTF8
	}
	return body, true, nil
}

// header reads and judges the header of a frame, whose payload is left then.
func (r *frameReader) header() (ws.Header, error) {
	h, err := ws.ReadHeader(r.input)
	switch {
	case errors.Is(err, ws.ErrHeaderLengthMSB):
		r.left = math.MaxInt64
		return h, errFrameTooLarge
	case err != nil:
		return h, err
	}
	r.left = h.Length
	if h.Length > int64(r.maxFrame) {
		return h, errFrameTooLarge
	}
	if err := ws.CheckHeader(h, r.state); err != nil {
		return h, errProtocol
	}
	return h, nil
}

// payload appends that of a frame.
func (r *frameReader) payload(dst []byte, h ws.Header) ([]byte, error) {
	start := len(dst)
	dst = append(dst, make([]byte, h.Length)...)
	if _, err := io.ReadFull(r.input, dst[start:]); err != nil {
		return dst, err
	}
	r.left = 0
	ws.Cipher(dst[start:], h.Mask, 0)
	return dst, nil
}

// control reads the rest of a control frame, which may come between the frames of a message.
func (r *frameReader) control(h ws.Header, pong func([]byte)) error {
	payload, err := r.payload(nil, h)
	switch {
	case err != nil:
		return err
	case h.OpCode == ws.OpPing:
		pong(payload)
	case h.OpCode == ws.OpClose:
		return parseCloseFrame(payload)
	}
	return nil
}

// drain reads on after a refusal, up to the end of the client's close frame or of the input.
func (r *frameReader) drain() {
	for {
		if _, err := io.CopyN(io.Discard, r.input, r.left); err != nil {
			return
		}
		h, err := ws.ReadHeader(r.input)
		switch {
		case err != nil:
			_, _ = io.Copy(io.Discard, r.input) // where a frame begins is not known
			return
		case h.OpCode == ws.OpClose:
			_, _ = io.CopyN(io.Discard, r.input, h.Length)
			return
		}
		r.left = h.Length
	}
}
