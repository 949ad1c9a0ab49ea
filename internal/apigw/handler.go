// Package apigw is the edge to API Gateway: its WebSocket events in, answers
// and @connections operations out.
package apigw

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

type (
	request  = events.APIGatewayWebsocketProxyRequest
	response = events.APIGatewayProxyResponse
)

// Handler handles the routes of a WebSocket API. It never fails: API Gateway
// answers for a failed handler with a frame of its own, which no Socket.IO
// client can read.
type Handler struct {
	Service   *signal.Service
	Protocols Protocols
	// Connections takes frames that a protocol has answered by itself.
	Connections Connections
	// Endpoint is the @connections endpoint of the API that an event is from.
	Endpoint func(events.APIGatewayWebsocketProxyRequestContext) string
	// Origins are those that browsers may connect from; nil: any.
	Origins []string
	// Edge is by what a distribution in front of the API is known; empty: there is
	// none.
	Edge string
	// Idle is after what silence API Gateway closes a connection.
	Idle    time.Duration
	Kept    lane.Rate // see [KeptRate]; zero: no limit
	Log     *slog.Logger
	budgets budgets
	keeping keeping
}

// Connect handles $connect. What follows the answer, the first frames on the
// connection among it, is for the caller to run.
func (h *Handler) Connect(ctx context.Context, ev *request) (response, signal.After) {
	if origin := foreignOrigin(headers(ev, originHeader), h.Origins); origin != "" {
		h.Log.InfoContext(ctx, "origin refused", "connection", ev.RequestContext.ConnectionID, "origin", origin)
		return response{StatusCode: http.StatusForbidden}, nil
	}
	hs, subprotocol, err := h.handshake(ev)
	if err != nil {
		h.Log.InfoContext(ctx, "handshake refused", "connection", ev.RequestContext.ConnectionID, "error", err)
		h.Service.Count(signal.MetricRefusals, 1)
		return response{StatusCode: http.StatusBadRequest, Body: err.Error()}, nil
	}
	after, err := h.Service.Connect(ctx, hs)
	switch {
	case errors.Is(err, signal.ErrNoLobby):
		h.Log.InfoContext(ctx, "lobby refused", "connection", hs.Peer.ID, "error", err)
		h.Service.Count(signal.MetricRefusals, 1)
		return response{StatusCode: http.StatusBadRequest, Body: errSID.body()}, nil
	case err != nil:
		h.Log.ErrorContext(ctx, "connect failed", "connection", hs.Peer.ID, "error", err)
		return response{StatusCode: http.StatusServiceUnavailable}, nil
	}
	r := response{StatusCode: http.StatusOK}
	if subprotocol != "" {
		r.Headers = map[string]string{subprotocolHeader: subprotocol}
	}
	return r, after
}

// Disconnect handles $disconnect.
func (h *Handler) Disconnect(ctx context.Context, ev *request) response {
	id := signal.ConnectionID(ev.RequestContext.ConnectionID)
	h.budgets.forget(id)
	if err := h.Service.Disconnect(ctx, id); err != nil {
		h.Log.ErrorContext(ctx, "disconnect failed", "connection", id, "error", err)
	}
	return response{StatusCode: http.StatusOK}
}

// Message handles $default: one frame of a client.
func (h *Handler) Message(ctx context.Context, ev *request) (response, signal.After) {
	r, posted, after := h.message(ctx, ev)
	if len(posted) == 0 {
		return r, after
	}
	return h.messages(ctx, ev, posted)
}

// message handles one frame. What the client has posted before in its lobby is
// for the caller to handle.
func (h *Handler) message(ctx context.Context, ev *request) (r response, posted [][]byte, after signal.After) {
	p := h.peer(ev, h.Protocols.of(ev.Body))
	var in signal.Input
	defer func() {
		if failure := recover(); failure != nil {
			h.Log.ErrorContext(ctx, "message failed", "connection", p.ID, "panic", fmt.Sprint(failure), "stack", string(debug.Stack()))
			r, posted, after = h.answer(ctx, p, h.Service.Failure(in)), nil, nil
		}
	}()
	for known := false; ; known = true {
		var answer []byte
		var err error
		in, answer, err = h.decode(ev, p.Protocol)
		speaks := p.Protocol
		if !known && (err != nil || in == signal.Input(signal.Leave{})) { // seldom, so it may cost a read
			speaks = h.speaks(ctx, p)
		}
		if speaks == p.Protocol {
			if err != nil {
				h.Log.InfoContext(ctx, "frame not understood", "connection", p.ID, "error", err)
			}
			if in == nil || upgrades(in) && !h.mayUpgrade(p.ID) {
				if in != nil {
					answer = h.Protocols[p.Protocol].Nothing()
				}
				r, after = h.idle(ctx, ev, p, answer)
				return r, nil, after
			}
			reply := h.receive(ctx, ev, p, in)
			if reply.Speaks == "" || known {
				return h.answer(ctx, p, reply.Events), reply.Posted, reply.After
			}
			speaks = reply.Speaks
		}
		p.Protocol = speaks // the form of the frame was misleading
	}
}

// upgrades reports whether an input belongs to taking over from a lobby.
func upgrades(in signal.Input) bool {
	switch in.(type) {
	case signal.Probe, signal.Upgrade:
		return true
	default:
		return false
	}
}

// decode reads a frame in a protocol.
func (h *Handler) decode(ev *request, protocol signal.Protocol) (signal.Input, []byte, error) {
	in, answer, err := h.Protocols[protocol].Decode([]byte(ev.Body))
	switch i := in.(type) {
	case signal.Authenticate:
		if !h.Service.Access.Sources.Accept(signal.SourceEvent) {
			i.Token, i.Malformed = "", false // counts as not given
			in = i
		}
	case signal.Join:
		if !h.Service.Access.Sources.Accept(signal.SourceAuth) {
			in = signal.Join{} // the same
		}
	case signal.Send:
		if i.Number == signal.NoNumber {
			i.ID, _ = ev.RequestContext.MessageID.(string)
			in = i
		}
	case signal.Sends:
		if id, _ := ev.RequestContext.MessageID.(string); id != "" {
			for n := range i {
				i[n].ID = id + " " + strconv.Itoa(n)
			}
		}
	}
	return in, answer, err
}

// answer returns the response that carries events. Of several frames only the last
// can be a response; the others are posted before it.
func (h *Handler) answer(ctx context.Context, p signal.Peer, answers []signal.Event) response {
	protocol := h.Protocols[p.Protocol]
	for i, e := range answers {
		if i < len(answers)-1 {
			h.post(ctx, p, e)
			continue
		}
		if frames := protocol.Encode(e); len(frames) == 1 {
			return frame(frames[0])
		}
		h.post(ctx, p, e)
	}
	return frame(protocol.Nothing())
}

func (h *Handler) post(ctx context.Context, p signal.Peer, e signal.Event) {
	if err := h.Service.Pusher.Post(ctx, p, e); err != nil {
		h.Log.InfoContext(ctx, "post failed", "connection", p.ID, "error", err)
	}
}

func (h *Handler) peer(ev *request, protocol signal.Protocol) signal.Peer {
	return signal.Peer{
		ID:       signal.ConnectionID(ev.RequestContext.ConnectionID),
		Endpoint: h.Endpoint(ev.RequestContext),
		Protocol: protocol,
	}
}

func frame(body []byte) response {
	return response{StatusCode: http.StatusOK, Body: string(body)}
}
