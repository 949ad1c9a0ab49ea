package httpapi

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// problem is an error as it is told (RFC 9457, Problem Details for HTTP APIs), with
// the code that a client would be told, if there is one.
type problem struct {
	Type   problemType `json:"type"`
	Title  string      `json:"title"`
	Status int         `json:"status"`
	Detail string      `json:"detail,omitempty"`
	Code   lane.Code   `json:"code,omitempty"`
}

// problemType is the address of what docs/api.md says of a problem.
type problemType string

const describedAt = "https://github.com/owt-signal/owt-signal/blob/main/docs/api.md#"

func (t problemType) name() string { return strings.TrimPrefix(string(t), describedAt) }

func newProblem(name string, status int, code lane.Code, title string) problem {
	return problem{Type: problemType(describedAt + name), Title: title, Status: status, Code: code}
}

// The problems that there are.
var (
	errRequest    = newProblem("bad-request", http.StatusBadRequest, 0, "The request is not understood")
	errKey        = newProblem("unauthorized", http.StatusUnauthorized, 0, "A key is needed")
	errPrincipal  = newProblem("forbidden", http.StatusForbidden, 0, "The caller may not do that")
	errNoPath     = newProblem("no-such-path", http.StatusNotFound, 0, "There is no such path")
	errMethod     = newProblem("no-such-method", http.StatusMethodNotAllowed, 0, "The path has no such method")
	errBody       = newProblem("too-large", http.StatusRequestEntityTooLarge, 0, "The request is too large")
	errType       = newProblem("not-json", http.StatusUnsupportedMediaType, 0, "The request's body must be application/json")
	errKeyInUse   = newProblem("key-in-use", http.StatusConflict, 0, "The message that was sent under the key is still under way")
	errKeyReused  = newProblem("key-reused", http.StatusUnprocessableEntity, 0, "Another message was sent under the key")
	errOffline    = newProblem("offline", http.StatusNotFound, lane.CodeUnreachable, "The user is not online")
	errMessage    = newProblem("message-too-large", http.StatusRequestEntityTooLarge, lane.CodeClient, "The message is too large to be delivered to every client")
	errBusy       = newProblem("busy", http.StatusTooManyRequests, lane.CodeBusy, "There are too many requests, and nothing was done")
	errServer     = newProblem("not-known", http.StatusInternalServerError, lane.CodeServer, "It is not known what was done")
	errStore      = newProblem("unavailable", http.StatusServiceUnavailable, lane.CodeUnavailable, "A part that the server needs did not answer, and it is not known what was done")
	afterASecond  = map[int]bool{http.StatusTooManyRequests: true, http.StatusServiceUnavailable: true, http.StatusConflict: true}
	problemOfCode = map[lane.Code]problem{
		lane.CodeUnreachable: errOffline,
		lane.CodeClient:      errMessage,
		lane.CodeBusy:        errBusy,
		lane.CodeUnavailable: errStore,
	}
)

// Error implements error.
func (p problem) Error() string { return p.Title + ": " + p.Detail }

// saying returns the problem with what is wrong in this case.
func (p problem) saying(detail string) problem {
	p.Detail = detail
	return p
}

// problemOf returns what is told of an error.
func problemOf(err error) problem {
	if p, ok := errors.AsType[problem](err); ok {
		return p
	}
	switch {
	case errors.Is(err, signal.ErrKeyInUse):
		return errKeyInUse
	case errors.Is(err, signal.ErrKeyReused):
		return errKeyReused
	default:
		return cmp.Or(problemOfCode[signal.Code(err)], errServer)
	}
}

// response returns the answer.
func (p problem) response() Response {
	r := Response{Status: p.Status, Header: map[string]string{"Content-Type": "application/problem+json", "Cache-Control": "no-store"}}
	if afterASecond[p.Status] {
		r.Header["Retry-After"] = "1"
	}
	if p.Status == http.StatusUnauthorized {
		r.Header["WWW-Authenticate"] = "Bearer"
	}
	r.Body, _ = json.Marshal(p) // texts and numbers
	return r
}
