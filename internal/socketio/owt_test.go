package socketio_test

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/owt-signal/owt-signal/internal/rawjson"
	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
	"github.com/owt-signal/owt-signal/internal/socketio"
)

var owt3 = socketio.OWT{Version: socketio.EIO3, Heartbeat: socketio.DefaultHeartbeat, MaxPayload: 131072}
var owt4 = socketio.OWT{Version: socketio.EIO4, Heartbeat: socketio.DefaultHeartbeat, MaxPayload: 131072}

func send(n int64, to, data string) signal.Send {
	return signal.Send{Number: n, Frame: lane.Frame{To: to, Data: []byte(data)}}
}

func fails(n int64, code lane.Code) signal.Send {
	return signal.Send{Number: n, Frame: lane.Frame{Code: code}}
}

func asksICE(n int64) signal.Send {
	return signal.Send{Number: n, Frame: lane.Frame{Asks: lane.AsksICE}}
}

// TestOWTDecode: the frames of OWT's clients, and those that no client should
// send. Either there is an input or an answer.
func TestOWTDecode(t *testing.T) {
	const none = signal.NoNumber
	for _, c := range []struct {
		frame  string
		in     signal.Input
		answer string
		bad    bool // the log is told
	}{
		{frame: `420["authentication",{"token":"alice"}]`, in: signal.Authenticate{Number: 0, Token: "alice"}},
		{frame: `42["authentication",{"token":"alice"}]`, in: signal.Authenticate{Number: none, Token: "alice"}},
		{frame: `421["authentication",{}]`, in: signal.Authenticate{Number: 1}},
		{frame: `421["authentication",{"token":null}]`, in: signal.Authenticate{Number: 1}},
		{frame: `421["authentication",{"token":{"toString":1}}]`, in: signal.Authenticate{Number: 1, Malformed: true}, bad: true},
		{frame: `421["authentication",{"token":7}]`, in: signal.Authenticate{Number: 1, Malformed: true}, bad: true},
		{frame: `421["authentication",null]`, in: signal.Authenticate{Number: 1, Malformed: true}, bad: true},
		{frame: `421["authentication"]`, in: signal.Authenticate{Number: 1, Malformed: true}, bad: true},

		{frame: `425["owt-message",{"to":"bob","data":"{\"a\": 1.10}"}]`, in: send(5, "bob", `"{\"a\": 1.10}"`)},
		{frame: `425["owt-message",{"data":{ "z":1, "a":12345678901234567890 },"to":"\u7528户1"}]`, in: send(5, "用户1", `{ "z":1, "a":12345678901234567890 }`)},
		{frame: `42["owt-message",{"to":"bob","data":null}]`, in: send(none, "bob", "null")},
		{frame: `425["owt-message",{"to":"eve","to":"bob","from":"root","epoch":1,"s\u0065q":2,"data":1}]`, in: send(5, "bob", "1")},
		{frame: `425["owt-message",{"a":1,"to":"bob","\u0062":[ 2 ],"data":"x"}]`, in: send(5, "bob", `"x","a":1,"b":[ 2 ]`)},
		{frame: `425["owt-message",null]`, in: fails(5, lane.CodeClient), bad: true},
		{frame: `425["owt-message"]`, in: fails(5, lane.CodeClient), bad: true},
		{frame: `425["owt-message",{"data":1}]`, in: fails(5, lane.CodeClient), bad: true},
		{frame: `425["owt-message",{"to":"bob"}]`, in: fails(5, lane.CodeClient), bad: true},
		{frame: `425["owt-message",{"to":["bob"],"data":1}]`, in: fails(5, lane.CodeClient), bad: true},
		{frame: `425["owt-message",{"to":"` + strings.Repeat("x", signal.MaxUserName+1) + `","data":1}]`, in: fails(5, lane.CodeClient), bad: true},
		{frame: `425["other",1]`, in: fails(5, lane.CodeUnsupported)},
		{frame: `42["other",1]`, answer: "6"},
		{frame: `425[7]`, in: fails(5, lane.CodeClient), bad: true},
		{frame: `42[7]`, in: signal.Unreadable{Code: lane.CodeClient}, bad: true},

		{frame: `2`, answer: `3`},
		{frame: `2probe`, in: signal.Probe{}},
		{frame: `5`, in: signal.Upgrade{}},
		{frame: `3`, answer: `6`},
		{frame: `6`, answer: `6`},
		{frame: `40`, in: signal.Join{}},
		{frame: `427["ice-servers"]`, in: asksICE(7)},
		{frame: `427["ice-servers",{"more":1}]`, in: asksICE(7)},
		{frame: `42["ice-servers"]`, answer: "6"},
		{frame: `40{"token":"x"}`, in: signal.Join{Token: new("x")}},
		{frame: `40{"token":""}`, in: signal.Join{}},
		{frame: `40{"token":null,"a":1}`, in: signal.Join{}},
		{frame: `40{"pid":"x","offset":"y"}`, in: signal.Join{}},
		{frame: `40{"token":7}`, in: signal.Join{Token: new(""), Malformed: true}, bad: true},
		{frame: `40/admin?a=1,`, answer: `44/admin,{"message":"Invalid namespace"}`, bad: true},
		{frame: `42/admin,1["owt-message",{"to":"bob","data":1}]`, answer: `6`},
		{frame: `431[]`, answer: `6`},
		{frame: `41`, in: signal.Leave{}},
		{frame: `1`, in: signal.Leave{}},

		{frame: `0{}`, in: signal.Unreadable{Code: lane.CodeClient}, bad: true},
		{frame: ``, in: signal.Unreadable{Code: lane.CodeClient}, bad: true},
		{frame: `4`, in: signal.Unreadable{Code: lane.CodeClient}, bad: true},
		{frame: `42{}`, in: signal.Unreadable{Code: lane.CodeClient}, bad: true},
		{frame: `429007199254740992["owt-message",{"to":"bob","data":1}]`, in: signal.Unreadable{Code: lane.CodeClient}, bad: true},
		{frame: `451-["x",{"_placeholder":true,"num":0}]`, in: signal.Unreadable{Code: lane.CodeUnsupported}, bad: true},
	} {
		in, answer, err := owt4.Decode([]byte(c.frame))
		if !reflect.DeepEqual(in, c.in) && !equalSend(in, c.in) || string(answer) != c.answer || (err != nil) != c.bad {
			t.Errorf("%.60s\n got %+v, %q, %v\nwant %+v, %q", c.frame, in, answer, err, c.in, c.answer)
		}
	}
}

