package e2e

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/owt-signal/owt-signal/internal/capacity"
	"github.com/owt-signal/owt-signal/internal/storetest"
)

// burstUnits is what 100 messages of 2,000 bytes, sent at once, may consume of the
// sender's key: what DynamoDB serves in a second.
const burstUnits = capacity.WritesPerKey

// TestBurst sends 100 messages of 2,000 bytes at once, on a DynamoDB whose keys
// serve as much as AWS's: all arrive in order, and all are acked. It tells how long
// that takes:
//
//	go test -C e2e -run TestBurst -v .
func TestBurst(t *testing.T) {
	for name, faults := range map[string]string{"at once": "", "late": "delay=20ms,slow-store=10ms,seed=1"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			table := limitedEngine(t)
			s := serve(t, withFaults(faults, "-dynamodb", table.url, "-log", "warn")...)
			ctx, cancel := context.WithTimeout(context.Background(), clientsWithin)
			defer cancel()
			node(ctx, t, []string{"SERVER=" + s.Plain}, "faults/burst.test.mjs")
			sender := table.busiest("conn#")
			t.Logf("%.0f write units of the sender's key, %.0f of the receiver's, %d requests throttled", sender, table.busiest("user#"), table.throttled)
			if sender > burstUnits || sender < 100 {
				t.Errorf("the burst takes %.0f write units of the sender's key", sender)
			}
		})
	}
}

// limited is an engine whose keys serve as much as AWS's, and what was charged.
type limited struct {
	url       string
	mu        sync.Mutex
	write     map[string]float64 // units by key
	throttled int
}

func limitedEngine(t *testing.T) *limited {
	engine, err := url.Parse(storetest.Engine(t))
	if err != nil {
		t.Fatal(err)
	}
	l := &limited{write: make(map[string]float64)}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 128
	proxy := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(engine) },
		Transport: &capacity.Limit{Next: transport.RoundTrip, WriteUnits: capacity.WritesPerKey, Charged: l.charged},
	})
	t.Cleanup(func() { proxy.Close(); transport.CloseIdleConnections() })
	l.url = proxy.URL
	return l
}

func (l *limited) charged(c capacity.Charge) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.Throttled {
		l.throttled++
	}
	if c.Write {
		l.write[c.Key] += c.Units
	}
}

// busiest returns the write units of that key of which most was consumed, of those
// that begin so.
func (l *limited) busiest(prefix string) (most float64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key, units := range l.write {
		if strings.HasPrefix(key, prefix) {
			most = max(most, units)
		}
	}
	return most
}
