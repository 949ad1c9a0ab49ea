package local

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestUnreachableLambdaEndpoint(t *testing.T) {
	for name, endpoint := range map[string]string{
		"nobody listens": "http://127.0.0.1:1",
		"nobody answers": "http://" + busy(t),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantRefused(t, loopback("-lambda-endpoint", endpoint), "use Lambda at "+endpoint)
		})
	}
}

// TestFailuresOfFunctionsElsewhere has a Lambda that fails in each way that it
// may: the client gets API Gateway's error frame.
func TestFailuresOfFunctionsElsewhere(t *testing.T) {
	var fails http.HandlerFunc
	asked := make(chan string, 100)
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Method + " " + r.URL.Path
		body, _ := io.ReadAll(r.Body)
		if strings.Contains(string(body), `"eventType":"MESSAGE"`) {
			fails(w, r)
			return
		}
		_, _ = w.Write([]byte(`{"statusCode":200}`))
	}))
	t.Cleanup(api.Close)
	s := start(t, "-lambda-endpoint", api.URL)
	for what, failure := range map[string]struct {
		with http.HandlerFunc
		log  string
	}{
		"the function's error": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Amz-Function-Error", "Unhandled")
			_, _ = w.Write([]byte(`{"errorType":"Runtime.ExitError","errorMessage":"signal: killed"}`))
		}, "Runtime.ExitError: signal: killed"},
		"an error that is no JSON": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Amz-Function-Error", "Unhandled")
			_, _ = w.Write([]byte("oh no"))
		}, "oh no"},
		"no answer": {func(http.ResponseWriter, *http.Request) {}, "decode answer"},
		"too much": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Amzn-Errortype", "TooManyRequestsException")
			w.WriteHeader(http.StatusTooManyRequests)
		}, "TooManyRequestsException"},
	} {
		fails = failure.with
		conn := s.dial(t, "ws://"+s.plain+"/prod") // of failures on one connection the first is logged
		say(t, conn, `{}`)
		if m := next(t, conn); !strings.HasPrefix(m, `{"message": "Internal server error"`) {
			t.Errorf("%s: %s, want API Gateway's error frame", what, m)
		}
		if !strings.Contains(s.stderr.String(), failure.log) {
			t.Errorf("%s: the logs do not say %q:\n%s", what, failure.log, &s.stderr)
		}
	}
	want := []string{"GET /"}
	for range 4 { // once each: nothing is tried again
		want = append(want, "POST /2015-03-31/functions/ConnectFunction/invocations", "POST /2015-03-31/functions/MessageFunction/invocations")
	}
	for i, call := range want {
		if got := <-asked; got != call {
			t.Errorf("request %d is %s, want %s", i+1, got, call)
		}
	}
	if len(asked) > 0 {
		t.Errorf("one more: %s", <-asked)
	}
}
