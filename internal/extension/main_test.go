package extension_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"go.uber.org/goleak"

	"github.com/owt-signal/owt-signal/internal/extension"
)

// patience is how long a test waits for what must happen; blink how long it watches for what must not.
const (
	patience = 30 * time.Second
	blink    = 30 * time.Millisecond
)

// TestMain runs the tests, or, where there is a Runtime API, the function that
// they run.
func TestMain(m *testing.M) {
	if os.Getenv("AWS_LAMBDA_RUNTIME_API") != "" {
		greet()
	}
	goleak.VerifyTestMain(m)
}

// event is an INVOKE event.
type event struct {
	EventType  string `json:"eventType"`
	DeadlineMs int64  `json:"deadlineMs"`
	RequestID  string `json:"requestId"`
}

func invoke(requestID string, deadline time.Time) event {
	return event{"INVOKE", deadline.UnixMilli(), requestID}
}

// platform is an Extensions API whose test says when which event comes.
type platform struct {
	t      *testing.T
	server *httptest.Server
	asked  chan struct{} // gets one for each request for the next event
	events chan event

	register func(http.ResponseWriter, *http.Request)
	next     func(http.ResponseWriter, *http.Request)
}

func newPlatform(t *testing.T) *platform {
	p := &platform{t: t, asked: make(chan struct{}, 100), events: make(chan event)}
	p.register = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Lambda-Extension-Identifier", "id-"+r.Header.Get("Lambda-Extension-Name"))
	}
	p.next = func(w http.ResponseWriter, r *http.Request) {
		if id := r.Header.Get("Lambda-Extension-Identifier"); id != "id-test" {
			t.Errorf("identifier %q", id)
		}
		p.asked <- struct{}{}
		select {
		case e := <-p.events:
			json.NewEncoder(w).Encode(e)
		case <-r.Context().Done():
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /2020-01-01/extension/register", func(w http.ResponseWriter, r *http.Request) { p.register(w, r) })
	mux.HandleFunc("GET /2020-01-01/extension/event/next", func(w http.ResponseWriter, r *http.Request) { p.next(w, r) })
	p.server = httptest.NewServer(mux)
	t.Cleanup(p.server.Close)
	return p
}

func (p *platform) address() string { return p.server.Listener.Addr().String() }

// run registers an extension and runs it until the end of the test, or until stop is called, which returns Run's error.
func (p *platform) run() (e *extension.Extension, stop func() error) {
	p.t.Helper()
	e, err := extension.Register(p.t.Context(), p.address(), "test")
	if err != nil {
		p.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	var result error
	go func() {
		defer close(done)
		result = e.Run(ctx)
	}()
	stop = func() error {
		cancel()
		<-done
		return result
	}
	p.t.Cleanup(func() { stop() })
	return e, stop
}

// awaitAsked waits until the extension asks for the next event.
func (p *platform) awaitAsked() {
	p.t.Helper()
	await(p.t, p.asked, "the extension did not ask for the next event")
}

// notAsked fails if the extension asks for the next event within a blink.
func (p *platform) notAsked() {
	p.t.Helper()
	select {
	case <-p.asked:
		p.t.Fatal("the extension asked for the next event too early")
	case <-time.After(blink):
	}
}

func await(t *testing.T, c <-chan struct{}, otherwise string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		t.Fatal(otherwise)
	}
}

// handlerFunc is a lambda.Handler that answers with JSON.
type handlerFunc func(ctx context.Context, payload []byte) ([]byte, error)

func (h handlerFunc) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	return h(ctx, payload)
}

var _ lambda.Handler = handlerFunc(nil)

// call does what aws-lambda-go does with one invocation up to the point where Lambda has taken the response: the
// response is not closed yet.
func call(e *extension.Extension, requestID string, h handlerFunc) (io.ReadCloser, error) {
	ctx := lambdacontext.NewContext(context.Background(), &lambdacontext.LambdaContext{AwsRequestID: requestID})
	return e.Wrap(h)(ctx, json.RawMessage("{}"))
}

// complete is call with the response taken; the handler must succeed.
func complete(t *testing.T, e *extension.Extension, requestID string, h handlerFunc) {
	t.Helper()
	response, err := call(e, requestID, h)
	if err != nil {
		t.Fatal(err)
	}
	response.Close()
}
