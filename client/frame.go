package client

import (
	"encoding/json"
	"strconv"
)

// The types of frames, docs/protocol.md.
const (
	typeOpen       = "open"
	typeWelcome    = "welcome"
	typeMessage    = "message"
	typeStored     = "stored"
	typeAck        = "ack"
	typeError      = "error"
	typePresence   = "presence"
	typeSuperseded = "superseded"
)

const subprotocol = "owt.signal.v1"

// tokenSubprotocol begins what is offered beside it to bring a token, in base64url.
const tokenSubprotocol = "owt.token."

// frame is whatever the server may say.
type frame struct {
	Type string `json:"type"`

	// open
	Connection  string `json:"connection"`
	Idle        int    `json:"idle"`        // seconds
	MaxPayload  int    `json:"maxPayload"`  // bytes
	MaxInFlight int    `json:"maxInFlight"` // messages

	// ack and error
	ID      int64  `json:"id"`
	Code    Code   `json:"code"`
	Text    string `json:"message"`
	Closing bool   `json:"closing"`

	// welcome, presence and message
	User    string          `json:"user"`
	Online  bool            `json:"online"`
	Resumed bool            `json:"resumed"`
	Epoch   string          `json:"epoch"`
	Seq     int64           `json:"seq"`
	Session string          `json:"session"`
	Number  int64           `json:"number"`
	From    string          `json:"from"`
	Data    json.RawMessage `json:"data"`
}

var (
	pingFrame  = []byte(`{"type":"ping"}`)
	leaveFrame = []byte(`{"type":"leave"}`)
)

func presenceFrame(user string) []byte {
	return append(append([]byte(`{"type":"presence","user":`), quoted(user)...), '}')
}

// messageFrame is a message whose receiver and data are JSON.
func messageFrame(number int64, to, data []byte) []byte {
	b := make([]byte, 0, frameSize(to, data))
	b = append(b, `{"type":"message","id":`...)
	b = strconv.AppendInt(b, number, 10)
	b = append(append(b, `,"to":`...), to...)
	b = append(append(b, `,"data":`...), data...)
	return append(b, '}')
}

// fillerFrame has the place of a number in the order, and nothing to deliver:
// the server answers it 2110 when its turn comes.
func fillerFrame(number int64) []byte {
	return append(strconv.AppendInt([]byte(`{"type":"message","id":`), number, 10), '}')
}

// frameSize is how large a message's frame is at most.
func frameSize(to, data []byte) int {
	const around, digits = len(`{"type":"message","id":,"to":,"data":}`), len("9007199254740991")
	return around + digits + len(to) + len(data)
}

// quoted is a string as JSON.
func quoted(s string) []byte {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // strings always marshal
	}
	return b
}
