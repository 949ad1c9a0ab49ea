package lambdaenv

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// InvokeAPI serves functions by name as Lambda's Invoke operation does, for what invokes them through an AWS SDK:
// POST /2015-03-31/functions/{name}/invocations, synchronously, with a name or an ARN. Source: Lambda API Reference,
// "Invoke". Signatures are not looked at.
type InvokeAPI map[string]*Function

// ServeHTTP implements [http.Handler].
func (api InvokeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, ok := invoked(r)
	if !ok {
		failInvoke(w, http.StatusForbidden, "AccessDeniedException", "only Invoke is served")
		return
	}
	f, ok := api[name]
	if !ok {
		failInvoke(w, http.StatusNotFound, "ResourceNotFoundException", "Function not found: "+name)
		return
	}
	payload, err := io.ReadAll(io.LimitReader(r.Body, MaxPayload+1))
	switch {
	case err != nil:
		return // nobody is there to be told
	case len(payload) > MaxPayload:
		failInvoke(w, http.StatusRequestEntityTooLarge, "RequestTooLargeException", fmt.Sprintf("Request must be smaller than %d bytes", MaxPayload))
		return
	case len(payload) > 0 && !json.Valid(payload):
		failInvoke(w, http.StatusBadRequest, "InvalidRequestContentException", "Could not parse request body into json")
		return
	}
	answer, err := f.Invoke(r.Context(), payload)
	if failed, ok := errors.AsType[*FunctionError](err); ok {
		w.Header().Set("X-Amz-Function-Error", "Unhandled")
		answer, err = failed.Payload, nil
	}
	switch {
	case errors.Is(err, ErrThrottled):
		failInvoke(w, http.StatusTooManyRequests, "TooManyRequestsException", "Rate Exceeded.")
	case err != nil:
		failInvoke(w, http.StatusInternalServerError, "ServiceException", err.Error())
	default:
		w.Header().Set("X-Amz-Executed-Version", "$LATEST")
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(answer)
	}
}

// invoked is the name of the function that a request invokes, out of an ARN if need be, without a version.
func invoked(r *http.Request) (string, bool) {
	name, ok := strings.CutPrefix(r.URL.Path, "/2015-03-31/functions/")
	if !ok || r.Method != http.MethodPost {
		return "", false
	}
	if name, ok = strings.CutSuffix(name, "/invocations"); !ok || strings.Contains(name, "/") {
		return "", false
	}
	if parts := strings.Split(name, ":"); len(parts) >= 7 && parts[0] == "arn" {
		return parts[6], true
	}
	name, _, _ = strings.Cut(name, ":")
	return name, true
}

// failInvoke answers with an error of the service's own.
func failInvoke(w http.ResponseWriter, status int, kind, message string) {
	w.Header().Set("X-Amzn-Errortype", kind)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"Message": message})
}
