package local

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/owt-signal/owt-signal/internal/emf"
	"github.com/owt-signal/owt-signal/internal/gateway"
	"github.com/owt-signal/owt-signal/internal/memory"
	"github.com/owt-signal/owt-signal/internal/prom"
	"github.com/owt-signal/owt-signal/internal/signal"
)

// readyWithin bounds how long the store may take to show that it is there.
const readyWithin = 2 * time.Second

var errEnding = errors.New("the server ends")

// newMetrics returns the metrics that the options have: the domain's only where the
// domain is in this process, and the store's latency where there is one.
func newMetrics(o options) *prom.Metrics {
	switch {
	case o.admin == "":
		return nil
	case o.functions != "" || o.lambda != "":
		return prom.New(nil)
	case o.dynamodb != "":
		return prom.New(signal.Metrics(), emf.PostLatency, emf.StoreLatency)
	default:
		return prom.New(signal.Metrics(), emf.PostLatency)
	}
}

// serveAdmin serves whether this server is alive and ready, and its metrics, to
// whoever looks after it.
func (s *server) serveAdmin(o options) (err error) {
	if o.admin == "" {
		return nil
	}
	a := s.api
	a.metrics.Gauge("Connections", "Open WebSockets.", func() float64 { return float64(a.gateway.Connections()) })
	a.metrics.Gauge("MaxConnections", "How many there may be (-max-connections).", func() float64 { return float64(a.gateway.MaxConnections()) })
	refused := func(of func(gateway.Refused) int64) func() int64 {
		return func() int64 { return of(a.gateway.Refused()) }
	}
	a.metrics.Counts("Refused", "How often each limit has refused something, see docs/limits.md.", "limit", map[string]func() int64{
		"connections": refused(func(r gateway.Refused) int64 { return r.Connections }),
		"per_address": refused(func(r gateway.Refused) int64 { return r.PerAddress }),
		"sockets":     refused(func(r gateway.Refused) int64 { return r.Sockets }),
		"unfinished":  refused(func(r gateway.Refused) int64 { return r.Unfinished }),
	})
	if a.memory != nil {
		forgotten := func(of func(memory.Forgotten) int64) func() int64 {
			return func() int64 { return of(a.memory.Forgotten()) }
		}
		a.metrics.Counts("Forgotten", "What had to go from memory for want of room, see docs/limits.md.", "what", map[string]func() int64{
			"names":    forgotten(func(f memory.Forgotten) int64 { return f.Names }),
			"sessions": forgotten(func(f memory.Forgotten) int64 { return f.Sessions }),
			"ended":    forgotten(func(f memory.Forgotten) int64 { return f.Ended }),
		})
	}
	if s.certificate != nil {
		a.metrics.Gauge("CertificateExpirySeconds", "When the certificate ends, in seconds since 1970.", func() float64 { return float64(s.certificate.get(time.Now()).Leaf.NotAfter.Unix()) })
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { report(w, nil) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) { report(w, s.ready(r.Context())) })
	mux.Handle("GET /metrics", a.metrics)
	s.admin, err = serve(o.admin, mux, a.log)
	return err
}

// report answers 200, or 503 with what is wrong.
func report(w http.ResponseWriter, err error) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintln(w, err)
		return
	}
	fmt.Fprintln(w, "ok")
}

// ready says why clients had better go elsewhere: the server ends, or where the
// records are cannot be reached.
func (s *server) ready(ctx context.Context) error {
	if s.ending.Load() {
		return errEnding
	}
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	return s.api.reach(ctx)
}

// reachStore sees that a store answers.
func reachStore(store signal.Store) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := store.Get(ctx, "readyz", signal.SystemClock{}.Now())
		if err == nil || errors.Is(err, signal.ErrNoConnection) {
			return nil
		}
		return fmt.Errorf("reach store: %w", err)
	}
}
