package jsonproto_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/owt-signal/owt-signal/internal/jsonproto"
	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

var protocol = jsonproto.Protocol{Idle: 10 * time.Minute, MaxPayload: 131072}

const malformed = `{"type":"error","code":2110,"message":"client error"}`

func TestDecode(t *testing.T) {
	send := func(n int64, to, data string) signal.Send {
		return signal.Send{Number: n, Frame: lane.Frame{To: to, Data: json.RawMessage(data)}}
	}
	for _, c := range []struct {
		frame  string
		in     signal.Input
		answer string
	}{
		{`{"type":"message","id":1,"to":"bob","data":{"z":1.10, "a":[]}}`, send(1, "bob", `{"z":1.10, "a":[]}`), ""},
		{`{"data":null,"to":"bob","type":"message","id":9007199254740991}`, send(signal.MaxNumber, "bob", "null"), ""},
		{`{"type":"message","to":"bob","data":""}`, send(signal.NoNumber, "bob", `""`), ""},
		{`{"type":"message","id":1,"data":""}`, signal.Send{Number: 1, Frame: lane.Frame{Code: lane.CodeClient}}, ""},
		{`{"type":"message","id":1,"to":"bob"}`, signal.Send{Number: 1, Frame: lane.Frame{Code: lane.CodeClient}}, ""},
		{`{"type":"message","data":""}`, nil, malformed},
		{`{"type":"message","id":0,"to":"bob","data":1}`, nil, malformed},
		{`{"type":"message","id":-1,"to":"bob","data":1}`, nil, malformed},
		{`{"type":"message","id":9007199254740992,"to":"bob","data":1}`, nil, malformed},
		{`{"type":"message","id":1.5,"to":"bob","data":1}`, nil, malformed},
		{`{"type":"message","id":"1","to":"bob","data":1}`, nil, malformed},
		{`{"type":"presence","user":"bob"}`, signal.Query{User: "bob"}, ""},
		{`{"type":"presence"}`, nil, malformed},
		{`{"type":"recover","epoch":"e","since":0}`, signal.Recover{Since: signal.Since{Epoch: "e"}}, ""},
		{`{"type":"recover","epoch":"e","since":3,"to":5}`, signal.Recover{Since: signal.Since{Epoch: "e", Seq: 3}, To: 5}, ""},
		{`{"type":"recover","epoch":"e"}`, nil, malformed},
		{`{"type":"recover","since":3}`, nil, malformed},
		{`{"type":"recover","epoch":"e","since":-1}`, nil, malformed},
		{`{"type":"recover","epoch":"e","since":3,"to":"5"}`, nil, malformed},
		{`{"type":"recover","epoch":"e","since":3,"to":-5}`, nil, malformed},
		{`{"type":"watch","user":"bob"}`, signal.Watch{User: "bob"}, ""},
		{`{"type":"watch","user":""}`, nil, malformed},
		{`{"type":"unwatch","user":"bob"}`, signal.Unwatch{User: "bob"}, ""},
		{`{"type":"unwatch"}`, nil, malformed},
		{`{"type":"ice"}`, signal.QueryICE{}, ""},
		{`{"type":"ping"}`, nil, `{"type":"pong"}`},
		{`{"type":"leave"}`, signal.Leave{}, ""},
		{" \t\r\n{\"type\":\"ping\"} \t\r\n", nil, `{"type":"pong"}`},
		{" {\"type\":\"message\",\"id\":1,\"to\":\"bob\",\"data\":7}", send(1, "bob", "7"), ""},
		{"\u00a0{\"type\":\"ping\"}", nil, malformed}, // white space, but not JSON's
		{"\ufeff{\"type\":\"ping\"}", nil, malformed},
		{" ", nil, malformed},
		{`{"type":"dance"}`, nil, `{"type":"error","code":2103,"message":"not supported"}`},
		{`{}`, nil, `{"type":"error","code":2103,"message":"not supported"}`},
		{`{"type":`, nil, malformed},
		{`[]`, nil, malformed},
		{`[{"type":"message","id":2,"to":"bob","data":1} , {"id":1,"to":"eve","data":[2],"type":"message"}]`, signal.Sends{send(2, "bob", "1"), send(1, "eve", "[2]")}, ""},
		{`[{"type":"message","to":"bob","data":1}]`, signal.Sends{send(signal.NoNumber, "bob", "1")}, ""},
		{
			`[{"type":"message","id":1,"data":""},{"type":"ping"},{"type":"message","id":0,"to":"bob","data":1},[],7,{"type":"message","id":3,"to":"bob","data":1}]`,
			signal.Sends{
				{Number: 1, Frame: lane.Frame{Code: lane.CodeClient}}, bad(lane.CodeUnsupported), bad(lane.CodeClient), bad(lane.CodeClient),
				bad(lane.CodeClient), send(3, "bob", "1"),
			}, "",
		},
		{`[{"type":"message","id":1,"to":"bob","data":1},]`, nil, malformed},
		{`[{"type":"message","id":1,"to":"bob","data":1}`, nil, malformed},
		{several(signal.MaxBatch + 1), nil, malformed},
		{``, nil, malformed},
		{"{\"type\":\"\xff\"}", nil, malformed},
		{`{"type":"message","id":1,"to":"bob","data":` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + `}`, nil, malformed},
	} {
		in, answer, err := protocol.Decode([]byte(c.frame))
		if !reflect.DeepEqual(normal(in), normal(c.in)) || string(answer) != c.answer {
			t.Errorf("%.60s\n got %+v, %s (%v)\nwant %+v, %s", c.frame, in, answer, err, c.in, c.answer)
		}
	}
}

