package socketio

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/owt-signal/owt-signal/internal/rawjson"
	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// The events that OWT's clients and server emit (owt-server-p2p,
// src/socketio_server.js).
const (
	eventMessage       = "owt-message"
	eventAuthenticate  = "authentication"
	eventAuthenticated = "server-authenticated"
	eventDisconnect    = "server-disconnect"
)

// eventICE is our own: it asks for ICE servers, which its ack has.
const eventICE = "ice-servers"

// eventRefused is our own, too: Engine.IO 4 clients have no packet that tells of an
// error after the CONNECT.
const eventRefused = "server-refused"

var errNamespace = errors.New("socketio: namespace is not served")

// probe is what a client's WebSocket pings with before it takes over from
// polling (Engine.IO protocol v4, section Upgrade).
const probe = "probe"

// maxMembers is how many members an object of a client may have. OWT's have
// two.
const maxMembers = 16

// Heartbeat is how often a connection is to show that it lives. EIO3 clients
// ping every Interval and wait Timeout for the answer; EIO4 clients must be
// pinged, and give up Interval and Timeout after the last ping. Interval must
// stay well below the 10 minutes after which API Gateway closes an idle
// connection.
type Heartbeat struct{ Interval, Timeout time.Duration }

// DefaultHeartbeat has EIO4 clients live through a ping that comes 4 minutes
// late, and every connection active twice within API Gateway's idle time.
var DefaultHeartbeat = Heartbeat{Interval: 5 * time.Minute, Timeout: 4 * time.Minute}

// OWT maps the packets of OWT's clients to the domain, and back. It is the
// apigw.Protocol of Socket.IO.
type OWT struct {
	Version   Version
	Heartbeat Heartbeat
	// MaxPayload is how many bytes a message may have, as clients learn it.
	MaxPayload int
	unnumbered bool
}

// Unnumber returns o for clients whose ack ids are no sequence, such as those that
// draw them at random: each message goes out when it comes, in no order, and is
// answered under its id.
func (o OWT) Unnumber() OWT {
	o.unnumbered = true
	return o
}

// queryVersion is what OWT's SDKs up to 4.3.1 say their version by.
const queryVersion = "clientVersion"

// queryNumbers, with the value numbersNone, says that a client's ack ids are no
// sequence.
const (
	queryNumbers = "numbers"
	numbersNone  = "none"
)

var errNumbers = errors.New("numbers can only be " + numbersNone)

// cpp begins the User-Agent of Socket.IO's C++ client. Its releases from 1.6.1 to
// the commit 725a8e0, which OWT's SDKs 4.2 to 5.0 for iOS and C++ name, say
// EIO=4 and wait for a CONNECT that they do not ask for. Later ones ask, and
// take one that comes unasked, too.
const cpp = "WebSocket++/"

// Handshake completes a handshake. OWT's SDKs up to 4.3.1, which send their
// version, never send a token later: without one in the handshake they have
// none, and an empty version is none that is served. Engine.IO 4 clients ask for
// their CONNECT, and one that authenticates with the handshake gets it once that
// has succeeded.
func (o OWT) Handshake(query map[string]string, hs *signal.Handshake) error {
	hs.Unasked = o.Version == EIO4 && strings.HasPrefix(hs.UserAgent, cpp)
	if hs.Token == nil && strings.HasPrefix(hs.Client.Version, "4.") {
		hs.Token = new(string)
	}
	hs.JoinsLate = hs.Token != nil && o.Version == EIO4
	version, says := query[queryVersion]
	hs.Unsupported = o.Version == EIO3 && says && version == ""
	switch numbers, says := query[queryNumbers]; {
	case !says:
		return nil
	case numbers != numbersNone:
		return errNumbers
	case o.Version == EIO3:
		hs.Peer.Protocol = signal.EIO3Unnumbered
	default:
		hs.Peer.Protocol = signal.EIO4Unnumbered
	}
	return nil
}

// ServerPings reports whether the clients expect the server to ping.
func (o OWT) ServerPings() bool { return o.Version == EIO4 }