// TestForeignNamespace: the error is a string in Socket.IO 2, an object since.
func TestForeignNamespace(t *testing.T) {
	if _, answer, err := owt3.Decode([]byte(`40/chat?a=1,`)); string(answer) != `44/chat,"Invalid namespace"` || err == nil {
		t.Errorf("%s, %v", answer, err)
	}
}

// TestOWTHandshake: what the query and the User-Agent say in Socket.IO.
func TestOWTHandshake(t *testing.T) {
	const cpp = "WebSocket++/0.8.2"
	token := "alice"
	for name, c := range map[string]struct {
		owt     socketio.OWT
		hs      signal.Handshake
		version string // "-": none
		want    signal.Handshake
	}{
		"SDK 5, Engine.IO 3":             {owt3, signal.Handshake{}, "-", signal.Handshake{}},
		"SDK 5, Engine.IO 4":             {owt4, signal.Handshake{}, "-", signal.Handshake{}},
		"SDK 4":                          {owt3, signal.Handshake{Token: &token}, "4.3.1", signal.Handshake{Token: &token}},
		"SDK 4 without a token":          {owt3, signal.Handshake{}, "4.3.1", signal.Handshake{Token: new(string)}},
		"an empty version":               {owt3, signal.Handshake{}, "", signal.Handshake{Unsupported: true}},
		"Engine.IO 4, an empty version":  {owt4, signal.Handshake{}, "", signal.Handshake{}},
		"Engine.IO 4, a token":           {owt4, signal.Handshake{Token: &token}, "-", signal.Handshake{Token: &token, JoinsLate: true}},
		"Engine.IO 4, an SDK 4":          {owt4, signal.Handshake{}, "4.3.1", signal.Handshake{Token: new(string), JoinsLate: true}},
		"C++, says 4":                    {owt4, signal.Handshake{UserAgent: cpp}, "-", signal.Handshake{Unasked: true}},
		"C++, says 4, a token":           {owt4, signal.Handshake{UserAgent: cpp, Token: &token}, "4.3.1", signal.Handshake{Token: &token, JoinsLate: true, Unasked: true}},
		"C++, says 4, an SDK 4, without": {owt4, signal.Handshake{UserAgent: cpp}, "4.3.1", signal.Handshake{Token: new(string), JoinsLate: true, Unasked: true}},
		"C++, says 3":                    {owt3, signal.Handshake{UserAgent: cpp}, "-", signal.Handshake{}},
		"another WebSocket++":            {owt4, signal.Handshake{UserAgent: "Mozilla/5.0 " + cpp}, "-", signal.Handshake{}},
	} {
		t.Run(name, func(t *testing.T) {
			query := map[string]string{}
			if c.version != "-" {
				query["clientVersion"], c.hs.Client.Version = c.version, c.version
			}
			c.want.UserAgent, c.want.Client = c.hs.UserAgent, c.hs.Client
			if err := c.owt.Handshake(query, &c.hs); err != nil || !reflect.DeepEqual(c.hs, c.want) {
				t.Errorf("got %+v (%v)\nwant %+v", c.hs, err, c.want)
			}
		})
	}
}

// equalSend compares data by its bytes: those of a frame are a part of it.
func equalSend(a, b signal.Input) bool {
	x, ok := a.(signal.Send)
	y, ok2 := b.(signal.Send)
	return ok && ok2 && x.Number == y.Number && x.Frame.To == y.Frame.To && string(x.Frame.Data) == string(y.Frame.Data) && x.Frame.Code == y.Frame.Code && x.Frame.Asks == y.Frame.Asks
}

