package apigw_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"

	"github.com/owt-signal/owt-signal/internal/apigw"
	"github.com/owt-signal/owt-signal/internal/memory"
	"github.com/owt-signal/owt-signal/internal/signal"
)

// wire is a handler and what its clients see.
type wire struct {
	*testing.T
	handler *apigw.Handler
	sockets *sockets
	asked   int
}

func newWire(t *testing.T) *wire {
	h, s := newHandler(memory.New())
	return &wire{T: t, handler: h, sockets: s}
}

// open has a handshake handled, whose headers are pairs of name and value.
func (w *wire) open(id string, query map[string]string, headers ...string) {
	w.Helper()
	ev := event(id, "", query)
	ev.Headers = make(map[string]string)
	for i := 0; i+1 < len(headers); i += 2 {
		ev.Headers[headers[i]] = headers[i+1]
	}
	r, after := w.handler.Connect(w.Context(), ev)
	if r.StatusCode != 200 {
		w.Fatalf("handshake of %s: %+v", id, r)
	}
	after(w.Context())
}

// say has a frame handled, and adds the answer to what was posted.
func (w *wire) say(id, frame string) {
	w.Helper()
	w.asked++
	ev := event(id, frame, nil)
	ev.RequestContext.MessageID = string(rune('a' + w.asked))
	r, after := w.handler.Message(w.Context(), ev)
	if r.Body != "6" && r.Body != `{"type":"nothing"}` {
		_ = w.sockets.Post(w.Context(), w.handler.Endpoint(events.APIGatewayWebsocketProxyRequestContext{APIID: "api", Stage: "prod"}), signal.ConnectionID(id), []byte(r.Body))
	}
	if after != nil {
		after(w.Context())
	}
}

// expect sees that this, after the first packet, is all that was posted since the
// last time.
func (w *wire) expect(id string, want ...string) {
	w.Helper()
	got := slices.DeleteFunc(w.sockets.frames[signal.ConnectionID(id)], func(f string) bool {
		return strings.HasPrefix(f, `0{"sid"`) || strings.HasPrefix(f, `{"type":"open"`) || strings.HasPrefix(f, `{"type":"welcome"`)
	})
	for i := range got {
		got[i] = made.ReplaceAllString(got[i], "")
	}
	delete(w.sockets.frames, signal.ConnectionID(id))
	if !slices.Equal(got, want) {
		w.Errorf("%s got\n  %.300q\nwant\n  %.300q", id, got, want)
	}
}

// TestCPP plays what Socket.IO's C++ client was recorded to send: 1.6.1 and the
// commit 725a8e0 say EIO=4 and wait for a CONNECT, 3.0.0 and later ask for it.
func TestCPP(t *testing.T) {
	const agent = "WebSocket++/0.8.2"
	query := func(more ...string) map[string]string {
		q := map[string]string{"EIO": "4", "transport": "websocket", "t": "1764355815"}
		for i := 0; i+1 < len(more); i += 2 {
			q[more[i]] = more[i+1]
		}
		return q
	}
	w := newWire(t)
	w.open("old", query(), "User-Agent", agent)
	w.expect("old", `40{"sid":"old"}`)
	w.say("old", "2")
	w.say("old", `421["authentication",{"token":"old"}]`)
	w.say("old", `422["owt-message",{"data":"hi","to":"old"}]`)
	w.expect("old", "3", `42["server-authenticated",{"uid":"old"}]`, `431[{"uid":"old"}]`,
		`42["owt-message",{"data":"hi","from":"old","seq":1}]`, "432[]")

	w.open("token", query("token", "token", "clientVersion", "4.3.1", "clientType", "Android"), "User-Agent", agent)
	w.expect("token", `40{"sid":"token"}`, `42["server-authenticated",{"uid":"token"}]`)

	w.open("new", query(), "User-Agent", agent)
	w.say("new", "40")
	w.expect("new", `40{"sid":"new"}`, `40{"sid":"new"}`)

	w.open("js", query(), "User-Agent", "Mozilla/5.0")
	w.expect("js")
	w.say("js", "40")
	w.expect("js", `40{"sid":"js"}`)
}

// TestCredentialsOfAConnect: a client may bring its token where Socket.IO has a
// place for it, if that is accepted.
func TestCredentialsOfAConnect(t *testing.T) {
	eio4 := map[string]string{"EIO": "4"}
	w := newWire(t)
	w.open("a", eio4)
	w.say("a", `40{"token":"alice"}`)
	w.expect("a", `40{"sid":"a"}`, `42["server-authenticated",{"uid":"alice"}]`)
	w.open("b", eio4)
	w.say("b", `40{"user":"bob"}`)
	w.expect("b", `40{"sid":"b"}`)
	w.open("c", eio4)
	w.say("c", `40{"token":7}`)
	w.expect("c", `44{"message":"2121","data":{"code":2121}}`, "41", "1", "close")

	w.handler.Service.Access.Sources = signal.Sources{signal.SourceEvent}
	w.open("d", eio4)
	w.say("d", `40{"token":7}`)
	w.expect("d", `40{"sid":"d"}`)
}

