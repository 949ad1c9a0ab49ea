package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// TestBadInput holds the server to the promise that any input is survived: a
// frame can at worst close its own connection.
func TestBadInput(t *testing.T) {
	s := serve(t, "-log", "warn")
	b := &bystanders{server: s, oneUser: join(t, s, socketIO(4), "one"), other: join(t, s, plainJSON{}, "other")}
	b.exchange(t)
	silentClosed := b.silence(t)
	t.Run("in parallel", func(t *testing.T) {
		for name, group := range map[string]func(*testing.T){
			"floods":      b.floods,
			"gaps":        b.gaps,
			"sockets":     b.sockets,
			"cuts":        b.cuts,
			"handshakes":  b.handshakes,
			"first words": b.firstWords,
			"frames":      b.frames,
			"numbers":     b.numbers,
			"sizes":       b.sizes,
			"Socket.IO 3": func(t *testing.T) { b.all(t, socketIO(3), plainJSON{}, socketIOInputs()) },
			"Socket.IO 4": func(t *testing.T) { b.all(t, socketIO(4), plainJSON{}, socketIOInputs()) },
			"JSON":        func(t *testing.T) { b.all(t, plainJSON{}, socketIO(3), jsonInputs()) },
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				group(t)
			})
		}
	})
	t.Run("silence", silentClosed)
	b.wantNobody(t)
	b.exchange(t)
	t.Logf("the slowest exchange of the bystanders took %v", b.slowest)
}

// bystanders are two users who have nothing to do with what others send.
type bystanders struct {
	server *server
	names  atomic.Int64

	mu             sync.Mutex // protects what follows
	oneUser, other *user
	slowest        time.Duration
}

// newName is a user's name that nobody else has.
func (b *bystanders) newName() string { return fmt.Sprintf("user%d", b.names.Add(1)) }

// hold runs a case, and sees that nobody else noticed.
func (b *bystanders) hold(t *testing.T, name string, run func(t *testing.T)) {
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		defer b.exchange(t)
		run(t)
	})
}

// exchange sees that the bystanders reach each other, both ways, and get
// nothing else.
func (b *bystanders) exchange(t *testing.T) {
	t.Helper()
	if err := b.server.cmd.Process.Signal(syscall.Signal(0)); err != nil {
		t.Fatalf("the server has died: %v", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	began := time.Now()
	b.oneUser.tell(t, b.other)
	b.other.tell(t, b.oneUser)
	b.slowest = max(b.slowest, time.Since(began))
}

// wantOnline waits until a user is online, or is not.
func (b *bystanders) wantOnline(t *testing.T, name string, online bool) {
	t.Helper()
	for end := time.Now().Add(soon); b.online(t, name) != online; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("awaiting that user %s is online: %t", name, online)
		}
	}
}

// wantNobody waits until none of those who have come is online any more.
func (b *bystanders) wantNobody(t *testing.T) {
	t.Helper()
	for n := range b.names.Load() {
		b.wantOnline(t, fmt.Sprintf("user%d", n+1), false)
	}
}

// online is what one of the bystanders is told.
func (b *bystanders) online(t *testing.T, name string) bool {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.other.send(t, `{"type":"presence","user":"`+name+`"}`)
	const answer = `{"type":"presence","user":"%s","online":%t}`
	switch got, err := b.other.next(); got {
	case fmt.Sprintf(answer, name, true):
		return true
	case fmt.Sprintf(answer, name, false):
		return false
	default:
		t.Fatalf("awaiting the presence of %s: %s, %v", name, got, err)
		return false
	}
}

// input is one text message that a client sends, and what comes of it. {me} is
// the sender, {peer} another user.
type input struct {
	name, send string
	isEarly    bool     // sent before authentication
	want       []string // the answers
	end        int      // with that code, after the CONNECT
	refusal    int      // the code of the last words before the server closes; 0: none
	isClosed   bool     // the server closes
	isOpen     bool     // nothing of that is specified
	delivered  []string // what the peer gets, in JSON
}

func in(name, send string) input { return input{name: name, send: send} }

func (in input) early() input { in.isEarly = true; return in }

func (in input) answered(want ...string) input { in.want = want; return in }

func (in input) refused(code int) input { in.refusal, in.isClosed = code, true; return in }

func (in input) ended(code int) input { in.end, in.isClosed = code, true; return in }

func (in input) closed() input { in.isClosed = true; return in }

// survived is for what no document says anything about.
func (in input) survived() input { in.isOpen = true; return in }

func (in input) delivers(data ...string) input { in.delivered = data; return in }

// all holds each input, on a connection of its own.
func (b *bystanders) all(t *testing.T, sender, receiver dialect, inputs []input) {
	for _, in := range inputs {
		b.hold(t, in.name, func(t *testing.T) { b.input(t, sender, receiver, in) })
	}
}

func (b *bystanders) input(t *testing.T, sender, receiver dialect, in input) {
	me, peer := b.newName(), b.newName()
	noNamespace := `{"message":"Invalid namespace"}`
	if sender == socketIO(3) {
		noNamespace = `"Invalid namespace"`
	}
	fill := strings.NewReplacer("{me}", me, "{peer}", peer, "{no namespace}", noNamespace).Replace
	there := join(t, b.server, receiver, peer)
	c := dialRaw(t, b.server.Plain, sender.path(me))
	if in.isEarly {
		sender.(socketIO).connect(t, c)
	} else {
		sender.enter(t, c, me)
	}
	c.send(t, fill(in.send))
	for _, w := range in.want {
		want(t, c, fill(w))
	}
	b.outcome(t, sender, c, me, in)
	there.wantDelivered(t, me, in.delivered...)
}

