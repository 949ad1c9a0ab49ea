package apigw

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/aws/aws-lambda-go/events"

	"github.com/owt-signal/owt-signal/internal/signal"
)

type (
	// HTTPRequest is an event of an HTTP API (payload format 2.0).
	HTTPRequest = events.APIGatewayV2HTTPRequest
	// HTTPResponse is the answer to it.
	HTTPResponse = events.APIGatewayV2HTTPResponse
)

// Polling is a [Protocol] whose clients begin by long polling, unless they are
// told otherwise.
type Polling interface {
	Protocol
	// EncodePayload returns the body that carries packets.
	EncodePayload(packets ...[]byte) []byte
	// DecodePayload splits a body into packets, each in order by itself.
	DecodePayload(body []byte) ([][]byte, error)
	// Ends reports whether a client gives up by a packet.
	Ends(packet []byte) bool
}

// MaxPayload is the longest body of a post, in bytes: what a lobby keeps, and
// what frames it.
const MaxPayload = signal.MaxLobbyBytes + signal.MaxLobbyPackets*len("99999:")

// The query of polling (Engine.IO protocol v4, section URL).
const (
	queryTransport = "transport"
	querySID       = "sid"
	queryJSONP     = "j"
	polling        = "polling"
)

// refusal is an error of Engine.IO, as its server answers it (engine.io,
// server.ts, Server.errors).
type refusal struct {
	status  int
	Code    int    `json:"code"`
	Message string `json:"message"`
}

var (
	errTransport   = refusal{http.StatusBadRequest, 0, "Transport unknown"}
	errSID         = refusal{http.StatusBadRequest, 1, "Session ID unknown"}
	errMethod      = refusal{http.StatusBadRequest, 2, "Bad handshake method"}
	errRequest     = refusal{http.StatusBadRequest, 3, "Bad request"}
	errJSONP       = refusal{http.StatusBadRequest, 3, "Bad request: JSONP is not served"}
	errBinary      = refusal{http.StatusUnsupportedMediaType, 3, "Bad request: binary payloads are not served"}
	errTooMuch     = refusal{http.StatusRequestEntityTooLarge, 3, "Bad request: too much before the upgrade to WebSocket"}
	errUnavailable = refusal{http.StatusServiceUnavailable, 3, "Service unavailable"}
	errForeign     = refusal{http.StatusForbidden, 4, "Forbidden"}
	errVersion     = refusal{http.StatusBadRequest, 5, "Unsupported protocol version"}
)

func (r refusal) Error() string { return r.Message }

func (r refusal) body() string {
	b, _ := json.Marshal(r) // a number and a string
	return string(b)
}

// Lobby handles a request of a client that begins by long polling. It never
// fails. Nothing is ever delivered over polling: the client waits until its
// WebSocket takes over.
func (h *Handler) Lobby(ctx context.Context, ev *HTTPRequest) (r HTTPResponse) {
	cors, err := h.cors(ev)
	defer func() {
		if failure := recover(); failure != nil {
			h.Log.ErrorContext(ctx, "request failed", "panic", fmt.Sprint(failure), "stack", string(debug.Stack()))
			h.Service.Count(signal.MetricFailures, 1)
			r = h.refusePolling(ctx, errUnavailable)
		}
		maps.Copy(r.Headers, cors)
		r.Headers["Cache-Control"] = "no-store"
	}()
	if err == nil && ev.RequestContext.HTTP.Method == http.MethodOptions {
		return HTTPResponse{StatusCode: http.StatusNoContent, Headers: preflight(ev)}
	}
	var body string
	if err == nil {
		body, err = h.poll(ctx, ev)
	}
	if err != nil {
		return h.refusePolling(ctx, err)
	}
	return HTTPResponse{StatusCode: http.StatusOK, Headers: map[string]string{"Content-Type": "text/plain; charset=UTF-8"}, Body: body}
}

// refusePolling answers an error. Whoever asks after a lobby that is not there is
// no news.
func (h *Handler) refusePolling(ctx context.Context, err error) HTTPResponse {
	r, ours := errors.AsType[refusal](err)
	switch {
	case errors.Is(err, signal.ErrNoLobby):
		r = errSID
	case errors.Is(err, signal.ErrLobbyFull):
		r = errTooMuch
	case !ours:
		r = errUnavailable
		if ctx.Err() == nil { // otherwise whoever asked has gone
			h.Log.ErrorContext(ctx, "lobby failed", "error", err)
		}
	}
	if r != errSID && r != errUnavailable {
		h.Log.InfoContext(ctx, "polling refused", "reason", r.Message)
		h.Service.Count(signal.MetricRefusals, 1)
	}
	return HTTPResponse{StatusCode: r.status, Headers: map[string]string{"Content-Type": "application/json"}, Body: r.body()}
}

