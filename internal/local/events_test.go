package local

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"

	"github.com/owt-signal/owt-signal/internal/webhook"
)

// A server is told of who comes and goes, the end of this one included; while it does
// not answer, messages pass.
func TestEventsAreTold(t *testing.T) {
	var mu sync.Mutex
	told := make(map[string][]string)
	stuck := make(chan struct{})
	release := sync.OnceFunc(func() { close(stuck) })
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var e webhook.Event
		if err := json.NewDecoder(r.Body).Decode(&e); err != nil || r.Header.Get(webhook.Header) == "" {
			t.Errorf("told %+v, %v", e, err)
		}
		<-stuck
		mu.Lock()
		defer mu.Unlock()
		told[string(e.User)] = append(told[string(e.User)], string(e.Kind))
	}))
	defer receiver.Close()
	defer release()

	s := start(t, "-events-url", receiver.URL, "-events-secret-file", secretFile(t, strings.Repeat("k", 32), 0o600))
	join := func(user string) *websocket.Conn {
		conn := s.dial(t, "ws://"+s.plain+"/prod?token="+user)
		for !strings.Contains(next(t, conn), `"type":"welcome"`) {
		}
		return conn
	}
	bob, first := join("bob"), join("alice")
	alice := join("alice")
	if got := closeCode(first); got != websocket.StatusNormalClosure {
		t.Errorf("superseded: closed with %d", got)
	}
	say(t, alice, `{"type":"message","to":"bob","data":"hello","id":1}`)
	for !strings.Contains(next(t, bob), `"data":"hello"`) {
	}
	release()
	has := func(user string, kinds ...string) func() bool {
		return func() bool {
			mu.Lock()
			defer mu.Unlock()
			return slices.Equal(told[user], kinds)
		}
	}
	eventually(t, "what bob does", has("bob", "connected"))
	eventually(t, "what alice does", has("alice", "connected", "superseded", "connected"))
	_ = bob.CloseNow()
	eventually(t, "the end of bob", has("bob", "connected", "left"))
	var reading sync.WaitGroup
	reading.Go(func() { closeCode(alice) })
	defer reading.Wait()
	s.cancel()
	if err := s.end(); err != nil {
		t.Error(err)
	}
	if !has("alice", "connected", "superseded", "connected", "left")() {
		t.Errorf("told %v when the server has ended", told)
	}
}
