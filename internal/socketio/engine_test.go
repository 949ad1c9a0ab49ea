package socketio_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/owt-signal/owt-signal/internal/socketio"
)

func TestDecodeEngine(t *testing.T) {
	full := strings.Repeat("x", socketio.MaxHeartbeatData)
	tests := []struct {
		frame string
		want  socketio.EngineType
		data  string
	}{
		{`0{"sid":"s"}`, socketio.EngineOpen, `{"sid":"s"}`},
		{"1", socketio.EngineClose, ""},
		{"2", socketio.EnginePing, ""},
		{"2probe", socketio.EnginePing, "probe"},
		{"2" + full, socketio.EnginePing, full},
		{"3", socketio.EnginePong, ""},
		{"3probe", socketio.EnginePong, "probe"},
		{`42["hello"]`, socketio.EngineMessage, `2["hello"]`},
		{"4", socketio.EngineMessage, ""},
		{"4\xff", socketio.EngineMessage, "\xff"}, // Decode's to refuse
		{"5", socketio.EngineUpgrade, ""},
		{"6", socketio.EngineNoop, ""},
	}
	for _, test := range tests {
		p, err := socketio.DecodeEngine([]byte(test.frame))
		if err != nil || p.Type != test.want || string(p.Data) != test.data {
			t.Errorf("DecodeEngine(%q) = %q, %q, %v", test.frame, p.Type, p.Data, err)
		}
	}
}

func TestDecodeEngineRefuses(t *testing.T) {
	tests := []struct {
		frame string
		want  error
		says  string
	}{
		{"", socketio.ErrMalformed, "empty frame"},
		{"7", socketio.ErrMalformed, "unknown Engine.IO packet type"},
		{"/", socketio.ErrMalformed, "unknown Engine.IO packet type"},
		{" 2", socketio.ErrMalformed, "unknown Engine.IO packet type"},
		{"\x04", socketio.ErrMalformed, "unknown Engine.IO packet type"},
		{`{"action":"send"}`, socketio.ErrMalformed, "unknown Engine.IO packet type"},
		{"2" + strings.Repeat("x", socketio.MaxHeartbeatData+1), socketio.ErrMalformed, "too much data"},
		{"3" + strings.Repeat("x", socketio.MaxHeartbeatData+1), socketio.ErrMalformed, "too much data"},
		{"2\xff", socketio.ErrMalformed, "not UTF-8"},
		{"b4AQID", socketio.ErrBinary, "binary"},
	}
	for _, test := range tests {
		p, err := socketio.DecodeEngine([]byte(test.frame))
		if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("DecodeEngine(%.20q): %v, want %v saying %q", test.frame, err, test.want, test.says)
		}
		if p.Type != 0 || p.Data != nil {
			t.Errorf("DecodeEngine(%.20q) = %q, %q beside its error", test.frame, p.Type, p.Data)
		}
	}
}

func TestPongRepeatsPing(t *testing.T) {
	ping, err := socketio.DecodeEngine([]byte("2probe"))
	if err != nil {
		t.Fatal(err)
	}
	pong := socketio.EnginePacket{Type: socketio.EnginePong, Data: ping.Data}
	if got := pong.Append(nil); string(got) != "3probe" {
		t.Errorf("pong is %q", got)
	}
}

func TestHandshake(t *testing.T) {
	tests := []struct {
		handshake socketio.Handshake
		want      string
	}{
		{
			socketio.Handshake{SID: "JY_1=", PingInterval: 25 * time.Second, PingTimeout: 20 * time.Second, MaxPayload: 131072},
			`0{"sid":"JY_1=","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":131072}`,
		},
		{
			socketio.Handshake{SID: `a"<b`, PingInterval: 4 * time.Minute, PingTimeout: 1500 * time.Microsecond},
			`0{"sid":"a\"<b","upgrades":[],"pingInterval":240000,"pingTimeout":1}`,
		},
	}
	for _, test := range tests {
		if got := test.handshake.Append([]byte("x")); string(got) != "x"+test.want {
			t.Errorf("handshake is %s, want %s", got[1:], test.want)
		}
	}
}

func FuzzDecodeEngine(f *testing.F) {
	for _, frame := range frames {
		f.Add([]byte(frame))
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		p, err := socketio.DecodeEngine(frame)
		if err != nil {
			checkRefusal(t, err)
			return
		}
		if wire := p.Append(nil); !bytes.Equal(wire, frame) {
			t.Errorf("%q is encoded as %q", frame, wire)
		}
		if !partOf(frame, p.Data) {
			t.Errorf("data of %q is a copy", frame)
		}
	})
}
