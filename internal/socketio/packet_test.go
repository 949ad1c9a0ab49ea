package socketio_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/owt-signal/owt-signal/internal/rawjson"
	"github.com/owt-signal/owt-signal/internal/socketio"
)

// frames are what OWT clients and their server say, and forms at the edge of the grammar: seeds for the fuzz targets
// and for the comparison with the JavaScript parsers.
var frames = []string{
	`0{"sid":"s","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":131072}`,
	"1", "2", "2probe", "3", "3probe", "5", "6",
	"40", "41", `40{"sid":"wZX3oN0bSVIhsaknAAAI"}`, `40{"pid":"p","offset":"o"}`, `40{"token":"用户1"}`,
	`44"2103"`, `44{"message":"Invalid namespace"}`,
	`42["server-authenticated",{"uid":"111&222@!;||(){}[]?"}]`, `42["server-disconnect"]`,
	`420["authentication",{"token":""}]`, `430[{"uid":"alice"}]`, `430[{"error":2121}]`,
	`422["owt-message",{"to":"bob","data":"{\"type\":\"chat-signal\"}"}]`,
	`42["owt-message",{"data":"<p>&amp;\u2028</p>","from":"alice"}]`,
	`431[]`, `4312[2201]`, `429007199254740991["x"]`, `429007199254740992["x"]`,
	"40/ns,", "40/ns", "40/ns?token=a%2Cb,", "41/ns,", `42/ns,["x"]`, `42/ns,12["x",null]`, `43/ns,13["bar"]`,
	`42/,1["x"]`, `44/ns,{"message":"Invalid namespace"}`,
	`451-["x",{"_placeholder":true,"num":0}]`, `461-12["x",{"_placeholder":true,"num":0}]`, "b4AQID",
	"4", "42", "42{}", "42[]", "42[1]", "42[null]", `42"x"`, `42 ["x"]`, `42["x"] `, `42["x"]]`, `4201["x"]`, `421 2["x"]`,
	`42-1["x"]`, `421.5["x"]`, `42["x",]`, `42[,"x"]`, `42["x" "y"]`, `42["connect"]`, `42["dis\u0063onnect"]`, `43[]`,
	"43", "431", "431{}", "40[]", "40null", "400", "41[]", "411", "44", "441", "44[]", "47", "4x", "",
	"42[\"x\", -0.5e+3 ,\ttrue,false,\n{ \"a\" : [ ] , \"a\":{}}\r]", `42["\ud83d\ude00\ud800"]`, "42[\"\u2028😀\"]",
	`42["x",01]`, `42["x",.5]`, `42["x",1.]`, `42["x",+1]`, `42["x",1e]`, `42["x",nul]`, `42["x",NaN]`, `42["x",'y']`,
	"42[\"\x01\"]", `42["\x"]`, `42["\u12"]`, `42["x",{"a"}]`, `42["x",{a:1}]`, `42["x",{"a":1,}]`,
}

func event(data string) socketio.Packet {
	return socketio.Packet{Type: socketio.Event, Namespace: "/", Data: json.RawMessage(data)}
}

func withID(p socketio.Packet, id int64) socketio.Packet {
	p.HasID, p.ID = true, id
	return p
}

func in(namespace string, p socketio.Packet) socketio.Packet {
	p.Namespace = namespace
	return p
}

func packet(kind socketio.PacketType, data string) socketio.Packet {
	p := socketio.Packet{Type: kind, Namespace: "/"}
	if data != "" {
		p.Data = json.RawMessage(data)
	}
	return p
}

