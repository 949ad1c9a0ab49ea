package apigw

import (
	"slices"
	"strings"
)

// originHeader is what browsers say of the page that connects (RFC 6455,
// section 10.2), and no script can change.
const originHeader = "Origin"

// foreignOrigin is the origin of a handshake if it is none of those allowed.
// Who says none is no browser, and could say any.
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
