package gateway

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"

	"pgregory.net/rapid"
)

// chunks is a connection that gives what it has in the given pieces.
type chunks struct {
	net.Conn
	pieces [][]byte
}

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
		b = append(b, 0x88, 0x88, 0x88, 0x88) // looks like headers of close frames
	}
	return append(b, bytes.Repeat([]byte{0x88}, f.size)...)
}

func drawFrame(t *rapid.T) frame {
	f := frame{
		first:  byte(rapid.IntRange(0, 255).Draw(t, "first")),
		masked: rapid.Bool().Draw(t, "masked"),
		form:   rapid.SampledFrom([]byte{0, length16, length64}).Draw(t, "form"),
	}
	limit := map[byte]int{0: length16 - 1, length16: 1<<16 - 1, length64: 1 << 17}[f.form]
	f.size = min(limit, rapid.OneOf(rapid.IntRange(0, 300), rapid.IntRange(MaxFrame-2, MaxFrame+2), rapid.IntRange(0, limit)).Draw(t, "size"))
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

// TestWireRefusesTheFirstFrameTooLarge checks the wire against frames that it does not have to find: whatever the
// pieces and the sizes of the reads, what comes before the first frame too large is read, none of that frame's payload,
// and the rest is discarded up to the end of a close frame.
func TestWireRefusesTheFirstFrameTooLarge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		frames := rapid.SliceOfN(rapid.Custom(drawFrame), 1, 8).Draw(t, "frames")
		var stream, pass, header []byte // header is what of the refused frame may pass
		over, end := false, false
		rest := 0 // bytes that need not be discarded, being behind a close frame
		for _, f := range frames {
			encoded := f.encode()
			stream = append(stream, encoded...)
			if end {
				rest += len(encoded)
			}
			if !over && f.size > MaxFrame {
				over, header = true, encoded[:maxHeader]
			}
			if !over {
				pass = append(pass, encoded...)
			}
			end = end || f.first&opcodeMask == opClose
		}
		pieces := cut(t, stream)
		early := rapid.IntRange(0, len(pieces)-1).Draw(t, "early")
		conn := &chunks{pieces: pieces[early:]}
		w := &wire{Conn: conn, early: bytes.Join(pieces[:early], nil)}

		got, err := readAll(t, w)
		if !over {
			if !errors.Is(err, io.EOF) || !bytes.Equal(got, pass) {
				t.Fatalf("read %d bytes and %v, want %d and the end", len(got), err, len(pass))
			}
			return
		}
		if !errors.Is(err, errFrameTooLarge) {
			t.Fatalf("read ends with %v", err)
		}
		if !bytes.HasPrefix(got, pass) || !bytes.HasPrefix(header, got[len(pass):]) {
			t.Fatalf("read %d bytes, want %d and at most a header", len(got), len(pass))
		}
		more, err := readAll(t, w)
		if len(more) > 0 || !errors.Is(err, io.EOF) {
			t.Fatalf("then read %d bytes and %v", len(more), err)
		}
		if left := len(bytes.Join(conn.pieces, nil)); left > rest {
			t.Fatalf("left %d bytes, %d of them behind the close frame", left, rest)
		}
	})
}

func readAll(t *rapid.T, r io.Reader) (all []byte, err error) {
	size := rapid.SampledFrom([]int{7, 64, readBuffer, 1 << 17}).Draw(t, "read size")
	p := make([]byte, size)
	for {
		n, err := r.Read(p)
		all = append(all, p[:n]...)
		if err != nil {
			return all, err
		}
	}
}

// FuzzFrameScanner checks that what is found does not depend on how the stream is cut.
func FuzzFrameScanner(f *testing.F) {
	f.Add(frame{frameFinal | opText, true, 0, 5}.encode(), uint8(1))
	f.Add(frame{frameFinal | opText, true, length16, MaxFrame + 1}.encode()[:20], uint8(3))
	f.Add([]byte{0x88, 0xff, 255, 255, 255, 255, 255, 255, 255, 255, 1, 2, 3, 4, 5}, uint8(4))
	f.Fuzz(func(t *testing.T, stream []byte, size uint8) {
		var whole, pieces frameScanner
		pass := whole.scan(stream)
		passed := 0
		for rest := stream; len(rest) > 0 && !pieces.over; {
			n := min(int(size)+1, len(rest))
			passed += pieces.scan(rest[:n])
			rest = rest[n:]
		}
		if whole.over != pieces.over || passed < pass || passed > pass+maxHeader {
			t.Errorf("whole: %d bytes, over %v; in pieces of %d: %d bytes, over %v", pass, whole.over, int(size)+1, passed, pieces.over)
		}
		if !whole.over && passed != len(stream) {
			t.Errorf("passed %d of %d bytes", passed, len(stream))
		}
	})
}

func TestAppendTextIsWhatTheScannerReads(t *testing.T) {
	for _, size := range []int{0, 1, length16 - 1, length16, MaxFrame, MaxFrame + 1, 2 * MaxFrame, MaxMessage} {
		var s frameScanner
		encoded := appendText(nil, string(make([]byte, size)))
		if pass := s.scan(encoded); pass != len(encoded) || s.over || s.rest != 0 || s.have != 0 {
			t.Errorf("%d bytes: passed %d of %d, %+v", size, pass, len(encoded), s)
		}
	}
}

func TestNothingIsWrittenAfterACloseFrame(t *testing.T) {
	client, server := net.Pipe()
	defer client.Close()
	defer server.Close()
	go io.Copy(io.Discard, client)
	w := &wire{Conn: server}
	for _, test := range []struct {
		first byte
		want  error
	}{{frameFinal | opText, nil}, {frameFinal | opPong, nil}, {frameFinal | opClose, nil}, {frameFinal | opText, net.ErrClosed}, {frameFinal | opClose, net.ErrClosed}} {
		if _, err := w.Write([]byte{test.first, 0}); !errors.Is(err, test.want) {
			t.Errorf("frame %#x: %v, want %v", test.first, err, test.want)
		}
	}
}
