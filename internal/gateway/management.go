package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
)

// Management is the HTTP API of @connections, as the AWS SDKs speak it: POST, GET and DELETE on
// /{stage}/@connections/{connectionId}, the same operations as Post, Get and Delete.
//
// It does not check signatures: whoever reaches it can post to every connection and close it. Serve it on a loopback
// address only.
func (g *Gateway) Management() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Amzn-Requestid", requestID())
		id, ok := strings.CutPrefix(r.URL.Path, "/"+g.config.Stage+"/@connections/")
		if !ok {
			forbidden.write(w)
			return
		}
		if err := g.manage(w, r, id); err != nil {
			managementError(id, err).write(w)
		}
	})
}

// manage does the operation that the method names, and writes its answer unless it fails.
func (g *Gateway) manage(w http.ResponseWriter, r *http.Request, id string) error {
	switch r.Method {
	case http.MethodPost:
		data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxMessage))
		if err != nil {
			return err
		}
		return g.Post(r.Context(), id, data) // nothing written is 200
	case http.MethodGet:
		info, err := g.Get(r.Context(), id)
		if err != nil {
			return err
		}
		writeJSON(w, http.StatusOK, map[string]any{ // GetConnectionResponse in the service's model
			"connectedAt":  info.ConnectedAt.UTC().Format(timeLayout),
			"identity":     map[string]string{"sourceIp": info.SourceIP, "userAgent": info.UserAgent},
			"lastActiveAt": info.LastActiveAt.UTC().Format(timeLayout),
		})
		return nil
	case http.MethodDelete:
		if err := g.Delete(r.Context(), id); err != nil {
			return err
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	default:
		return errMethod
	}
}

// timeLayout is ISO 8601 with milliseconds, in UTC.
const timeLayout = "2006-01-02T15:04:05.000Z"

// errMethod is for a method that @connections does not have.
var errMethod = errors.New("no such operation")

// forbidden is the answer to a path of another stage and to everything else that is no operation.
var forbidden = &httpError{http.StatusForbidden, "ForbiddenException", messageForbidden}

// managementError is the answer to a failed operation.
func managementError(id string, err error) *httpError {
	_, tooLarge := errors.AsType[*http.MaxBytesError](err)
	switch {
	case errors.Is(err, ErrBadConnectionID):
		return &httpError{http.StatusBadRequest, "BadRequestException", "Invalid connectionId: " + id}
	case errors.Is(err, ErrGone):
		return &httpError{http.StatusGone, "GoneException", "Gone"}
	case tooLarge, errors.Is(err, ErrPayloadTooLarge):
		return &httpError{http.StatusRequestEntityTooLarge, "PayloadTooLargeException", "Payload is too large"}
	case errors.Is(err, ErrLimitExceeded):
		return &httpError{http.StatusTooManyRequests, "LimitExceededException", "Too Many Requests"}
	case errors.Is(err, errMethod):
		return forbidden
	case errors.Is(err, context.Canceled), errors.Is(err, io.ErrUnexpectedEOF):
		return &httpError{http.StatusBadRequest, "BadRequestException", "Bad Request"} // the caller went away
	default:
		return &httpError{http.StatusInternalServerError, "InternalServerErrorException", messageInternalError}
	}
}

// httpError is an answer in the manner of API Gateway: {"message":…}, and a kind for the SDKs, if it has one.
type httpError struct {
	status  int
	kind    string // x-amzn-ErrorType
	message string
}

func (e *httpError) write(w http.ResponseWriter) {
	h := w.Header()
	if e.kind != "" {
		h.Set("X-Amzn-Errortype", e.kind)
	}
	if e.status == http.StatusUpgradeRequired {
		h.Set("Connection", "Upgrade") // RFC 9110 section 15.5.22
		h.Set("Upgrade", "websocket")
	}
	writeJSON(w, e.status, map[string]string{"message": e.message})
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	body, err := json.Marshal(value)
	if err != nil {
		panic(err) // strings always marshal
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(body)
}