// normal has data as plain bytes.
func normal(in signal.Input) signal.Input {
	switch in := in.(type) {
	case signal.Send:
		return normalSend(in)
	case signal.Sends:
		for i := range in {
			in[i] = normalSend(in[i])
		}
	}
	return in
}

func normalSend(s signal.Send) signal.Send {
	if s.Frame.Data != nil {
		s.Frame.Data = append([]byte(nil), s.Frame.Data...)
	}
	return s
}

// bad is one of several messages that has no number, and is answered at once.
func bad(code lane.Code) signal.Send {
	return signal.Send{Number: signal.NoNumber, Frame: lane.Frame{Code: code}}
}

// several is a frame of so many messages.
func several(n int) string {
	return "[" + strings.Repeat(`{"type":"message","to":"bob","data":1},`, n-1) + `{"type":"message","to":"bob","data":1}]`
}

func TestMostInAFrame(t *testing.T) {
	in, _, err := protocol.Decode([]byte(several(signal.MaxBatch)))
	if batch, ok := in.(signal.Sends); !ok || len(batch) != signal.MaxBatch || err != nil {
		t.Errorf("%d messages: %T, %v", signal.MaxBatch, in, err)
	}
}

// Who takes arrays says so in one way.
func TestHandshakeAsksForArrays(t *testing.T) {
	for value, want := range map[string]bool{"1": true, "": false, "0": false, "true": false} {
		var hs signal.Handshake
		if err := protocol.Handshake(map[string]string{"batch": value}, &hs); err != nil || hs.Peer.Batches != want {
			t.Errorf("batch=%s: %v, %v", value, hs.Peer.Batches, err)
		}
	}
}

// A client that recovers says so, and perhaps what it has.
func TestHandshakeRecovers(t *testing.T) {
	long := strings.Repeat("e", 65)
	for name, c := range map[string]struct {
		query map[string]string
		since *signal.Since
		ok    bool
	}{
		"at first":     {map[string]string{"recover": "1"}, nil, true},
		"later":        {map[string]string{"recover": "1", "epoch": "e", "since": "7"}, &signal.Since{Epoch: "e", Seq: 7}, true},
		"from nothing": {map[string]string{"recover": "1", "epoch": "e", "since": "0"}, &signal.Since{Epoch: "e"}, true},
		"no epoch":     {map[string]string{"recover": "1", "since": "7"}, nil, false},
		"long epoch":   {map[string]string{"recover": "1", "epoch": long, "since": "7"}, nil, false},
		"no number":    {map[string]string{"recover": "1", "epoch": "e", "since": "x"}, nil, false},
		"below zero":   {map[string]string{"recover": "1", "epoch": "e", "since": "-1"}, nil, false},
		"not asked":    {map[string]string{"epoch": "e", "since": "7"}, nil, false},
	} {
		var hs signal.Handshake
		err := protocol.Handshake(c.query, &hs)
		if (err == nil) != c.ok || c.ok && (!hs.Peer.Recovers || !reflect.DeepEqual(hs.Since, c.since)) {
			t.Errorf("%s: %+v, %v", name, hs, err)
		}
	}
}