// TestOWTEncode: to the byte what OWT's clients expect.
func TestOWTEncode(t *testing.T) {
	const none = signal.NoNumber
	for _, c := range []struct {
		event signal.Event
		v3    string
		v4    string // empty: as v3
	}{
		{event: signal.Opened{Connection: "id="}, v3: `0{"sid":"id=","upgrades":[],"pingInterval":300000,"pingTimeout":240000,"maxPayload":131072}`},
		{event: signal.Admitted{Connection: "id="}, v3: `40`, v4: "-"},
		{event: signal.Joined{Connection: "id="}, v3: `40{"sid":"id="}`},
		{event: signal.Welcome{Number: none, User: "用户1"}, v3: `42["server-authenticated",{"uid":"用户1"}]`},
		{event: signal.Welcome{Number: 7, User: "a\"b"}, v3: `42["server-authenticated",{"uid":"a\"b"}] 437[{"uid":"a\"b"}]`},
		{event: signal.Ack{Number: 0}, v3: `430[]`},
		{event: signal.Ack{Number: signal.MaxNumber, Code: lane.CodeUnreachable}, v3: `439007199254740991[2201]`},
		{event: signal.Stored{Number: 1}, v3: "-"},
		{event: signal.Welcome{Number: none, User: "a", ICE: signal.ICE{Servers: []byte("[1]")}}, v3: `42["server-authenticated",{"uid":"a"}]`},
		{event: signal.ICEAnswer{Number: 3, ICE: signal.ICE{Servers: []byte("[1]"), Expires: time.Minute}}, v3: `433[{"iceServers":[1],"iceExpires":60}]`},
		{event: signal.ICEAnswer{Number: 3, ICE: signal.ICE{Servers: []byte("[1]")}}, v3: `433[{"iceServers":[1]}]`},
		{event: signal.ICEAnswer{Number: 3}, v3: `433[{"iceServers":[]}]`},
		{event: signal.Delivery{From: "bob", Data: []byte(`{"<": 1.10}`), Epoch: "e", Seq: 12}, v3: `42["owt-message",{"data":{"<": 1.10},"from":"bob","epoch":"e","seq":12}]`},
		{event: signal.Superseded{}, v3: `42["server-disconnect"] 41`},
		{event: signal.ConnectionRefused{Number: none, Code: lane.CodeUnsupported}, v3: `44"2103" 41`, v4: `44{"message":"2103","data":{"code":2103}} 41`},
		{event: signal.Closing{Code: lane.CodeWrongToken}, v3: `44"2121" 41`, v4: `42["server-refused",{"error":2121}] 41`},
		{event: signal.ConnectionRefused{Number: 4, Code: lane.CodeWrongToken}, v3: `434[{"error":2121}] 41`},
		{event: signal.AuthenticationDenied{Number: 4, Code: lane.CodeUnsupported}, v3: `434[{"error":2103}]`},
		{event: signal.Ping{}, v3: `2`},
		{event: signal.RequestFailed{Code: lane.CodeServer}, v3: "-"},
		{event: signal.Presence{User: "bob"}, v3: "-"},
	} {
		if c.v4 == "" {
			c.v4 = c.v3
		}
		for o, want := range map[socketio.OWT]string{owt3: c.v3, owt4: c.v4} {
			var frames []string
			for _, f := range o.Encode(c.event) {
				frames = append(frames, string(f))
			}
			if got := strings.Join(frames, " "); got != strings.TrimPrefix(want, "-") {
				t.Errorf("EIO%d %+v\n got %s\nwant %s", o.Version, c.event, got, want)
			}
		}
	}
}

// FuzzOWTDecode: whatever comes, there is exactly one of an input and an
// answer, and a frame with an ack id is never left without either.
func FuzzOWTDecode(f *testing.F) {
	for _, seed := range []string{
		`420["authentication",{"token":"alice"}]`, `425["owt-message",{"to":"bob","data":"x"}]`, `40/a,`, `2probe`, `41`, `451-["x"]`,
		`42["owt-message",{"to":"bob","data":[1,{"a":null}]}]`, `421["x"]`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		in, answer, _ := owt4.Decode(frame)
		if (in == nil) == (answer == nil) {
			t.Fatalf("%q: input %+v, answer %q", frame, in, answer)
		}
		s, ok := in.(signal.Send)
		if !ok || !s.Frame.Posts() {
			return
		}
		if !bytes.Contains(frame, rawjson.First(s.Frame.Data)) || signal.CheckUserName(signal.UserName(s.Frame.To)) != nil {
			t.Errorf("%q: data %q for %q", frame, s.Frame.Data, s.Frame.To)
		}
		if s.Number < signal.NoNumber || s.Number > signal.MaxNumber {
			t.Errorf("%q: number %d", frame, s.Number)
		}
	})
}
