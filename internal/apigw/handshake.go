package apigw

import (
	"errors"
	"slices"
	"strings"

	"github.com/owt-signal/owt-signal/internal/signal"
)

const subprotocolHeader = "Sec-WebSocket-Protocol"

// What the query of a handshake may say. EIO is Engine.IO's; the others are
// those of OWT's SDKs up to 4.3.1, and of JSON clients.
const (
	queryEngine  = "EIO"
	queryToken   = "token"
	queryVersion = "clientVersion"
)

var (
	errEngine      = errors.New("Engine.IO 3 or 4 is needed (query parameter EIO)")
	errSubprotocol = errors.New("none of the offered subprotocols is served; offer " + string(signal.JSON))
)

// handshake reads a $connect event, and which subprotocol is chosen, if any.
// An error is safe to show to the client.
func (h *Handler) handshake(ev *request) (hs signal.Handshake, subprotocol string, err error) {
	query := ev.QueryStringParameters
	hs.Version = query[queryVersion]
	switch engine, ok := query[queryEngine]; {
	case !ok:
		hs.Peer = h.peer(ev, signal.JSON)
	case engine == "3":
		hs.Peer = h.peer(ev, signal.EIO3)
	case engine == "4":
		hs.Peer = h.peer(ev, signal.EIO4)
	default:
		return hs, "", errEngine
	}
	if token, ok := query[queryToken]; ok || authenticatesAtHandshake(hs) {
		hs.Token = &token
	}
	if hs.Peer.Protocol == signal.JSON {
		subprotocol, err = chooseSubprotocol(ev)
	}
	return hs, subprotocol, err
}

// authenticatesAtHandshake tells clients that never send a token later from
// those that do: JSON clients, and OWT's SDKs up to 4.3.1, which say their
// version. Without a token they are anonymous.
func authenticatesAtHandshake(hs signal.Handshake) bool {
	return hs.Peer.Protocol == signal.JSON || strings.HasPrefix(hs.Version, "4.")
}

// chooseSubprotocol chooses from what the client offers, which may be nothing.
func chooseSubprotocol(ev *request) (string, error) {
	var offered []string
	for name, values := range ev.MultiValueHeaders {
		if strings.EqualFold(name, subprotocolHeader) {
			for _, v := range values {
				for o := range strings.SplitSeq(v, ",") {
					offered = append(offered, strings.TrimSpace(o))
				}
			}
		}
	}
	switch {
	case len(offered) == 0:
		return "", nil
	case slices.Contains(offered, string(signal.JSON)):
		return string(signal.JSON), nil
	default:
		return "", errSubprotocol
	}
}
