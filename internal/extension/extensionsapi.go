package extension

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// The Extensions API, version 2020-01-01: Lambda Developer Guide, "Using the Lambda Extensions API to create
// extensions", Extensions API reference.
const (
	apiVersion       = "2020-01-01"
	headerName       = "Lambda-Extension-Name"
	headerIdentifier = "Lambda-Extension-Identifier"
	eventInvoke      = "INVOKE"
	// An internal extension may subscribe to INVOKE only, not to SHUTDOWN.
	registration = `{"events":["` + eventInvoke + `"]}`
	// maxAnswerBytes is what is read of an answer at most; an event has a few hundred bytes.
	maxAnswerBytes = 64 << 10
)

// extensionsAPI is a client of the Extensions API for one extension.
type extensionsAPI struct {
	base       string
	client     *http.Client
	identifier string // given by register
}

// invokeEvent says that an invocation has been given to the runtime.
type invokeEvent struct {
	EventType  string `json:"eventType"`
	DeadlineMs int64  `json:"deadlineMs"` // Unix time in milliseconds
	RequestID  string `json:"requestId"`
}

// newExtensionsAPI has no timeout, as next waits for as long as the environment is idle, and asks no proxy: the API is
// link-local.
func newExtensionsAPI(runtimeAPI string) *extensionsAPI {
	return &extensionsAPI{
		base:   "http://" + runtimeAPI + "/" + apiVersion + "/extension/",
		client: &http.Client{Transport: &http.Transport{DisableCompression: true}},
	}
}

// register registers the extension and keeps the identifier for next.
func (a *extensionsAPI) register(ctx context.Context, name string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, a.base+"register", strings.NewReader(registration))
	if err != nil {
		return err
	}
	request.Header.Set(headerName, name)
	header, _, err := a.do(request)
	if err != nil {
		return err
	}
	a.identifier = header.Get(headerIdentifier)
	if a.identifier == "" {
		return errors.New("the answer has no header " + headerIdentifier)
	}
	return nil
}

// next tells Lambda that the extension is done and waits for the next event.
func (a *extensionsAPI) next(ctx context.Context) (invokeEvent, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, a.base+"event/next", nil)
	if err != nil {
		return invokeEvent{}, err
	}
	request.Header.Set(headerIdentifier, a.identifier)
	_, body, err := a.do(request)
	if err != nil {
		return invokeEvent{}, fmt.Errorf("ask for the next event: %w", err)
	}
	var event invokeEvent
	if err := json.Unmarshal(body, &event); err != nil {
		return invokeEvent{}, fmt.Errorf("decode event: %w", err)
	}
	if event.EventType != eventInvoke {
		return invokeEvent{}, fmt.Errorf("got event %q, registered for %s only", event.EventType, eventInvoke)
	}
	return event, nil
}

// do makes a request; an answer other than 200 is an error with its status and body.
func (a *extensionsAPI) do(request *http.Request) (http.Header, []byte, error) {
	answer, err := a.client.Do(request)
	if err != nil {
		return nil, nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswerBytes))
	if err != nil {
		return nil, nil, fmt.Errorf("read answer: %w", err)
	}
	if answer.StatusCode != http.StatusOK {
		return nil, nil, fmt.Errorf("answer %s: %s", answer.Status, strings.TrimSpace(string(body)))
	}
	return answer.Header, body, nil
}

// close lets go of the connection to the API.
func (a *extensionsAPI) close() { a.client.CloseIdleConnections() }