// Decode reads a frame. What cannot be answered otherwise ends the connection,
// as it does on a Socket.IO server; a frame with an ack id is always answered
// by an ack.
func (o OWT) Decode(frame []byte) (signal.Input, []byte, error) {
	engine, err := DecodeEngine(frame)
	if err != nil {
		return signal.Unreadable{Code: lane.CodeClient}, nil, err
	}
	switch engine.Type {
	case EngineMessage:
		return o.decodePacket(engine.Data)
	case EngineUpgrade:
		return signal.Upgrade{}, nil, nil
	case EnginePing:
		if string(engine.Data) == probe {
			return signal.Probe{}, nil, nil
		}
		return nil, EnginePacket{Type: EnginePong, Data: engine.Data}.Append(nil), nil
	case EngineClose:
		return signal.Leave{}, nil, nil
	case EngineOpen:
		return signal.Unreadable{Code: lane.CodeClient}, nil, malformed("open packet from a client")
	default:
		return nil, o.Nothing(), nil
	}
}

func (o OWT) decodePacket(payload []byte) (signal.Input, []byte, error) {
	p, err := decode(payload)
	if err == nil && p.Type != Event { // the JSON of which is looked at once, by Packet.Event
		err = p.checkJSON()
	}
	switch {
	case errors.Is(err, ErrBinary):
		return signal.Unreadable{Code: lane.CodeUnsupported}, nil, err
	case err != nil:
		return signal.Unreadable{Code: lane.CodeClient}, nil, err
	case p.Namespace != "/":
		return o.foreign(p)
	}
	switch p.Type {
	case Connect:
		join, err := join(p.Data)
		return join, nil, err
	case Disconnect:
		return signal.Leave{}, nil, nil
	case Event:
		return o.decodeEvent(p)
	default: // the server asks for no ack, and sends no errors to be answered
		return nil, o.Nothing(), nil
	}
}

// foreign answers a packet of another namespace than the main one, which is
// all that there is. The error's data is a string in Socket.IO 2, an object since.
func (o OWT) foreign(p Packet) (signal.Input, []byte, error) {
	if p.Type != Connect {
		return nil, o.Nothing(), nil
	}
	name, _, _ := strings.Cut(p.Namespace, "?")
	data := `{"message":"Invalid namespace"}`
	if o.Version == EIO3 {
		data = `"Invalid namespace"`
	}
	return nil, Packet{Type: ConnectError, Namespace: name, Data: []byte(data)}.Append(nil), errNamespace
}

func (o OWT) decodeEvent(p Packet) (signal.Input, []byte, error) {
	in, answer, err := o.decodeNumbered(p)
	if send, ok := in.(signal.Send); ok && o.unnumbered && p.HasID {
		send.Number, send.AckAs = signal.NoNumber, new(send.Number)
		in = send
	}
	return in, answer, err
}

func (o OWT) decodeNumbered(p Packet) (signal.Input, []byte, error) {
	number := signal.NoNumber
	if p.HasID {
		number = p.ID
	}
	name, args, err := p.Event()
	switch {
	case err != nil && (!p.HasID || p.checkJSON() != nil):
		return signal.Unreadable{Code: lane.CodeClient}, nil, err
	case err != nil:
		return signal.Send{Number: number, Frame: lane.Frame{Code: lane.CodeClient}}, nil, err
	case name == eventMessage:
		f, err := message(args)
		return signal.Send{Number: number, Frame: f}, nil, err
	case name == eventAuthenticate:
		token, err := token(args)
		return signal.Authenticate{Number: number, Token: token, Malformed: err != nil}, nil, err
	case p.HasID && name == eventICE:
		return signal.Send{Number: number, Frame: lane.Frame{Asks: lane.AsksICE}}, nil, nil
	case p.HasID:
		return signal.Send{Number: number, Frame: lane.Frame{Code: lane.CodeUnsupported}}, nil, nil
	default:
		return nil, o.Nothing(), nil
	}
}

