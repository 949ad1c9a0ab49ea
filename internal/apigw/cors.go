package apigw

import (
	"net/http"
	"regexp"
	"strings"
)

// preflightAge is how long a browser may remember a preflight, in seconds: 2
// hours, Chromium's longest.
const preflightAge = "7200"

// maxRequestHeaders bounds the names of headers that a preflight asks for.
const maxRequestHeaders = 1024

// headerNames is a list of names of headers (RFC 9110, section 5.1).
var headerNames = regexp.MustCompile("^[0-9A-Za-z!#$%&'*+.^_`|~-]+( *, *[0-9A-Za-z!#$%&'*+.^_`|~-]+)*$")

// cors returns the headers by which a page of another origin may read the
// answer, as a Socket.IO server sends them that allows that origin. Clients of
// Engine.IO 3 ask with credentials, for which the origin must be named (Fetch
// standard, section CORS protocol and credentials).
func (h *Handler) cors(ev *HTTPRequest) (map[string]string, error) {
	origin := header(ev, originHeader)
	switch {
	case origin == "":
		return nil, nil
	case foreignOrigin([]string{origin}, h.Origins) != "":
		return nil, errForeign
	}
	return map[string]string{
		"Access-Control-Allow-Origin":      origin,
		"Access-Control-Allow-Credentials": "true",
		"Vary":                             "Origin",
	}, nil
}

// preflight returns what a preflight is answered besides: the headers that the
// page asks for, as the Socket.IO servers of the newer clients do.
func preflight(ev *HTTPRequest) map[string]string {
	answer := map[string]string{
		"Access-Control-Allow-Methods": http.MethodGet + ", " + http.MethodPost,
		"Access-Control-Max-Age":       preflightAge,
	}
	if asked := header(ev, "Access-Control-Request-Headers"); len(asked) <= maxRequestHeaders && headerNames.MatchString(asked) {
		answer["Access-Control-Allow-Headers"] = asked
	}
	return answer
}

// header returns a header, whose case is the client's or, from an HTTP API, lower.
func header(ev *HTTPRequest, name string) string {
	for n, value := range ev.Headers {
		if strings.EqualFold(n, name) {
			return value
		}
	}
	return ""
}