// outcome sees whether the connection is closed, as it should be, or lives.
func (b *bystanders) outcome(t *testing.T, d dialect, c *rawClient, me string, in input) {
	t.Helper()
	if in.refusal != 0 {
		want(t, c, d.refused(in.refusal)...)
	}
	if in.end != 0 {
		want(t, c, d.(socketIO).ended(in.end)...)
	}
	if in.isClosed {
		c.wantClosed(t)
		b.wantOnline(t, me, false)
		return
	}
	question, answer := d.alive()
	c.send(t, question)
	if in.isOpen {
		c.wantClosedOr(t, answer)
		return
	}
	want(t, c, answer)
	if !in.isEarly {
		b.wantOnline(t, me, true)
	}
}

func socketIOInputs() []input {
	return slices.Concat(faultsOfTheReference(), authentications(), enginePackets(), socketPackets(), socketEvents(), socketMessages())
}

// faultsOfTheReference are packets that end the process of OWT's reference
// server (owt-server-p2p, src/socketio_server.js).
func faultsOfTheReference() []input {
	return []input{
		in("message without an ack", `42["owt-message",{"to":"{peer}","data":"x"}]`).answered("6").delivers(`"x"`),
		in("null message", `421["owt-message",null]`).answered("431[2110]"),
		in("null message without an ack", `42["owt-message",null]`).answered("6"),
		in("no message", `421["owt-message"]`).answered("431[2110]"),
		in("no message without an ack", `42["owt-message"]`).answered("6"),
		in("early message without an ack", `42["owt-message",{"to":"{peer}","data":"x"}]`).early().answered("6"),
		in("early null message without an ack", `42["owt-message",null]`).early().answered("6"),
		in("authentication without an ack", `42["authentication",{"token":"{me}"}]`).early().
			answered(`42["server-authenticated",{"uid":"{me}"}]`),
		in("authentication without token and ack", `42["authentication"]`).early().ended(2121),
	}
}

// authentications are tokens that are none. What is no string must not become
// a name, as it does in the reference.
func authentications() []input {
	refused := func(name, argument string) input {
		return in(name, `420["authentication"`+argument+`]`).early().answered(`430[{"error":2121}]`, "41", "1").closed()
	}
	anonymous := func(name, argument string) input {
		return in(name, `420["authentication",`+argument+`]`).early().
			answered(`42["server-authenticated",{"uid":"ID@anonymous"}]`, `430[{"uid":"ID@anonymous"}]`, "6")
	}
	return []input{
		anonymous("no token", `{}`),
		anonymous("empty token", `{"token":""}`),
		anonymous("null token", `{"token":null}`),
		in("token with control characters", `420["authentication",{"token":"{me}\u0000\n\"\\"}]`).early().
			answered(`42["server-authenticated",{"uid":"{me}\u0000\n\"\\"}]`, `430[{"uid":"{me}\u0000\n\"\\"}]`, "6"),
		refused("token is an object", `,{"token":{"toString":"x"}}`),
		refused("token is an array", `,{"token":["x"]}`),
		refused("token is a number", `,{"token":1}`),
		refused("token is true", `,{"token":true}`),
		refused("token is too long", `,{"token":"`+strings.Repeat("x", 257)+`"}`),
		refused("authentication without an argument", ``),
		refused("authentication with null", `,null`),
		refused("authentication with a string", `,"x"`),
		refused("authentication with an array", `,[{"token":"x"}]`),
	}
}

// enginePackets are of Engine.IO (Engine.IO protocol v4, section Packet
// encoding).
func enginePackets() []input {
	return []input{
		in("message without a packet", "4").refused(2110),
		in("open packet", `0{"sid":"x","upgrades":[],"pingInterval":1,"pingTimeout":1}`).refused(2110),
		in("close packet", "1").closed(),
		in("ping", "2").answered("3"),
		in("probe", "2probe").answered("3probe"),
		in("longest ping", "2"+strings.Repeat("x", 125)).answered("3" + strings.Repeat("x", 125)),
		in("ping too long", "2"+strings.Repeat("x", 126)).refused(2110),
		in("pong nobody asked for", "3").answered("6"),
		in("upgrade", "5").answered("6"),
		in("nothing", "6").answered("6"),
		in("packet type 7", "7").refused(2110),
		in("packet type 9", "9").refused(2110),
		in("empty frame", "").survived(),
		in("binary data in base64", "bAQID").survived(),
		in("packet type A", "A").survived(),
		in("packet type {", `{"type":"ping"}`).survived(),
		in("packet type ä", "ä").survived(),
	}
}

// socketPackets are of Socket.IO (Socket.IO protocol v5, section Packet
// encoding).
func socketPackets() []input {
	return []input{
		in("event without data", "42").refused(2110),
		in("event that is an object", "42{}").refused(2110),
		in("event cut off", `421["owt-message",{"to":"{peer}"`).refused(2110),
		in("event and more", `421["owt-message",{"to":"{peer}","data":"x"}]]`).refused(2110),
		in("number with a leading zero", `4201["owt-message",{"to":"{peer}","data":"x"}]`).refused(2110),
		in("number of 2^53", `429007199254740992["owt-message",{"to":"{peer}","data":"x"}]`).refused(2110),
		in("negative number", `42-1["owt-message",{"to":"{peer}","data":"x"}]`).refused(2110),
		in("number of 100 KB", "42"+strings.Repeat("1", 100<<10)+`["x"]`).refused(2110),
		in("100 KB of brackets", "42"+strings.Repeat("[", 100<<10)).refused(2110),
		in("100 KB of objects", "42["+strings.Repeat(`{"":`, 25<<10)).refused(2110),
		in("binary event", `451-["x",{"_placeholder":true,"num":0}]`).refused(2103),
		in("binary ack", `461-1[{"_placeholder":true,"num":0}]`).refused(2103),
		in("packet type 7 of Socket.IO", "47").refused(2110),
		in("connect again", "40").answered(`40{"sid":"ID"}`),
		in("connect with an array", "40[]").refused(2110),
		in("connect to a namespace", "40/admin,").answered(`44/admin,{no namespace}`),
		in("connect to a namespace with a query", "40/admin?token=x,{}").answered(`44/admin,{no namespace}`),
		in("connect to a namespace of 2 KB", "40/"+strings.Repeat("x", 2<<10)+",").refused(2110),
		in("event of a namespace", `42/admin,["owt-message",{"to":"{peer}","data":"x"}]`).answered("6"),
		in("disconnect", "41").closed(),
		in("disconnect of a namespace", "41/admin,").answered("6"),
		in("ack nobody asked for", "437[]").answered("6"),
		in("ack without a number", "43[]").refused(2110),
		in("error", `44{"message":"x"}`).answered("6"),
		in("error without data", "44").refused(2110),
	}
}

