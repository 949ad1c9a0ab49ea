package apigw_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/owt-signal/owt-signal/internal/apigw"
	"github.com/owt-signal/owt-signal/internal/memory"
	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// stopped is a clock that the test moves.
type stopped struct{ now lane.Instant }

func (c *stopped) Now() lane.Instant { return c.now }

func (c *stopped) Sleep(context.Context, time.Duration) error { return nil }

// reads is a store that counts reads of connections, and may fail them.
type reads struct {
	signal.Store
	n   int
	err error
}

func (r *reads) Get(ctx context.Context, id signal.ConnectionID, now lane.Instant) (signal.Connection, error) {
	r.n++
	if r.err != nil {
		return signal.Connection{}, r.err
	}
	return r.Store.Get(ctx, id, now)
}

// pinger is a handler to whom clients without a token send pings.
type pinger struct {
	*testing.T
	handler *apigw.Handler
	sockets *sockets
	store   *reads
	clock   *stopped
}

const within = time.Minute

func newPinger(t *testing.T) *pinger {
	p := &pinger{T: t, store: &reads{Store: memory.New()}, clock: &stopped{lane.At(time.Now())}}
	p.handler, p.sockets = newHandler(p.store)
	p.handler.Service.Clock, p.handler.Service.AuthenticateWithin = p.clock, within
	return p
}

func (p *pinger) connect(id string) (since int64) {
	ev := event(id, "", map[string]string{"EIO": "4"})
	ev.RequestContext.ConnectedAt = int64(p.clock.now)
	if r, after := p.handler.Connect(p.Context(), ev); r.StatusCode == 200 {
		after(p.Context())
	}
	return int64(p.clock.now)
}

// ping reports whether a ping is answered.
func (p *pinger) ping(id string, since int64) bool {
	ev := event(id, "2", nil)
	ev.RequestContext.ConnectedAt = since
	r, after := p.handler.Message(p.Context(), ev)
	if after != nil {
		after(p.Context())
	}
	return r.Body == "3"
}

func (p *pinger) wantClosed(id string, want bool) {
	p.Helper()
	posted := p.sockets.frames[signal.ConnectionID(id)]
	if closed := len(posted) > 0 && posted[len(posted)-1] == "close"; closed != want {
		p.Errorf("closed: %t, want %t; it was told %q", closed, want, posted)
	}
}

// TestIdleRate: as many frames at once as the burst, and then as many as the rate
// says, are answered; one more ends the connection, and only that.
func TestIdleRate(t *testing.T) {
	p := newPinger(t)
	since := p.connect("a=")
	p.connect("b=")
	answered := func(frames int) {
		t.Helper()
		for n := range frames {
			if !p.ping("a=", since) {
				t.Fatalf("ping %d of %d is not answered", n+1, frames)
			}
		}
	}
	answered(apigw.IdleRate.Burst)
	p.clock.now = p.clock.now.Add(time.Second)
	answered(apigw.IdleRate.PerSecond)
	p.wantClosed("a=", false)
	p.clock.now = p.clock.now.Add(time.Second/time.Duration(apigw.IdleRate.PerSecond) - time.Millisecond)
	if p.ping("a=", since) {
		t.Error("one more is answered")
	}
	p.wantClosed("a=", true)
	if !p.ping("b=", since) {
		t.Error("another connection is not answered")
	}
	p.wantClosed("b=", false)
}

// TestEndThatFailed: a connection that is still there some seconds after it was
// ended is ended again, once for all frames of those seconds.
func TestEndThatFailed(t *testing.T) {
	p := newPinger(t)
	since := p.connect("a=")
	for range apigw.IdleRate.Burst + 1 {
		p.ping("a=", since)
	}
	for range 3 {
		before := len(p.sockets.frames["a="])
		for range 100 {
			p.ping("a=", since)
		}
		if len(p.sockets.frames["a="]) != before {
			t.Error("it is ended again at once")
		}
		p.clock.now = p.clock.now.Add(lane.LeaseTimeout + time.Millisecond)
		if p.ping("a=", since); len(p.sockets.frames["a="]) == before {
			t.Error("it is not ended again")
		}
	}
}

