package socket

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

const (
	maxMessage = 128 << 10
	maxFrame   = 32 << 10

	frameMasked = 1 << 7 // second byte
	opcodeMask  = 0x0f
	length64    = 127
)

// chunks gives what it has in the given pieces.
type chunks struct{ pieces [][]byte }

func (c *chunks) Read(p []byte) (int, error) {
	for len(c.pieces) > 0 && len(c.pieces[0]) == 0 {
		c.pieces = c.pieces[1:]
	}
	if len(c.pieces) == 0 {
		return 0, io.EOF
	}
	n := copy(p, c.pieces[0])
	c.pieces[0] = c.pieces[0][n:]
	return n, nil
}

// frame is a frame as a client may send it, not always as it should.
type frame struct {
	first  byte
	masked bool
	form   byte // of the length: 0 (7 bits), length16 or length64
	size   int
}

func (f frame) encode() []byte {
	var mask byte
	if f.masked {
		mask = frameMasked
	}
	var b []byte
	switch f.form {
	case length16:
		b = binary.BigEndian.AppendUint16([]byte{f.first, mask | length16}, uint16(f.size))
	case length64:
		b = binary.BigEndian.AppendUint64([]byte{f.first, mask | length64}, uint64(f.size))
	default:
		b = []byte{f.first, mask | byte(f.size)}
	}
	if f.masked {
		b = append(b, 0x80, 0x80, 0x80, 0x80)
	}
	return append(b, bytes.Repeat([]byte{0x88}, f.size)...) // looks like headers of close frames, or text of 0x08
}

func (f frame) is(opcode byte) bool { return f.first&opcodeMask == opcode }

// drawFrame prefers what a client may send.
func drawFrame(t *rapid.T) frame {
	f := frame{
		first:  byte(rapid.OneOf(rapid.SampledFrom([]int{opText, frameFinal | opText, opContinued, frameFinal, frameFinal | 0x9}), rapid.IntRange(0, 255)).Draw(t, "first")),
		masked: rapid.IntRange(0, 9).Draw(t, "masked") > 0,
		form:   rapid.SampledFrom([]byte{0, length16, length64}).Draw(t, "form"),
	}
	limit := map[byte]int{0: length16 - 1, length16: 1<<16 - 1, length64: 1 << 17}[f.form]
	f.size = min(limit, rapid.OneOf(rapid.IntRange(0, 300), rapid.IntRange(maxFrame-2, maxFrame+2), rapid.IntRange(0, limit)).Draw(t, "size"))
	return f
}

// cut divides stream at arbitrary places.
func cut(t *rapid.T, stream []byte) (pieces [][]byte) {
	for len(stream) > 0 {
		n := rapid.OneOf(rapid.IntRange(1, 16), rapid.IntRange(1, len(stream))).Draw(t, "piece")
		n = min(n, len(stream))
		pieces, stream = append(pieces, stream[:n:n]), stream[n:]
	}
	return pieces
}

// outcome is what a frameReader makes of a stream.
type outcome struct {
	messages []string
	pongs    []string
	err      error
}

func readFrames(r *frameReader) (o outcome) {
	for {
		body, complete, err := r.next(func(payload []byte) { o.pongs = append(o.pongs, string(payload)) })
		if err != nil {
			o.err = err
			return o
		}
		if complete {
			o.messages = append(o.messages, body)
		}
	}
}

func newFrameReader(pieces [][]byte) (*frameReader, *chunks) {
	source := &chunks{pieces}
	r := &frameReader{input: bufio.NewReaderSize(source, 64), maxMessage: maxMessage, maxFrame: maxFrame}
	r.reset()
	return r, source
}

