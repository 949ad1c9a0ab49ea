package socketio_test

import (
	"bytes"
	"context"
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/owt-signal/owt-signal/internal/need"
	"github.com/owt-signal/owt-signal/internal/rawjson"
	"github.com/owt-signal/owt-signal/internal/socketio"
)

// The clients whose parsers are the authority: Socket.IO 2 (EIO3), 3.1.2, which OWT's JavaScript SDK brings, and 4.
var clients = []string{"socket.io-client-2", "socket.io-client-3", "socket.io-client-4"}

// questions and answers are what testdata/oracle.mjs reads and writes.
type questions struct {
	Frames  []string         `json:"frames,omitempty"`
	Packets []scriptedPacket `json:"packets,omitempty"`
	Strings []string         `json:"strings,omitempty"`
}

type answers struct {
	Clients []struct {
		Frames  []scriptedFrame `json:"frames"`
		Packets []string        `json:"packets"`
	} `json:"clients"`
	Strings []string `json:"strings"`
}

type scriptedFrame struct {
	Error  string          `json:"error"`
	Engine string          `json:"engine"`
	Data   string          `json:"data"`
	Packet *scriptedPacket `json:"packet"`
}

type scriptedPacket struct {
	Type      int             `json:"type"`
	Namespace string          `json:"nsp"`
	ID        *int64          `json:"id,omitempty"`
	Data      json.RawMessage `json:"data,omitempty"`
}

// ask runs the script once for all questions.
func ask(t *testing.T, q questions) answers {
	t.Helper()
	if testing.Short() {
		t.Skip("runs Node.js")
	}
	program, args := need.Node(t), []string{filepath.Join("testdata", "oracle.mjs")}
	for _, client := range clients {
		args = append(args, filepath.Join(need.Root(), need.Clients, client))
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	input, err := json.Marshal(q)
	if err != nil {
		t.Fatal(err)
	}
	node := exec.CommandContext(ctx, program, args...)
	node.Stdin = bytes.NewReader(input)
	node.Stderr = os.Stderr
	output, err := node.Output()
	if err != nil {
		t.Fatalf("node %s: %v", strings.Join(args, " "), err)
	}
	var a answers
	if err := json.Unmarshal(output, &a); err != nil {
		t.Fatal(err)
	}
	return a
}

// Whatever is accepted here, every parser accepts and understands in the same way.
func TestNothingIsAcceptedThatTheParsersRefuse(t *testing.T) {
	q := questions{Frames: editedFrames(6000)}
	for number, client := range ask(t, q).Clients {
		accepted := 0
		for i, frame := range q.Frames {
			engine, p, err := read([]byte(frame))
			if err != nil {
				continue
			}
			accepted++
			if got := client.Frames[i]; !agree(engine, p, got) {
				t.Errorf("%s reads %q as %+v %+v, not as %+v", clients[number], frame, got, got.Packet, p)
			}
		}
		if accepted < len(q.Frames)/10 || accepted > len(q.Frames)*9/10 {
			t.Errorf("%d of %d frames are accepted: the comparison says little", accepted, len(q.Frames))
		}
	}
}

// editedFrames are the known frames and n more, each with a few random changes, always the same.
func editedFrames(n int) []string {
	random := rand.New(rand.NewPCG(1, 2))
	alphabet := []rune(`0123456789/,[]{}"\ -.eEtruens:?bux` + "\n\t用\u2028😀\u00a0")
	edited := append([]string(nil), frames...)
	for len(edited) < len(frames)+n {
		runes := []rune(frames[random.IntN(len(frames))])
		for range 1 + random.IntN(3) {
			i := random.IntN(len(runes) + 1)
			change := alphabet[random.IntN(len(alphabet))]
			switch {
			case random.IntN(2) == 0 || i == len(runes):
				runes = append(runes[:i:i], append([]rune{change}, runes[i:]...)...)
			case random.IntN(2) == 0:
				runes[i] = change
			default:
				runes = append(runes[:i:i], runes[i+1:]...)
			}
		}
		edited = append(edited, string(runes))
	}
	return edited
}

func agree(engine socketio.EnginePacket, p socketio.Packet, js scriptedFrame) bool {
	types := []string{"open", "close", "ping", "pong", "message", "upgrade", "noop"}
	if js.Error != "" || js.Engine != types[engine.Type-socketio.EngineOpen] || js.Data != string(engine.Data) {
		return false
	}
	if engine.Type != socketio.EngineMessage {
		return true
	}
	return js.Packet != nil && int(p.Type) == js.Packet.Type && p.Namespace == js.Packet.Namespace &&
		p.HasID == (js.Packet.ID != nil) && (!p.HasID || p.ID == *js.Packet.ID) && sameJSON(p.Data, js.Packet.Data)
}

// sameJSON tells whether two spellings mean the same. Numbers too large for a float64 mean Infinity, null in JSON, to
// JavaScript, and are not compared.
func sameJSON(a, b json.RawMessage) bool {
	if len(a) == 0 || len(b) == 0 {
		return len(a) == len(b)
	}
	var left, right any
	if json.Unmarshal(a, &left) != nil {
		return json.Valid(a)
	}
	return json.Unmarshal(b, &right) == nil && reflect.DeepEqual(left, right)
}

// Whatever the clients' encoders write is accepted, and written here in the same bytes.
func TestWhatTheParsersWriteIsAccepted(t *testing.T) {
	q := questions{}
	var want []socketio.Packet
	for i := range 400 {
		p := anyPacket().Example(i)
		compact := new(bytes.Buffer)
		if p.Data != nil {
			if err := json.Compact(compact, p.Data); err != nil {
				t.Fatal(err)
			}
			p.Data = compact.Bytes()
		}
		js := scriptedPacket{Type: int(p.Type), Namespace: p.Namespace, Data: p.Data}
		if p.HasID {
			js.ID = &p.ID
		}
		q.Packets = append(q.Packets, js)
		want = append(want, p)
	}
	for number, client := range ask(t, q).Clients {
		for i, frame := range client.Packets {
			engine, err := socketio.DecodeEngine([]byte(frame))
			if err != nil {
				t.Fatalf("%s writes %q: %v", clients[number], frame, err)
			}
			p, err := socketio.Decode(engine.Data)
			if err != nil {
				t.Fatalf("%s writes %q: %v", clients[number], frame, err)
			}
			if again := p.Append(nil); string(again) != frame {
				t.Errorf("%s writes %q, here it is %q", clients[number], frame, again)
			}
			data := p.Data
			if p.Data = want[i].Data; !reflect.DeepEqual(p, want[i]) || !sameJSON(p.Data, data) {
				t.Errorf("%s writes %+v as %q", clients[number], want[i], frame)
			}
		}
	}
}

func TestStringsAreThoseOfJSONStringify(t *testing.T) {
	q := questions{Strings: append([]string{"\x7f\u2028\u2029<>&'/\ufffd😀"}, frames...)}
	for r := range rune(0x100) {
		q.Strings = append(q.Strings, string(r))
	}
	for i, want := range ask(t, q).Strings {
		if got := rawjson.AppendString(nil, q.Strings[i]); string(got) != want {
			t.Errorf("AppendString(%q) = %s, JavaScript has %s", q.Strings[i], got, want)
		}
	}
}