// socketEvents are well-formed packets. One with a number is answered by an ack.
func socketEvents() []input {
	const reserved = "disconnect" // one of the names that socket.io-parser 4 refuses
	return []input{
		in("event without a name", "42[]").refused(2110),
		in("event without a name, numbered", "421[]").answered("431[2110]"),
		in("event with a number for a name", "42[1]").refused(2110),
		in("event with a number for a name, numbered", "421[1]").answered("431[2110]"),
		in("event with a reserved name", `42["`+reserved+`"]`).refused(2110),
		in("event with a reserved name, numbered", `421["`+reserved+`"]`).answered("431[2110]"),
		in("unknown event", `42["__proto__",{}]`).answered("6"),
		in("unknown event, numbered", `421["__proto__",{}]`).answered("431[2103]"),
		in("event with 20 arguments", `421["owt-message",{"to":"{peer}","data":"x"}`+strings.Repeat(",1", 19)+"]").answered("431[2110]"),
		in("message with 20 members", `421["owt-message",{"to":"{peer}","data":"x"`+strings.Repeat(`,"x":1`, 18)+"}]").answered("431[2110]"),
		in("number of the authentication", `420["owt-message",{"to":"{peer}","data":"x"}]`).answered("430[2110]"),
	}
}

// socketMessages are well-formed events: what a receiver gets is {data} as it came,
// and whom it is from.
func socketMessages() []input {
	const delivered, refused, offline = "431[]", "431[2110]", "431[2201]"
	return messageInputs(delivered, refused, offline, func(members string) string { return `421["owt-message",{` + members + `}]` })
}

// messageInputs are messages of either dialect, by their members to and data.
func messageInputs(delivered, refused, offline string, message func(members string) string) []input {
	in := func(name, members string) input { return in(name, message(members)) }
	const odd = `{"a" : [1.0e0, -0],"a":"\ud800\u0000` + "\u2028" + `<😀>"}`
	return []input{
		in("message to nobody", `"data":"x"`).answered(refused),
		in("message to an empty name", `"to":"","data":"x"`).answered(refused),
		in("message to null", `"to":null,"data":"x"`).answered(refused),
		in("message to a number", `"to":1,"data":"x"`).answered(refused),
		in("message to an array", `"to":["{peer}"],"data":"x"`).answered(refused),
		in("message to a name too long", `"to":"`+strings.Repeat("x", 257)+`","data":"x"`).answered(refused),
		in("message to __proto__", `"to":"__proto__","data":"x"`).answered(offline),
		in("message to half a character", `"to":"\ud83d","data":"x"`).answered(refused),
		in("message without data", `"to":"{peer}"`).answered(refused),
		in("message with null", `"to":"{peer}","data":null`).answered(delivered).delivers("null"),
		in("message with odd data", `"to":"{peer}","data":`+odd).answered(delivered).delivers(odd),
		in("to twice", `"to":"nobody","to":"{peer}","data":"x"`).answered(delivered).delivers(`"x"`),
		in("to twice, the last offline", `"to":"{peer}","to":"nobody","data":"x"`).answered(offline),
		in("data twice", `"to":"{peer}","data":"x","data":"y"`).answered(delivered).delivers(`"y"`),
		in("from", `"to":"{peer}","data":"x","from":"other","seq":-1,"epoch":""`).answered(delivered).delivers(`"x"`),
		in("__proto__", `"__proto__":{"to":"other","from":"other"},"constructor":1,"to":"{peer}","data":"x"`).answered(delivered).delivers(`"x"`),
		in("message to oneself", `"to":"{me}","data":"x","to":"{peer}"`).answered(delivered).delivers(`"x"`),
	}
}

func jsonInputs() []input { return slices.Concat(jsonMessages(), jsonNumbers(), jsonFrames()) }

func jsonMessages() []input {
	d := plainJSON{}
	return messageInputs(d.acked(1), d.failed(1, 2110), d.failed(1, 2201), func(members string) string {
		return `{"type":"message","id":1,` + members + `}`
	})
}

// jsonNumbers are messages without a number, or with one that is none.
func jsonNumbers() []input {
	inputs := []input{
		in("message without a number", `{"type":"message","to":"{peer}","data":"x"}`).answered(`{"type":"nothing"}`).delivers(`"x"`),
		in("number twice", `{"type":"message","id":7,"id":1,"to":"{peer}","data":"x"}`).answered(`{"type":"ack","id":1}`).delivers(`"x"`),
	}
	for _, id := range []string{"0", "-1", "1.0", "1e0", "01", `"1"`, "null", "[1]", "9007199254740992", strings.Repeat("1", 100<<10)} {
		inputs = append(inputs, in(fmt.Sprintf("number %.20s", id), `{"type":"message","id":`+id+`,"to":"{peer}","data":"x"}`).
			answered(`{"type":"error","code":2110,"message":"client error"}`))
	}
	return inputs
}

