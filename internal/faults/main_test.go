package faults_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"go.uber.org/goleak"

	"github.com/owt-signal/owt-signal/internal/apigw"
	"github.com/owt-signal/owt-signal/internal/app"
	"github.com/owt-signal/owt-signal/internal/faults"
	"github.com/owt-signal/owt-signal/internal/gateway"
	"github.com/owt-signal/owt-signal/internal/memory"
	"github.com/owt-signal/owt-signal/internal/signal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type (
	event    = events.APIGatewayWebsocketProxyRequest
	response = events.APIGatewayProxyResponse
)

func inject(spec faults.Spec) *faults.Faults {
	return faults.New(&spec, slog.New(slog.DiscardHandler))
}

// host runs invocations of a route as the local server does.
type host struct {
	function    gateway.Function
	store       signal.Store
	connections apigw.Connections
	sockets     *sockets // without faults
	after       sync.WaitGroup
}

// newHost is a host for what route makes of the ports.
func newHost(spec faults.Spec, route func(h *host) app.Route) *host {
	f := inject(spec)
	h := &host{sockets: &sockets{}}
	h.store, h.connections = f.Store(memory.New()), f.Connections(h.sockets)
	faulty := f.Route(route(h))
	h.function = f.Function(gateway.FunctionFunc(func(ctx context.Context, ev *event) (response, error) {
		r, after := faulty(ctx, ev)
		if after != nil {
			h.after.Go(func() { after(context.Background()) })
		}
		return r, nil
	}), h.sockets)
	return h
}

// invoke waits for all that an invocation does.
func (h *host) invoke(kind string) (response, error) {
	ev := &event{Body: "body", RequestContext: events.APIGatewayWebsocketProxyRequestContext{EventType: kind, ConnectionID: "c"}}
	r, err := h.function.Invoke(context.Background(), ev)
	h.after.Wait()
	return r, err
}

// sockets are @connections operations that remember what was posted.
type sockets struct {
	mu     sync.Mutex
	posted []posted
	err    error
}

type posted struct {
	frame string
	at    time.Time
}

func (s *sockets) Post(_ context.Context, _ string, _ signal.ConnectionID, frame []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.posted = append(s.posted, posted{string(frame), time.Now()})
	}
	return s.err
}

func (s *sockets) Get(ctx context.Context, endpoint string, id signal.ConnectionID) error {
	return s.Post(ctx, endpoint, id, []byte("get"))
}

func (s *sockets) Delete(ctx context.Context, endpoint string, id signal.ConnectionID) error {
	return s.Post(ctx, endpoint, id, []byte("delete"))
}

func (s *sockets) frames() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var frames []string
	for _, p := range s.posted {
		frames = append(frames, p.frame)
	}
	return frames
}

func (s *sockets) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.posted = nil
}
