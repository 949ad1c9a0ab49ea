package gateway_test

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/owt-signal/owt-signal/internal/gateway"
)

const maxBody = 1000

func serveHTTPAPI(t *testing.T, f gateway.HTTPFunctionFunc) *httptest.Server {
	s := httptest.NewServer(&gateway.HTTPAPI{Function: f, MaxBody: maxBody, Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(s.Close)
	return s
}

// TestHTTPEvent: the event is as AWS documents it (payload format 2.0).
func TestHTTPEvent(t *testing.T) {
	var got events.APIGatewayV2HTTPRequest
	s := serveHTTPAPI(t, func(_ context.Context, ev *events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
		got = *ev
		return events.APIGatewayV2HTTPResponse{StatusCode: http.StatusAccepted, Headers: map[string]string{"X-A": "b"}, Body: "ok"}, nil
	})
	for kind, encoded := range map[string]bool{"text/plain; charset=UTF-8": false, "": false, "application/octet-stream": true} {
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/socket.io/?EIO=4&token=a%2Bb&x=1&x=2", strings.NewReader("40\x00"))
		r.Header = http.Header{"Content-Type": {kind}, "X-Many": {"1", "2"}, "User-Agent": {"me"}}
		if kind == "" {
			r.Header.Del("Content-Type")
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusAccepted || answer.Header.Get("X-A") != "b" || string(body) != "ok" {
			t.Errorf("answer %v, %q", answer, body)
		}
		want := "40\x00"
		if encoded {
			want = base64.StdEncoding.EncodeToString([]byte(want))
		}
		about := got.RequestContext.HTTP
		if got.Body != want || got.IsBase64Encoded != encoded || got.RawQueryString != "EIO=4&token=a%2Bb&x=1&x=2" || got.RawPath != "/socket.io/" ||
			got.QueryStringParameters["token"] != "a+b" || got.QueryStringParameters["x"] != "1,2" || got.Headers["x-many"] != "1,2" || got.Headers["host"] == "" ||
			got.Version != "2.0" || about.Method != http.MethodPost || about.SourceIP != "127.0.0.1" || about.UserAgent != "me" {
			t.Errorf("%q: event %+v", kind, got)
		}
	}
}

func TestHTTPRefusals(t *testing.T) {
	s := serveHTTPAPI(t, func(_ context.Context, ev *events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
		switch ev.Body {
		case "fail":
			return events.APIGatewayV2HTTPResponse{}, errors.New("secret")
		case "panic":
			panic("secret")
		case "nothing":
			return events.APIGatewayV2HTTPResponse{}, nil
		}
		return events.APIGatewayV2HTTPResponse{StatusCode: http.StatusOK}, nil
	})
	for body, status := range map[string]int{
		"fail": 500, "panic": 500, "nothing": 500, strings.Repeat("x", maxBody): 200, strings.Repeat("x", maxBody+1): 413, strings.Repeat("x", 1<<20): 413,
	} {
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL, strings.NewReader(body))
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		said, _ := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if answer.StatusCode != status || strings.Contains(string(said), "secret") {
			t.Errorf("%.10s: %d %s", body, answer.StatusCode, said)
		}
	}
}

// TestHTTPClientGoes: the invocation ends with the request that it is for.
func TestHTTPClientGoes(t *testing.T) {
	began, ended := make(chan struct{}), make(chan struct{})
	s := serveHTTPAPI(t, func(ctx context.Context, _ *events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
		close(began)
		<-ctx.Done()
		close(ended)
		return events.APIGatewayV2HTTPResponse{}, ctx.Err()
	})
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_, _ = conn.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
	<-began
	_ = conn.Close()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("the invocation goes on")
	}
}

// TestLateHTTPAnswer: a server gives clients so long to ask, and functions longer to
// answer.
func TestLateHTTPAnswer(t *testing.T) {
	const read = 100 * time.Millisecond
	ended := make(chan error, 1)
	s := httptest.NewUnstartedServer(&gateway.HTTPAPI{MaxBody: maxBody, Log: slog.New(slog.DiscardHandler), Function: gateway.HTTPFunctionFunc(
		func(ctx context.Context, _ *events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
			select {
			case <-ctx.Done():
			case <-time.After(5 * read):
			}
			ended <- ctx.Err()
			return events.APIGatewayV2HTTPResponse{StatusCode: http.StatusOK}, ctx.Err()
		})})
	s.Config.ReadTimeout = read
	s.Start()
	t.Cleanup(s.Close)
	for range 2 { // on one connection
		answer, err := http.Post(s.URL, "text/plain", strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if err := <-ended; err != nil || answer.StatusCode != http.StatusOK {
			t.Errorf("%d, %v", answer.StatusCode, err)
		}
	}
}
