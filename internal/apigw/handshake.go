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
	queryVersion = "clientVersion"
	querySession = "session"
	queryResume  = "resume"
	queryFirst   = "first"
)

var (
	errEngine      = errors.New("Engine.IO 3 or 4 is needed (query parameter EIO)")
	errSession     = errors.New("resume, a connection, and first, a whole number from 1, go with a session")
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
		if hs.Session, err = session(query); err == nil {
			subprotocol, err = chooseSubprotocol(ev)
		}
	}
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
