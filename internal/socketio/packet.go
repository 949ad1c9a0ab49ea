// Package socketio speaks Engine.IO 3 and 4 and Socket.IO protocol 4 and 5 as OWT clients do: over WebSocket text
// messages, without binary attachments.
//
// It is pure: bytes in, values out. What is decoded stays a part of the input, byte for byte, so that a message is
// relayed exactly as its sender wrote it; whoever keeps a packet keeps its frame. The grammar is that of the reference
// parsers (socket.io-parser 3 and 4, engine.io-parser 2 and 5). Every form their clients send is accepted, and nothing
// that those parsers refuse.
package socketio

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/owt-signal/owt-signal/internal/rawjson"
)

// Limits of a packet. A frame beyond one of them is malformed.
const (
	MaxID        = 1<<53 - 1 // the last ack id that a JavaScript client can count to (Number.MAX_SAFE_INTEGER)
	MaxNamespace = 1024      // bytes of a namespace, with its query; OWT clients use "/" only
	MaxArgs      = 16        // arguments of an event; OWT clients send one, connection state recovery adds one
	MaxDepth     = rawjson.MaxDepth
)

// The two ways in which a frame is refused. An error says what was wrong with the frame, and nothing of its content.
var (
	// ErrMalformed: the frame is not what the protocols allow, or exceeds a limit.
	ErrMalformed = errors.New("socketio: malformed packet")
	// ErrBinary: the frame announces or holds binary data, for which there is no way through: API Gateway refuses binary
	// messages.
	ErrBinary = errors.New("socketio: binary packets are not supported")
)

func malformed(what string) error {
	return fmt.Errorf("%w: %s", ErrMalformed, what)
}

// PacketType is the number of a Socket.IO packet type (Socket.IO protocol v5, section Exchange protocol).
type PacketType byte

// The packet types of Socket.IO, the same in protocols 4 and 5 but for the name of ConnectError, ERROR in protocol 4.
const (
	Connect      PacketType = iota // data: nothing or an object
	Disconnect                     // data: nothing
	Event                          // data: an array, a name and arguments; with an id if the sender wants an ack
	Ack                            // data: an array; with the id of the event
	ConnectError                   // data: an object, in protocol 4 often a string
	BinaryEvent
	BinaryAck
)

// Packet is one Socket.IO packet without binary attachments.
type Packet struct {
	Type PacketType
	// Namespace is "/" for the main one, which an encoder may also leave empty. That of a v2 client's CONNECT may carry a
	// query: "/ns?x=y". The client does not know such a name: answers go to what precedes the question mark.
	Namespace string
	HasID     bool
	ID        int64           // the ack id, 0 to MaxID; meaningful with HasID
	Data      json.RawMessage // the payload's exact bytes; nil if there are none
}

// Decode reads a Socket.IO packet, the data of an Engine.IO message (Socket.IO protocol v5, section Packet encoding).
// The packet's data is a part of payload, not a copy: UTF-8 and valid JSON of the kind that the type wants, nested
// at most MaxDepth deep, without white space before it. Whether an event's name is in order only Event tells, so that an
// event that fails there can still be answered by its id.
//
// It returns ErrBinary for the binary types and ErrMalformed for everything else that is not a packet: unknown types, a
// namespace longer than MaxNamespace, an id beyond MaxID, with a leading zero, missing in an ack, or on a type that has
// none, and data that is not as said above. The namespace's comma may be missing where nothing follows, as C++ and early
// Java clients write it.
func Decode(payload []byte) (Packet, error) {
	p, err := decode(payload)
	if err == nil {
		err = p.checkJSON()
	}
	if err != nil {
		return Packet{}, err
	}
	return p, nil
}

// decode is [Decode], but for the packet's data being JSON.
func decode(payload []byte) (Packet, error) {
	if len(payload) == 0 {
		return Packet{}, malformed("empty packet")
	}
	p := Packet{Type: PacketType(payload[0] - '0')}
	switch {
	case p.Type == BinaryEvent || p.Type == BinaryAck:
		return Packet{}, ErrBinary
	case p.Type > BinaryAck:
		return Packet{}, malformed("unknown packet type")
	case !utf8.Valid(payload): // another client's WebSocket would fail on it (RFC 6455, section 8.1)
		return Packet{}, malformed("not UTF-8")
	}
	var err error
	rest := payload[1:]
	if p.Namespace, rest, err = cutNamespace(rest); err != nil {
		return Packet{}, err
	}
	if p.ID, p.HasID, rest, err = cutID(rest); err != nil {
		return Packet{}, err
	}
	if len(rest) > 0 {
		p.Data = json.RawMessage(slices.Clip(rest))
	}
	if err := p.check(); err != nil {
		return Packet{}, err
	}
	return p, nil
}

