package apigw

import (
	"encoding/base64"
	"strings"

	"github.com/owt-signal/owt-signal/internal/signal"
)

const (
	authorizationHeader = "Authorization"
	bearer              = "bearer" // RFC 6750, section 2.1; a scheme's case does not matter
	// tokenSubprotocol begins what a browser offers beside the subprotocol: it can
	// set no other header. The token follows in base64url, because a subprotocol's
	// name has not all characters (RFC 6455, section 4.1).
	tokenSubprotocol = "owt.token."
)

// given is the token that a handshake brings, if any.
type given struct {
	token     *string // nil: none
	malformed bool    // one that cannot be read
}

func read(token string) given { return given{token: &token} }

// handshakeToken returns the token that a handshake brings in a way that is
// accepted: of several the one that is least likely to be written down on the
// way.
func handshakeToken(ev *request, accepted signal.Sources) given {
	for _, way := range []struct {
		signal.Source
		take func(*request) given
	}{
		{signal.SourceHeader, takeBearer}, {signal.SourceSubprotocol, takeSubprotocol}, {signal.SourceQuery, takeQuery},
	} {
		if !accepted.Accept(way.Source) {
			continue
		}
		if g := way.take(ev); g.token != nil {
			return g
		}
	}
	return given{}
}

// takeBearer takes what is meant for us: another scheme's credentials are not.
func takeBearer(ev *request) given {
	var g given
	for _, v := range headers(ev, authorizationHeader) {
		scheme, token, _ := strings.Cut(strings.TrimSpace(v), " ")
		token = strings.TrimSpace(token)
		if !strings.EqualFold(scheme, bearer) || token == "" {
			continue
		}
		g.malformed = g.token != nil // of two it is not known which
		g.token = &token
	}
	return g
}

func takeSubprotocol(ev *request) given {
	var g given
	for _, o := range offered(ev) {
		encoded, ok := strings.CutPrefix(o, tokenSubprotocol)
		if !ok {
			continue
		}
		token, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(encoded, "="))
		g.malformed = g.malformed || g.token != nil || err != nil
		text := string(token)
		g.token = &text
	}
	return g
}

func takeQuery(ev *request) given {
	if token, ok := ev.QueryStringParameters[queryToken]; ok {
		return read(token)
	}
	return given{}
}

// offered returns the subprotocols that a client offers.
func offered(ev *request) []string {
	var all []string
	for _, v := range headers(ev, subprotocolHeader) {
		for o := range strings.SplitSeq(v, ",") {
			if o = strings.TrimSpace(o); o != "" {
				all = append(all, o)
			}
		}
	}
	return all
}

// headers returns the values of a header, whose case is the client's.
func headers(ev *request, name string) []string {
	var all []string
	for n, values := range ev.MultiValueHeaders {
		if strings.EqualFold(n, name) {
			all = append(all, values...)
		}
	}
	if ev.MultiValueHeaders != nil {
		return all
	}
	for n, value := range ev.Headers {
		if strings.EqualFold(n, name) {
			all = append(all, value)
		}
	}
	return all
}
