package lambdaenv

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// serving returns the APIs of an environment in this state, without a process, and the invocation it was started for.
func serving(t *testing.T, state state) (*httptest.Server, *environment, *invocation) {
	t.Helper()
	f, err := New(Config{Name: "fn", Bootstrap: "/proc/self/exe", Handler: "h", Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	inv, err := newInvocation(f.config, nil)
	if err != nil {
		t.Fatal(err)
	}
	e := newEnvironment(f)
	e.state, e.current, e.process = state, inv, &process{gone: true}
	server := httptest.NewServer(e.routes())
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		e.mu.Lock()
		defer e.mu.Unlock()
		e.end(ErrClosed)
	})
	return server, e, inv
}

// call makes a request with headers, name after value, and returns the answer and its body.
func call(t *testing.T, method, url, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	return send(t, request)
}

func send(t *testing.T, request *http.Request) (*http.Response, string) {
	t.Helper()
	recorded := httptest.NewRecorder()
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if _, err := recorded.Body.ReadFrom(response.Body); err != nil {
		t.Fatal(err)
	}
	return response, recorded.Body.String()
}

func TestRuntimeResponse(t *testing.T) {
	server, _, inv := serving(t, stateBusy)
	url := server.URL + "/2018-06-01/runtime/invocation/" + inv.requestID + "/response"
	if response, body := call(t, "POST", server.URL+"/2018-06-01/runtime/invocation/other/response", "1"); response.StatusCode != 400 || !strings.Contains(body, "InvalidRequestID") {
		t.Errorf("another id: got %d %s", response.StatusCode, body)
	}
	if response, _ := call(t, "POST", url, `"hello"`); response.StatusCode != 202 {
		t.Errorf("got %d, want 202", response.StatusCode)
	}
	if a := <-inv.answered; string(a.payload) != `"hello"` || a.err != nil {
		t.Errorf("the caller got %s, %v", a.payload, a.err)
	}
	if response, _ := call(t, "POST", url, `"again"`); response.StatusCode != 400 {
		t.Errorf("a second response: got %d, want 400", response.StatusCode)
	}
}

func TestRuntimeResponseLimit(t *testing.T) {
	server, _, inv := serving(t, stateBusy)
	url := server.URL + "/2018-06-01/runtime/invocation/" + inv.requestID + "/response"
	if response, _ := call(t, "POST", url, strings.Repeat("x", MaxPayload)); response.StatusCode != 202 {
		t.Errorf("largest response: got %d, want 202", response.StatusCode)
	}
	if a := <-inv.answered; len(a.payload) != MaxPayload {
		t.Errorf("the caller got %d bytes, %v", len(a.payload), a.err)
	}
	server, _, inv = serving(t, stateBusy)
	url = server.URL + "/2018-06-01/runtime/invocation/" + inv.requestID + "/response"
	if response, _ := call(t, "POST", url, strings.Repeat("x", MaxPayload+1)); response.StatusCode != 413 {
		t.Errorf("response too large: got %d, want 413", response.StatusCode)
	}
	var failure *FunctionError
	if a := <-inv.answered; !errors.As(a.err, &failure) || failure.Type != TypeResponseTooLarge {
		t.Errorf("the caller got %v", a.err)
	}
}

func TestRuntimeResponseFailsHalfway(t *testing.T) {
	server, _, inv := serving(t, stateBusy)
	report := `{"errorMessage":"disk gone","errorType":"Reader"}`
	request, err := http.NewRequestWithContext(t.Context(), "POST",
		server.URL+"/2018-06-01/runtime/invocation/"+inv.requestID+"/response", struct{ *strings.Reader }{strings.NewReader("half")})
	if err != nil {
		t.Fatal(err)
	}
	request.Trailer = http.Header{
		headerErrorType:  {"Reader"},
		trailerErrorBody: {base64.StdEncoding.EncodeToString([]byte(report))},
	}
	if response, _ := send(t, request); response.StatusCode != 202 {
		t.Errorf("got %d, want 202", response.StatusCode)
	}
	var failure *FunctionError
	if a := <-inv.answered; !errors.As(a.err, &failure) || failure.Type != "Reader" || failure.Message != "disk gone" {
		t.Errorf("the caller got %v", a.err)
	}
}

func TestRuntimeErrorWithoutJSON(t *testing.T) {
	server, _, inv := serving(t, stateBusy)
	url := server.URL + "/2018-06-01/runtime/invocation/" + inv.requestID + "/error"
	if response, _ := call(t, "POST", url, "it broke", headerErrorType, "Runtime.Odd"); response.StatusCode != 202 {
		t.Errorf("got %d, want 202", response.StatusCode)
	}
	var failure *FunctionError
	if a := <-inv.answered; !errors.As(a.err, &failure) || failure.Error() != "Runtime.Odd: it broke" {
		t.Errorf("the caller got %v", a.err)
	}
}

func TestRuntimeInitErrorTooLate(t *testing.T) {
	server, _, _ := serving(t, stateBusy)
	if response, body := call(t, "POST", server.URL+"/2018-06-01/runtime/init/error", "{}"); response.StatusCode != 403 || !strings.Contains(body, "InvalidStateTransition") {
		t.Errorf("got %d %s", response.StatusCode, body)
	}
}

func TestRuntimeAsksAgain(t *testing.T) {
	server, _, inv := serving(t, stateStarting)
	for range 2 { // the first makes the environment ready; the second comes without an answer to the first
		response, body := call(t, "GET", server.URL+"/2018-06-01/runtime/invocation/next", "")
		if response.StatusCode != 200 || body != "{}" || response.Header.Get(headerRequestID) != inv.requestID {
			t.Errorf("got %d %s for %s", response.StatusCode, body, response.Header.Get(headerRequestID))
		}
	}
}

func TestBrowsersAreRefused(t *testing.T) {
	const address = "127.0.0.1:4711"
	served := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	for _, test := range []struct {
		host   string
		header [2]string
		want   int
	}{
		{address, [2]string{"User-Agent", "aws-lambda-go"}, http.StatusOK},
		{"evil.example:4711", [2]string{"User-Agent", "Mozilla/5.0"}, http.StatusForbidden},
		{address, [2]string{"Origin", "https://evil.example"}, http.StatusForbidden},
		{address, [2]string{"Sec-Fetch-Site", "cross-site"}, http.StatusForbidden},
	} {
		r := httptest.NewRequest(http.MethodGet, "/2018-06-01/runtime/invocation/next", http.NoBody)
		r.Host = test.host
		r.Header.Set(test.header[0], test.header[1])
		w := httptest.NewRecorder()
		processOnly(address, served).ServeHTTP(w, r)
		if w.Code != test.want {
			t.Errorf("to %s with %s: %d, want %d", test.host, test.header, w.Code, test.want)
		}
	}
}
