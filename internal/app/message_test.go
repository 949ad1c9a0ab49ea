package app_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"

	"github.com/owt-signal/owt-signal/internal/apigw"
	"github.com/owt-signal/owt-signal/internal/app"
	"github.com/owt-signal/owt-signal/internal/memory"
	"github.com/owt-signal/owt-signal/internal/signal"
)

// discard takes every @connections operation and does nothing.
type discard struct{}

func (discard) Post(context.Context, string, signal.ConnectionID, []byte) error { return nil }
func (discard) Get(context.Context, string, signal.ConnectionID) error          { return nil }
func (discard) Delete(context.Context, string, signal.ConnectionID) error       { return nil }

// talk is a sender and a receiver, connected to handlers on a memory store.
type talk struct {
	handler *apigw.Handler
	event   events.APIGatewayWebsocketProxyRequest
	message func(number int) string
	ack     func(number int) string
	number  int
}

const payload = 100

// socketIO is a talk of SDKs 5.x, plainJSON one in owt.signal.v1.
func socketIO(t testing.TB) *talk {
	k := newTalk(t, map[string]string{"EIO": "4"})
	for _, user := range []string{"alice", "bob"} {
		k.event.RequestContext.ConnectionID = user
		for _, frame := range []string{"40", fmt.Sprintf(`420["authentication",{"token":%q}]`, user)} {
			k.event.Body = frame
			k.receive(t)
		}
	}
	k.event.RequestContext.ConnectionID = "alice"
	data := strings.Repeat("x", payload)
	k.message = func(n int) string { return fmt.Sprintf(`42%d["owt-message",{"to":"bob","data":%q}]`, n, data) }
	k.ack = func(n int) string { return fmt.Sprintf("43%d[]", n) }
	return k
}

func plainJSON(t testing.TB) *talk {
	k := newTalk(t, nil)
	k.event.RequestContext.ConnectionID = "alice"
	data := strings.Repeat("x", payload)
	k.message = func(n int) string { return fmt.Sprintf(`{"type":"message","id":%d,"to":"bob","data":%q}`, n, data) }
	k.ack = func(n int) string { return fmt.Sprintf(`{"type":"ack","id":%d}`, n) }
	return k
}

func newTalk(t testing.TB, query map[string]string) *talk {
	k := &talk{handler: app.New(app.Config{
		Store:       memory.New(),
		Connections: discard{},
		Endpoint:    func(events.APIGatewayWebsocketProxyRequestContext) string { return "local" },
		Access:      signal.OpenAccess,
		Log:         slog.New(slog.DiscardHandler),
	})}
	for _, user := range []string{"alice", "bob"} {
		k.event.RequestContext.ConnectionID = user
		k.event.QueryStringParameters = query
		if query == nil {
			k.event.QueryStringParameters = map[string]string{"token": user}
		}
		r, after := k.handler.Connect(t.Context(), &k.event)
		if r.StatusCode != 200 || after == nil {
			t.Fatalf("connect: %+v", r)
		}
		after(t.Context())
	}
	return k
}

// receive has the handler do what the event says.
func (k *talk) receive(t testing.TB) string {
	r, after := k.handler.Message(t.Context(), &k.event)
	if after != nil {
		after(t.Context())
	}
	return r.Body
}

// send sends the next message, whose frame was made before.
func (k *talk) send(t testing.TB, x exchange) {
	k.event.Body = x.frame
	if got := k.receive(t); got != x.ack {
		t.Fatalf("%s is answered %s, want %s", x.frame, got, x.ack)
	}
}

// next is the next message and its ack.
func (k *talk) next() exchange {
	k.number++
	return exchange{k.message(k.number), k.ack(k.number)}
}

type exchange struct{ frame, ack string }

// TestAllocations holds the message handler to what it may allocate for a
// message, from the event to the response, on a memory store. The posted frame
// and the response are among it.
func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates, too")
	}
	for name, test := range map[string]struct {
		talk   *talk
		budget float64
	}{
		"Socket.IO": {socketIO(t), 26},
		"JSON":      {plainJSON(t), 25},
	} {
		t.Run(name, func(t *testing.T) {
			const runs = 1000
			var exchanges []exchange
			for range runs + 1 { // AllocsPerRun warms up once
				exchanges = append(exchanges, test.talk.next())
			}
			got := testing.AllocsPerRun(runs, func() {
				test.talk.send(t, exchanges[0])
				exchanges = exchanges[1:]
			})
			t.Logf("%v allocations per message", got)
			if got > test.budget {
				t.Errorf("%v allocations per message, at most %v are allowed", got, test.budget)
			}
		})
	}
}

// BenchmarkMessage is one message from the event to the response.
func BenchmarkMessage(b *testing.B) {
	for name, connect := range map[string]func(testing.TB) *talk{"Socket.IO": socketIO, "JSON": plainJSON} {
		b.Run(name, func(b *testing.B) {
			k := connect(b)
			b.ReportAllocs()
			for b.Loop() { // the making of the frame is measured, too
				k.send(b, k.next())
			}
		})
	}
}
