package apigw

import (
	"slices"
	"strings"
)

// originHeader is what browsers say of the page that connects (RFC 6455,
// section 10.2), and no script can change.
const originHeader = "Origin"

// foreignOrigin returns one of the origins that a client has sent if it is none of
// those allowed. A client that sends no Origin is not a browser, and could send any.
func foreignOrigin(sent, allowed []string) string {
	if allowed == nil {
		return ""
	}
	for _, origin := range sent {
		if !slices.ContainsFunc(allowed, func(a string) bool { return allows(a, strings.ToLower(origin)) }) {
			return origin
		}
	}
	return ""
}

// allows reports whether an origin is the allowed one, in which * stands for one
// label, as in a certificate (RFC 6125, section 6.4.3).
func allows(allowed, origin string) bool {
	before, after, wildcard := strings.Cut(allowed, "*")
	if !wildcard {
		return allowed == origin
	}
	label, begins := strings.CutPrefix(origin, before)
	label, ends := strings.CutSuffix(label, after)
	return begins && ends && label != "" && !strings.ContainsAny(label, ".:/@")
}