// The packets of the protocol's own tables, of OWT clients, and of the reference parsers' odder encoders.
func TestPacketOnTheWire(t *testing.T) {
	tests := []struct {
		payload string
		packet  socketio.Packet
	}{
		{"0", packet(socketio.Connect, "")},
		{`0{"sid":"wZX3oN0bSVIhsaknAAAI"}`, packet(socketio.Connect, `{"sid":"wZX3oN0bSVIhsaknAAAI"}`)},
		{`0{"pid":"p","offset":"o"}`, packet(socketio.Connect, `{"pid":"p","offset":"o"}`)},
		{"0/admin,", in("/admin", packet(socketio.Connect, ""))},
		{`0/admin,{"sid":"s"}`, in("/admin", packet(socketio.Connect, `{"sid":"s"}`))},
		{"0/ns?x=y,", in("/ns?x=y", packet(socketio.Connect, ""))},
		{"1", packet(socketio.Disconnect, "")},
		{"1/admin,", in("/admin", packet(socketio.Disconnect, ""))},
		{`2["server-disconnect"]`, event(`["server-disconnect"]`)},
		{`2["server-authenticated",{"uid":"用户1"}]`, event(`["server-authenticated",{"uid":"用户1"}]`)},
		{`2/admin,["bar"]`, in("/admin", event(`["bar"]`))},
		{`20["authentication",{"token":""}]`, withID(event(`["authentication",{"token":""}]`), 0)},
		{`22["owt-message",{"to":"b","data":"<\u2028 /"}]`, withID(event(`["owt-message",{"to":"b","data":"<\u2028 /"}]`), 2)},
		{`2/admin,13["foo"]`, in("/admin", withID(event(`["foo"]`), 13))},
		{"29007199254740991[\"x\" , 1 ]\n", withID(event("[\"x\" , 1 ]\n"), socketio.MaxID)},
		{"30[]", withID(packet(socketio.Ack, "[]"), 0)},
		{"312[2201]", withID(packet(socketio.Ack, "[2201]"), 12)},
		{`3/admin,13["bar"]`, in("/admin", withID(packet(socketio.Ack, `["bar"]`), 13))},
		{`4"2103"`, packet(socketio.ConnectError, `"2103"`)},
		{`4{"message":"Not authorized"}`, packet(socketio.ConnectError, `{"message":"Not authorized"}`)},
		{"0/" + strings.Repeat("n", socketio.MaxNamespace-1) + ",", in("/"+strings.Repeat("n", socketio.MaxNamespace-1), packet(socketio.Connect, ""))},
	}
	for _, test := range tests {
		got, err := socketio.Decode([]byte(test.payload))
		if err != nil || !reflect.DeepEqual(got, test.packet) {
			t.Errorf("Decode(%.80q) = %+v, %v; want %+v", test.payload, got, err, test.packet)
		}
		if wire := test.packet.Append([]byte("x")); string(wire) != "x4"+test.payload {
			t.Errorf("%+v is encoded as %q, want %q", test.packet, wire[1:], "4"+test.payload)
		}
	}
}

// What is accepted and encoded otherwise.
func TestDecodeOtherForms(t *testing.T) {
	longest := "/" + strings.Repeat("n", socketio.MaxNamespace-1)
	tests := []struct {
		payload string
		packet  socketio.Packet
	}{
		{"0/ns", in("/ns", packet(socketio.Connect, ""))},
		{"1/ns", in("/ns", packet(socketio.Disconnect, ""))},
		{"0" + longest, in(longest, packet(socketio.Connect, ""))},
		{"0/", packet(socketio.Connect, "")},
		{`2/,1["x"]`, withID(event(`["x"]`), 1)},
	}
	for _, test := range tests {
		got, err := socketio.Decode([]byte(test.payload))
		if err != nil || !reflect.DeepEqual(got, test.packet) {
			t.Errorf("Decode(%.80q) = %+v, %v; want %+v", test.payload, got, err, test.packet)
		}
	}
	if wire := (socketio.Packet{Type: socketio.Event, Data: json.RawMessage(`["x"]`)}).Append(nil); string(wire) != `42["x"]` {
		t.Errorf("without a namespace: %q", wire)
	}
}

