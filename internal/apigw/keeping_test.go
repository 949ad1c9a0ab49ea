package apigw_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/owt-signal/owt-signal/internal/apigw"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// says has a client say something to bob, and reports whether that is refused. Its
// connection goes on.
func (p *pinger) says(id string, n, size int, since int64) (refused bool) {
	p.Helper()
	ev := event(id, fmt.Sprintf(`42%d["owt-message",{"to":"bob","data":"%s"}]`, n, strings.Repeat("x", size)), nil)
	ev.RequestContext.ConnectedAt = since
	r, after := p.handler.Message(p.Context(), ev)
	if after != nil {
		after(p.Context())
	}
	p.wantClosed(id, false)
	return r.Body == fmt.Sprintf("43%d[2102]", n)
}

// TestKeptOfStrangers: of what clients say that have not authenticated a process keeps
// so much at once, and then as much as the rate, whoever they are; but what is small,
// and what users say, always.
func TestKeptOfStrangers(t *testing.T) {
	p := newPinger(t)
	p.handler.Kept = apigw.KeptRate
	const part = 8 << 10
	strangers := 0
	large := func() bool {
		strangers++
		id := fmt.Sprint("stranger-", strangers)
		return !p.says(id, 1, part, p.connect(id))
	}
	for kept := 0; kept < apigw.KeptRate.Burst<<10; kept += part {
		if !large() {
			t.Fatalf("after %d bytes no more are kept", kept)
		}
	}
	if large() {
		t.Error("more is kept than the burst")
	}
	if p.says("small", 1, 100, p.connect("small")) {
		t.Error("what is small is not kept")
	}
	since := p.connect("user")
	ev := event("user", `420["authentication",{"token":"user"}]`, nil)
	ev.RequestContext.ConnectedAt = since
	p.handler.Message(t.Context(), ev)
	if p.says("user", 1, part, since) {
		t.Error("a user is refused")
	}
	p.clock.now = p.clock.now.Add((time.Second / time.Duration(apigw.KeptRate.PerSecond)).Truncate(time.Millisecond))
	if large() {
		t.Error("more is kept than the rate")
	}
	p.clock.now = p.clock.now.Add(time.Millisecond)
	if !large() || large() {
		t.Error("what is kept once there is room is not one message")
	}

	// Lobbies have a share in that.
	l := (&lobbyWorld{T: t, Handler: p.handler, sockets: p.sockets}).open("4")
	post := func(size int) int { return l.post("40" + strings.Repeat("x", size)).StatusCode }
	if status := post(part); status != http.StatusRequestEntityTooLarge {
		t.Errorf("a large post is answered %d", status)
	}
	if status := post(100); status != http.StatusOK {
		t.Errorf("a small post is answered %d", status)
	}
	p.clock.now = p.clock.now.Add(time.Second * part >> 10)
	if status := post(part); status != http.StatusOK {
		t.Errorf("later, a large post is answered %d", status)
	}
}

// TestNoLimitOfWhatIsKept: where nothing says it, as on one machine, there is none.
func TestNoLimitOfWhatIsKept(t *testing.T) {
	p := newPinger(t)
	for n := range 4 {
		id := fmt.Sprint("stranger-", n)
		if since := p.connect(id); p.says(id, 1, lane.MaxEarlyBytes-10, since) {
			t.Fatalf("stranger %d is refused", n)
		}
	}
}
