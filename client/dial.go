package client

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"
)

// dial opens a connection that goes on with the one before, if there was one.
// It returns once the server has welcomed it, and else an error. ctx bounds
// only the dialling.
func (c *Client) dial(ctx context.Context, before string) (*connection, error) {
	header, offers, err := c.credentials(ctx)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	first := c.outbox.first()
	address := c.address(before, first)
	c.opening = true
	c.mu.Unlock()
	ws, answer, err := websocket.Dial(ctx, address, &websocket.DialOptions{
		HTTPClient:   c.options.HTTPClient,
		HTTPHeader:   header,
		Subprotocols: offers,
	})
	if err == nil && ws.Subprotocol() != subprotocol {
		_ = ws.CloseNow()
		err = errors.New("what serves this path is another service: it does not speak " + subprotocol)
	}
	if err != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.notWelcome("")
		return nil, handshakeError(answer, err)
	}
	ws.SetReadLimit(2 * maxPayload) // bytes
	k := &connection{
		client: c, ws: ws, first: first,
		done: make(chan struct{}), up: make(chan struct{}), writeSoon: make(chan struct{}, 1),
		window: maxInFlight,
	}
	k.heard = time.Now()
	k.life, k.cancel = context.WithCancel(c.life)
	c.run(k.write)
	c.run(k.read)
	select {
	case <-k.up:
	case <-k.done:
	case <-ctx.Done():
		k.cancel()
		<-k.done
	}
	return k.welcome(ctx)
}

// welcome is k if it was welcome, even if it has ended since: then the next one
// has to go on with it.
func (k *connection) welcome(ctx context.Context) (*connection, error) {
	k.client.mu.Lock()
	defer k.client.mu.Unlock()
	if k.welcomed {
		return k, nil
	}
	k.client.notWelcome(k.id)
	switch {
	case k.client.err != nil:
		return nil, k.client.err
	case k.refusal != nil:
		return nil, k.refusal
	case ctx.Err() != nil:
		return nil, fmt.Errorf("no welcome: %w", ctx.Err())
	default:
		return nil, fmt.Errorf("the connection was lost before the welcome: %w", k.ending)
	}
}

// handshakeError says why there is no WebSocket: what the server has answered
// instead, or what came in the way.
func handshakeError(answer *http.Response, err error) error {
	if answer == nil {
		if e := (*url.Error)(nil); errors.As(err, &e) {
			return e.Err // without the URL, whose query may have a token
		}
		return err
	}
	switch answer.StatusCode {
	case http.StatusSwitchingProtocols:
		return err
	case http.StatusForbidden: // API Gateway's answer to a path that it does not serve, too
		return fmt.Errorf("the server answered %s: it does not serve this path, or not for this origin", answer.Status)
	default:
		return fmt.Errorf("the server answered %s, not with a WebSocket", answer.Status)
	}
}

// notWelcome ends a try to connect. The server says a connection's id before it
// claims the name for it: without one, it was another client by which the current
// connection was superseded meanwhile. The lock is held.
func (c *Client) notWelcome(id string) {
	if c.doubtful && id == "" {
		c.endLocked(ErrSuperseded)
		c.cancel()
	}
	c.opening, c.doubtful = false, false
}

// credentials are what brings the token: a header, or a subprotocol, as browsers
// bring theirs, for one that would not be the same in a header. So it is in no address
// that somebody writes down (docs/authentication.md, Where a token travels).
func (c *Client) credentials(ctx context.Context) (header http.Header, offers []string, err error) {
	token := c.options.Token
	if c.options.TokenSource != nil {
		if token, err = c.options.TokenSource(ctx); err != nil {
			return nil, nil, fmt.Errorf("get a token: %w", err)
		}
	}
	switch {
	case token == "" && !c.options.Anonymous && !c.url.Query().Has("token"):
		return nil, nil, ErrNoToken
	case token == "":
		return nil, []string{subprotocol}, nil
	case !utf8.ValidString(token):
		return nil, nil, errors.New("use the token: it is not UTF-8")
	case token != strings.TrimSpace(token), strings.ContainsFunc(token, func(r rune) bool { return r < ' ' || r > '~' }):
		return nil, []string{subprotocol, tokenSubprotocol + base64.RawURLEncoding.EncodeToString([]byte(token))}, nil
	default:
		return http.Header{"Authorization": {"Bearer " + token}}, []string{subprotocol}, nil
	}
}

// address is the URL to connect to. The lock is held.
func (c *Client) address(before string, first int64) string {
	u := *c.url
	q := u.Query()
	q.Set("session", c.session)
	q.Set("first", strconv.FormatInt(first, 10))
	q.Set("batch", "1")
	q.Set("recover", "1")
	if c.inbox.epoch != "" {
		q.Set("epoch", c.inbox.epoch)
		q.Set("since", strconv.FormatInt(c.inbox.next-1, 10))
	}
	if before != "" {
		q.Set("resume", before)
	}
	u.RawQuery = q.Encode()
	return u.String()
}

// defaultPath is where the local server, and a domain of one's own, serve every
// OWT client.
const defaultPath = "/socket.io/"

// parseURL checks a URL before anything is sent to it.
func parseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if e := (*url.Error)(nil); errors.As(err, &e) {
		return nil, e.Err // without the URL
	}
	if err != nil {
		return nil, err
	}
	if _, err := url.ParseQuery(u.RawQuery); err != nil { // what cannot be decoded would be left out
		return nil, errors.New("the query of the address cannot be decoded")
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = defaultPath
	}
	switch {
	case u.Scheme != "ws" && u.Scheme != "wss" && u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("the address begins with none of ws://, wss://, http:// and https://")
	case u.Host == "":
		return nil, errors.New("the address names no host")
	default:
		return u, nil
	}
}