// jsonFrames are not what a client says. Nothing but an answer comes of them.
func jsonFrames() []input {
	const notUnderstood, notSupported = `{"type":"error","code":2110,"message":"client error"}`, `{"type":"error","code":2103,"message":"not supported"}`
	inputs := []input{
		in("leave", `{"type":"leave"}`).closed(),
		in("ping twice in one", `{"type":"leave","type":"ping"}`).answered(`{"type":"pong"}`),
		in("presence of __proto__", `{"type":"presence","user":"__proto__"}`).answered(`{"type":"presence","user":"__proto__","online":false}`),
	}
	for _, frame := range []string{
		"", " ", "null", "nul", "true", "-", `"x"`, "[]", "{", "}", `{"type"}`, `{"type":}`, `{"type":"ping"`, `{"type":"ping"}}`,
		`{"type":"ping"},{"type":"ping"}`, `{'type':'ping'}`, `{"type":"ping",}`, "{\"type\":\"pi\x00ng\"}", "\ufeff" + `{"type":"ping"}`,
		`{"type":"presence"}`, `{"type":"presence","user":""}`, `{"type":"presence","user":{}}`, "bAQID", "x",
		strings.Repeat("[", 100<<10), `{"type":"ping","x":` + strings.Repeat("[", 100<<10), `{"type":"ping"` + strings.Repeat(`,"x":1`, 20) + "}",
	} {
		inputs = append(inputs, in(fmt.Sprintf("%.30q", frame), frame).answered(notUnderstood))
	}
	for _, frame := range []string{"{}", `{"type":""}`, `{"type":1}`, `{"type":null}`, `{"type":"welcome"}`, `{"type":"Ping"}`, `{"__proto__":{"type":"ping"}}`} {
		inputs = append(inputs, in(frame, frame).answered(notSupported))
	}
	inputs = append(inputs, in("an array of what is none", `["type","ping"]`).answered(notUnderstood, notUnderstood))
	return inputs
}

// frames holds WebSocket frames on connections of JSON clients: those that RFC
// 6455 and API Gateway's quotas allow, and those that they do not.
func (b *bystanders) frames(t *testing.T) {
	for name, bytes := range oddFrames() {
		b.frame(t, name, bytes, true, func(t *testing.T, c *rawClient) { want(t, c, `{"type":"pong"}`) })
	}
	for code, all := range badFrames() {
		for name, bytes := range all {
			b.frame(t, fmt.Sprintf("%s, closed with %d", name, code), bytes, false, func(t *testing.T, c *rawClient) {
				c.wantCloseFrame(t, code)
				c.wantEnd(t)
			})
		}
	}
	for name, head := range map[string][]byte{
		"announcement of a frame too large":     frame(final|opText, padded(ping, largestFrame+1))[:8],
		"announcement of a frame of 2^64 bytes": append([]byte{final | opText, 0x80 | 127}, strings.Repeat("\xff", 8+4)...),
	} {
		b.frame(t, name, head, false, func(t *testing.T, c *rawClient) {
			c.wantCloseFrame(t, websocket.StatusMessageTooBig)
			_ = c.CloseWrite() // the close frame in answer was part of what is announced
			c.wantEnd(t)
		})
	}
}

// frame holds bytes on a connection, which goes on or ends.
func (b *bystanders) frame(t *testing.T, name string, bytes []byte, goesOn bool, check func(*testing.T, *rawClient)) {
	b.hold(t, name, func(t *testing.T) {
		u, c := joinRaw(t, b.server, plainJSON{}, b.newName())
		c.put(t, bytes)
		check(t, c)
		b.wantOnline(t, u.name, goesOn)
	})
}

const ping = `{"type":"ping"}`

// padded is a JSON text with as much white space as makes it size bytes long.
func padded(text string, size int) string { return text + strings.Repeat(" ", size-len(text)) }

// oddFrames are one ping to the server each.
func oddFrames() map[string][]byte {
	whole := frame(final|opText, ping)
	return map[string][]byte{
		"in fragments":            fragments(ping, 2),
		"in empty fragments":      slices.Concat(frame(opText, ""), frame(opContinuation, ping), frame(opContinuation, ""), frame(final|opContinuation, "")),
		"around a ping":           slices.Concat(frame(opText, ping[:3]), frame(final|opPing, "x"), frame(final|opContinuation, ping[3:])),
		"behind a pong":           slices.Concat(frame(final|opPong, "x"), whole),
		"behind the longest ping": slices.Concat(frame(final|opPing, strings.Repeat("x", 125)), whole),
		"largest frame":           frame(final|opText, padded(ping, largestFrame)),
		"largest message":         fragments(padded(ping, largestMessage), largestFrame),
		"cut within a character":  fragments(`{"type":"ping","ä":"ä"}`, 1),
	}
}

// badFrames close their connection, by the code that they close it with. Those
// of 1003 and 1009 are API Gateway's, the others RFC 6455's (section 7.4.1).
func badFrames() map[websocket.StatusCode]map[string][]byte {
	whole := frame(final|opText, ping)
	tooLarge := frame(final|opContinuation, padded(ping, largestFrame+1))
	endless := append(frame(opText, padded(ping, largestFrame)), slices.Repeat(frame(opContinuation, padded(ping, largestFrame)), 4)...)
	return map[websocket.StatusCode]map[string][]byte{
		websocket.StatusNormalClosure: {"close": frame(final|opClose, closing(1000)), "close and more": append(frame(final|opClose, closing(1000)), whole...)},
		websocket.StatusNoStatusRcvd:  {"close without a code": frame(final|opClose, "")},
		4999:                          {"close with a code of one's own": frame(final|opClose, closing(4999))},
		websocket.StatusProtocolError: violations(),
		websocket.StatusUnsupportedData: {
			"binary": frame(final|opBinary, ping), "empty binary": frame(final|opBinary, ""), "fragment of binary": frame(opBinary, ping),
		},
		websocket.StatusInvalidFramePayloadData: {
			"not UTF-8": frame(final|opText, "\"\xff\""), "end within a character": frame(final|opText, "\"ä"[:2]), "a surrogate": frame(final|opText, "\xed\xa0\x80"),
		},
		websocket.StatusMessageTooBig: {
			"frame too large":         frame(final|opText, padded(ping, largestFrame+1)),
			"second frame too large":  append(frame(opText, ping), tooLarge...),
			"message too large":       fragments(padded(ping, largestMessage+1), largestFrame),
			"message far too large":   fragments(padded(ping, 4*largestMessage), largestFrame),
			"message without an end":  endless,
			"control frame too large": frame(final|opPing, padded(ping, largestFrame+1)),
		},
	}
}

