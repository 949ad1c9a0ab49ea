package apigw

import (
	"slices"
	"strings"
)

// originHeader is what browsers say of the page that connects (RFC 6455,
// section 10.2), and no script can change.
const originHeader = "Origin"

// foreignOrigin returns the origin of a handshake if it is none of those
// allowed. A client that sends no Origin is not a browser, and could send any.
func foreignOrigin(ev *request, allowed []string) string {
	if allowed == nil {
		return ""
	}
	for _, origin := range headers(ev, originHeader) {
		if !slices.Contains(allowed, strings.ToLower(origin)) {
			return origin
		}
	}
	return ""
}