// poll answers a request for polling with its body.
func (h *Handler) poll(ctx context.Context, ev *HTTPRequest) (string, error) {
	query, err := url.ParseQuery(ev.RawQueryString)
	if err != nil {
		return "", errRequest
	}
	for _, values := range query {
		if len(values) > 1 { // of two it is not known which
			return "", errRequest
		}
	}
	protocol, name, err := h.polling(query)
	if err != nil {
		return "", err
	}
	id, method := signal.LobbyID(query.Get(querySID)), ev.RequestContext.HTTP.Method
	switch {
	case id == "" && method == http.MethodGet:
		id, err = h.Service.OpenLobby(ctx, repeated(name, query.Get, header(ev, originHeader)))
		return payload(protocol, signal.LobbyOpened{Lobby: id}), err
	case method == http.MethodGet:
		over, err := h.Service.PollLobby(ctx, id)
		return payload(protocol, signal.Polled{Over: over}), err
	case id != "" && method == http.MethodPost:
		return "ok", h.postPackets(ctx, protocol, id, ev)
	}
	return "", errMethod
}

// polling returns what a client that polls speaks.
func (h *Handler) polling(query url.Values) (Polling, signal.Protocol, error) {
	name, ok := engines[query.Get(queryEngine)]
	protocol, polls := h.Protocols[name].(Polling)
	switch {
	case !ok || !polls:
		return nil, "", errVersion
	case query.Get(queryTransport) != polling:
		return nil, "", errTransport
	case query.Has(queryJSONP):
		return nil, "", errJSONP
	}
	return protocol, name, nil
}

// payload returns the body that tells a client of an event.
func payload(p Polling, e signal.Event) string {
	return string(p.EncodePayload(p.Encode(e)...))
}

// postPackets keeps what a client posts.
func (h *Handler) postPackets(ctx context.Context, p Polling, id signal.LobbyID, ev *HTTPRequest) error {
	body := []byte(ev.Body)
	if ev.IsBase64Encoded {
		decoded, err := base64.StdEncoding.DecodeString(ev.Body)
		if err != nil {
			return errRequest
		}
		body = decoded
	}
	switch {
	case strings.HasPrefix(header(ev, "Content-Type"), "application/octet-stream"):
		return errBinary
	case len(body) > MaxPayload:
		return errTooMuch
	}
	packets, err := p.DecodePayload(body)
	if err != nil {
		h.Log.InfoContext(ctx, "payload not understood", "error", err)
		return errRequest
	}
	if slices.ContainsFunc(packets, p.Ends) {
		return h.Service.EndLobby(ctx, id)
	}
	now, size := h.Service.Clock.Now(), len(body)
	if counted(size) > 0 && !h.keeping.may(h.Kept, now) {
		return errTooMuch
	}
	err = h.Service.PostInLobby(ctx, id, packets)
	if err == nil {
		h.keeping.keep(h.Kept, size, now)
	}
	return err
}

// messages handles what a client has posted in its lobby, as if each had just
// come by the WebSocket: one after the other, each once the one before was
// answered. The answer to the last is the response. What follows the answers goes
// on side by side, as that of invocations does.
func (h *Handler) messages(ctx context.Context, ev *request, posted [][]byte) (response, signal.After) {
	p := h.peer(ev, h.Protocols.of(ev.Body))
	nothing := string(h.Protocols[p.Protocol].Nothing())
	var r response
	var follow []signal.After
	for i, body := range posted {
		if i > 0 && r.Body != nothing {
			if err := h.Connections.Post(ctx, p.Endpoint, p.ID, []byte(r.Body)); err != nil {
				h.Log.InfoContext(ctx, "post failed", "connection", p.ID, "error", err)
			}
		}
		each := *ev
		each.Body = string(body)
		each.RequestContext.MessageID = string(p.ID) + "/" + strconv.Itoa(i)
		var after signal.After
		if r, _, after = h.message(ctx, &each); after != nil {
			follow = append(follow, after)
		}
	}
	return r, func(ctx context.Context) {
		var all sync.WaitGroup
		for _, after := range follow {
			all.Go(func() { after(ctx) })
		}
		all.Wait()
	}
}

// engines are the protocols of Engine.IO, by the query of a handshake.
var engines = map[string]signal.Protocol{"3": signal.EIO3, "4": signal.EIO4}

// lobbyOf returns the lobby that a WebSocket's handshake names, if any. The
// handshake that has opened it had the same origin, or, from a page of this
// server's own origin, none.
func lobbyOf(ev *request, protocol signal.Protocol) *signal.LobbyHandshake {
	query := func(name string) string { return ev.QueryStringParameters[name] }
	id := query(querySID)
	if id == "" || protocol == signal.JSON {
		return nil
	}
	handshakes := []string{repeated(protocol, query, "")}
	for _, origin := range headers(ev, originHeader) {
		handshakes = append(handshakes, repeated(protocol, query, origin))
	}
	return &signal.LobbyHandshake{ID: signal.LobbyID(id), Handshakes: handshakes}
}

// repeated returns what both handshakes of a client have in common, of all that
// this server looks at. A plus sign and a space may be one, as the query is read.
func repeated(protocol signal.Protocol, query func(string) string, origin string) string {
	parts := []string{string(protocol), strings.ToLower(origin)}
	for _, name := range []string{queryToken, queryType, queryVersion} {
		parts = append(parts, strings.ReplaceAll(query(name), "+", " "))
	}
	return strings.Join(parts, "\n")
}
