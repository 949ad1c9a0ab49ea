package lambdaenv

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
)

// Headers of the Runtime API: Lambda Developer Guide, "Using the Lambda runtime API for custom runtimes".
const (
	headerRequestID   = "Lambda-Runtime-Aws-Request-Id"
	headerDeadline    = "Lambda-Runtime-Deadline-Ms"
	headerFunctionARN = "Lambda-Runtime-Invoked-Function-Arn"
	headerTraceID     = "Lambda-Runtime-Trace-Id"
	headerErrorType   = "Lambda-Runtime-Function-Error-Type" // of a request; of a response, a trailer
	trailerErrorBody  = "Lambda-Runtime-Function-Error-Body"
)

// Error types of the two APIs' own answers, as AWS's runtime interface emulator gives them.
const (
	typeInvalidRequestID  = "InvalidRequestID"
	typeInvalidTransition = "InvalidStateTransition"
	typeTooLarge          = "RequestEntityTooLarge"
	typeInvalidRequest    = "InvalidRequestFormat"
)

// routes serves the Runtime API and the Extensions API of the environment.
func (e *environment) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /2018-06-01/runtime/invocation/next", e.runtimeNext)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/response", e.runtimeResponse)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/error", e.runtimeError)
	mux.HandleFunc("POST /2018-06-01/runtime/init/error", e.runtimeInitError)
	mux.HandleFunc("POST /2020-01-01/extension/register", e.extensionRegister)
	mux.HandleFunc("GET /2020-01-01/extension/event/next", e.extensionNext)
	return mux
}

// processOnly serves who knows the address from its environment: not a browser, which any page could have ask for an
// invocation (Sec-Fetch-Site), or read one by a name that resolves to this machine (Host).
func processOnly(address string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != address || r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") != "" {
			refuse(w, http.StatusForbidden, typeInvalidRequest, "this API is for the function alone")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// runtimeNext waits for the next invocation and writes it.
func (e *environment) runtimeNext(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	if e.state == stateBusy && !e.answered {
		// Asked again without an answer, the connection was lost perhaps: the same invocation once more.
		inv := e.current
		e.mu.Unlock()
		writeInvocation(w, inv)
		return
	}
	if inv := e.await(r.Context(), &e.runtime); inv != nil {
		writeInvocation(w, inv)
	}
}

func writeInvocation(w http.ResponseWriter, inv *invocation) {
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set(headerRequestID, inv.requestID)
	header.Set(headerDeadline, strconv.FormatInt(inv.deadline.UnixMilli(), 10))
	header.Set(headerFunctionARN, inv.arn)
	header.Set(headerTraceID, inv.traceID)
	w.Write(inv.payload)
}

// runtimeResponse takes the response of an invocation.
func (e *environment) runtimeResponse(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxPayload))
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		message := "Response payload size exceeded maximum allowed payload size (" + strconv.Itoa(MaxPayload) + " bytes)."
		e.answer(r.PathValue("id"), answer{err: platformError(TypeResponseTooLarge, message)})
		refuse(w, http.StatusRequestEntityTooLarge, typeTooLarge, message)
		return
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, typeInvalidRequest, "read response: "+err.Error())
		return
	}
	if kind := r.Trailer.Get(headerErrorType); kind != "" { // the response failed halfway
		report, _ := base64.StdEncoding.DecodeString(r.Trailer.Get(trailerErrorBody))
		e.accept(w, r, answer{err: reportedError(kind, report)})
		return
	}
	e.accept(w, r, answer{payload: body})
}

// runtimeError takes the error of an invocation.
func (e *environment) runtimeError(w http.ResponseWriter, r *http.Request) {
	if report, ok := readReport(w, r); ok {
		e.accept(w, r, answer{err: report})
	}
}

// accept gives an answer to the caller of the invocation.
func (e *environment) accept(w http.ResponseWriter, r *http.Request, a answer) {
	if !e.answer(r.PathValue("id"), a) {
		refuse(w, http.StatusBadRequest, typeInvalidRequestID, "Invalid request ID")
		return
	}
	writeStatus(w)
}

// runtimeInitError takes the error that kept the runtime from starting.
func (e *environment) runtimeInitError(w http.ResponseWriter, r *http.Request) {
	report, ok := readReport(w, r)
	switch {
	case !ok:
	case e.failInit(report):
		writeStatus(w)
	default:
		refuse(w, http.StatusForbidden, typeInvalidTransition, "the runtime is initialized already")
	}
}

// readReport reads an error that the runtime reports; ok is false if it could not be read, and the runtime has been told.
func readReport(w http.ResponseWriter, r *http.Request) (report *FunctionError, ok bool) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxPayload))
	if err == nil {
		return reportedError(r.Header.Get(headerErrorType), body), true
	}
	refuse(w, http.StatusBadRequest, typeInvalidRequest, "read error: "+err.Error())
	return nil, false
}

// writeStatus is the answer to whatever was accepted.
func writeStatus(w http.ResponseWriter) {
	writeJSON(w, http.StatusAccepted, map[string]string{"status": "OK"})
}

func refuse(w http.ResponseWriter, status int, kind, message string) {
	writeJSON(w, status, map[string]string{"errorType": kind, "errorMessage": message})
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value)
}
