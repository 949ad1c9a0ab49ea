package socketio_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/owt-signal/owt-signal/internal/socketio"
)

var eio3, eio4 = socketio.OWT{Version: socketio.EIO3}, socketio.OWT{Version: socketio.EIO4}

// The examples of the protocols' documents, and what JavaScript counts as
// characters.
func TestPayload(t *testing.T) {
	for _, c := range []struct {
		of      socketio.OWT
		body    string
		packets []string
	}{
		{eio4, "4hello\x1e2\x1e4world", []string{"4hello", "2", "4world"}},
		{eio4, "40", []string{"40"}},
		{eio3, "6:4hello2:4€", []string{"4hello", "4€"}},
		{eio3, `3:4👩6:4用户1"x`, []string{"4👩", `4用户1"x`}},
		{eio3, "1:6", []string{"6"}},
		{eio3, "10:4:2:402:40", []string{"4:2:402:40"}},
	} {
		got, err := c.of.DecodePayload([]byte(c.body))
		var packets []string
		var encoded [][]byte
		for _, p := range got {
			packets, encoded = append(packets, string(p)), append(encoded, p)
		}
		if err != nil || !slices.Equal(packets, c.packets) {
			t.Errorf("%q: %q, %v", c.body, packets, err)
		}
		if back := string(c.of.EncodePayload(encoded...)); back != c.body {
			t.Errorf("%q: encoded %q", c.body, back)
		}
	}
}

func TestPayloadIsRefused(t *testing.T) {
	many := strings.TrimSuffix(strings.Repeat("2\x1e", socketio.MaxPackets+1), "\x1e")
	if got, err := eio4.DecodePayload([]byte(many[:len(many)-2])); err != nil || len(got) != socketio.MaxPackets {
		t.Errorf("as many as there may be: %d, %v", len(got), err)
	}
	for body, of := range map[string]socketio.OWT{
		"": eio4, "\x1e": eio4, "40\x1e": eio4, "\x1e40": eio4, "40\x1e\x1e40": eio4, "x": eio4, "4\xff": eio4, many: eio4,
		"1:": eio3, ":": eio3, "40": eio3, "0:": eio3, "01:2": eio3, "-1:2": eio3, "+1:2": eio3, "3:40": eio3, "1:40": eio3, "2:4👩": eio3, "99999999:4": eio3, "1:21": eio3,
	} {
		if got, err := of.DecodePayload([]byte(body)); !errors.Is(err, socketio.ErrMalformed) {
			t.Errorf("%q of version %d: %q, %v", body, of.Version, got, err)
		}
	}
	for body, of := range map[string]socketio.OWT{"bAQID": eio4, "40\x1ebAQID": eio4, "6:b4AQID": eio3} {
		if got, err := of.DecodePayload([]byte(body)); !errors.Is(err, socketio.ErrBinary) {
			t.Errorf("%q of version %d: %q, %v", body, of.Version, got, err)
		}
	}
}

func FuzzPayload(f *testing.F) {
	f.Add([]byte("4hello\x1e2"), true)
	f.Add([]byte("6:4hello2:4€"), false)
	f.Fuzz(func(t *testing.T, body []byte, four bool) {
		of := eio3
		if four {
			of = eio4
		}
		packets, err := of.DecodePayload(body)
		if err != nil {
			return
		}
		if back := of.EncodePayload(packets...); !bytes.Equal(back, body) {
			t.Errorf("%q: %q, encoded %q", body, packets, back)
		}
	})
}