// What the service puts into one frame fits, however it has to be written.
func TestSizeOfArrays(t *testing.T) {
	const most = signal.MaxNumber
	user, session := signal.UserName(strings.Repeat("\x01", signal.MaxUserName)), strings.Repeat("s", signal.MaxSessionID)
	for name, e := range map[string]signal.Event{
		"delivery": signal.Delivery{From: user, Epoch: strings.Repeat("e", 16), Seq: most, Session: session, Number: most, Data: []byte(`"x"`)},
		"plain":    signal.Delivery{From: "a", Epoch: "e", Seq: 1, Number: signal.NoNumber, Data: []byte(`"x"`)},
		"ack":      signal.Ack{Number: most},
		"error":    signal.Ack{Number: most, Code: lane.CodeWrongToken},
		"stored":   signal.Stored{Number: most},
		"void":     signal.Void{Epoch: strings.Repeat("e", 16), Seq: most, Last: most},
	} {
		size := len(protocol.Encode(signal.Batch{e, e})[0])
		if room := signal.Room(e, e); size > room || size < room/8 {
			t.Errorf("%s: two take %d bytes, %d are reckoned", name, size, room)
		}
	}
}

func TestEncode(t *testing.T) {
	for _, c := range []struct {
		event signal.Event
		want  string
	}{
		{signal.Opened{Connection: "id="}, `{"type":"open","connection":"id=","protocol":"owt.signal.v1","idle":600,"maxPayload":131072,"maxInFlight":128,"maxBatch":32,"maxWatched":64}`},
		{signal.Admitted{}, ""},
		{signal.Welcome{User: "用户1", Epoch: "e", Seq: 3}, `{"type":"welcome","user":"用户1","epoch":"e","seq":3}`},
		{signal.Welcome{User: "a", Epoch: "e", Recovery: signal.Recovery{For: time.Minute, From: 1}}, `{"type":"welcome","user":"a","epoch":"e","seq":0,"recover":60}`},
		{signal.Welcome{User: "a", Epoch: "e", Seq: 7, Recovery: signal.Recovery{For: time.Minute, Asked: true, Whole: true, From: 5}}, `{"type":"welcome","user":"a","epoch":"e","seq":7,"recover":60,"recovered":true,"from":5}`},
		{signal.Void{Epoch: "e", Seq: 1, Last: 2}, `{"type":"void","epoch":"e","seq":1,"last":2}`},
		{signal.Lost{Epoch: "e", Seq: 1, Last: 2}, `{"type":"lost","epoch":"e","seq":1,"last":2}`},
		{signal.Replayed{Epoch: "e", Seq: 3}, `{"type":"replayed","epoch":"e","seq":3}`},
		{signal.Welcome{User: "a", Epoch: "e", Session: "s"}, `{"type":"welcome","user":"a","epoch":"e","seq":0,"session":"s","resumed":false}`},
		{signal.Welcome{User: "a", Epoch: "e", Session: "s", Resumed: true}, `{"type":"welcome","user":"a","epoch":"e","seq":0,"session":"s","resumed":true}`},
		{
			signal.Welcome{User: "a", Epoch: "e", ICE: signal.ICE{Servers: []byte(`[{"urls":["turn:a"]}]`), Expires: 90 * time.Second}},
			`{"type":"welcome","user":"a","epoch":"e","seq":0,"iceServers":[{"urls":["turn:a"]}],"iceExpires":90}`,
		},
		{signal.ICEAnswer{ICE: signal.ICE{Servers: []byte(`[{"urls":["stun:a"]}]`)}}, `{"type":"ice","iceServers":[{"urls":["stun:a"]}]}`},
		{signal.ICEAnswer{}, `{"type":"ice","iceServers":[]}`},
		{signal.Ack{Number: 5}, `{"type":"ack","id":5}`},
		{signal.Ack{Number: 5, Code: lane.CodeUnreachable}, `{"type":"error","id":5,"code":2201,"message":"target unreachable"}`},
		{signal.Stored{Number: 5}, `{"type":"stored","id":5}`},
		{signal.Delivery{From: "a\"b", Data: []byte(`{"<":1.10}`), Epoch: "e", Seq: 7}, `{"type":"message","from":"a\"b","epoch":"e","seq":7,"data":{"<":1.10}}`},
		{signal.Delivery{From: "a", Data: []byte(`1`), Epoch: "e", Seq: 7, Session: "s", Number: 5}, `{"type":"message","from":"a","epoch":"e","seq":7,"session":"s","number":5,"data":1}`},
		{signal.Delivery{From: "a", Data: []byte(`1`), Epoch: "e", Seq: 7, Session: "s", Number: signal.NoNumber}, `{"type":"message","from":"a","epoch":"e","seq":7,"data":1}`},
		{signal.Superseded{}, `{"type":"superseded"}`},
		{signal.Closing{Code: lane.CodeWrongToken}, `{"type":"error","code":2121,"message":"wrong user name or token","closing":true}`},
		{signal.ConnectionRefused{Number: 0, Code: lane.CodeWrongToken}, `{"type":"error","code":2121,"message":"wrong user name or token","closing":true}`},
		{signal.Presence{User: "bob", Online: true}, `{"type":"presence","user":"bob","online":true}`},
		{signal.Presence{User: "bob", Watched: true, At: 7}, `{"type":"presence","user":"bob","online":false,"watched":true,"at":7}`},
		{signal.Unwatched{User: "bob"}, `{"type":"presence","user":"bob","watched":false}`},
		{signal.RequestFailed{Code: lane.CodeBusy, User: "bob"}, `{"type":"error","code":2102,"message":"server busy","user":"bob"}`},
		{signal.RequestFailed{Code: lane.CodeUnknownUser}, `{"type":"error","code":2120,"message":"not authenticated"}`},
		{signal.Ping{}, `{"type":"ping"}`},
		{signal.Batch{signal.Ack{Number: 1}, signal.Stored{Number: 2}}, `[{"type":"ack","id":1},{"type":"stored","id":2}]`},
	} {
		var got string
		for _, f := range protocol.Encode(c.event) {
			got += string(f)
		}
		if got != c.want {
			t.Errorf("%+v\n got %s\nwant %s", c.event, got, c.want)
		}
		if got != "" && !json.Valid([]byte(got)) {
			t.Errorf("%+v: not JSON", c.event)
		}
	}
	if !json.Valid(protocol.Nothing()) {
		t.Errorf("nothing is %s", protocol.Nothing())
	}
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{`{"type":"message","id":1,"to":"bob","data":{}}`, `{"type":"ping"}`, `{"type":"presence","user":"x"}`, `{"type":"leave"}`, `[`,
		`[{"type":"message","id":1,"to":"bob","data":{}},{"type":"ping"},{}]`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		in, answer, _ := protocol.Decode(frame)
		if (in == nil) == (answer == nil) {
			t.Fatalf("%q: input %+v, answer %q", frame, in, answer)
		}
		batch, several := in.(signal.Sends)
		if one, ok := in.(signal.Send); ok {
			batch = signal.Sends{one}
		}
		if several && (len(batch) == 0 || len(batch) > signal.MaxBatch) {
			t.Errorf("%q: %d messages", frame, len(batch))
		}
		for _, s := range batch {
			if s.Frame.Code == lane.OK && (!json.Valid(s.Frame.Data) || s.Frame.To == "") {
				t.Errorf("%q: to %q, data %q", frame, s.Frame.To, s.Frame.Data)
			}
		}
	})
}