// expect is what is to be made of frames: the same as a client's library would have
// to send, said once more without the stream.
func expect(frames []frame) (o outcome, next int) {
	var message int
	var within bool
	for i, f := range frames {
		final := f.first&frameFinal != 0
		opcode := f.first & opcodeMask
		control := opcode >= opClose
		switch {
		case f.size > maxFrame:
			o.err = errFrameTooLarge
		case f.first&0x70 != 0, !f.masked, opcode > 2 && !control, opcode > opPong, control && (!final || f.size > 125),
			!control && within != (opcode == opContinued):
			o.err = errProtocol
		case opcode == 2:
			o.err = errBinary
		case opcode == opClose && f.size == 0:
			o.err = &closeError{CloseReason: NoStatus}
		case opcode == opClose: // with the code 0x0808, or half of one
			o.err = errProtocol
		case !control && message+f.size > maxMessage:
			o.err = errMessageTooLarge
		}
		if o.err != nil {
			return o, i
		}
		text := string(bytes.Repeat([]byte{0x88 ^ 0x80}, f.size))
		switch {
		case opcode == opPong:
		case control:
			o.pongs = append(o.pongs, text)
		default:
			if message += f.size; final {
				o.messages = append(o.messages, string(bytes.Repeat([]byte{0x08}, message)))
				message = 0
			}
			within = !final
		}
	}
	o.err = io.EOF
	return o, len(frames)
}

// TestFrames checks what is made of frames against what is known of them without looking for them in the stream: wherever
// that is cut, the messages, the pings and the first refusal are the same; and what follows a refusal is read up to the
// end of the client's close frame, and no further than the buffer.
func TestFrames(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		frames := rapid.SliceOfN(rapid.Custom(drawFrame), 1, 12).Draw(t, "frames")
		var stream []byte
		for _, f := range frames {
			stream = append(stream, f.encode()...)
		}
		want, refused := expect(frames)
		r, source := newFrameReader(cut(t, stream))
		got := readFrames(r)
		if !slices.Equal(got.messages, want.messages) || !slices.Equal(got.pongs, want.pongs) || !sameEnd(got.err, want.err) {
			t.Fatalf("%d messages, %d pongs, then %v; want %d, %d and %v", len(got.messages), len(got.pongs), got.err, len(want.messages), len(want.pongs), want.err)
		}
		if _, refused := reasonOf(got.err); !refused {
			return
		}
		rest := 0 // behind the close frame
		for i, closed := refused+1, false; i < len(frames); i++ {
			if closed {
				rest += len(frames[i].encode())
			}
			closed = closed || frames[i].is(opClose)
		}
		if refused < len(frames) && frames[refused].is(opClose) { // what was refused is the close frame
			return
		}
		r.drain()
		if left := r.input.Buffered() + len(bytes.Join(source.pieces, nil)); left != rest {
			t.Fatalf("%d bytes are left, want the %d behind the close frame", left, rest)
		}
	})
}

func sameEnd(a, b error) bool {
	return errors.Is(a, b) || fmt.Sprint(a) == fmt.Sprint(b)
}

// FuzzFrames checks that what is read does not depend on how the stream is cut.
func FuzzFrames(f *testing.F) {
	f.Add([]byte("\x81\x82\x00\x00\x00\x00hi\x88\x80\x00\x00\x00\x00"), 3)
	f.Add([]byte("\x01\x81\x00\x00\x00\x00a\x89\x80\x00\x00\x00\x00\x80\x81\x00\x00\x00\x00b"), 1)
	f.Add([]byte("\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00"), 7)
	f.Fuzz(func(t *testing.T, stream []byte, piece int) {
		whole, _ := newFrameReader([][]byte{bytes.Clone(stream)})
		want := readFrames(whole)
		pieces := slices.Collect(slices.Chunk(bytes.Clone(stream), max(1, piece%100)))
		r, _ := newFrameReader(pieces)
		got := readFrames(r)
		if !slices.Equal(got.messages, want.messages) || !slices.Equal(got.pongs, want.pongs) || got.err.Error() != want.err.Error() {
			t.Errorf("%+v in pieces, %+v whole", got, want)
		}
		r.drain()
	})
}
