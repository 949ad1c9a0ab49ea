package apigw_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/owt-signal/owt-signal/internal/apigw"
	"github.com/owt-signal/owt-signal/internal/app"
	"github.com/owt-signal/owt-signal/internal/memory"
	"github.com/owt-signal/owt-signal/internal/signal"
)

// FuzzHandler has an attacker send any frames on connections of every kind:
// events in, frames out. No handler fails or panics, everything is answered,
// nobody gets what was not sent to him, and nothing comes from anybody but the
// sender.
func FuzzHandler(f *testing.F) {
	for _, frames := range []string{
		"2\n40\n420[\"authentication\",{\"token\":\"eve\"}]\n421[\"owt-message\",{\"to\":\"bob\",\"data\":\"x\"}]",
		"421[\"owt-message\",{\"to\":\"bob\",\"data\":1,\"from\":\"alice\"}]\n420[\"authentication\",{\"token\":\"eve\"}]",
		"{\"type\":\"message\",\"id\":1,\"to\":\"bob\",\"data\":{\"a\":[]}}\n{\"type\":\"presence\",\"user\":\"bob\"}\n{\"type\":\"leave\"}",
		"41\n1\n45-\n429007199254740992[\"x\"]\n423[\"owt-message\",{\"to\":\"bob\",\"data\":1}]",
		"420[\"authentication\",{\"token\":\"bob\"}]\n42[\"owt-message\",{\"to\":\"alice\",\"data\":1}]",
	} {
		f.Add([]byte(frames))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		frames := bytes.SplitN(input, []byte("\n"), 9)
		for name, query := range map[string]map[string]string{
			"event": {"EIO": "4"}, "query": {"EIO": "3", "token": "eve"}, "json": {"token": "eve"}, "session": {"token": "eve", "session": "s"},
		} {
			w := newFuzzWorld(t)
			w.connect("bob=", map[string]string{"token": "bob"})
			w.connect("alice=", map[string]string{"EIO": "3", "token": "alice"})
			w.connect(name+"=", query)
			isBob := bytes.Contains(input, []byte("authentication")) && name == "event" // it may take any name
			for _, frame := range frames {
				w.frame(name+"=", string(frame))
			}
			if !isBob {
				w.judge("bob=")
				w.judge("alice=")
			}
			if w.logs.Len() > 0 {
				t.Errorf("%q: %s", input, &w.logs)
			}
		}
	})
}

type fuzzWorld struct {
	*testing.T
	*apigw.Handler
	sockets *sockets
	logs    bytes.Buffer // errors only
}

func newFuzzWorld(t *testing.T) *fuzzWorld {
	w := &fuzzWorld{T: t, sockets: &sockets{frames: make(map[signal.ConnectionID][]string)}}
	log := slog.New(slog.NewTextHandler(&w.logs, &slog.HandlerOptions{Level: slog.LevelError}))
	w.Handler = app.New(app.Config{Store: memory.New(), Connections: w.sockets, Endpoint: apigw.Endpoint("eu-west-1"), Access: signal.OpenAccess, Log: log})
	return w
}

// noTime is for work that would wait.
func noTime() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

func (w *fuzzWorld) connect(id string, query map[string]string) {
	r, after := w.Connect(w.Context(), event(id, "", query))
	if r.StatusCode != http.StatusOK {
		w.Fatalf("connect: %+v", r)
	}
	after(w.Context())
}

func (w *fuzzWorld) frame(id, body string) {
	r, after := w.Message(w.Context(), event(id, body, nil))
	if r.StatusCode != http.StatusOK || r.Body == "" {
		w.Errorf("%q is answered %+v", body, r)
	}
	if after != nil {
		after(noTime())
	}
}

// judge sees that a bystander has got nothing but whole messages of eve's.
func (w *fuzzWorld) judge(id signal.ConnectionID) {
	for _, frame := range w.sockets.frames[id] {
		if frame == "close" {
			w.Errorf("%s was closed", id)
		}
		message, event := strings.CutPrefix(strings.TrimSuffix(frame, "]"), `42["owt-message",`)
		if !event && !strings.Contains(frame, `"type":"message"`) {
			continue
		}
		var m struct{ From string }
		if err := json.Unmarshal([]byte(message), &m); err != nil || m.From != "eve" && !strings.HasSuffix(m.From, "@anonymous") {
			w.Errorf("%s got %q, %v", id, frame, err)
		}
	}
}