// violations are what a server must fail the connection for (RFC 6455 sections
// 5.1, 5.2, 5.4, 5.5 and 7.4).
func violations() map[string][]byte {
	whole := frame(final|opText, ping)
	all := map[string][]byte{
		"not masked":              {final | opText, 2, '{', '}'},
		"empty and not masked":    append([]byte{final | opText, 0}, whole...),
		"continuation of nothing": frame(final|opContinuation, ping),
		"text within a text":      append(frame(opText, "{"), whole...),
		"fragment of a ping":      frame(opPing, "x"),
		"fragment of a close":     frame(opClose, closing(1000)),
		"ping of 126 bytes":       frame(final|opPing, strings.Repeat("x", 126)),
		"close with half a code":  frame(final|opClose, "x"),
		"HTTP":                    []byte(upgradeRequest("/prod")),
	}
	for _, code := range []websocket.StatusCode{0, 999, 1004, 1005, 1006, 1015, 2999, 5000} {
		all[fmt.Sprintf("close with %d", code)] = frame(final|opClose, closing(code))
	}
	for bit := range 3 {
		all[fmt.Sprintf("reserved bit %d", bit+1)] = frame(final|0x40>>bit|opText, ping)
	}
	for _, opcode := range []byte{3, 7, 0xb, 0xf} {
		all[fmt.Sprintf("reserved opcode %#x", opcode)] = frame(final|opcode, ping)
	}
	return all
}

