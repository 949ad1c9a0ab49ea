package socket

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

// appendText appends a text message to dst, in as many frames of at most maxFrame bytes as it needs.
func appendText[T string | []byte](dst []byte, message T, maxFrame int) []byte {
	opcode := byte(opText)
	for len(message) > maxFrame {
		dst = appendFrame(dst, opcode, message[:maxFrame])
		opcode, message = opContinued, message[maxFrame:]
	}
	return appendFrame(dst, frameFinal|opcode, message)
}

// appendFrame appends an unmasked frame with a payload of less than 64 KB.
func appendFrame[T string | []byte](dst []byte, first byte, payload T) []byte {
	if n := len(payload); n < length16 {
		dst = append(dst, first, byte(n))
	} else {
		dst = binary.BigEndian.AppendUint16(append(dst, first, length16), uint16(n))
	}
	return append(dst, payload...)
}
