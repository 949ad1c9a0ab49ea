package lambdaenv

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

const registerPath = "/2020-01-01/extension/register"

func TestExtensionRegister(t *testing.T) {
	server, _, _ := serving(t, stateStarting)
	register := server.URL + registerPath
	response, body := call(t, "POST", register, `{"events":["INVOKE"]}`, headerExtensionName, "one")
	if want := `{"functionName":"fn","functionVersion":"$LATEST","handler":"h"}`; response.StatusCode != 200 || strings.TrimSpace(body) != want {
		t.Errorf("got %d %s, want 200 %s", response.StatusCode, body, want)
	}
	if response.Header.Get(headerExtensionIdentifier) == "" {
		t.Error("no identifier")
	}
	for name, test := range map[string]struct{ name, body, kind string }{
		"no name":        {"", `{"events":[]}`, typeExtensionName},
		"no JSON":        {"two", ``, typeInvalidRequest},
		"SHUTDOWN":       {"two", `{"events":["INVOKE","SHUTDOWN"]}`, typeExtensionEvent},
		"the name again": {"one", `{"events":["INVOKE"]}`, typeExtensionState},
	} {
		if response, body := call(t, "POST", register, test.body, headerExtensionName, test.name); response.StatusCode != 403 || !strings.Contains(body, test.kind) {
			t.Errorf("%s: got %d %s, want 403 %s", name, response.StatusCode, body, test.kind)
		}
	}
	for i := 1; i <= maxExtensions; i++ {
		response, body := call(t, "POST", register, `{"events":null}`, headerExtensionName, fmt.Sprint("n", i))
		if want := map[bool]int{true: 200, false: 403}[i < maxExtensions]; response.StatusCode != want {
			t.Errorf("extension %d: got %d %s, want %d", i+1, response.StatusCode, body, want)
		}
	}
}

func TestExtensionRegisterTooLate(t *testing.T) {
	server, _, _ := serving(t, stateBusy)
	response, body := call(t, "POST", server.URL+registerPath, `{"events":["INVOKE"]}`, headerExtensionName, "one")
	if response.StatusCode != 403 || !strings.Contains(body, typeRegistrationClosed) {
		t.Errorf("got %d %s", response.StatusCode, body)
	}
}

func TestExtensionNext(t *testing.T) {
	server, _, inv := serving(t, stateStarting)
	next := server.URL + "/2020-01-01/extension/event/next"
	if response, body := call(t, "GET", next, "", headerExtensionIdentifier, "nobody"); response.StatusCode != 403 || !strings.Contains(body, typeExtensionUnknown) {
		t.Errorf("unknown extension: got %d %s", response.StatusCode, body)
	}
	registered, _ := call(t, "POST", server.URL+registerPath, `{"events":["INVOKE"]}`, headerExtensionName, "one")
	runtime := make(chan struct{})
	go func() {
		defer close(runtime)
		call(t, "GET", server.URL+"/2018-06-01/runtime/invocation/next", "")
	}()
	_, body := call(t, "GET", next, "", headerExtensionIdentifier, registered.Header.Get(headerExtensionIdentifier))
	<-runtime
	var event map[string]any
	if err := json.Unmarshal([]byte(body), &event); err != nil {
		t.Fatal(err)
	}
	if event["eventType"] != "INVOKE" || event["requestId"] != inv.requestID || event["invokedFunctionArn"] != inv.arn ||
		event["deadlineMs"] != float64(inv.deadline.UnixMilli()) || event["tracing"].(map[string]any)["value"] != inv.traceID {
		t.Errorf("event %s", body)
	}
}