// handshakes holds HTTP requests that open no WebSocket.
func (b *bystanders) handshakes(t *testing.T) {
	good := upgradeRequest("/prod")
	without := func(header, replacement string) string { return strings.Replace(good, header, replacement, 1) }
	get := func(path string) string { return "GET " + path + " HTTP/1.1\r\nHost: owt.test\r\n\r\n" }
	for status, requests := range map[int]map[string]string{
		http.StatusUpgradeRequired: {
			"plain GET":            get("/socket.io/"),
			"plain GET of a stage": get("/prod"),
			"another upgrade":      without("Upgrade: websocket", "Upgrade: h2c"),
		},
		http.StatusNoContent: {
			"OPTIONS of polling": strings.Replace(get("/socket.io/?EIO=4&transport=polling"), "GET", "OPTIONS", 1),
		},
		http.StatusForbidden: {
			"polling of other":   get("/other?EIO=4&transport=polling"),
			"unknown path":       upgradeRequest("/other"),
			"root":               upgradeRequest("/?EIO=4&transport=websocket"),
			"path below a stage": upgradeRequest("/prod/socket.io/"),
			"path with dots":     upgradeRequest("/prod/../prod/x"),
			"@connections":       "POST /prod/@connections/AAAAAAAAAAAAAAA= HTTP/1.1\r\nHost: owt.test\r\nContent-Length: 1\r\n\r\nx",
			"plain GET of other": get("/other"),
		},
		http.StatusOK: {
			"plain GET of root": get("/"), // the page to try a call on
			"polling":           get("/socket.io/?EIO=4&transport=polling&t=abc"),
			"polling of v2":     get("/prod?EIO=3&transport=polling&b64=1"),
		},
		http.StatusBadRequest: {
			"POST of polling":     "POST /socket.io/?EIO=4&transport=polling&sid=x HTTP/1.1\r\nHost: owt.test\r\nContent-Length: 2\r\n\r\n40",
			"PUT of polling":      strings.Replace(get("/socket.io/?EIO=4&transport=polling"), "GET", "PUT", 1),
			"a sid that is none":  upgradeRequest("/socket.io/?EIO=4&transport=websocket&sid=x"),
			"EIO=5":               upgradeRequest("/socket.io/?EIO=5&transport=websocket"),
			"EIO=x":               upgradeRequest("/socket.io/?EIO=x&transport=websocket"),
			"EIO=":                upgradeRequest("/socket.io/?EIO=&transport=websocket"),
			"two tokens":          upgradeRequest("/prod?token=x&token=y"),
			"undecodable token":   upgradeRequest("/prod?token=100%"),
			"token with a ;":      upgradeRequest("/prod?token=a;b"),
			"query with a ;":      upgradeRequest("/socket.io/?EIO=4;transport=websocket"),
			"body":                upgradeRequest("/prod", "Content-Length: 1"),
			"chunked body":        upgradeRequest("/prod", "Transfer-Encoding: chunked"),
			"unknown subprotocol": upgradeRequest("/prod", "Sec-WebSocket-Protocol: chat, superchat"),
			"WebSocket 8":         without("Version: 13", "Version: 8"),
			"no key":              without("Sec-WebSocket-Key", "X-Key"),
			"short key":           without("dGhlIHNhbXBsZSBub25jZQ==", "dGhl"),
			"key twice":           upgradeRequest("/prod", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="),
			"garbage":             "\x16\x03\x01\x00\xff\r\n\r\n",
			"no host":             without("Host: owt.test\r\n", ""),
			"header without name": upgradeRequest("/prod", ": x"),
		},
		http.StatusRequestURITooLong: {"query of 5000 bytes": upgradeRequest("/prod?token=" + strings.Repeat("x", 5000))},
	} {
		for name, request := range requests {
			b.hold(t, fmt.Sprintf("%s is %d", name, status), func(t *testing.T) {
				c := dialTCP(t, b.server.Plain)
				c.put(t, []byte(request))
				if got := c.status(t); got != status {
					t.Errorf("status %d, want %d", got, status)
				}
			})
		}
	}
}

// firstWords holds handshakes whose client is told why it is not served.
func (b *bystanders) firstWords(t *testing.T) {
	const version, token = "&clientVersion=9.9&token=x", "&token=%ff"
	for _, c := range []struct {
		name, path string
		dialect
		first []string
		code  int
	}{
		// No 40: the client takes that for admission (socketio_server.js).
		{"version, Socket.IO 3", socketIO(3).path("") + version, socketIO(3), nil, 2103},
		{"version, Socket.IO 4", socketIO(4).path("") + version, socketIO(4), nil, 2103},
		{"version, JSON", plainJSON{}.path("x") + "&clientVersion=9.9", plainJSON{}, nil, 2103},
		{"token that is not UTF-8, Socket.IO 3", socketIO(3).path("") + token, socketIO(3), []string{"40"}, 2121},
		{"token that is not UTF-8, Socket.IO 4", socketIO(4).path("") + token, socketIO(4), nil, 2121},
		{"token that is not UTF-8, JSON", "/prod?token=%ff", plainJSON{}, nil, 2121},
		{"token of 257 bytes", plainJSON{}.path(strings.Repeat("x", 257)), plainJSON{}, nil, 2121},
	} {
		b.hold(t, c.name, func(t *testing.T) {
			raw := dialRaw(t, b.server.Plain, c.path)
			if opened, err := raw.next(); err != nil {
				t.Fatalf("awaiting the first message: %q, %v", opened, err)
			}
			want(t, raw, append(c.first, c.refused(c.code)...)...)
			raw.wantClosed(t)
		})
	}
}

// sockets holds TCP connections that end as no client ends them.
func (b *bystanders) sockets(t *testing.T) {
	head := frame(final|opText, ping)[:2+4]
	for name, end := range map[string]func(*testing.T, *rawClient){
		"reset":                 func(_ *testing.T, c *rawClient) { c.reset() },
		"reset within a frame":  func(t *testing.T, c *rawClient) { c.put(t, head); c.reset() },
		"closed":                func(_ *testing.T, c *rawClient) { _ = c.Close() },
		"closed within a frame": func(t *testing.T, c *rawClient) { c.put(t, head); _ = c.Close() },
		"half closed":           func(t *testing.T, c *rawClient) { _ = c.CloseWrite(); c.wantEnd(t) },
	} {
		b.hold(t, name, func(t *testing.T) {
			u, c := joinRaw(t, b.server, plainJSON{}, b.newName())
			end(t, c)
			b.wantOnline(t, u.name, false)
		})
	}
	b.hold(t, "reset within the handshake", func(t *testing.T) {
		name := b.newName()
		for range 20 {
			c := dialTCP(t, b.server.Plain)
			c.put(t, []byte(upgradeRequest(plainJSON{}.path(name))))
			c.reset()
		}
		b.wantOnline(t, name, false)
	})
	b.hold(t, "HTTP where TLS is spoken", func(t *testing.T) {
		c := dialTCP(t, b.server.Secure)
		c.put(t, []byte(upgradeRequest("/prod")))
		if got := c.status(t); got != http.StatusBadRequest {
			t.Errorf("status %d, want 400", got)
		}
	})
	b.hold(t, "noise where TLS is spoken", func(t *testing.T) {
		c := dialTCP(t, b.server.Secure)
		c.put(t, []byte(strings.Repeat("\xff\x00", 100)))
		if said, ended := c.rest(soon); !ended {
			t.Errorf("awaiting the end of the connection: %q", said)
		}
	})
}

// cuts holds messages that are cut off by the end of their connection: there
// is no message before its last frame is complete (RFC 6455 section 5.4).
func (b *bystanders) cuts(t *testing.T) {
	for name, cut := range map[string]func(message string) []byte{
		"between fragments": func(message string) []byte { return frame(opText, message) },
		"within a head":     func(message string) []byte { return append(frame(opText, message), final) },
		"behind a head":     func(message string) []byte { return append(frame(opText, message), frame(final, " ")[:2+4]...) },
		"within a payload":  func(message string) []byte { return frame(final|opText, message+" ")[:2+2+4+len(message)] },
	} {
		b.hold(t, "cut off "+name, func(t *testing.T) {
			there := join(t, b.server, socketIO(4), b.newName())
			for range 10 { // what becomes of it may depend on what is faster
				u, c := joinRaw(t, b.server, plainJSON{}, b.newName())
				c.put(t, cut(padded(u.message(1, there.name, `"x"`), 200)))
				_ = c.CloseWrite()
				c.wantEnd(t)
				there.wantDelivered(t, u.name)
				if t.Failed() {
					return
				}
			}
		})
	}
}

// headerPatience is how long the server waits for a request (readRequest in
// internal/local).
const headerPatience = 10 * time.Second

// silences are clients that begin to speak HTTP, at most, and then say no more.
func silences() map[string]string {
	withBody := func(request, header string) string {
		return strings.Replace(request, "\r\n\r\n", "\r\n"+header+"\r\n\r\n", 1)
	}
	post := "POST /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: owt.test\r\n\r\n"
	return map[string]string{
		"nothing":                         "",
		"half a request":                  upgradeRequest("/prod")[:50],
		"no request after an answer":      "GET / HTTP/1.1\r\nHost: owt.test\r\n\r\n",
		"no body":                         withBody(post, "Content-Length: 2"),
		"no chunk":                        withBody(post, "Transfer-Encoding: chunked"),
		"no body to a handshake":          withBody(upgradeRequest("/prod"), "Content-Length: 2"),
		"half a request after an answer":  "GET / HTTP/1.1\r\nHost: owt.test\r\n\r\nGET /prod",
		"an expectation without its body": withBody(post, "Content-Length: 2\r\nExpect: 100-continue"),
	}
}

// silence opens connections that never finish their handshake. The function
// that it returns sees that the server closes them, or serves them.
func (b *bystanders) silence(t *testing.T) (closed func(*testing.T)) {
	end := time.Now().Add(headerPatience + soon/2)
	connections := map[string]*rawClient{"no TLS": dialTCP(t, b.server.Secure), "half a TLS record": dialTCP(t, b.server.Secure)}
	connections["half a TLS record"].put(t, []byte("\x16\x03\x01\x00\xff\x01"))
	for name, words := range silences() {
		connections[name] = dialTCP(t, b.server.Plain)
		connections[name].put(t, []byte(words))
	}
	return func(t *testing.T) {
		for name, c := range connections {
			t.Run(name, func(t *testing.T) {
				said, ended := c.rest(max(time.Until(end), time.Second/10))
				if served := strings.HasPrefix(said, "HTTP/1.1 101 "); !ended && !served {
					t.Errorf("awaiting the end of the connection: %.30q, and not closed after %v", said, headerPatience)
				}
			})
		}
	}
}

// numbers holds numbers that do not go up by one.
func (b *bystanders) numbers(t *testing.T) {
	for name, d := range map[string]dialect{"Socket.IO": socketIO(4), "JSON": plainJSON{}} {
		b.hold(t, "one number twice, "+name, func(t *testing.T) {
			u, _ := joinRaw(t, b.server, d, b.newName())
			there := join(t, b.server, plainJSON{}, b.newName())
			for data, answer := range map[string]string{`"x"`: u.acked(1), `"y"`: u.failed(1, 2110)} {
				u.send(t, u.message(1, there.name, `"x"`)) // the same again is answered as it was
				want(t, u, u.acked(1))
				u.send(t, u.message(1, there.name, data))
				want(t, u, answer)
			}
			there.wantDelivered(t, u.name, `"x"`)
		})
	}
	b.hold(t, "authentication twice", b.authenticateTwice)
	b.hold(t, "authentication as the last number", func(t *testing.T) {
		c := dialRaw(t, b.server.Plain, socketIO(4).path(""))
		socketIO(4).connect(t, c)
		name := b.newName()
		c.send(t, `429007199254740991["authentication",{"token":"`+name+`"}]`)
		want(t, c, `42["server-authenticated",{"uid":"`+name+`"}]`, `439007199254740991[{"uid":"`+name+`"}]`, "6")
		b.wantOnline(t, name, true)
	})
}

// authenticateTwice holds a connection to the one name that it has: in the
// reference the first stays routable for ever.
func (b *bystanders) authenticateTwice(t *testing.T) {
	u, c := joinRaw(t, b.server, socketIO(4), b.newName())
	another := b.newName()
	c.send(t, `421["authentication",{"token":"`+another+`"}]`)
	want(t, c, `431[{"error":2103}]`)
	b.wantOnline(t, another, false)
	b.wantOnline(t, u.name, true)
	c.send(t, `422["authentication",{"token":"`+u.name+`"}]`)
	want(t, c, `42["server-authenticated",{"uid":"`+u.name+`"}]`, `432[{"uid":"`+u.name+`"}]`, "6")
	c.send(t, "41")
	c.wantClosed(t)
	b.wantOnline(t, u.name, false)
	b.wantOnline(t, another, false)
}

// sizes holds messages that are as large as API Gateway takes, and do not fit
// any more with what the server adds: they are delivered or refused, and never
// dropped in silence.
func (b *bystanders) sizes(t *testing.T) {
	const added = 300 // at most, by the server
	for name, d := range map[string]dialect{"Socket.IO": socketIO(4), "JSON": plainJSON{}} {
		for _, size := range []int{largestMessage, largestMessage - 30, largestMessage - added} {
			b.hold(t, fmt.Sprintf("%d bytes, %s", size, name), func(t *testing.T) {
				u, _ := joinRaw(t, b.server, d, b.newName())
				there := join(t, b.server, plainJSON{}, b.newName())
				data := `"` + strings.Repeat("x", size-len(d.message(1, there.name, `""`))) + `"`
				u.send(t, u.message(1, there.name, data))
				answer, err := u.next()
				switch {
				case answer == u.acked(1):
					there.wantDelivered(t, u.name, data)
				case answer == u.failed(1, 2110) && size > largestMessage-added:
					there.wantDelivered(t, u.name)
				default:
					t.Errorf("awaiting an ack: %.200q, %v", answer, err)
				}
			})
		}
	}
}

// gaps holds numbers that wait for others, which come too late.
func (b *bystanders) gaps(t *testing.T) {
	for name, d := range map[string]dialect{"Socket.IO": socketIO(4), "JSON": plainJSON{}} {
		b.hold(t, "two after a gap, "+name, func(t *testing.T) { b.gap(t, d, 5, 6) })
	}
	b.hold(t, "the last number", func(t *testing.T) { b.gap(t, socketIO(3), 1<<53-1) })
}

// gap sends these numbers, which are not the first, and then the first.
func (b *bystanders) gap(t *testing.T, d dialect, numbers ...int) {
	const patience = 3 * time.Second // the lane's
	u, _ := joinRaw(t, b.server, d, b.newName())
	there := join(t, b.server, plainJSON{}, b.newName())
	var all []string
	began := time.Now()
	for _, n := range numbers {
		data := fmt.Sprint(n)
		all = append(all, data)
		u.send(t, u.message(n, there.name, data))
		want(t, u, u.stored(n))
	}
	for _, n := range numbers {
		want(t, u, u.acked(n))
	}
	if waited := time.Since(began); waited < patience {
		t.Errorf("waited %v, want %v", waited, patience)
	}
	u.send(t, u.message(1, there.name, "1"))
	want(t, u, u.failed(1, 2100))
	there.wantDelivered(t, u.name, all...)
}

// floods holds senders that wait for nothing.
func (b *bystanders) floods(t *testing.T) {
	for name, d := range map[string]dialect{"Socket.IO": socketIO(4), "JSON": plainJSON{}} {
		b.hold(t, "2000 messages, "+name, func(t *testing.T) { flood(t, b.server, d, b.newName(), b.newName()) })
	}
	b.hold(t, "messages before authentication", b.earlyFlood)
	b.hold(t, "large messages before authentication", b.earlyBytes)
	b.hold(t, "answers that nobody reads", b.unread)
}

// TestFloodOutOfOrder sees that a lane holds no more than its bound of a flood
// whose messages come in any order.
func TestFloodOutOfOrder(t *testing.T) {
	s := serve(t, "-log", "error", "-faults", "delay=20ms")
	for name, d := range map[string]dialect{"Socket.IO": socketIO(4), "JSON": plainJSON{}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if refused := flood(t, s, d, "from-"+name, "to-"+name); refused == 0 {
				t.Error("the lane has no bound")
			}
		})
	}
}

