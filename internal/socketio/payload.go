package socketio

import (
	"bytes"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// MaxPackets is the most packets of one payload.
const MaxPackets = 64

// separator stands between the packets of a payload of Engine.IO 4 (Engine.IO protocol v4, section HTTP long-polling).
const separator = '\x1e'

// EncodePayload returns the body that carries packets to a client that polls. The packets must be without separator.
func (o OWT) EncodePayload(packets ...[]byte) []byte {
	if o.Version == EIO4 {
		return bytes.Join(packets, []byte{separator})
	}
	var body []byte
	for _, p := range packets {
		body = strconv.AppendInt(body, int64(characters(p)), 10)
		body = append(append(body, ':'), p...)
	}
	return body
}

// DecodePayload splits the body of a request into its packets, parts of it, and checks that each is an Engine.IO packet:
// what DecodeEngine says. ErrMalformed as well for a body that is empty, is not UTF-8, or has more than MaxPackets.
func (o OWT) DecodePayload(body []byte) ([][]byte, error) {
	if !utf8.Valid(body) {
		return nil, malformed("payload is not UTF-8")
	}
	cut := cutLength
	if o.Version == EIO4 {
		cut = cutSeparator
	}
	var packets [][]byte
	for rest, more := body, true; more; more = len(rest) > 0 {
		var p []byte
		var err error
		if p, rest, err = cut(rest); err != nil {
			return nil, err
		}
		if _, err := DecodeEngine(p); err != nil {
			return nil, err
		}
		if packets = append(packets, p); len(packets) > MaxPackets {
			return nil, malformed("too many packets in a payload")
		}
	}
	return packets, nil
}

// Ends reports whether a client ends its connection by a packet.
func (o OWT) Ends(packet []byte) bool { return EngineType(packet[0]) == EngineClose }

// cutSeparator cuts off the first packet of a payload of Engine.IO 4.
func cutSeparator(b []byte) (packet, rest []byte, err error) {
	packet, rest, found := bytes.Cut(b, []byte{separator})
	if found && len(rest) == 0 {
		return nil, nil, malformed("payload ends with a separator")
	}
	return packet, rest, nil
}

// cutLength cuts off the first packet of a payload of Engine.IO 3: its length in characters, a colon, and the packet
// (Engine.IO protocol v3, section Payload).
func cutLength(b []byte) (packet, rest []byte, err error) {
	const maxDigits = 7
	digits, _, found := bytes.Cut(b[:min(len(b), maxDigits+1)], []byte{':'})
	n, err := strconv.ParseUint(string(digits), 10, 32)
	if !found || err != nil || len(digits) > 1 && digits[0] == '0' {
		return nil, nil, malformed("payload without a packet's length")
	}
	b = b[len(digits)+1:]
	end := 0
	for left := int(n); left > 0; {
		r, size := utf8.DecodeRune(b[end:])
		if size == 0 || utf16.RuneLen(r) > left {
			return nil, nil, malformed("payload with a wrong length")
		}
		left -= utf16.RuneLen(r)
		end += size
	}
	return b[:end], b[end:], nil
}

// characters returns the length of a string as JavaScript and Java count it: in units of UTF-16.
func characters(b []byte) int {
	n := 0
	for _, r := range string(b) {
		n += utf16.RuneLen(r)
	}
	return n
}
