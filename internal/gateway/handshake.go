package gateway

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/aws/aws-lambda-go/events"
	"github.com/gobwas/ws"

	"github.com/owt-signal/owt-signal/internal/gateway/socket"
)

// ServeHTTP is the WebSocket endpoint: /{stage} and /{mapping}, each with or without a trailing slash. It holds the
// handshake's answer back until the Connect function has returned, and returns itself once the connection is
// established or refused; the connection lives on. w must let its connection be taken over (http.ResponseController).
//
// Refusals are JSON, {"message":…}: 403 for any other path, 414 past MaxURL, 426 without an upgrade to WebSocket, 400
// for a malformed one, one with a body, and a query that cannot be decoded, 429 and 503 past Limits, 502 when the Connect
// function failed, 503 when the gateway is closed. A status of the Connect function other than 2xx becomes the answer, with
// its body. Any Origin is accepted, as by API Gateway.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	source := g.source(r)
	refusal := g.refuse(r)
	if refusal == nil {
		refusal = g.enter(network(source))
	}
	if refusal != nil {
		if r.ContentLength != 0 {
			w.Header().Set("Connection", "close") // and is not read to its end
		}
		refusal.write(w)
		return
	}
	defer g.work.Done()

	c := g.newConnection(r, source)
	if g.config.Early {
		g.join(c)
	}
	if !g.establish(c, w, r) {
		c.End(socket.Abnormal)
		g.leave(c)
	}
}

// establish answers the handshake as the Connect function decides, and reports whether the connection was started.
func (g *Gateway) establish(c *connection, w http.ResponseWriter, r *http.Request) (started bool) {
	response, err := g.connect(c, r)
	switch {
	case err != nil || response.StatusCode < 200 || response.StatusCode > 599:
		(&httpError{status: http.StatusBadGateway, message: messageInternalError}).write(w)
	case response.StatusCode > 299:
		w.WriteHeader(response.StatusCode)
		fmt.Fprint(w, response.Body)
	default:
		return g.upgrade(c, w, r, header(response, "Sec-WebSocket-Protocol"))
	}
	return false
}

// refuse judges a request before any function hears of it, the handshake by RFC 6455 section 4.2.1.
func (g *Gateway) refuse(r *http.Request) *httpError {
	switch {
	case !g.serves(r.URL.Path):
		return &httpError{status: http.StatusForbidden, message: messageForbidden}
	case len(r.RequestURI) > MaxURL:
		return &httpError{status: http.StatusRequestURITooLong, message: "Request URI too long"}
	case r.Method != http.MethodGet, !r.ProtoAtLeast(1, 1), !names(r.Header, "Connection", "upgrade"), !names(r.Header, "Upgrade", "websocket"):
		return &httpError{status: http.StatusUpgradeRequired, message: "Upgrade Required"}
	case r.Header.Get("Sec-Websocket-Version") != "13", !validKey(r.Header.Values("Sec-Websocket-Key")), r.ContentLength != 0, !decodable(r.URL.RawQuery):
		return &httpError{status: http.StatusBadRequest, message: "Bad Request"}
	}
	return nil
}

func (g *Gateway) serves(path string) bool {
	key := strings.TrimSuffix(strings.TrimPrefix(path, "/"), "/")
	return key == g.config.Stage || slices.Contains(g.config.Mappings, key)
}

// names reports whether a comma-separated header has the token, which must be in lower case.
func names(h http.Header, key, token string) bool {
	return slices.ContainsFunc(strings.Split(strings.Join(h.Values(key), ","), ","), func(item string) bool {
		return strings.ToLower(strings.TrimSpace(item)) == token
	})
}

func validKey(keys []string) bool {
	if len(keys) != 1 {
		return false
	}
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(keys[0]))
	return err == nil && len(raw) == 16
}

// decodable reports whether every parameter of a query can be decoded: of one that cannot, nobody knows what it would have
// said. What API Gateway makes of it is not known.
func decodable(query string) bool {
	_, err := url.ParseQuery(query)
	return err == nil
}

// connect asks the Connect function and waits for it, for the integration timeout at most.
func (g *Gateway) connect(c *connection, r *http.Request) (response events.APIGatewayProxyResponse, err error) {
	if g.config.Routes.Connect == nil {
		return events.APIGatewayProxyResponse{StatusCode: http.StatusOK}, nil
	}
	event := g.connectEvent(c, r)
	answered := make(chan struct{})
	g.work.Go(func() {
		g.invoke(g.config.Routes.Connect, event, func(answer events.APIGatewayProxyResponse, failure error) {
			response, err = answer, failure
			close(answered)
		})
	})
	<-answered
	return response, err
}

// upgrade writes the 101 and starts the connection, which can be posted to from here on, if it could not before. If the
// 101 cannot be written the connection was never established, and there will be no $disconnect.
func (g *Gateway) upgrade(c *connection, w http.ResponseWriter, r *http.Request, protocol string) (started bool) {
	// refuse has judged the handshake. The upgrader does so again, and sees only the first value of a header, and no lists.
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", "websocket")
	upgrader := ws.HTTPUpgrader{Header: http.Header{}}
	if protocol != "" {
		upgrader.Header.Set("Sec-WebSocket-Protocol", protocol)
	}
	conn, buffers, _, err := upgrader.Upgrade(r, w)
	if err != nil {
		g.config.Log.WarnContext(r.Context(), "upgrade connection", "connection", c.id, "error", err)
		if conn != nil {
			conn.Close()
		}
		return false
	}
	g.config.Log.DebugContext(r.Context(), "connected", "connection", c.id)
	open := g.join(c)
	c.Start(conn, buffers.Reader)
	if !open {
		c.End(socket.GoingAway)
	}
	return true
}

// header returns a header of a response in either form, in any case; the multi-value form wins, as on AWS.
func header(response events.APIGatewayProxyResponse, name string) string {
	h := http.Header{}
	for key, value := range response.Headers {
		h.Set(key, value)
	}
	for key, values := range response.MultiValueHeaders {
		if len(values) > 0 {
			h.Set(key, values[0])
		}
	}
	return h.Get(name)
}