// TestTimeToAuthenticate: a ping just before its end is answered, and at its end it
// ends the connection.
func TestTimeToAuthenticate(t *testing.T) {
	p := newPinger(t)
	since := p.connect("a=")
	p.clock.now = p.clock.now.Add(within - time.Millisecond)
	if !p.ping("a=", since) || p.store.n > 0 {
		t.Errorf("a ping before the end is not answered, or costs %d reads", p.store.n)
	}
	p.clock.now = p.clock.now.Add(time.Millisecond)
	if p.ping("a=", since) {
		t.Error("a ping at the end is answered")
	}
	p.wantClosed("a=", true)
}

// TestPingOfAnOldConnection: a process that first hears of a connection once a
// silent one would have been closed reads nothing; just before, it does.
func TestPingOfAnOldConnection(t *testing.T) {
	const closed = within + 10*time.Minute + time.Minute
	for age, reads := range map[time.Duration]int{within - 1*time.Millisecond: 0, within: 1, closed - time.Millisecond: 1, closed: 0} {
		p := newPinger(t)
		since := p.connect("a=")
		p.clock.now = p.clock.now.Add(age)
		if answered := p.ping("a=", since); answered != (reads == 0) || p.store.n != reads {
			t.Errorf("after %v: answered: %t, %d reads, want %d", age, answered, p.store.n, reads)
		}
	}
}

// TestOutageAtAPing: while the record cannot be read, pings are answered, at once,
// and the record is read at the next one.
func TestOutageAtAPing(t *testing.T) {
	p := newPinger(t)
	since := p.connect("a=")
	p.clock.now = p.clock.now.Add(within)
	p.store.err = errBroken
	for n := range 3 {
		if !p.ping("a=", since) || p.store.n != n+1 {
			t.Errorf("ping %d is not answered, or costs %d reads in all", n+1, p.store.n)
		}
	}
	p.store.err = nil
	if p.ping("a=", since) {
		t.Error("a ping after the outage is answered")
	}
	p.wantClosed("a=", true)
}

// TestBudgetsAreForgotten: a process knows the connections that it heard last, and
// none that has ended.
func TestBudgetsAreForgotten(t *testing.T) {
	p := newPinger(t)
	for range apigw.IdleRate.Burst {
		p.ping("first=", 0)
	}
	for n := range apigw.MaxBudgets - 1 {
		p.ping(fmt.Sprint(n), 0)
	}
	if p.ping("first=", 0) {
		t.Error("what a connection has used is forgotten too soon")
	}
	p.handler.Disconnect(t.Context(), event("first=", "", nil))
	if !p.ping("first=", 0) {
		t.Error("what a connection has used is known after its end")
	}
}

// TestQueries: a connection may ask as often as a user may send; past that it is
// refused without a read, and past [apigw.IdleRate] more it ends.
func TestQueries(t *testing.T) {
	p := newPinger(t)
	p.handler.Service.Rate = lane.Rate{PerSecond: 10, Burst: 20}
	_, after := p.handler.Connect(p.Context(), event("a", "", map[string]string{"token": "a"}))
	after(p.Context())
	const iceAnswer = `{"type":"ice","iceServers":[]}`
	question := `{"type":"presence","user":"a"}`
	ask := func() string {
		r, _ := p.handler.Message(p.Context(), event("a", question, nil))
		return r.Body
	}
	for n := range 10 {
		question = `{"type":"ice"}`
		if said := ask(); said != iceAnswer {
			t.Fatalf("question %d for ICE servers: %s", n+1, said)
		}
		question = `{"type":"presence","user":"a"}`
		if said := ask(); said != `{"type":"presence","user":"a","online":true}` {
			t.Fatalf("query %d: %s", n+1, said)
		}
	}
	reads := p.store.n
	for n := range apigw.IdleRate.Burst {
		question = []string{`{"type":"ice"}`, `{"type":"watch","user":"a"}`, `{"type":"unwatch","user":"a"}`, `{"type":"presence","user":"a"}`}[n%4]
		if said := ask(); !strings.HasPrefix(said, `{"type":"error","code":2102,"message":"server busy"`) {
			t.Fatalf("query %d too many: %s", n+1, said)
		}
	}
	if p.store.n != reads {
		t.Errorf("queries that were refused have read %d times", p.store.n-reads)
	}
	p.clock.now = p.clock.now.Add(100 * time.Millisecond)
	if said := ask(); said != `{"type":"presence","user":"a","online":true}` {
		t.Errorf("after a while: %s", said)
	}
	p.wantClosed("a", false)
	ask()
	p.wantClosed("a", true)
}