func TestDecodeRefuses(t *testing.T) {
	tests := []struct {
		name, payload, says string
	}{
		{"nothing", "", "empty packet"},
		{"type too high", "7", "unknown packet type"},
		{"type not a digit", "x", "unknown packet type"},
		{"type below zero", "/ns,", "unknown packet type"},
		{"not UTF-8", "2[\"\xff\"]", "not UTF-8"},
		{"namespace not UTF-8", "0/\xc0\x80,", "not UTF-8"},
		{"namespace too long", "0/" + strings.Repeat("n", socketio.MaxNamespace) + ",", "namespace too long"},
		{"namespace too long, no comma", "0/" + strings.Repeat("n", socketio.MaxNamespace), "namespace too long"},
		{"namespace of 128 KB", "2/" + strings.Repeat("n", 128<<10), "namespace too long"},
		{"id beyond the limit", `29007199254740992["x"]`, "ack id too large"},
		{"id beyond 64 bits", `218446744073709551617["x"]`, "ack id too large"},
		{"id of 128 KB", "2" + strings.Repeat("9", 128<<10) + `["x"]`, "ack id too large"},
		{"zeros of 128 KB", "2" + strings.Repeat("0", 128<<10) + `["x"]`, "leading zero"},
		{"id with a leading zero", `201["x"]`, "leading zero"},
		{"id on CONNECT", `01{"sid":"s"}`, "neither EVENT nor ACK"},
		{"id on CONNECT alone", "01", "neither EVENT nor ACK"},
		{"id on DISCONNECT", "11", "neither EVENT nor ACK"},
		{"id on CONNECT_ERROR", `41"x"`, "neither EVENT nor ACK"},
		{"negative id", `2-1["x"]`, "EVENT without an array"},
		{"fractional id", `21.5["x"]`, "EVENT without an array"},
		{"id in two words", `21 2["x"]`, "EVENT without an array"},
		{"white space for an id", `2 ["x"]`, "EVENT without an array"}, // JavaScript reads it as 0
		{"EVENT without data", "2", "EVENT without an array"},
		{"EVENT with an id only", "25", "EVENT without an array"},
		{"EVENT in a namespace only", "2/ns", "EVENT without an array"},
		{"EVENT with an object", "2{}", "EVENT without an array"},
		{"EVENT with a string", `2"x"`, "EVENT without an array"},
		{"ACK without an id", "3[]", "ACK without an id"},
		{"ACK without data", "31", "ACK without an array"},
		{"ACK with an object", "31{}", "ACK without an array"},
		{"CONNECT with an array", "0[]", "CONNECT with something else"},
		{"CONNECT with null", "0null", "CONNECT with something else"},
		{"DISCONNECT with data", "1[]", "DISCONNECT with data"},
		{"DISCONNECT with a zero byte", "1\x00", "DISCONNECT with data"},
		{"CONNECT_ERROR without data", "4", "CONNECT_ERROR without"},
		{"CONNECT_ERROR with an array", "4[]", "CONNECT_ERROR without"},
		{"broken JSON", `2["x"`, "invalid JSON"},
		{"two values", `2["x"]["y"]`, "invalid JSON"},
		{"a zero byte at the end", "2[\"x\"]\x00", "invalid JSON"},
		{"arrays of 128 KB", `2["x",` + strings.Repeat("[", 128<<10), "nested too deeply"},
		{"objects of 128 KB", `2["x",` + strings.Repeat(`{"a":`, 26<<10), "nested too deeply"},
		{"deep CONNECT", `0{"a":` + nested(socketio.MaxDepth) + `}`, "nested too deeply"},
	}
	for _, test := range tests {
		p, err := socketio.Decode([]byte(test.payload))
		if !errors.Is(err, socketio.ErrMalformed) || errors.Is(err, socketio.ErrBinary) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v, want ErrMalformed saying %q", test.name, err, test.says)
		}
		if !reflect.DeepEqual(p, socketio.Packet{}) {
			t.Errorf("%s: %+v beside the error", test.name, p)
		}
	}
}

