// Package jsonproto is the subprotocol owt.signal.v1: JSON objects over
// WebSocket, for everything that is not an OWT SDK. docs/protocol.md describes
// it. The package is pure: frames in, frames out.
package jsonproto

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/owt-signal/owt-signal/internal/rawjson"
	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// The types of frames. Messages, pings, presence and ICE servers go both ways.
const (
	typeOpen       = "open"
	typeWelcome    = "welcome"
	typeMessage    = "message"
	typeStored     = "stored"
	typeAck        = "ack"
	typeError      = "error"
	typePresence   = "presence"
	typeWatch      = "watch"
	typeUnwatch    = "unwatch"
	typeICE        = "ice"
	typePing       = "ping"
	typePong       = "pong"
	typeSuperseded = "superseded"
	typeLeave      = "leave"
	typeNothing    = "nothing"
	typeRecover    = "recover"
	typeVoid       = "void"
	typeLost       = "lost"
	typeReplayed   = "replayed"
)

// arrayStart is how a frame of several messages begins.
const arrayStart = '['

// maxMembers is how many members a client's frame may have.
const maxMembers = 16

// Protocol implements apigw.Protocol. Clients learn Idle and MaxPayload from the
// first frame.
type Protocol struct {
	Idle       time.Duration // after which a silent connection is closed
	MaxPayload int           // bytes in one frame
}

// What the query of a handshake may say: of a session, that the client takes arrays,
// and that it recovers, and from where.
const (
	querySession = "session"
	queryResume  = "resume"
	queryFirst   = "first"
	queryBatch   = "batch"
	queryRecover = "recover"
	queryEpoch   = "epoch"
	querySince   = "since"
)

// maxConnectionID bounds the name of a connection that a client gives, in
// bytes. API Gateway's have 16.
const maxConnectionID = 128

var errSession = errors.New("resume, a connection, and first, a whole number from 1, go with a session")

// Handshake reads the session of a client that has one, and whether it takes
// arrays. All clients authenticate with the handshake, and number their messages
// from 1.
func (p Protocol) Handshake(query map[string]string, hs *signal.Handshake) error {
	if hs.Token == nil {
		hs.Token = new(string)
	}
	hs.Start = lane.StartAfter(0)
	hs.Peer.Batches = query[queryBatch] == "1"
	if err := recovery(query, hs); err != nil {
		return err
	}
	id, there := query[querySession]
	first, given := query[queryFirst]
	s := signal.Session{ID: id, Resume: signal.ConnectionID(query[queryResume])}
	if !there {
		if s.Resume != "" || given {
			return errSession
		}
		return nil
	}
	if given {
		n, err := strconv.ParseInt(first, 10, 64)
		if err != nil || n < 1 || n > signal.MaxNumber {
			return errSession
		}
		hs.Start = lane.StartAfter(n - 1)
	}
	if len(s.Resume) > maxConnectionID {
		return errSession
	}
	hs.Session = &s
	return signal.CheckSessionID(s.ID)
}

// maxEpoch bounds an epoch that a client names, in bytes. Ours have 16.
const maxEpoch = 64

var errRecovery = errors.New("since, a whole number from 0, goes with recover and an epoch")

// recovery reads whether the client recovers, and what it has.
func recovery(query map[string]string, hs *signal.Handshake) (err error) {
	hs.Peer.Recovers = query[queryRecover] == "1"
	number, given := query[querySince]
	if !given {
		return nil
	}
	at, err := since(query[queryEpoch], number)
	if err == nil && !hs.Peer.Recovers {
		err = errRecovery
	}
	hs.Since = &at
	return err
}

// since returns what a client has of an epoch.
func since(epoch, number string) (at signal.Since, err error) {
	at.Epoch = epoch
	at.Seq, err = strconv.ParseInt(number, 10, 64)
	if err != nil || at.Seq < 0 || at.Seq > signal.MaxNumber || epoch == "" || len(epoch) > maxEpoch {
		err = errRecovery
	}
	return at, err
}

// ServerPings reports that the clients ping.
func (p Protocol) ServerPings() bool { return false }

// Decode reads a frame. What is wrong with one is answered, and costs nothing
// else.
func (p Protocol) Decode(frame []byte) (signal.Input, []byte, error) {
	frame = bytes.TrimLeft(frame, " \t\n\r") // white space of JSON (RFC 8259, section 2)
	if !utf8.Valid(frame) {                  // another client's WebSocket would fail on it
		return nil, failure(0, lane.CodeClient, false), errors.New("read frame: not UTF-8")
	}
	if len(frame) > 0 && frame[0] == arrayStart {
		return decodeBatch(frame)
	}
	f, err := read(frame)
	if err != nil {
		return nil, failure(0, lane.CodeClient, false), err
	}
	switch f.kind {
	case typeMessage:
		in, err := f.message()
		if err != nil && in.Number == signal.NoNumber {
			return nil, failure(0, lane.CodeClient, false), err
		}
		return in, nil, err
	case typePing:
		return nil, object(typePong).end(), nil
	case typePresence, typeWatch, typeUnwatch:
		return f.presence()
	case typeRecover:
		in, err := f.recover()
		if err != nil {
			return nil, failure(0, lane.CodeClient, false), err
		}
		return in, nil, nil
	case typeICE:
		return signal.QueryICE{}, nil, nil
	case typeLeave:
		return signal.Leave{}, nil, nil
	default:
		return nil, failure(0, lane.CodeUnsupported, false), errors.New("unknown type of frame")
	}
}

