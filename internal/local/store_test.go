package local

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// TestUnreachableDynamoDB: the store is tried three times. Somebody waits.
func TestUnreachableDynamoDB(t *testing.T) {
	const bound = time.Minute // only ends a hang
	answering := func(status int) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "<html>\nno\n</html>", status) }))
		t.Cleanup(s.Close)
		return s.URL
	}
	for name, endpoint := range map[string]string{
		"nobody listens": "http://127.0.0.1:1",
		"nobody answers": "http://" + busy(t),
		"a web server":   answering(http.StatusNotFound),
		"out of service": answering(http.StatusServiceUnavailable),
		"no name of DNS": "http://owt-signal.invalid:8000", // RFC 2606
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			var stdout, stderr lockedBuffer
			err := Run(t.Context(), loopback("-dynamodb", endpoint), &stdout, &stderr)
			if err == nil {
				t.Fatal("served, want an error")
			}
			wantLine(t, err, endpoint)
			if took := time.Since(began); took > bound {
				t.Errorf("took %v, want at most %v", took, bound)
			}
			if stdout.Len() != 0 {
				t.Errorf("greets: %s", &stdout)
			}
		})
	}
}

// TestEndWhileDynamoDBIsAwaited: Ctrl-C ends that, too.
func TestEndWhileDynamoDBIsAwaited(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		var stdout, stderr lockedBuffer
		ended <- Run(ctx, loopback("-dynamodb", "http://"+l.Addr().String()), &stdout, &stderr)
	}()
	conn, err := l.Accept() // the server asks
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	cancel()
	select {
	case err := <-ended:
		if err != nil {
			wantLine(t, err)
		}
	case <-time.After(5 * time.Second): // by itself it gives up after 6 s
		t.Error("awaiting the end for 5 s")
		<-ended
	}
}
