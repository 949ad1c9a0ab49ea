package apigw

import (
	"crypto/subtle"
	"slices"
	"strings"

	"github.com/aws/aws-lambda-go/events"
)

// edgeHeader has what only the distribution in front of the API knows.
const edgeHeader = "X-Owt-Edge"

// source returns the address that a client comes from. Through the distribution
// that is what CloudFront has appended to X-Forwarded-For ("Request and response
// behavior for custom origins", CloudFront Developer Guide); API Gateway sees, and
// may append, CloudFront's own.
func (h *Handler) source(ev *events.APIGatewayWebsocketProxyRequest) string {
	peer := ev.RequestContext.Identity.SourceIP
	key := headers(ev, edgeHeader)
	if h.Edge == "" || len(key) != 1 || subtle.ConstantTimeCompare([]byte(key[0]), []byte(h.Edge)) == 0 {
		return peer
	}
	hops := strings.Split(strings.Join(headers(ev, "X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		if hop = strings.TrimSpace(hop); hop != "" && hop != peer {
			return hop
		}
	}
	return peer
}
