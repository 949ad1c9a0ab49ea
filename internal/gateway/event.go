package gateway

import (
	cryptorand "crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/owt-signal/owt-signal/internal/gateway/socket"
)

// Route keys and event types, from the page "Integration request for WebSocket API in API Gateway".
const (
	routeConnect    = "$connect"
	routeMessage    = "$default"
	routeDisconnect = "$disconnect"

	eventConnect    = "CONNECT"
	eventMessage    = "MESSAGE"
	eventDisconnect = "DISCONNECT"
)

// The API of all events, and its domain's name.
const (
	apiID      = "local"
	domainName = apiID + ".execute-api.us-east-1.amazonaws.com"
)

// requestTimeLayout is the time format of access logs, "09/Feb/2024:18:11:43 +0000", as in observed events.
const requestTimeLayout = "02/Jan/2006:15:04:05 -0700"

// connectEvent is the event of a handshake. It carries all headers of the request, in Go's canonical form and with
// Host among them; the X-Forwarded-* headers, which API Gateway adds, are left out. Where a header or a query parameter
// comes more than once, the single-value form has the last.
func (g *Gateway) connectEvent(c *connection, r *http.Request) *events.APIGatewayWebsocketProxyRequest {
	event := g.event(c, time.Now(), routeConnect, eventConnect)
	headers := r.Header.Clone()
	headers.Set("Host", r.Host)
	event.Headers, event.MultiValueHeaders = last(headers), headers
	if query := r.URL.Query(); len(query) > 0 {
		event.QueryStringParameters, event.MultiValueQueryStringParameters = last(query), query
	}
	return event
}

func (g *Gateway) messageEvent(c *connection, now time.Time, body string) *events.APIGatewayWebsocketProxyRequest {
	event := g.event(c, now, routeMessage, eventMessage)
	event.Body = body
	event.RequestContext.MessageID = requestID()
	return event
}

func (g *Gateway) disconnectEvent(c *connection, why socket.CloseReason) *events.APIGatewayWebsocketProxyRequest {
	event := g.event(c, time.Now(), routeDisconnect, eventDisconnect)
	event.RequestContext.DisconnectStatusCode = int64(why.Code)
	event.RequestContext.DisconnectReason = &why.Text
	return event
}

// event makes what all events share.
func (g *Gateway) event(c *connection, now time.Time, routeKey, eventType string) *events.APIGatewayWebsocketProxyRequest {
	request := requestID()
	return &events.APIGatewayWebsocketProxyRequest{
		RequestContext: events.APIGatewayWebsocketProxyRequestContext{
			RouteKey:          routeKey,
			EventType:         eventType,
			ExtendedRequestID: request,
			RequestID:         request,
			RequestTime:       g.requestTime(now),
			RequestTimeEpoch:  now.UnixMilli(),
			MessageDirection:  "IN",
			Stage:             g.config.Stage,
			ConnectedAt:       c.Created().UnixMilli(),
			ConnectionID:      c.id,
			DomainName:        domainName,
			APIID:             apiID,
			Identity:          events.APIGatewayRequestIdentity{SourceIP: c.sourceIP, UserAgent: c.userAgent},
		},
	}
}

// second is a second and how it is written.
type second struct {
	unix int64
	text string
}

// requestTime writes each second once: many events are made in one.
func (g *Gateway) requestTime(now time.Time) string {
	if s := g.second.Load(); s != nil && s.unix == now.Unix() {
		return s.text
	}
	s := &second{now.Unix(), now.UTC().Format(requestTimeLayout)}
	g.second.Store(s)
	return s.text
}

func last(values map[string][]string) map[string]string {
	single := make(map[string]string, len(values))
	for key, all := range values {
		if len(all) > 0 {
			single[key] = all[len(all)-1]
		}
	}
	return single
}

// All ids look like the service's, "L0SM9cOFvHcCIhw=": 11 bytes in URL-safe base64.
const (
	idBytes = 11
	idChars = 16
)

// connectionID gives an id nobody can guess: knowing it is what lets a caller post.
func connectionID() string {
	var id [idBytes]byte
	cryptorand.Read(id[:]) // never fails, says its documentation
	return base64.URLEncoding.EncodeToString(id[:])
}

// requestID gives the id of a request or message, which is no secret.
func requestID() string {
	var id [16]byte
	binary.NativeEndian.PutUint64(id[:], rand.Uint64())
	binary.NativeEndian.PutUint64(id[8:], rand.Uint64())
	return base64.URLEncoding.EncodeToString(id[:idBytes])
}

// wellFormed reports whether id could be a connection id at all.
func wellFormed(id string) bool {
	raw, err := base64.URLEncoding.DecodeString(id)
	return err == nil && len(raw) == idBytes && len(id) == idChars // decoding skips line ends
}
