package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/owt-signal/owt-signal/internal/emf"
)

// TestLambdaMetrics reads the metrics of the binaries that are deployed from
// their logs: one line for each invocation that has something to tell, of all
// that has happened in it, the work after its answer included.
func TestLambdaMetrics(t *testing.T) {
	stack := deploy(t)
	server := &stack.server
	alice, bob := join(t, server, plainJSON{}, "alice"), join(t, server, socketIO(4), "bob")
	stack.wantMetrics(t, "connect", 2, "Claims 1, Connects 2")
	stack.wantMetrics(t, "message", 2, "Claims 1") // bob is let in, and authenticates

	alice.tell(t, bob)
	stack.wantMetrics(t, "message", 3, "Acks 1, Claims 1, Messages 1")

	question, answer := alice.alive()
	alice.send(t, question)
	want(t, alice, answer) // of which there is nothing to tell

	alice.send(t, alice.message(3, "bob", `"3"`)) // 2 never comes
	want(t, alice, alice.stored(3), alice.acked(3))
	stack.wantMetrics(t, "message", 4, "Acks 2, Claims 1, Held 1, Lingered 1, Messages 2, Skipped 1")

	again := join(t, server, plainJSON{}, "alice")
	stack.wantMetrics(t, "connect", 3, "Claims 2, Connects 3, Takeovers 1")
	want(t, alice, `{"type":"superseded"}`)
	if message, err := alice.next(); websocket.CloseStatus(err) != websocket.StatusNormalClosure {
		t.Fatalf("awaiting the close frame: %q, %v", message, err)
	}
	stack.wantMetrics(t, "disconnect", 1, "")

	stack.loseDisconnects.Store(true)
	bob.vanish(t)
	again.send(t, again.message(1, "bob", `"1"`))
	want(t, again, again.failed(1, 2201))
	stack.wantMetrics(t, "message", 5, "Acks 2, Acks2201 1, Claims 1, Gone 1, Held 1, Lingered 1, Messages 3, Skipped 1")

	carol, dave := join(t, server, socketIO(4), "carol"), join(t, server, socketIO(3), "dave")
	dave.vanish(t)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := stack.functions["keepalive"].Invoke(ctx, nil); err != nil {
		t.Fatal(err)
	}
	want(t, carol, "2")
	again.send(t, `{"type":"presence","user":"dave"}`)
	want(t, again, `{"type":"presence","user":"dave","online":false}`)
	stack.wantMetrics(t, "keepalive", 1, "Gone 1, Pinged 1")

	stack.wantLogs(t, "alice", "bob", "carol", "dave")
}

// vanish ends a connection. It is gone when this returns.
func (u *user) vanish(t *testing.T) {
	t.Helper()
	s, ok := u.socket.(goodSocket)
	if !ok {
		t.Fatalf("socket is a %T", u.socket)
	}
	if err := s.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Fatalf("close: %v", err)
	}
}

// wantMetrics waits until a function has told of its metrics in so many lines.
func (s *stack) wantMetrics(t *testing.T, function string, lines int, counts string) {
	t.Helper()
	for end := time.Now().Add(soon); ; time.Sleep(10 * time.Millisecond) {
		told := s.metrics(t, function)
		if got := sum(told); got == counts && len(told) == lines {
			return
		} else if time.Now().After(end) {
			t.Fatalf("%s: metrics in %d lines: %s\nwant %d: %s", function, len(told), got, lines, counts)
		}
	}
}

// metrics is the lines that a function has told of its metrics so far.
func (s *stack) metrics(t *testing.T, function string) (told []map[string]any) {
	t.Helper()
	for line := range bytes.Lines(s.logs[function].Bytes()) {
		if !bytes.HasPrefix(line, []byte(`{"_aws"`)) {
			continue
		}
		var metrics map[string]any
		if err := json.Unmarshal(line, &metrics); err != nil || !bytes.HasSuffix(line, []byte("}\n")) {
			t.Fatalf("%s: %v: %q", function, err, line)
		}
		told = append(told, metrics)
	}
	return told
}

// sum is the counts of several lines, added up.
func sum(told []map[string]any) string {
	counts := make(map[string]float64)
	for _, metrics := range told {
		for name, v := range metrics {
			if n, ok := v.(float64); ok {
				counts[name] += n
			}
		}
	}
	var all []string
	for name, n := range counts {
		all = append(all, fmt.Sprintf("%s %v", name, n))
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// wantLogs sees that every line of the logs is one JSON object, and that the
// metrics have no part of anybody's name, and latencies where there were calls.
func (s *stack) wantLogs(t *testing.T, names ...string) {
	t.Helper()
	for function, logs := range s.logs {
		for line := range bytes.Lines(logs.Bytes()) {
			var object map[string]any
			if err := json.Unmarshal(line, &object); err != nil {
				t.Errorf("%s: %v: %q", function, err, line)
			}
		}
		stores, posts := 0, 0
		for _, metrics := range s.metrics(t, function) {
			if metrics[emf.Dimension] != stackName {
				t.Errorf("%s: %v", function, metrics)
			}
			for _, name := range names {
				if strings.Contains(fmt.Sprint(metrics), name) {
					t.Errorf("%s tells a name: %v", function, metrics)
				}
			}
			store, _ := metrics[emf.StoreLatency].([]any)
			post, _ := metrics[emf.PostLatency].([]any)
			stores, posts = stores+len(store), posts+len(post)
			for _, latency := range slices.Concat(store, post) {
				if ms, ok := latency.(float64); !ok || ms <= 0 || ms > float64(soon.Milliseconds()) {
					t.Errorf("%s: latency %v", function, latency)
				}
			}
		}
		if stores == 0 || posts == 0 && function != "disconnect" {
			t.Errorf("%s: %d latencies of the store, %d of posts", function, stores, posts)
		}
	}
}