func cutNamespace(b []byte) (namespace string, rest []byte, err error) {
	if len(b) == 0 || b[0] != '/' {
		return "/", b, nil
	}
	head := b[:min(len(b), MaxNamespace+1)]
	if comma := bytes.IndexByte(head, ','); comma >= 0 {
		return string(b[:comma]), b[comma+1:], nil
	}
	if len(head) > MaxNamespace {
		return "", nil, malformed("namespace too long")
	}
	return string(b), nil, nil
}

func cutID(b []byte) (id int64, ok bool, rest []byte, err error) {
	digits := 0
	for digits < len(b) && isDigit(b[digits]) {
		digit := int64(b[digits] - '0')
		switch {
		case digits > 0 && id == 0:
			return 0, false, nil, malformed("ack id with a leading zero")
		case id > (MaxID-digit)/10:
			return 0, false, nil, malformed("ack id too large")
		}
		id = id*10 + digit
		digits++
	}
	return id, digits > 0, b[digits:], nil
}

// check tells whether the packet has the id and the data that its type wants.
func (p Packet) check() error {
	var first byte
	if len(p.Data) > 0 {
		first = p.Data[0]
	}
	switch {
	case p.Type == Event && first != '[':
		return malformed("EVENT without an array")
	case p.Type == Ack && !p.HasID:
		return malformed("ACK without an id")
	case p.Type == Ack && first != '[':
		return malformed("ACK without an array")
	case p.Type == Connect && len(p.Data) > 0 && first != '{':
		return malformed("CONNECT with something else than an object")
	case p.Type == ConnectError && first != '{' && first != '"':
		return malformed("CONNECT_ERROR without an object or a string")
	case p.Type == Disconnect && len(p.Data) > 0:
		return malformed("DISCONNECT with data")
	case p.HasID && p.Type != Event && p.Type != Ack:
		return malformed("id on a packet that is neither EVENT nor ACK")
	}
	return nil
}

// checkJSON tells whether the packet's data is JSON, if there is any.
func (p Packet) checkJSON() error {
	if len(p.Data) == 0 {
		return nil
	}
	if err := rawjson.Check(p.Data); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return nil
}

// Append appends the packet as it goes over the wire, in an Engine.IO message. It writes what it is given: the type must
// not be a binary one, the namespace must have no comma, and the data must be JSON of the kind that the type wants.
func (p Packet) Append(dst []byte) []byte {
	dst = append(dst, byte(EngineMessage), '0'+byte(p.Type))
	if p.Namespace != "" && p.Namespace != "/" {
		dst = append(dst, p.Namespace...)
		dst = append(dst, ',')
	}
	if p.HasID {
		dst = strconv.AppendInt(dst, p.ID, 10)
	}
	return append(dst, p.Data...)
}

// Event splits an event's data into its name and its arguments. The arguments are the sender's exact bytes, parts of the
// data, each of them valid JSON.
//
// It returns ErrMalformed for a packet that is not an EVENT, for a name that is missing, not a string, or one of those
// that Socket.IO keeps for itself, for more than MaxArgs arguments, and for data that is not a JSON array nested at most
// MaxDepth deep, which Decode has seen to already.
func (p Packet) Event() (name string, args []json.RawMessage, err error) {
	if p.Type != Event {
		return "", nil, malformed("not an EVENT")
	}
	elements, err := rawjson.Elements(p.Data, MaxArgs+1)
	switch {
	case err != nil:
		return "", nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	case len(elements) == 0:
		return "", nil, malformed("EVENT without a name")
	}
	name, ok := rawjson.Text(elements[0])
	switch {
	case !ok:
		return "", nil, malformed("EVENT whose name is not a string")
	case reserved(name):
		return "", nil, malformed("EVENT with a reserved name")
	}
	return name, elements[1:], nil
}

// reserved tells the names that socket.io-parser 4.2 refuses: Socket.IO calls its own listeners by them.
func reserved(event string) bool {
	switch event {
	case "connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener":
		return true
	}
	return false
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