// presence returns what is asked about the presence of a user.
func (f frame) presence() (signal.Input, []byte, error) {
	if err := signal.CheckUserName(f.user); err != nil {
		return nil, failure(0, lane.CodeClient, false), err
	}
	switch f.kind {
	case typeWatch:
		return signal.Watch{User: f.user}, nil, nil
	case typeUnwatch:
		return signal.Unwatch{User: f.user}, nil, nil
	default:
		return signal.Query{User: f.user}, nil, nil
	}
}

// decodeBatch reads several messages. What is none, or cannot be read, has its place
// among them, and its own answer. The error is the first of these.
func decodeBatch(array []byte) (signal.Input, []byte, error) {
	elements, err := rawjson.Elements(array, signal.MaxBatch)
	if err == nil && len(elements) == 0 {
		err = errors.New("no messages")
	}
	if err != nil {
		return nil, failure(0, lane.CodeClient, false), fmt.Errorf("read array: %w", err)
	}
	batch := make(signal.Sends, len(elements))
	for i, e := range elements {
		var wrong error
		if batch[i], wrong = element(e); err == nil {
			err = wrong
		}
	}
	return batch, nil, err
}

// element reads one of several messages.
func element(object []byte) (signal.Send, error) {
	f, err := read(object)
	switch {
	case err != nil:
		return signal.Send{Number: signal.NoNumber, Frame: lane.Frame{Code: lane.CodeClient}}, err
	case f.kind != typeMessage:
		return signal.Send{Number: signal.NoNumber, Frame: lane.Frame{Code: lane.CodeUnsupported}}, errors.New("not a message, in an array")
	default:
		return f.message()
	}
}

// frame is what a client's frame may say.
type frame struct {
	kind     string
	id       json.RawMessage
	to, user signal.UserName
	data     json.RawMessage

	epoch       string // of a recover frame, and the numbers since which, and to which
	since, upTo json.RawMessage
}

func read(b []byte) (frame, error) {
	var f frame
	members, err := rawjson.Members(b, maxMembers)
	if err != nil {
		return f, fmt.Errorf("read frame: %w", err)
	}
	for _, m := range members {
		switch string(m.Name) {
		case "type":
			f.kind, _ = rawjson.Text(m.Value)
		case "to":
			to, _ := rawjson.Text(m.Value)
			f.to, f.upTo = signal.UserName(to), m.Value
		case "epoch":
			f.epoch, _ = rawjson.Text(m.Value)
		case "since":
			f.since = m.Value
		case "user":
			user, _ := rawjson.Text(m.Value)
			f.user = signal.UserName(user)
		case "id":
			f.id = m.Value
		case "data":
			f.data = m.Value
		}
	}
	return f, nil
}

// message returns a message, whose number is valid if there is one. One that cannot
// be delivered still has its place in the order.
func (f frame) message() (signal.Send, error) {
	in := signal.Send{Number: signal.NoNumber, Frame: lane.Frame{To: string(f.to), Data: f.data}}
	if f.id != nil {
		n, err := strconv.ParseInt(string(f.id), 10, 64)
		if err != nil || n < 1 || n > signal.MaxNumber {
			in.Frame = lane.Frame{Code: lane.CodeClient}
			return in, fmt.Errorf("message id is not a whole number from 1 to %d", signal.MaxNumber)
		}
		in.Number = n
	}
	err := signal.CheckUserName(f.to)
	if err == nil && f.data == nil {
		err = errors.New("message without data")
	}
	if err != nil {
		in.Frame = lane.Frame{Code: lane.CodeClient}
	}
	return in, err
}

// recover returns a question for what was posted since a number.
func (f frame) recover() (in signal.Recover, err error) {
	in.Since, err = since(f.epoch, string(f.since))
	if err == nil && f.upTo != nil {
		in.To, err = strconv.ParseInt(string(f.upTo), 10, 64)
	}
	if err == nil && (in.To < 0 || in.To > signal.MaxNumber) {
		err = errRecovery
	}
	return in, err
}

// Encode returns the frame by which a client learns of an event.
func (p Protocol) Encode(e signal.Event) [][]byte {
	if b := p.encode(e); b != nil {
		return [][]byte{b}
	}
	return nil
}

