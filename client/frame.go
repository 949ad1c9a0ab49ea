package client

import (
	"bytes"
	"encoding/json"
	"strconv"
	"time"
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
	typeIce        = "ice"
	typeSuperseded = "superseded"
	typeVoid       = "void"
	typeLost       = "lost"
	typeReplayed   = "replayed"
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
	MaxBatch    int    `json:"maxBatch"`    // messages in a frame
	MaxWatched  int    `json:"maxWatched"`  // users

	// presence
	Online  bool  `json:"online"`
	Watched *bool `json:"watched"` // nil: it answers a question
	At      int64 `json:"at"`

	// welcome and ice
	IceServers []IceServer `json:"iceServers"`
	IceExpires int64       `json:"iceExpires"` // seconds

	// ack and error
	ID      int64  `json:"id"`
	Code    Code   `json:"code"`
	Text    string `json:"message"`
	Closing bool   `json:"closing"`

	// welcome, presence, error, message, void, lost and replayed
	User    string          `json:"user"`
	Resumed bool            `json:"resumed"`
	Recover int64           `json:"recover"` // seconds
	Epoch   string          `json:"epoch"`
	Seq     int64           `json:"seq"`
	Last    int64           `json:"last"`
	Session string          `json:"session"`
	Number  int64           `json:"number"`
	From    any             `json:"from"` // who has sent the message; the number from which on there will be some
	Data    json.RawMessage `json:"data"`
}

// message is the message that the frame brings.
func (f frame) message() Message {
	from, _ := f.From.(string)
	return Message{from, f.Data, f.Epoch, f.Seq, f.Session, f.Number}
}

// standing is where a welcome says that the server's count stands.
func (f frame) standing() standing {
	from, _ := f.From.(float64)
	return standing{f.Epoch, f.Seq, int64(from), time.Duration(f.Recover) * time.Second}
}

// readFrames reads what the server says: an object, or an array of them. What
// cannot be read, from API Gateway itself or a later server, is a frame without a
// type.
func readFrames(text []byte) []frame {
	if bytes.HasPrefix(text, []byte{'['}) {
		var several []frame
		_ = json.Unmarshal(text, &several)
		return several
	}
	var one frame
	if json.Unmarshal(text, &one) != nil {
		one = frame{}
	}
	return []frame{one}
}

// outFrame is what the client says. Messages may go together.
type outFrame struct {
	text    []byte
	message bool
}

// together is how many of the frames that are queued go as one: messages, as many
// as the server takes, up to API Gateway's unit of metering.
func together(queue []outFrame, most int) int {
	n, size := 1, len("[]")+len(queue[0].text)
	for queue[0].message && n < min(len(queue), most) && queue[n].message {
		if size += len(",") + len(queue[n].text); size > maxFrame {
			break
		}
		n++
	}
	return n
}

// join is the text of frames that go as one.
func join(frames []outFrame) []byte {
	if len(frames) == 1 {
		return frames[0].text
	}
	texts := make([][]byte, len(frames))
	for i, f := range frames {
		texts[i] = f.text
	}
	return append(append([]byte{'['}, bytes.Join(texts, []byte{','})...), ']')
}

var (
	pingFrame  = outFrame{text: []byte(`{"type":"ping"}`)}
	leaveFrame = outFrame{text: []byte(`{"type":"leave"}`)}
	iceFrame   = outFrame{text: []byte(`{"type":"ice"}`)}
)

func presenceFrame(user string) outFrame { return userFrame(`{"type":"presence","user":`, user) }
func watchFrame(user string) outFrame    { return userFrame(`{"type":"watch","user":`, user) }
func unwatchFrame(user string) outFrame  { return userFrame(`{"type":"unwatch","user":`, user) }

func userFrame(begin, user string) outFrame {
	return outFrame{text: append(append([]byte(begin), quoted(user)...), '}')}
}

func recoverFrame(epoch string, q question) outFrame {
	b := append([]byte(`{"type":"recover","epoch":`), quoted(epoch)...)
	b = strconv.AppendInt(append(b, `,"since":`...), q.since, 10)
	b = strconv.AppendInt(append(b, `,"to":`...), q.last, 10)
	return outFrame{text: append(b, '}')}
}

// messageFrame is a message whose receiver and data are JSON.
func messageFrame(number int64, to, data []byte) outFrame {
	b := make([]byte, 0, frameSize(to, data))
	b = append(b, `{"type":"message","id":`...)
	b = strconv.AppendInt(b, number, 10)
	b = append(append(b, `,"to":`...), to...)
	b = append(append(b, `,"data":`...), data...)
	return outFrame{append(b, '}'), true}
}

// fillerFrame has the place of a number in the order, and nothing to deliver:
// the server answers it 2110 when its turn comes.
func fillerFrame(number int64) outFrame {
	return outFrame{append(strconv.AppendInt([]byte(`{"type":"message","id":`), number, 10), '}'), true}
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
