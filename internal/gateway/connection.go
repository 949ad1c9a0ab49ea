package gateway

import (
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/gobwas/ws"

	"github.com/owt-signal/owt-signal/internal/gateway/socket"
)

// deleted is what API Gateway says and tells of DeleteConnection. It, the text of socket.GoingAway (for the idle
// time-out) and noStatusText are observed on AWS. That the end of a connection's duration and of the gateway also say
// GoingAway is by analogy. For socket.Abnormal no text is published, nor whether the code is RFC 6455's.
var deleted = socket.CloseReason{Code: ws.StatusNormalClosure, Text: "Connection Closed Normally"}

// noStatusText is what $disconnect tells of a close frame without a status.
const noStatusText = "Client-side close frame status not set"

// connection is one client.
type connection struct {
	*socket.Conn

	gateway   *Gateway
	id        string
	sourceIP  string
	network   netip.Prefix // counted as one source
	userAgent string
	slots     chan struct{} // one element for each invocation under way; nil if functions are invoked inline
}

func (g *Gateway) newConnection(r *http.Request, source netip.Addr) *connection {
	c := &connection{
		gateway: g, id: connectionID(), sourceIP: source.String(), network: network(source), userAgent: strings.Clone(r.UserAgent()),
	}
	c.Conn = g.engine.NewConn(c, c.network)
	if !g.config.Inline {
		c.slots = make(chan struct{}, MaxInvocations)
	}
	return c
}

// Message implements socket.Handler. It invokes the Default function, concurrently with the invocations for the messages
// before unless that is to be inline.
func (c *connection) Message(body string) {
	g, now := c.gateway, time.Now()
	event := g.messageEvent(c, now, body)
	request := event.RequestContext.RequestID
	if g.config.Routes.Default == nil {
		c.answer(request, errorFrame(messageForbidden, c.id, request), nil)
		return
	}
	if g.config.Inline {
		response, err := g.invokeInline(g.config.Routes.Default, now, event)
		c.answer(request, response.Body, err)
		return
	}
	c.slots <- struct{}{}
	g.work.Go(func() {
		g.invoke(g.config.Routes.Default, event, func(response events.APIGatewayProxyResponse, err error) {
			defer func() { <-c.slots }()
			c.answer(request, response.Body, err)
		})
	})
}

// answer sends the client the answer to its message, an error frame if its invocation failed, and nothing if there is
// none. An answer larger than MaxMessage becomes an error frame, too (what API Gateway does is not known); one for a
// connection that has ended is dropped.
func (c *connection) answer(request, body string, err error) {
	log := c.gateway.config.Log
	if err == nil && len(body) > MaxMessage {
		log.Warn("response too large", "connection", c.id, "request", request, "route", routeMessage, "bytes", len(body))
		err = ErrPayloadTooLarge
	}
	if err != nil {
		body = errorFrame(messageInternalError, c.id, request)
	}
	if body == "" {
		return
	}
	if err := c.Send(body); err != nil {
		log.Debug("response dropped", "connection", c.id, "request", request, "route", routeMessage, "error", err)
	}
}

// Closed implements socket.Handler. It tells Disconnect.
func (c *connection) Closed(why socket.CloseReason) {
	g := c.gateway
	g.leave(c)
	g.config.Log.Debug("disconnected", "connection", c.id, "code", int(why.Code))
	if why == socket.NoStatus {
		why.Text = noStatusText
	}
	if function := g.config.Routes.Disconnect; function != nil {
		g.invoke(function, g.disconnectEvent(c, why), func(events.APIGatewayProxyResponse, error) {})
	}
}

// Messages of the error frames and refusals that API Gateway itself sends.
const (
	messageForbidden     = "Forbidden"
	messageInternalError = "Internal server error"
)

// errorFrame is what API Gateway sends to a client on its own behalf, byte for byte as observed.
func errorFrame(message, connection, request string) string {
	return `{"message": "` + message + `", "connectionId":"` + connection + `", "requestId":"` + request + `"}`
}