func TestDecodeRefusesBinary(t *testing.T) {
	for _, payload := range []string{
		`51-["x",{"_placeholder":true,"num":0}]`, `61-12[{"_placeholder":true,"num":0}]`, `5["x"]`, "5", "6",
	} {
		if _, err := socketio.Decode([]byte(payload)); !errors.Is(err, socketio.ErrBinary) || errors.Is(err, socketio.ErrMalformed) {
			t.Errorf("Decode(%q): %v, want ErrBinary", payload, err)
		}
	}
}

// nested is a value of arrays within each other, depth of them.
func nested(depth int) string {
	return strings.Repeat("[", depth) + strings.Repeat("]", depth)
}

func TestDepthLimit(t *testing.T) {
	within := `2["x",` + nested(socketio.MaxDepth-1) + `]`
	p, err := socketio.Decode([]byte(within))
	if err != nil {
		t.Fatalf("at the limit: %v", err)
	}
	if _, _, err := p.Event(); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	if _, _, err := event(`["x",` + nested(socketio.MaxDepth) + `]`).Event(); !errors.Is(err, socketio.ErrMalformed) {
		t.Errorf("beyond the limit: %v", err)
	}
	objects := `2["x",` + strings.Repeat(`{"a":`, socketio.MaxDepth-1) + "1" + strings.Repeat("}", socketio.MaxDepth)
	objects = strings.TrimSuffix(objects, "}") + "]"
	if _, err := socketio.Decode([]byte(objects)); err != nil {
		t.Errorf("objects at the limit: %v", err)
	}
}

func TestEvent(t *testing.T) {
	most := strings.Repeat(",0", socketio.MaxArgs)
	tests := []struct {
		data string
		name string
		args []string
	}{
		{`["server-disconnect"]`, "server-disconnect", nil},
		{`["owt-message",{"to":"b","data":"<&\u2028>"}]`, "owt-message", []string{`{"to":"b","data":"<&\u2028>"}`}},
		{"[ \"a\" ,\t{ \"x\" : 1.0 } , [ ] \n]\r\n", "a", []string{`{ "x" : 1.0 }`, "[ ]"}},
		{`["a",null,true,false,-0,1e+9,"",{},[]]`, "a", []string{"null", "true", "false", "-0", "1e+9", `""`, "{}", "[]"}},
		{`["a",12345678901234567890.10]`, "a", []string{"12345678901234567890.10"}},
		{`["a","]","[\"","\\"]`, "a", []string{`"]"`, `"[\""`, `"\\"`}},
		{`[""]`, "", nil},
		{`["\u0061\n\"\\\/"]`, "a\n\"\\/", nil},
		{`["\ud83d\ude00\ud800用"]`, "😀\ufffd用", nil},
		{`["a"` + most + `]`, "a", strings.Split(most, ",")[1:]},
	}
	for _, test := range tests {
		p, err := socketio.Decode([]byte("2" + test.data))
		if err != nil {
			t.Errorf("%s: %v", test.data, err)
			continue
		}
		name, args, err := p.Event()
		if err != nil || name != test.name || !sameBytes(args, test.args) {
			t.Errorf("%s is %q, %q, %v", test.data, name, args, err)
		}
	}
}

func sameBytes(args []json.RawMessage, want []string) bool {
	if len(args) != len(want) {
		return false
	}
	for i := range args {
		if string(args[i]) != want[i] {
			return false
		}
	}
	return true
}

