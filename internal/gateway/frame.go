package gateway

import "encoding/binary"

// Parts of a WebSocket frame, RFC 6455 section 5.2.
const (
	frameFinal  = 1 << 7 // first byte
	opcodeMask  = 0x0f
	opContinued = 0x0
	opText      = 0x1
	opClose     = 0x8
	opPong      = 0xa

	frameMasked = 1 << 7 // second byte
	lengthMask  = 0x7f
	length16    = 126 // the length is in the next 2 bytes
	length64    = 127 // the length is in the next 8 bytes

	maxHeader = 10 // bytes, without the masking key
	keyBytes  = 4
)

// frameScanner follows the frames in a stream of bytes, cut anywhere, and looks only at their headers. The zero value
// stands at the start of a stream.
type frameScanner struct {
	rest   uint64 // masking key and payload of the present frame still to come
	header [maxHeader]byte
	have   int  // bytes of header
	isEnd  bool // the present frame is a close frame
	more   bool // the present message goes on after the present frame

	over bool // a frame announced more than MaxFrame
	end  bool // a close frame has passed completely
}

// scan takes the next bytes of the stream and returns how many of them come before the header of the first frame larger
// than MaxFrame. If none is, that is all of them; if its header began in earlier bytes, none. Once over, it keeps
// following the frames, to find the end.
func (s *frameScanner) scan(p []byte) int {
	pass := len(p)
	for i := 0; i < len(p); {
		if s.rest > 0 {
			n := min(s.rest, uint64(len(p)-i))
			i += int(n)
			s.rest -= n
			s.end = s.end || s.isEnd && s.rest == 0
			continue
		}
		s.header[s.have] = p[i]
		i, s.have = i+1, s.have+1
		if s.have < s.headerBytes() {
			continue
		}
		length := s.length()
		if length > MaxFrame && !s.over {
			s.over = true
			pass = max(i-s.have, 0)
		}
		s.begin(length)
	}
	return pass
}

// begin turns from a complete header to what follows it.
func (s *frameScanner) begin(length uint64) {
	s.have = 0
	opcode := s.header[0] & opcodeMask
	s.isEnd = opcode == opClose
	if opcode < opClose { // control frames may come between the frames of a message, RFC 6455 section 5.4
		s.more = s.header[0]&frameFinal == 0
	}
	s.rest = min(length, 1<<63) // a length of 64 bits is invalid, and must not overflow
	if s.header[1]&frameMasked != 0 {
		s.rest += keyBytes
	}
	s.end = s.end || s.isEnd && s.rest == 0
}

// within tells whether the stream is within a message.
func (s *frameScanner) within() bool { return s.have > 0 || s.rest > 0 || s.more }

// headerBytes is how long the present header is, as far as its first bytes tell.
func (s *frameScanner) headerBytes() int {
	if s.have < 2 {
		return 2
	}
	switch s.header[1] & lengthMask {
	case length16:
		return 2 + 2
	case length64:
		return 2 + 8
	}
	return 2
}

func (s *frameScanner) length() uint64 {
	switch length := s.header[1] & lengthMask; length {
	case length16:
		return uint64(binary.BigEndian.Uint16(s.header[2:]))
	case length64:
		return binary.BigEndian.Uint64(s.header[2:])
	default:
		return uint64(length)
	}
}

// appendText appends a text message to dst, in as many frames of at most MaxFrame as it needs.
func appendText[T string | []byte](dst []byte, message T) []byte {
	opcode := byte(opText)
	for len(message) > MaxFrame {
		dst = append(appendHeader(dst, opcode, MaxFrame), message[:MaxFrame]...)
		opcode, message = opContinued, message[MaxFrame:]
	}
	return append(appendHeader(dst, frameFinal|opcode, len(message)), message...)
}

// appendHeader appends the header of an unmasked frame with a payload of at most MaxFrame bytes.
func appendHeader(dst []byte, first byte, length int) []byte {
	if length < length16 {
		return append(dst, first, byte(length))
	}
	return binary.BigEndian.AppendUint16(append(dst, first, length16), uint16(length))
}
