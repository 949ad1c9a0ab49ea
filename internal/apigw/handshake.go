package apigw

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/owt-signal/owt-signal/internal/signal"
)

const subprotocolHeader = "Sec-WebSocket-Protocol"

// What the query of a handshake may say. EIO is Engine.IO's; the others are
// those of OWT's SDKs up to 4.3.1, and of JSON clients.
const (
	queryEngine  = "EIO"
	queryToken   = "token"
	queryType    = "clientType"
	queryVersion = "clientVersion"
	querySession = "session"
	queryResume  = "resume"
	queryFirst   = "first"
)

var (
	errEngine      = errors.New("Engine.IO 3 or 4 is needed (query parameter EIO)")
	errSession     = errors.New("resume, a connection, and first, a whole number from 1, go with a session")
	errSubprotocol = errors.New("none of the offered subprotocols is served; offer " + string(signal.JSON))
	errTooLong     = errors.New("the headers that this server looks at are too long")
)

// handshake reads a $connect event, and which subprotocol is chosen, if any.
// An error is safe to show to the client.
func (h *Handler) handshake(ev *request) (hs signal.Handshake, subprotocol string, err error) {
	query := ev.QueryStringParameters
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
	access := h.Service.Access
	hs.Client = client(ev, access.Needs())
	if needs := access.Needs(); needs.Client && hs.Client.Len() > signal.MaxClient {
		return hs, "", errTooLong
	}
	brought := handshakeToken(ev, access.Sources)
	hs.Token, hs.Malformed = brought.token, brought.malformed
	if hs.Token == nil && authenticatesAtHandshake(hs) {
		hs.Token = new(string)
	}
	if hs.Peer.Protocol == signal.JSON {
		if hs.Session, err = session(query); err != nil {
			return hs, "", err
		}
	}
	subprotocol, err = chooseSubprotocol(ev, hs.Peer.Protocol)
	return hs, subprotocol, err
}

// maxConnectionID bounds the name of a connection that a client gives, in
// bytes. API Gateway's have 16.
const maxConnectionID = 128

// session is a JSON client's, if it has one.
func session(query map[string]string) (*signal.Session, error) {
	s := signal.Session{ID: query[querySession], Resume: signal.ConnectionID(query[queryResume]), First: 1}
	first, given := query[queryFirst]
	if given {
		n, err := strconv.ParseInt(first, 10, 64)
		if err != nil || n < 1 || n > signal.MaxNumber {
			return nil, errSession
		}
		s.First = n
	}
	if len(s.Resume) > maxConnectionID {
		return nil, errSession
	}
	if _, there := query[querySession]; !there {
		if s.Resume != "" || given {
			return nil, errSession
		}
		return nil, nil //nolint:nilnil // most clients have none
	}
	return &s, signal.CheckSessionID(s.ID)
}

// client is what a handshake says beside a token, as far as it is needed.
func client(ev *request, needs signal.Needs) signal.Client {
	c := signal.Client{Type: ev.QueryStringParameters[queryType], Version: ev.QueryStringParameters[queryVersion]}
	if !needs.Client {
		return c
	}
	c.Address = ev.RequestContext.Identity.SourceIP
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

// authenticatesAtHandshake tells clients that never send a token later from
// those that do: JSON clients, and OWT's SDKs up to 4.3.1, which say their
// version. One that has brought none by then has none.
func authenticatesAtHandshake(hs signal.Handshake) bool {
	return hs.Peer.Protocol == signal.JSON || strings.HasPrefix(hs.Client.Version, "4.")
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