// TestFormOfAnotherProtocol: which protocol a connection speaks is fixed by its
// handshake, whatever a frame looks like.
func TestFormOfAnotherProtocol(t *testing.T) {
	const notUnderstood = `{"type":"error","code":2110,"message":"client error"}`
	w := newWire(t)
	w.open("json", map[string]string{"token": "json"})
	w.expect("json")
	for _, frame := range []string{
		"1", "41", "4", "40", `40{"token":"x"}`, "40/chat,", "0{}", `451-["x"]`, `420["authentication",{"token":"x"}]`, `42["authentication",{"token":"x"}]`,
		`421["owt-message",{"to":"json","data":1}]`, `42["owt-message",{"to":"json","data":1}]`, `42{}`, "9", "",
	} {
		w.say("json", frame)
		w.expect("json", notUnderstood)
	}
	w.say("json", `{"type":"message","id":1,"to":"json","data":1}`) // its number is still to be had
	w.expect("json", `{"type":"message","from":"json","seq":1,"data":1}`, `{"type":"ack","id":1}`)

	for _, engine := range []string{"3", "4"} {
		refused := map[string]string{"3": `44"2110"`, "4": `44{"message":"2110","data":{"code":2110}}`}[engine]
		for _, frame := range []string{
			`{"type":"leave"}`, `{"type":"message","id":1,"to":"sio","data":1}`, `{"type":"message","to":"sio","data":1}`, `{"type":"presence","user":"sio"}`,
			`{"type":"x"}`, "x", " 42", `[{"type":"message","id":1,"to":"sio","data":1}]`, `[{"type":"message","to":"sio","data":1}]`,
		} {
			w.open("sio", map[string]string{"EIO": engine, "token": "sio"}, "User-Agent", "WebSocket++/")
			delete(w.sockets.frames, "sio")
			w.say("sio", frame)
			w.expect("sio", refused, "41", "1", "close")
			w.handler.Disconnect(t.Context(), event("sio", "", nil))
			w.handler.Service.Store = memory.New()
		}
	}
}

// TestNumbersThatAreNone: a client that says that its ack ids are no sequence is
// served at once, once for each message, and answered under the ids.
func TestNumbersThatAreNone(t *testing.T) {
	for _, engine := range []string{"3", "4"} {
		w := newWire(t)
		w.open("b", map[string]string{"token": "b"})
		w.expect("b")
		w.open("a", map[string]string{"EIO": engine, "numbers": "none"})
		delete(w.sockets.frames, "a")
		w.say("a", `42700["owt-message",{"to":"b","data":"early"}]`)
		w.say("a", `42512["authentication",{"token":"a"}]`)
		w.expect("a", "43700[2120]", `42["server-authenticated",{"uid":"a"}]`, `43512[{"uid":"a"}]`)
		for _, id := range []string{"998", "3", "998", "512", "0"} { // a used one is another message
			w.say("a", "42"+id+`["owt-message",{"to":"b","data":"`+id+`"}]`)
		}
		w.asked-- // the last invocation runs twice
		w.say("a", `420["owt-message",{"to":"b","data":"0"}]`)
		w.say("a", `421["owt-message",{"to":"nobody","data":1}]`)
		w.say("a", `422["owt-message",null]`)
		w.say("a", `423["other"]`)
		w.say("a", `42["owt-message",{"to":"b","data":"without"}]`)
		w.say("a", "2")
		w.expect("a", "43998[]", "433[]", "43998[]", "43512[]", "430[]", "431[2201]", "432[2110]", "433[2103]", "3")
		var want []string
		for i, data := range []string{"998", "3", "998", "512", "0", "without"} {
			want = append(want, fmt.Sprintf(`{"type":"message","from":"a","seq":%d,"data":"%s"}`, i+1, data))
		}
		w.expect("b", want...)
	}
	h, _ := newHandler(memory.New())
	if r, _ := h.Connect(t.Context(), event("id=", "", map[string]string{"EIO": "4", "numbers": "some"})); r.StatusCode != 400 {
		t.Errorf("numbers that are not none: %+v", r)
	}
}

// TestForeignNamespaces: Engine.IO 3 gets the error as Socket.IO 2 has it.
func TestForeignNamespaces(t *testing.T) {
	w := newWire(t)
	for engine, want := range map[string]string{"3": `44/chat,"Invalid namespace"`, "4": `44/chat,{"message":"Invalid namespace"}`} {
		w.open("id"+engine, map[string]string{"EIO": engine})
		delete(w.sockets.frames, signal.ConnectionID("id"+engine))
		w.say("id"+engine, "40/chat?x=1,")
		w.expect("id"+engine, want)
	}
}