func TestEventRefuses(t *testing.T) {
	tests := []struct {
		data, says string
	}{
		{`[]`, "without a name"},
		{`[ ]`, "without a name"},
		{`[1]`, "not a string"}, // the reference parsers know numbers as names
		{`[null]`, "not a string"},
		{`[["owt-message"]]`, "not a string"},
		{`[{"name":"owt-message"}]`, "not a string"},
		{`["connect"]`, "reserved"},
		{`["connect_error"]`, "reserved"},
		{`["disconnect",1]`, "reserved"},
		{`["disconnecting"]`, "reserved"},
		{`["newListener"]`, "reserved"},
		{`["remove\u004cistener"]`, "reserved"},
		{`["a"` + strings.Repeat(",0", socketio.MaxArgs+1) + `]`, "too many elements"},
		{`["a"` + strings.Repeat(",0", 64<<10) + `]`, "too many elements"},
		{``, "invalid JSON"},
		{`{}`, "invalid JSON"},
		{` ["a"]`, "invalid JSON"},
		{`["a"`, "invalid JSON"},
		{`["a",`, "invalid JSON"},
		{`["a",]`, "invalid JSON"},
		{`["a"]]`, "invalid JSON"},
		{`["a" 1]`, "invalid JSON"},
		{`["a]`, "invalid JSON"},
		{`["a","\`, "invalid JSON"},
	}
	for _, test := range tests {
		name, args, err := event(test.data).Event()
		if !errors.Is(err, socketio.ErrMalformed) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%.40s: %v, want ErrMalformed saying %q", test.data, err, test.says)
		}
		if name != "" || args != nil {
			t.Errorf("%.40s: %q, %q beside the error", test.data, name, args)
		}
	}
	if _, _, err := withID(packet(socketio.Ack, `["x"]`), 1).Event(); !errors.Is(err, socketio.ErrMalformed) {
		t.Errorf("an ACK as an event: %v", err)
	}
}

// A log must not hold what people say to each other.
func TestErrorsKeepContentToThemselves(t *testing.T) {
	for _, frame := range frames {
		for _, edit := range []string{"SECRET", `["SECRET"]`, `["SECRET"`, `{"SECRET":1}`, `"SECRET"`, "/SECRET"} {
			for i := range len(frame) + 1 {
				edited := frame[:i] + edit + frame[i:]
				if _, _, err := read([]byte(edited)); err != nil && strings.Contains(err.Error(), "SECRET") {
					t.Fatalf("%q: %v", edited, err)
				}
			}
		}
	}
}

// read takes a frame through everything that may refuse it.
func read(frame []byte) (socketio.EnginePacket, socketio.Packet, error) {
	engine, err := socketio.DecodeEngine(frame)
	if err != nil || engine.Type != socketio.EngineMessage {
		return engine, socketio.Packet{}, err
	}
	p, err := socketio.Decode(engine.Data)
	if err == nil && p.Type == socketio.Event {
		_, _, err = p.Event()
	}
	return engine, p, err
}

// jsonText generates valid JSON in every spelling: white space, escapes, numbers, repeated names.
func jsonText(depth int) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		kinds := []string{"literal", "number", "string", "array", "object"}
		if depth == 0 {
			kinds = kinds[:3]
		}
		switch rapid.SampledFrom(kinds).Draw(t, "kind") {
		case "literal":
			return rapid.SampledFrom([]string{"null", "true", "false"}).Draw(t, "literal")
		case "number":
			return rapid.StringMatching(`-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,5})?([eE][+-]?[0-9]{1,2})?`).Draw(t, "number")
		case "string":
			return jsonString().Draw(t, "string")
		case "array":
			return joined(t, "[", "]", rapid.SliceOfN(jsonText(depth-1), 0, 4).Draw(t, "elements"))
		}
		members := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) string {
			return jsonString().Draw(t, "name") + space().Draw(t, "space") + ":" + space().Draw(t, "space") + jsonText(depth-1).Draw(t, "value")
		}), 0, 4).Draw(t, "members")
		return joined(t, "{", "}", members)
	})
}

func jsonString() *rapid.Generator[string] {
	return rapid.StringMatching(`"([a-c用😀<&'/]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4}|[\[\]{},: ])*"`)
}

func space() *rapid.Generator[string] { return rapid.StringMatching(`[ \t\r\n]{0,2}`) }

func joined(t *rapid.T, open, closing string, items []string) string {
	var b strings.Builder
	b.WriteString(open + space().Draw(t, "space"))
	for i, item := range items {
		if i > 0 {
			b.WriteString("," + space().Draw(t, "space"))
		}
		b.WriteString(item + space().Draw(t, "space"))
	}
	return b.String() + closing
}

func TestEncodedPacketIsDecodedAsItWas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := anyPacket().Draw(t, "packet")
		frame, err := socketio.DecodeEngine(p.Append(nil))
		if err != nil || frame.Type != socketio.EngineMessage {
			t.Fatalf("engine: %q, %v", frame.Type, err)
		}
		got, err := socketio.Decode(frame.Data)
		if err != nil || !reflect.DeepEqual(got, p) {
			t.Fatalf("%+v was decoded as %+v, %v", p, got, err)
		}
	})
}

func anyPacket() *rapid.Generator[socketio.Packet] {
	return rapid.Custom(func(t *rapid.T) socketio.Packet {
		p := socketio.Packet{
			Type:      socketio.PacketType(rapid.IntRange(0, 4).Draw(t, "type")),
			Namespace: rapid.StringMatching(`/([a-z0-9?=&%.\-"\[{用/]{0,20})`).Draw(t, "namespace"),
		}
		array := rapid.Custom(func(t *rapid.T) string {
			return joined(t, "[", "]", rapid.SliceOfN(jsonText(2), 0, 4).Draw(t, "elements"))
		})
		object := rapid.Map(jsonText(2), func(v string) string { return `{"a":` + v + `}` })
		var data string
		switch p.Type {
		case socketio.Event, socketio.Ack:
			data = array.Draw(t, "data")
			p.HasID = p.Type == socketio.Ack || rapid.Bool().Draw(t, "has id")
		case socketio.Connect:
			data = rapid.OneOf(rapid.Just(""), object).Draw(t, "data")
		case socketio.ConnectError:
			data = rapid.OneOf(jsonString(), object).Draw(t, "data")
		}
		if p.HasID {
			p.ID = rapid.Int64Range(0, socketio.MaxID).Draw(t, "id")
		}
		if data != "" {
			p.Data = json.RawMessage(data)
		}
		return p
	})
}

func TestArgumentsAreTheSendersBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		args := rapid.SliceOfN(jsonText(3), 0, socketio.MaxArgs).Draw(t, "args")
		name := rapid.StringMatching(`[a-z用"\\-]{0,8}`).Draw(t, "name")
		payload := []byte("2" + joined(t, "[", "]", append([]string{string(rawjson.AppendString(nil, name))}, args...)))
		p, err := socketio.Decode(payload)
		if err != nil {
			t.Fatal(err)
		}
		gotName, gotArgs, err := p.Event()
		if err != nil || gotName != name || !sameBytes(gotArgs, args) {
			t.Fatalf("%q is %q, %q, %v", payload, gotName, gotArgs, err)
		}
		for _, arg := range gotArgs {
			if !partOf(payload, arg) {
				t.Fatalf("%q is a copy", arg)
			}
		}
	})
}

// partOf tells whether part lies within whole's memory and cannot be appended to over what follows it.
func partOf(whole, part []byte) bool {
	if len(part) == 0 {
		return true
	}
	if cap(part) != len(part) {
		return false
	}
	for i := range whole {
		if &whole[i] == &part[0] {
			return len(part) <= len(whole)-i
		}
	}
	return false
}

// checkRefusal makes sure that an error is one of the two, and no longer than a fixed text.
func checkRefusal(t *testing.T, err error) {
	t.Helper()
	if errors.Is(err, socketio.ErrMalformed) == errors.Is(err, socketio.ErrBinary) || len(err.Error()) > 120 {
		t.Errorf("refused with %q", err)
	}
}

func FuzzDecode(f *testing.F) {
	for _, frame := range frames {
		f.Add([]byte(strings.TrimPrefix(frame, "4")))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		p, err := socketio.Decode(payload)
		if err != nil {
			checkRefusal(t, err)
			return
		}
		if !partOf(payload, p.Data) || len(p.Data) > 0 && !json.Valid(p.Data) || !utf8.Valid(p.Data) {
			t.Fatalf("data %q of %q", p.Data, payload)
		}
		wire := p.Append(nil)
		canonical := len(payload) == 1 || payload[1] != '/' || p.Namespace != "/" && bytes.IndexByte(payload, ',') >= 0
		if canonical && string(wire) != "4"+string(payload) {
			t.Errorf("%q is encoded as %q", payload, wire)
		}
		if again, err := socketio.Decode(wire[1:]); err != nil || !reflect.DeepEqual(again, p) {
			t.Errorf("%q is decoded again as %+v, %v", payload, again, err)
		}
	})
}

