package local

import (
	"net/http"
	"strings"
	"sync"

	"github.com/owt-signal/owt-signal/internal/gateway"
	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// LobbyRate is how many lobbies are opened: as many as an account of AWS has new
// connections in a second ("Quotas for configuring and running a WebSocket API in
// API Gateway"), and twice that at once. Past it a client is answered 429, and
// comes back.
var LobbyRate = lane.Rate{PerSecond: 500, Burst: 1000}

// front chooses, as the distribution on AWS does, who answers: clients that poll
// ask an HTTP API, all others the WebSocket API. The paths are the same.
type front struct {
	lobby   http.Handler
	gateway *gateway.Gateway
	stage   string
}

// ServeHTTP implements [http.Handler].
func (f front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimSuffix(r.URL.Path, "/")
	if (path == "/"+mapping || path == "/"+f.stage) && len(r.RequestURI) <= gateway.MaxURL && r.URL.Query().Get("transport") == "polling" {
		f.lobby.ServeHTTP(w, r)
		return
	}
	f.gateway.ServeHTTP(w, r)
}

// limited bounds how many lobbies are opened.
func limited(next http.Handler) http.Handler {
	var mu sync.Mutex
	var tat lane.TAT
	open := func() (allowed bool) {
		mu.Lock()
		defer mu.Unlock()
		tat, allowed = LobbyRate.Spend(tat, signal.SystemClock{}.Now())
		return allowed
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && r.URL.Query().Get("sid") == "" && !open() {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusTooManyRequests)
			_, _ = w.Write([]byte(`{"message":"Too Many Requests"}`))
			return
		}
		next.ServeHTTP(w, r)
	})
}
