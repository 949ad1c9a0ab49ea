package socketio

import (
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/owt-signal/owt-signal/internal/rawjson"
)

// MaxHeartbeatData is the most bytes a ping or a pong may carry. Clients send none, or "probe". The pong repeats what
// the ping brought, so the limit is the one that RFC 6455, section 5.5, sets for WebSocket's own pings.
const MaxHeartbeatData = 125

// Version is the Engine.IO protocol version that a client names in the query parameter EIO of its handshake. It decides
// who sends the heartbeat (the client in 3, the server in 4) and how a Socket.IO connection begins: an EIO3 client gets
// its CONNECT unasked (Socket.IO protocol v4), an EIO4 client asks for it (Socket.IO protocol v5).
type Version int

// The Engine.IO versions that OWT clients speak.
const (
	EIO3 Version = 3
	EIO4 Version = 4
)

// EngineType is the first character of an Engine.IO packet (Engine.IO protocol v4, section Packet encoding).
type EngineType byte

// The packet types of Engine.IO, the same in versions 3 and 4.
const (
	EngineOpen    EngineType = '0' // the server's handshake
	EngineClose   EngineType = '1'
	EnginePing    EngineType = '2'
	EnginePong    EngineType = '3'
	EngineMessage EngineType = '4' // carries a Socket.IO packet
	EngineUpgrade EngineType = '5' // with the probes 2probe and 3probe, part of the upgrade from polling
	EngineNoop    EngineType = '6'
)

// EnginePacket is one Engine.IO packet, which over WebSocket is one text message.
type EnginePacket struct {
	Type EngineType
	Data []byte // what follows the type: a Socket.IO packet in a message, for Decode
}

// DecodeEngine splits a WebSocket text message into the Engine.IO packet's type and data. The data is a part of frame,
// not a copy, and that of a message is not looked at: Decode does that.
//
// It returns ErrMalformed for an empty frame, an unknown type, and a ping or pong with more than MaxHeartbeatData bytes
// or with bytes that are not UTF-8; ErrBinary for binary data in base64 ("b…"), which belongs to polling.
func DecodeEngine(frame []byte) (EnginePacket, error) {
	if len(frame) == 0 {
		return EnginePacket{}, malformed("empty frame")
	}
	p := EnginePacket{Type: EngineType(frame[0]), Data: slices.Clip(frame[1:])}
	switch p.Type {
	case EngineOpen, EngineClose, EngineMessage, EngineUpgrade, EngineNoop:
		return p, nil
	case EnginePing, EnginePong:
		if len(p.Data) > MaxHeartbeatData {
			return EnginePacket{}, malformed("ping or pong with too much data")
		}
		if !utf8.Valid(p.Data) {
			return EnginePacket{}, malformed("ping or pong is not UTF-8")
		}
		return p, nil
	case 'b':
		return EnginePacket{}, ErrBinary
	}
	return EnginePacket{}, malformed("unknown Engine.IO packet type")
}

// Append appends the packet as it goes over the wire.
func (p EnginePacket) Append(dst []byte) []byte {
	dst = append(dst, byte(p.Type))
	return append(dst, p.Data...)
}

// Handshake is what the server tells a client in the open packet, the first of a connection (Engine.IO protocol v4,
// section Handshake).
//
// An EIO4 client gives the connection up when no ping came for PingInterval and PingTimeout together; an EIO3 client
// pings every PingInterval and waits for the pong until PingTimeout. Both go out in whole milliseconds, and browsers'
// timers hold their sum only up to 2^31-1 (24 days).
type Handshake struct {
	SID          string
	PingInterval time.Duration
	PingTimeout  time.Duration
	MaxPayload   int  // bytes in one message; EIO3 clients do not know it; left out if 0
	Polling      bool // the client polls, and may upgrade to WebSocket
}

// Append appends the open packet as it goes over the wire. It offers the upgrade to WebSocket to a client that polls.
func (h Handshake) Append(dst []byte) []byte {
	dst = append(dst, byte(EngineOpen))
	dst = append(dst, `{"sid":`...)
	dst = rawjson.AppendString(dst, h.SID)
	dst = append(dst, `,"upgrades":[`...)
	if h.Polling {
		dst = append(dst, `"websocket"`...)
	}
	dst = append(dst, `],"pingInterval":`...)
	dst = strconv.AppendInt(dst, h.PingInterval.Milliseconds(), 10)
	dst = append(dst, `,"pingTimeout":`...)
	dst = strconv.AppendInt(dst, h.PingTimeout.Milliseconds(), 10)
	if h.MaxPayload != 0 {
		dst = append(dst, `,"maxPayload":`...)
		dst = strconv.AppendInt(dst, int64(h.MaxPayload), 10)
	}
	return append(dst, '}')
}