// FuzzEvent compares Event with what encoding/json makes of the same bytes.
func FuzzEvent(f *testing.F) {
	for _, frame := range frames {
		f.Add([]byte(strings.TrimLeft(frame, "0123456789/ns,")))
	}
	for _, arg := range []string{`{"a":[1,-2.5e-3,"\u00e9"]}`, nested(socketio.MaxDepth), "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17"} {
		f.Add([]byte(`["x",` + arg + "]"))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		name, args, err := socketio.Packet{Type: socketio.Event, Data: data}.Event()
		var want []json.RawMessage
		valid := json.Unmarshal(data, &want) == nil && data[0] == '['
		if err != nil {
			checkRefusal(t, err)
			if valid && eventIsInOrder(want) && depth(data) <= socketio.MaxDepth {
				t.Errorf("%q is refused: %v", data, err)
			}
			return
		}
		if !valid || !eventIsInOrder(want) || depth(data) > socketio.MaxDepth {
			t.Fatalf("%q is taken for an event", data)
		}
		var wantName string
		if err := json.Unmarshal(want[0], &wantName); err != nil {
			t.Fatal(err)
		}
		if name != wantName && utf8.ValidString(name) {
			t.Errorf("name of %q is %q", data, name)
		}
		for i, arg := range args {
			if len(args) != len(want)-1 || !bytes.Equal(arg, want[i+1]) || !json.Valid(arg) || !partOf(data, arg) {
				t.Errorf("arguments of %q are %q", data, args)
			}
		}
	})
}

func eventIsInOrder(elements []json.RawMessage) bool {
	if len(elements) == 0 || len(elements) > 1+socketio.MaxArgs || elements[0][0] != '"' {
		return false
	}
	var name string
	_ = json.Unmarshal(elements[0], &name)
	switch name {
	case "connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener":
		return false
	}
	return true
}

// depth is how deep valid JSON nests, as encoding/json's tokens tell.
func depth(data []byte) int {
	tokens := json.NewDecoder(bytes.NewReader(data))
	open, deepest := 0, 0
	for {
		token, err := tokens.Token()
		if err != nil {
			return deepest
		}
		switch token {
		case json.Delim('['), json.Delim('{'):
			open++
			deepest = max(deepest, open)
		case json.Delim(']'), json.Delim('}'):
			open--
		}
	}
}

// offer is an event with a session description of about 4 KB, a string within a string within an object.
func offer() []byte {
	sdp := strings.Repeat("a=candidate:842163049 1 udp 1677729535 203.0.113.7 46154 typ srflx raddr 10.0.0.17\r\n", 45)
	data := rawjson.AppendString([]byte(`{"type":"chat-signal","data":{"type":"offer","sdp":`), sdp)
	payload := rawjson.AppendString([]byte(`212["owt-message",{"to":"bob@example.com","data":`), string(data)+"}}")
	return append(payload, "}]"...)
}

func BenchmarkDecodeEvent(b *testing.B) {
	payload := offer()
	b.SetBytes(int64(len(payload)))
	b.ReportAllocs()
	for b.Loop() {
		p, err := socketio.Decode(payload)
		if err != nil {
			b.Fatal(err)
		}
		if _, _, err := p.Event(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkDecodeEventStandard does the same with encoding/json, for comparison.
func BenchmarkDecodeEventStandard(b *testing.B) {
	payload := offer()
	b.SetBytes(int64(len(payload)))
	b.ReportAllocs()
	for b.Loop() {
		var elements []json.RawMessage
		var name string
		if json.Unmarshal(payload[3:], &elements) != nil || json.Unmarshal(elements[0], &name) != nil {
			b.Fatal("not decoded")
		}
	}
}