func (p Protocol) encode(e signal.Event) []byte {
	switch e := e.(type) {
	case signal.Opened:
		return object(typeOpen).text("connection", string(e.Connection)).text("protocol", string(signal.JSON)).
			number("idle", int64(p.Idle.Seconds())).number("maxPayload", int64(p.MaxPayload)).
			number("maxInFlight", lane.MaxHeld).number("maxBatch", signal.MaxBatch).
			number("maxWatched", signal.MaxWatched).end()
	case signal.Welcome:
		o := object(typeWelcome).text("user", string(e.User)).text("epoch", e.Epoch).number("seq", e.Seq)
		if e.Session != "" {
			o = o.text("session", e.Session).raw("resumed", strconv.AppendBool(nil, e.Resumed))
		}
		if r := e.Recovery; r.For > 0 {
			o = o.number("recover", int64(r.For.Seconds()))
			if r.Asked {
				o = o.raw("recovered", strconv.AppendBool(nil, r.Whole)).number("from", r.From)
			}
		}
		if e.ICE.Servers != nil {
			o = o.ice(e.ICE)
		}
		return o.end()
	case signal.Ack:
		if e.Code != lane.OK {
			return failure(e.Number, e.Code, false)
		}
		return object(typeAck).number("id", e.Number).end()
	case signal.Stored:
		return object(typeStored).number("id", e.Number).end()
	case signal.Delivery:
		o := sized(typeMessage, len(e.Data)+len(e.From)).text("from", string(e.From)).text("epoch", e.Epoch).number("seq", e.Seq)
		if e.Session != "" && e.Number != signal.NoNumber {
			o = o.text("session", e.Session).number("number", e.Number)
		}
		return o.raw("data", rawjson.First(e.Data)).end()
	case signal.Void:
		return object(typeVoid).text("epoch", e.Epoch).number("seq", e.Seq).number("last", e.Last).end()
	case signal.Lost:
		return object(typeLost).text("epoch", e.Epoch).number("seq", e.Seq).number("last", e.Last).end()
	case signal.Replayed:
		return object(typeReplayed).text("epoch", e.Epoch).number("seq", e.Seq).end()
	case signal.Superseded:
		return object(typeSuperseded).end()
	case signal.Closing:
		return failure(0, e.Code, true)
	case signal.ConnectionRefused:
		return failure(0, e.Code, true)
	case signal.Presence:
		o := object(typePresence).text("user", string(e.User)).raw("online", strconv.AppendBool(nil, e.Online))
		if e.Watched {
			o = o.raw("watched", []byte("true")).number("at", e.At)
		}
		return o.end()
	case signal.Unwatched:
		return object(typePresence).text("user", string(e.User)).raw("watched", []byte("false")).end()
	case signal.ICEAnswer:
		return object(typeICE).ice(e.ICE).end()
	case signal.RequestFailed:
		return failed(0, e.Code, e.User, false)
	case signal.Ping:
		return object(typePing).end()
	case signal.Batch:
		return p.array(e)
	default:
		return nil
	}
}

// array returns the frame of several events.
func (p Protocol) array(events signal.Batch) []byte {
	objects := make([][]byte, len(events))
	for i, e := range events {
		objects[i] = p.encode(e)
	}
	return append(append([]byte{arrayStart}, bytes.Join(objects, []byte{','})...), ']')
}

// Nothing returns a frame that says nothing.
func (p Protocol) Nothing() []byte { return object(typeNothing).end() }

// failure returns an error frame: for the message with that id, or, with zero, for
// whatever came before; closing, if it is the connection's last.
func failure(id int64, code lane.Code, closing bool) []byte { return failed(id, code, "", closing) }

// failed returns the same, for a question about a user, if that is not empty.
func failed(id int64, code lane.Code, about signal.UserName, closing bool) []byte {
	o := object(typeError)
	if id > 0 {
		o = o.number("id", id)
	}
	o = o.number("code", int64(code)).text("message", code.String())
	if about != "" {
		o = o.text("user", string(about))
	}
	if closing {
		o = o.raw("closing", []byte("true"))
	}
	return o.end()
}

// builder is a JSON object being written.
type builder []byte

func object(kind string) builder { return sized(kind, 0) }

// sized returns an object with room for so much, in bytes, beside what most have.
func sized(kind string, bytes int) builder {
	const most = 192
	return append(append(append(make(builder, 0, most+bytes), `{"type":"`...), kind...), '"')
}

func (b builder) name(name string) builder {
	return append(append(append(b, `,"`...), name...), `":`...)
}

func (b builder) text(name, v string) builder { return rawjson.AppendString(b.name(name), v) }

func (b builder) number(name string, v int64) builder { return strconv.AppendInt(b.name(name), v, 10) }

func (b builder) raw(name string, v []byte) builder { return append(b.name(name), v...) }

// ice adds ICE servers, and for how long they are good.
func (b builder) ice(i signal.ICE) builder {
	if i.Servers == nil {
		i.Servers = []byte("[]")
	}
	b = b.raw("iceServers", i.Servers)
	if i.Expires > 0 {
		b = b.number("iceExpires", int64(i.Expires.Seconds()))
	}
	return b
}

func (b builder) end() []byte { return append(b, '}') }
