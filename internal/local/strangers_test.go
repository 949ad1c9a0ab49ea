package local

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/owt-signal/owt-signal/internal/apigw"
	"github.com/owt-signal/owt-signal/internal/app"
)

// TestStrangersInTheLog: one that sends what cannot be read, as fast as it can, is
// closed, and has some lines in the log, none of which is long.
func TestStrangersInTheLog(t *testing.T) {
	s := start(t, "-log", "info", "-origins", "https://example.com")
	for what, sent := range map[string]struct {
		frame   string
		answers int // at least
	}{
		"ping":              {"2", apigw.IdleRate.Burst},
		"no JSON":           {"42[" + strings.Repeat("x", 1000), 1},
		"foreign namespace": {"40/" + strings.Repeat("x", 900) + ",", apigw.IdleRate.Burst},
	} {
		before := s.stderr.String()
		conn := s.dial(t, "ws://"+s.plain+"/socket.io/?EIO=4&transport=websocket")
		answered, ended := 0, make(chan struct{})
		go func() {
			defer close(ended)
			for {
				_, said, err := conn.Read(t.Context())
				if err != nil {
					return
				}
				if said[0] == '3' || strings.Contains(string(said), "2110") || strings.Contains(string(said), "Invalid namespace") {
					answered++
				}
			}
		}()
		for conn.Write(t.Context(), websocket.MessageText, []byte(sent.frame)) == nil {
		}
		<-ended
		logged := strings.TrimPrefix(s.stderr.String(), before)
		lines := strings.Count(logged, "\n")
		t.Logf("%s: %d answers, %d lines, %d bytes", what, answered, lines, len(logged))
		if answered < sent.answers || lines == 0 || lines > 15 || len(logged) > 8<<10 {
			t.Errorf("%s: %d answers, and in the log %d lines of %d bytes", what, answered, lines, len(logged))
		}
	}

	before := s.stderr.String()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	_, _, err := websocket.Dial(ctx, "ws://"+s.plain+"/prod", &websocket.DialOptions{HTTPHeader: http.Header{"Origin": {strings.Repeat("x", 12<<10)}}})
	if err == nil {
		t.Error("a foreign origin is let in")
	}
	logged := strings.TrimPrefix(s.stderr.String(), before)
	if !strings.Contains(logged, "origin refused") || len(logged) > 2*app.MaxLogText {
		t.Errorf("of an origin of 12 KB the log has %d bytes", len(logged))
	}
}