// flood sends 2000 messages at once. Each is answered once, and the receiver
// gets, in their order, those whose ack says so. It tells how many were refused.
func flood(t *testing.T, s *server, d dialect, from, to string) (refused int) {
	t.Helper()
	const messages = 2000
	u, c := joinRaw(t, s, d, from)
	there := join(t, s, plainJSON{}, to)
	var got []string
	var err error
	var receiving sync.WaitGroup
	receiving.Go(func() { got, err = there.collect(u.name) })
	var burst []byte
	for n := 1; n <= messages; n++ {
		burst = append(burst, frame(final|opText, u.message(n, there.name, fmt.Sprint(n)))...)
	}
	sent := make(chan error, 1)
	go func() { _, err := c.Write(burst); sent <- err }()
	codes := u.answers(t, messages)
	if err := <-sent; err != nil {
		t.Error(err)
	}
	there.sent++
	there.send(t, there.message(there.sent, there.name, last))
	receiving.Wait()
	if err != nil {
		t.Fatal(err)
	}
	return wantTruth(t, codes, got)
}

// wantTruth holds the answers against what was delivered: all that was acked,
// in order, and nothing that was refused as too much. Of a number that came
// too late for the lane, or ended in doubt (2100), nothing is said. It tells how
// many were refused.
func wantTruth(t *testing.T, codes map[int]int, delivered []string) (refused int) {
	t.Helper()
	before, count := 0, map[int]int{}
	for _, data := range delivered {
		n, err := strconv.Atoi(data)
		if code := codes[n]; err != nil || n <= before || code != 0 && code != 2100 {
			t.Errorf("%q is delivered after %d, and answered with %d", data, before, code)
		}
		delete(codes, n)
		before = n
	}
	for n, code := range codes {
		if count[code]++; code != 2100 && code != 2102 {
			t.Errorf("number %d is answered with %d, and not delivered", n, code)
		}
	}
	t.Logf("%d delivered, %d refused, %d too late", len(delivered), count[2102], count[2100])
	return count[2102]
}