// TestOtherMembers: what else a Socket.IO client writes into a message is relayed
// to others, as OWT's server does; what the server says there it says alone.
func TestOtherMembers(t *testing.T) {
	w := newWire(t)
	w.open("a", map[string]string{"EIO": "3", "token": "a"})
	w.open("b", map[string]string{"token": "b"})
	w.expect("a", "40", `42["server-authenticated",{"uid":"a"}]`)
	w.expect("b")
	const sent = `"data":{"x":[1]},"kind":"offer","from":"eve","seq":9,"epoch":"e","session":"s","number":7,"type":"leave","n":{"m":"}"}`
	w.say("a", `420["owt-message",{"to":"a",`+sent+`}]`)
	w.expect("a", `42["owt-message",{"data":{"x":[1]},"kind":"offer","session":"s","number":7,"type":"leave","n":{"m":"}"},"from":"a","seq":1}]`, "430[]")
	w.say("a", `421["owt-message",{"to":"b",`+sent+`}]`)
	w.expect("b", `{"type":"message","from":"a","seq":1,"data":{"x":[1]}}`)
}

// TestTooLargeForItsReceiver: a message that cannot be posted takes no sequence
// number, which its receiver would miss.
func TestTooLargeForItsReceiver(t *testing.T) {
	for name, id := range map[string]string{"numbered": `"id":1,`, "without a number": ""} {
		w := newWire(t)
		w.open("a", map[string]string{"token": "a"})
		w.open("b", map[string]string{"EIO": "3", "token": "b"})
		w.expect("b", "40", `42["server-authenticated",{"uid":"b"}]`)
		w.say("a", `{"type":"message",`+id+`"to":"b","data":"`+strings.Repeat("x", signal.MaxPost-100)+`"}`)
		w.say("a", `{"type":"message","id":2,"to":"b","data":"y"}`)
		w.expect("b", `42["owt-message",{"data":"y","from":"a","seq":1}]`)
		if t.Failed() {
			t.Log(name)
		}
	}
}

// TestEnvelope: what is not refused as too large can be posted to any receiver.
func TestEnvelope(t *testing.T) {
	w := newWire(t)
	from := signal.UserName(strings.Repeat("\x01", signal.MaxUserName))
	w.open("from", map[string]string{"token": string(from)})
	w.expect("from")
	frame := func(data int) string {
		return `{"type":"message","to":"nobody","data":"` + strings.Repeat("x", data-2) + `"}`
	}
	largest := signal.MaxPost
	for refused := true; refused; largest-- {
		w.say("from", frame(largest))
		refused = strings.Contains(w.sockets.frames["from"][0], "2110")
		delete(w.sockets.frames, "from")
		if refused {
			largest -= 15
		}
	}
	e := signal.Delivery{
		From: from, Data: make([]byte, largest), Epoch: strings.Repeat("e", 16), Seq: signal.MaxNumber, Number: signal.MaxNumber,
		Session: strings.Repeat("s", signal.MaxSessionID),
	}
	for name, protocol := range w.handler.Protocols {
		if got := len(protocol.Encode(e)[0]); got > signal.MaxPost {
			t.Errorf("%s: %d bytes for a message of %d, at most %d can be posted", name, got, largest, signal.MaxPost)
		}
	}
}

// TestReplacementCharacter: what could not be decoded is refused, and never another
// name.
func TestReplacementCharacter(t *testing.T) {
	const (
		refused    = `{"type":"error","code":2121,"message":"wrong user name or token","closing":true}`
		understood = `{"type":"error","id":1,"code":2110,"message":"client error"}`
	)
	w := newWire(t)
	for _, token := range []string{"a\ufffd", "a\xff"} { // as a function sees it, and as the local server does
		w.open("query "+token, map[string]string{"token": token})
		w.expect("query "+token, refused, "close")
		w.open("header "+token, nil, "Authorization", "Bearer "+token)
		w.expect("header "+token, refused, "close")
	}
	w.open("event", map[string]string{"EIO": "3"})
	w.say("event", `420["authentication",{"token":"a\ud800"}]`)
	w.expect("event", "40", `430[{"error":2121}]`, "41", "1", "close")

	w.open("json", map[string]string{"token": "json"})
	w.expect("json")
	w.say("json", `{"type":"message","id":1,"to":"a\udc00","data":"\ud800"}`)
	w.say("json", `{"type":"presence","user":"a\ud800\ud800"}`)
	w.say("json", `{"type":"message","id":2,"to":"json","data":"\ud800"}`) // data is nobody's name
	w.expect("json", understood, `{"type":"error","code":2110,"message":"client error"}`,
		`{"type":"message","from":"json","seq":1,"data":"\ud800"}`, `{"type":"ack","id":2}`)
	w.open("emoji", map[string]string{"EIO": "3"})
	w.say("emoji", `420["authentication",{"token":"\ud83d\ude00"}]`)
	w.expect("emoji", "40", `42["server-authenticated",{"uid":"😀"}]`, `430[{"uid":"😀"}]`)
}

// made are the epochs, which the server makes up.
var made = regexp.MustCompile(`"epoch":"[0-9a-f]{16}",?`)
