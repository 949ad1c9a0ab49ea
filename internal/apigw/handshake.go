package apigw

import (
	"errors"
	"slices"
	"strings"

	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

const (
	subprotocolHeader = "Sec-WebSocket-Protocol"
	userAgentHeader   = "User-Agent"
)

// What the query of a handshake may say in any protocol. EIO is Engine.IO's;
// the others are those of OWT's SDKs up to 4.3.1, and of JSON clients.
const (
	queryEngine  = "EIO"
	queryToken   = "token"
	queryType    = "clientType"
	queryVersion = "clientVersion"
)

var (
	errEngine      = errors.New("Engine.IO 3 or 4 is needed (query parameter EIO)")
	errSubprotocol = errors.New("none of the offered subprotocols is served; offer " + string(signal.JSON))
	errNotText     = errors.New("a header that this server looks at, or a query parameter, is not UTF-8")
	errTwice       = errors.New("a query parameter is given twice: which of them counts is not known")
	errTooLong     = errors.New("the headers that this server looks at are too long")
)

// handshake reads a $connect event, and which subprotocol is chosen, if any.
// An error is safe to show to the client.
func (h *Handler) handshake(ev *request) (hs signal.Handshake, subprotocol string, err error) {
	query := ev.QueryStringParameters
	for _, values := range ev.MultiValueQueryStringParameters {
		if len(values) > 1 {
			return hs, "", errTwice
		}
	}
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
	hs.UserAgent = strings.Join(headers(ev, userAgentHeader), " ")
	hs.At = lane.Instant(ev.RequestContext.ConnectedAt)
	access := h.Service.Access
	hs.Client = h.client(ev, access.Needs())
	switch needs := access.Needs(); {
	case needs.Client && hs.Client.Len() > signal.MaxClient:
		return hs, "", errTooLong
	case needs.Client && !hs.Client.IsText():
		return hs, "", errNotText
	}
	hs.Lobby = lobbyOf(ev, hs.Peer.Protocol)
	brought := handshakeToken(ev, access.Sources)
	hs.Token, hs.Malformed = brought.token, brought.malformed
	if err := h.Protocols[hs.Peer.Protocol].Handshake(query, &hs); err != nil {
		return hs, "", err
	}
	subprotocol, err = chooseSubprotocol(ev, hs.Peer.Protocol)
	return hs, subprotocol, err
}

// client returns what a handshake says beside a token, as far as it is needed.
func (h *Handler) client(ev *request, needs signal.Needs) signal.Client {
	c := signal.Client{Type: ev.QueryStringParameters[queryType], Version: ev.QueryStringParameters[queryVersion]}
	if !needs.Client {
		return c
	}
	c.Address = h.source(ev)
	for _, name := range needs.Headers {
		if values := headers(ev, name); len(values) > 0 {
			if c.Headers == nil {
				c.Headers = make(map[string]string)
			}
			c.Headers[name] = strings.Join(values, ", ") // RFC 9110, section 5.3
		}
	}
	return c
}

// chooseSubprotocol chooses from what the client offers, which may be nothing.
// What carries a token is never chosen: the choice is in the answer. Socket.IO
// clients have no subprotocol of their own; one that offers ours, to bring a
// token, needs it chosen.
func chooseSubprotocol(ev *request, protocol signal.Protocol) (string, error) {
	offers := offered(ev)
	brings := slices.ContainsFunc(offers, func(o string) bool { return strings.HasPrefix(o, tokenSubprotocol) })
	switch {
	case slices.Contains(offers, string(signal.JSON)):
		return string(signal.JSON), nil
	case len(offers) == 0, protocol != signal.JSON && !brings:
		return "", nil
	default:
		return "", errSubprotocol
	}
}
