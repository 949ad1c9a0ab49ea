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
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"
)

// What API Gateway takes (docs/protocol.md), until the server says otherwise.
const (
	maxFrame    = 32 << 10  // bytes of one WebSocket frame; larger messages are fragmented
	maxPayload  = 128 << 10 // bytes of one message
	maxInFlight = 128       // messages
)

// connection is one WebSocket connection. Its fields are protected by the
// client's lock unless it says otherwise.
type connection struct {
	client *Client
	ws     *websocket.Conn
	life   context.Context
	cancel context.CancelFunc
	done   chan struct{} // closed when nothing more comes from it
	up     chan struct{} // closed when it was welcome
	first  int64         // the lowest number that the server was told of
	since  time.Time     // when it was welcome

	id       string // the server's name for it
	idle     time.Duration
	window   int // messages
	welcomed bool
	early    []Message // came before the welcome, in an epoch that is not known yet
	refusal  *Error    // why the server closes it

	heard time.Time // when something last came
	asked time.Time // since when an answer is due, if nothing has come since; zero: none is
	// stalled: the program does not receive, so nothing is read. Not under the
	// lock.
	stalled atomic.Bool

	out       sync.Mutex // protects what follows
	queue     []outFrame // to be written
	maxBatch  int        // how many messages the server takes in a frame; zero: no arrays
	writeSoon chan struct{}
}

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
	c.opening = true
	c.mu.Unlock()
	ws, _, err := websocket.Dial(ctx, c.address(before, first), &websocket.DialOptions{
		HTTPClient:   c.options.HTTPClient,
		HTTPHeader:   header,
		Subprotocols: offers,
	})
	if err != nil {
		if e := (*url.Error)(nil); errors.As(err, &e) {
			err = e.Err // without the URL, whose query may have a token
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.notWelcome("")
		return nil, err
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
		return nil, errors.New("the connection was lost before the welcome")
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

// address is the URL to connect to.
func (c *Client) address(before string, first int64) string {
	u := *c.url
	q := u.Query()
	q.Set("session", c.session)
	q.Set("first", strconv.FormatInt(first, 10))
	q.Set("batch", "1")
	if before != "" {
		q.Set("resume", before)
	}
	u.RawQuery = q.Encode()
	return u.String()
}

// parseURL checks a URL before anything is sent to it.
func parseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, err
	}
	if _, err := url.ParseQuery(u.RawQuery); err != nil { // what cannot be decoded would be left out
		return nil, errors.New("the query of the address cannot be decoded")
	}
	switch u.Scheme {
	case "ws", "wss", "http", "https":
		return u, nil
	default:
		return nil, fmt.Errorf("%q: ws, wss, http or https is needed", raw)
	}
}

// read hands on what comes until the connection ends.
func (k *connection) read() {
	for {
		_, text, err := k.ws.Read(k.life)
		if err != nil {
			break
		}
		frames := readFrames(text)
		if len(frames) > maxUnreceived || !k.admit(frames) { // more than any server says at once
			break
		}
		k.client.handle(k, frames)
	}
	k.cancel()
	_ = k.ws.CloseNow()
	k.client.lost(k)
	close(k.done)
}

// admit waits until there is room for the messages.
func (k *connection) admit(frames []frame) bool {
	for _, f := range frames {
		if f.Type == typeMessage && !k.admitMessage() {
			return false
		}
	}
	return true
}

func (k *connection) admitMessage() bool {
	select {
	case k.client.slots <- struct{}{}:
		return true
	default:
	}
	k.stalled.Store(true)
	defer k.stalled.Store(false)
	select {
	case k.client.slots <- struct{}{}:
		return true
	case <-k.life.Done():
		return false
	}
}

// send queues frames: what is queued is bounded by the window, and by what the
// client itself asks for.
func (k *connection) send(frames ...outFrame) {
	k.out.Lock()
	k.queue = append(k.queue, frames...)
	k.out.Unlock()
	select {
	case k.writeSoon <- struct{}{}:
	default:
	}
}

// ask queues frames that the server answers. The client's lock is held.
func (k *connection) ask(now time.Time, frames ...outFrame) {
	if len(frames) == 0 {
		return
	}
	if k.asked.IsZero() {
		k.asked = now
	}
	k.send(frames...)
}

// write writes what is queued until the connection ends.
func (k *connection) write() {
	for {
		select {
		case <-k.life.Done():
			return
		case <-k.writeSoon:
		}
		k.out.Lock()
		queue, most := k.queue, k.maxBatch
		k.queue = nil
		k.out.Unlock()
		for len(queue) > 0 {
			n := together(queue, most)
			if k.writeMessage(k.life, join(queue[:n])) != nil {
				k.cancel()
				return
			}
			queue = queue[n:]
		}
	}
}

// writeMessage writes a message in frames that API Gateway takes.
func (k *connection) writeMessage(ctx context.Context, text []byte) error {
	if len(text) <= maxFrame {
		return k.ws.Write(ctx, websocket.MessageText, text)
	}
	w, err := k.ws.Writer(ctx, websocket.MessageText)
	if err != nil {
		return err
	}
	for len(text) > 0 {
		n := min(maxFrame, len(text))
		if _, err := w.Write(text[:n]); err != nil {
			return err
		}
		text = text[n:]
	}
	return w.Close()
}