// message reads the argument of a message: {to, data}.
func message(args []json.RawMessage) (lane.Frame, error) {
	refused := lane.Frame{Code: lane.CodeClient}
	if len(args) == 0 {
		return refused, malformed("message without an argument")
	}
	var room [4]rawjson.Member // enough for OWT's clients
	members, err := rawjson.MembersOf(room[:0], args[0], maxMembers)
	if err != nil {
		return refused, malformed("message is not an object")
	}
	var f lane.Frame
	var others []rawjson.Member
	for _, m := range members {
		switch string(m.Name) {
		case "to":
			to, _ := rawjson.Text(m.Value)
			f.To = to
		case "data":
			f.Data = m.Value
		case "from", "epoch", "seq": // the server's
		default:
			others = append(others, m)
		}
	}
	if f.Data != nil {
		f.Data = rawjson.AppendMembers(f.Data, others)
	}
	if err := signal.CheckUserName(signal.UserName(f.To)); err != nil {
		return refused, err
	}
	if f.Data == nil {
		return refused, malformed("message without data")
	}
	return f, nil
}

// join reads the data of a CONNECT: Socket.IO's own place for credentials, of
// which {token} is ours. An empty token is none: OWT's clients authenticate by
// the event then.
func join(data json.RawMessage) (signal.Join, error) {
	if data == nil {
		return signal.Join{}, nil
	}
	token, err := readToken(data)
	if token == "" && err == nil {
		return signal.Join{}, nil
	}
	return signal.Join{Token: &token, Malformed: err != nil}, err
}

// token reads the argument of an authentication: {token}.
func token(args []json.RawMessage) (string, error) {
	if len(args) == 0 {
		return "", malformed("authentication without an argument")
	}
	return readToken(args[0])
}

// readToken reads the member token of an object. An empty token and none are the
// same.
func readToken(object json.RawMessage) (string, error) {
	members, err := rawjson.Members(nil, object, maxMembers)
	if err != nil {
		return "", malformed("credentials are not an object")
	}
	var token string
	for _, m := range members {
		if string(m.Name) != "token" || string(m.Value) == "null" {
			continue
		}
		text, ok := rawjson.Text(m.Value)
		if !ok {
			return "", malformed("token is not a string")
		}
		token = text
	}
	return token, nil
}

// Encode returns the packets by which a client learns of an event.
func (o OWT) Encode(e signal.Event) [][]byte {
	switch e := e.(type) {
	case signal.Opened:
		return [][]byte{o.open(string(e.Connection), false)}
	case signal.LobbyOpened:
		return [][]byte{o.open(string(e.Lobby), true)}
	case signal.Polled:
		if e.Over {
			return [][]byte{{byte(EngineClose)}}
		}
		return [][]byte{o.Nothing()}
	case signal.Probed:
		return [][]byte{EnginePacket{Type: EnginePong, Data: []byte(probe)}.Append(nil)}
	case signal.Admitted:
		if o.Version == EIO3 {
			return [][]byte{Packet{Type: Connect}.Append(nil)}
		}
		return nil // EIO4 clients ask for it
	case signal.Joined:
		return [][]byte{connected(e.Connection)}
	case signal.Welcome:
		return o.welcome(e)
	case signal.Ack:
		return [][]byte{ack(e.Number, code(e.Code))}
	case signal.AuthenticationDenied:
		return [][]byte{ack(e.Number, failure(e.Code))}
	case signal.ICEAnswer:
		return [][]byte{ack(e.Number, ice(e.ICE))}
	case signal.Delivery:
		return [][]byte{delivery(e)}
	case signal.Superseded:
		return [][]byte{event(eventDisconnect, nil), Packet{Type: Disconnect}.Append(nil)}
	case signal.Closing:
		return o.closing(e.Code)
	case signal.ConnectionRefused:
		return o.refused(e)
	case signal.Ended:
		return [][]byte{{byte(EngineClose)}}
	case signal.Ping:
		return [][]byte{{byte(EnginePing)}}
	default:
		return nil
	}
}

func (o OWT) open(sid string, polling bool) []byte {
	return Handshake{
		SID: sid, PingInterval: o.Heartbeat.Interval, PingTimeout: o.Heartbeat.Timeout, MaxPayload: o.MaxPayload, Polling: polling,
	}.Append(nil)
}

