package gateway

import "encoding/binary"

// Parts of a WebSocket frame, RFC 6455 section 5.2.
const (
	frameFinal  = 1 << 7 // first byte
	opContinued = 0x0
	opText      = 0x1
	opClose     = 0x8
	opPong      = 0xa

	length16 = 126 // second byte: the length is in the next 2
)

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