// earlyFlood sends as many messages before authentication as are held for it, and
// then one more.
func (b *bystanders) earlyFlood(t *testing.T) {
	var all []string
	for n := range lane.MaxEarly {
		all = append(all, fmt.Sprint(n))
	}
	b.early(t, all)
	b.tooEarly(t, append(all, `"one more"`))
}

// earlyBytes sends as many bytes, almost, and then more.
func (b *bystanders) earlyBytes(t *testing.T) {
	half := `"` + strings.Repeat("x", lane.MaxEarlyBytes/2-100) + `"`
	b.early(t, []string{half, half})
	b.tooEarly(t, []string{half, half, half})
}

// tooEarly sends messages before authentication of which the last is too much: it is
// refused, and the connection ends.
func (b *bystanders) tooEarly(t *testing.T, messages []string) {
	t.Helper()
	d := socketIO(4)
	c := dialRaw(t, b.server.Plain, d.path(""))
	d.connect(t, c)
	for n, data := range messages {
		c.send(t, d.message(n, "nobody", data))
	}
	refused := 0
	for answer, err := c.next(); err == nil; answer, err = c.next() {
		if strings.HasSuffix(answer, `[2102]`) {
			refused++
		}
	}
	if refused != 1 {
		t.Errorf("%d of %d messages are refused", refused, len(messages))
	}
}

// early sends messages before authentication, one after the other. They are held, and
// delivered after it.
func (b *bystanders) early(t *testing.T, messages []string) {
	t.Helper()
	there := join(t, b.server, plainJSON{}, b.newName())
	d := socketIO(4)
	c, name := dialRaw(t, b.server.Plain, d.path("")), b.newName()
	d.connect(t, c)
	var acks []string
	for n, data := range messages {
		c.send(t, d.message(n, there.name, data))
		switch answer, err := c.next(); answer {
		case d.stored(n):
			acks = append(acks, d.acked(n))
		default:
			t.Fatalf("awaiting an answer to number %d: %q, %v", n, answer, err)
		}
	}
	c.send(t, fmt.Sprintf(`42%d["authentication",{"token":"%s"}]`, len(messages), name))
	want(t, c, `42["server-authenticated",{"uid":"`+name+`"}]`, fmt.Sprintf(`43%d[{"uid":"%s"}]`, len(messages), name))
	for range len(acks) + 1 { // with the answer to the frame itself, "6", anywhere between
		answer, err := c.next()
		switch {
		case err == nil && answer == "6":
		case err == nil && len(acks) > 0 && answer == acks[0]:
			acks = acks[1:]
		default:
			t.Fatalf("awaiting the acks %q: %q, %v", acks, answer, err)
		}
	}
	there.wantDelivered(t, name, messages...)
}

// unread sends what is answered, and reads no answer.
func (b *bystanders) unread(t *testing.T) {
	_, c := joinRaw(t, b.server, socketIO(4), b.newName())
	_ = c.SetReadBuffer(4 << 10)
	_ = c.SetWriteDeadline(time.Now().Add(time.Second)) // the server need not read what it cannot answer
	_, _ = c.Write(slices.Repeat(frame(final|opText, "2"+strings.Repeat("x", 125)), 5000))
}
