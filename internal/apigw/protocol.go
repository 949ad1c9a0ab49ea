package apigw

import "github.com/owt-signal/owt-signal/internal/signal"

// Protocol is what a kind of client speaks: frames in, frames out. It is pure.
type Protocol interface {
	// Handshake completes a handshake by what its query says in this protocol:
	// whether the client authenticates now, where its numbers begin, its session.
	// What is common to all protocols hs has already. An error is safe to show to
	// the client.
	Handshake(query map[string]string, hs *signal.Handshake) error
	// ServerPings reports whether the clients expect the server to ping.
	ServerPings() bool
	// Decode reads a client's frame. A frame that concerns the
	// protocol alone it answers itself, and there is no input. An error says
	// what was wrong with the frame, for the log; what is to be done about it
	// the input and the answer say.
	Decode(frame []byte) (in signal.Input, answer []byte, err error)
	// Encode returns the frames by which a client learns of an event: in order,
	// possibly none.
	Encode(e signal.Event) [][]byte
	// Nothing is the answer to a frame when there is none: what API Gateway
	// does with an empty one is not documented.
	Nothing() []byte
}

// Protocols are the protocols that are served, by the name that a connection's
// record has.
type Protocols map[signal.Protocol]Protocol

// Pings reports whether the clients of a protocol expect the server to ping.
func (p Protocols) Pings(name signal.Protocol) bool {
	protocol, ok := p[name]
	return ok && protocol.ServerPings()
}

// Alike returns the protocols whose clients send frames that mean the same. Of
// those that [Protocols.of] does not tell apart, some read an ack id as a number.
func Alike(name signal.Protocol) []signal.Protocol {
	switch name {
	case signal.JSON:
		return jsonForm
	case signal.EIO3, signal.EIO4:
		return engineForm
	default:
		return unnumberedForm
	}
}

var (
	jsonForm       = []signal.Protocol{signal.JSON}
	engineForm     = []signal.Protocol{signal.EIO3, signal.EIO4}
	unnumberedForm = []signal.Protocol{signal.EIO3Unnumbered, signal.EIO4Unnumbered}
)

// of returns the protocol that a frame is in, by its form: Engine.IO packets begin
// with a digit, and nothing else does. Between the two versions of Engine.IO, what
// clients send does not differ.
func (p Protocols) of(frame string) signal.Protocol {
	if len(frame) > 0 && '0' <= frame[0] && frame[0] <= '9' {
		return signal.EIO4
	}
	return signal.JSON
}