// Nothing is Engine.IO's no-op packet.
func (o OWT) Nothing() []byte { return []byte{byte(EngineNoop)} }

func (o OWT) welcome(w signal.Welcome) [][]byte {
	uid := append(rawjson.AppendString([]byte(`{"uid":`), string(w.User)), '}')
	frames := [][]byte{event(eventAuthenticated, uid)}
	if w.Number != signal.NoNumber {
		frames = append(frames, ack(w.Number, uid))
	}
	return frames
}

// refused ends with a DISCONNECT, after which no client reconnects by itself.
func (o OWT) refused(r signal.ConnectionRefused) [][]byte {
	number := strconv.Itoa(int(r.Code))
	bye := Packet{Type: Disconnect}.Append(nil)
	switch {
	case r.Number != signal.NoNumber:
		return [][]byte{ack(r.Number, failure(r.Code)), bye}
	case o.Version == EIO3:
		return [][]byte{Packet{Type: ConnectError, Data: []byte(`"` + number + `"`)}.Append(nil), bye}
	default:
		data := `{"message":"` + number + `","data":{"code":` + number + `}}`
		return [][]byte{Packet{Type: ConnectError, Data: []byte(data)}.Append(nil), bye}
	}
}

// closing ends with a DISCONNECT, too. After the CONNECT, a CONNECT_ERROR would
// have the newer of the Engine.IO 4 clients (socket.io-client 4, socket.js,
// onpacket) take leave of the socket without telling the application.
func (o OWT) closing(c lane.Code) [][]byte {
	if o.Version == EIO3 {
		return o.refused(signal.ConnectionRefused{Number: signal.NoNumber, Code: c})
	}
	return [][]byte{event(eventRefused, failure(c)), Packet{Type: Disconnect}.Append(nil)}
}

// connected returns the answer to a client's CONNECT: only those of EIO4 send one.
func connected(id signal.ConnectionID) []byte {
	sid := append(rawjson.AppendString([]byte(`{"sid":`), string(id)), '}')
	return Packet{Type: Connect, Data: sid}.Append(nil)
}

// code returns the argument of a failure's ack, a number; a success has none:
// Android's client takes any for a failure, JavaScript's only a number.
func code(c lane.Code) []byte {
	if c == lane.OK {
		return nil
	}
	return strconv.AppendInt(nil, int64(c), 10)
}

// failure returns the argument of the ack of an authentication that failed.
func failure(c lane.Code) []byte {
	return append(strconv.AppendInt([]byte(`{"error":`), int64(c), 10), '}')
}

// ice returns the argument of the ack that has ICE servers.
func ice(i signal.ICE) []byte {
	if i.Servers == nil {
		i.Servers = []byte("[]")
	}
	b := append([]byte(`{"iceServers":`), i.Servers...)
	if i.Expires > 0 {
		b = strconv.AppendInt(append(b, `,"iceExpires":`...), int64(i.Expires.Seconds()), 10)
	}
	return append(b, '}')
}

func ack(id int64, argument []byte) []byte {
	b := Packet{Type: Ack, HasID: true, ID: id}.Append(make([]byte, 0, len(argument)+24))
	return append(append(append(b, '['), argument...), ']')
}

func event(name string, argument []byte) []byte {
	data := rawjson.AppendString([]byte{'['}, name)
	if argument != nil {
		data = append(append(data, ','), argument...)
	}
	return Packet{Type: Event, Data: append(data, ']')}.Append(nil)
}

// delivery returns the message that the sender wrote, with its name instead of the
// receiver's, and its place among the receiver's messages.
func delivery(d signal.Delivery) []byte {
	b := make([]byte, 0, len(d.Data)+len(d.From)+len(d.Epoch)+80)
	b = append(b, byte(EngineMessage), '0'+byte(Event))
	b = append(b, `["`+eventMessage+`",{"data":`...)
	b = append(b, d.Data...)
	b = rawjson.AppendString(append(b, `,"from":`...), string(d.From))
	b = rawjson.AppendString(append(b, `,"epoch":`...), d.Epoch)
	b = strconv.AppendInt(append(b, `,"seq":`...), d.Seq, 10)
	return append(b, `}]`...)
}
