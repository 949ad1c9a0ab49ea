package lambdaenv

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// The Extensions API: Lambda Developer Guide, "Using the Lambda Extensions API to create extensions".
const (
	headerExtensionName       = "Lambda-Extension-Name"
	headerExtensionIdentifier = "Lambda-Extension-Identifier"
	headerExtensionEvent      = "Lambda-Extension-Event-Identifier"

	eventInvoke = "INVOKE"

	// maxExtensions is how many extensions a function may have.
	maxExtensions = 10
	// maxRegistrationBytes is this package's own limit for the body of a registration.
	maxRegistrationBytes = 64 << 10
)

// Error types of the Extensions API, as AWS's runtime interface emulator gives them.
const (
	typeExtensionName      = "Extension.InvalidExtensionName"
	typeExtensionState     = "Extension.InvalidExtensionState"
	typeExtensionEvent     = "Extension.InvalidEventType"
	typeExtensionUnknown   = "Extension.UnknownExtensionIdentifier"
	typeRegistrationClosed = "Extension.RegistrationClosed"
	typeExtensionsTooMany  = "Extension.TooManyExtensions"
)

// extensionRegister registers an internal extension. Its events may be missing: such an extension only waits, as the
// one of aws-lambda-go that enables SIGTERM.
func (e *environment) extensionRegister(w http.ResponseWriter, r *http.Request) {
	var registration struct {
		Events []string `json:"events"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRegistrationBytes)).Decode(&registration); err != nil {
		refuse(w, http.StatusForbidden, typeInvalidRequest, err.Error())
		return
	}
	ext := &extension{name: r.Header.Get(headerExtensionName)}
	for _, event := range registration.Events {
		if event != eventInvoke { // SHUTDOWN is for external extensions
			refuse(w, http.StatusForbidden, typeExtensionEvent, fmt.Sprintf("%s: not for an internal extension", event))
			return
		}
		ext.invoke = true
	}
	identifier := newUUID()
	if kind, message := e.register(identifier, ext); kind != "" {
		refuse(w, http.StatusForbidden, kind, message)
		return
	}
	w.Header().Set(headerExtensionIdentifier, identifier)
	writeJSON(w, http.StatusOK, map[string]string{
		"functionName":    e.function.config.Name,
		"functionVersion": functionVersion,
		"handler":         e.function.config.Handler,
	})
}

// register adds an extension, or says why not.
func (e *environment) register(identifier string, ext *extension) (kind, message string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case ext.name == "":
		return typeExtensionName, "Empty extension name"
	case e.state != stateStarting || e.runtime != nil:
		return typeRegistrationClosed, "Extension registration closed already"
	case len(e.extensions) >= maxExtensions:
		return typeExtensionsTooMany, fmt.Sprintf("Extension limit (%d) reached", maxExtensions)
	}
	for _, other := range e.extensions {
		if other.name == ext.name {
			return typeExtensionState, "Extension with this name already registered"
		}
	}
	e.extensions[identifier] = ext
	return "", ""
}

// extensionNext waits for the next invocation and writes its event.
func (e *environment) extensionNext(w http.ResponseWriter, r *http.Request) {
	identifier := r.Header.Get(headerExtensionIdentifier)
	e.mu.Lock()
	ext, ok := e.extensions[identifier]
	if !ok {
		e.mu.Unlock()
		refuse(w, http.StatusForbidden, typeExtensionUnknown, "Unknown extension "+identifier)
		return
	}
	if inv := e.await(r.Context(), &ext.next); inv != nil {
		writeEvent(w, inv)
	}
}

func writeEvent(w http.ResponseWriter, inv *invocation) {
	w.Header().Set(headerExtensionEvent, newUUID())
	writeJSON(w, http.StatusOK, map[string]any{
		"eventType":          eventInvoke,
		"deadlineMs":         inv.deadline.UnixMilli(),
		"requestId":          inv.requestID,
		"invokedFunctionArn": inv.arn,
		"tracing":            map[string]string{"type": "X-Amzn-Trace-Id", "value": inv.traceID},
	})
}
