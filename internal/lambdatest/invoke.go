package lambdatest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/owt-signal/owt-signal/internal/lambdaenv"
)

// InvokeJSON invokes f with in as the payload and decodes the answer into out,
// which may be nil.
func InvokeJSON(ctx context.Context, f *lambdaenv.Function, in, out any) error {
	payload, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("encode payload: %w", err)
	}
	answer, err := f.Invoke(ctx, payload)
	if err != nil || out == nil {
		return err
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("decode answer: %w", err)
	}
	return nil
}

// InvokeAPI serves functions by name as Lambda's Invoke operation does, for what
// invokes them through an AWS SDK: synchronously, whoever signed the request.
// Source: Lambda API Reference, "Invoke".
func InvokeAPI(functions map[string]*lambdaenv.Function) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /2015-03-31/functions/{name}/invocations", func(w http.ResponseWriter, r *http.Request) {
		f, ok := functions[r.PathValue("name")]
		if !ok {
			fail(w, http.StatusNotFound, "ResourceNotFoundException", "Function not found")
			return
		}
		payload, err := io.ReadAll(r.Body)
		if err != nil {
			return // the caller has gone
		}
		answer, err := f.Invoke(r.Context(), payload)
		if failed, ok := errors.AsType[*lambdaenv.FunctionError](err); ok {
			w.Header().Set("X-Amz-Function-Error", "Unhandled")
			answer, err = failed.Payload, nil
		}
		if err != nil {
			fail(w, http.StatusInternalServerError, "ServiceException", err.Error())
			return
		}
		w.Write(answer)
	})
	return mux
}

// fail answers with an error of the service's own.
func fail(w http.ResponseWriter, status int, kind, message string) {
	w.Header().Set("X-Amzn-Errortype", kind)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"Message": message})
}
