package client

import (
	"context"
	cryptorand "crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// Options are what a client may be told. The zero value of each has a meaning;
// clients/SPEC.md says why the times are what they are.
type Options struct {
	// Token says who the user is. Without one, Dial fails, unless the user is to be
	// anonymous. A token that no header can carry as it is, with white space at its
	// ends, control characters or others than ASCII, goes as a subprotocol.
	Token string
	// TokenSource is asked for a token before each connection, for tokens that
	// end: with one, the connection does, and the next one needs another. It
	// goes before Token.
	TokenSource func(context.Context) (string, error)
	// Anonymous connects without a token if there is none, where the server allows
	// it: the server makes up a name, another one for each connection.
	Anonymous bool

	// AckTimeout is how long an answer may take before the same is sent again
	// under the same number, and a third of how long a connection may be silent
	// that owes one before it is given up. Zero: 2 s.
	AckTimeout time.Duration
	// Heartbeat is how long nothing may come before the client pings, so that
	// a connection is not closed as idle, and a dead one is noticed. It is a
	// quarter of the server's idle time at most. Zero: 1 minute. On AWS each ping
	// is an invocation.
	Heartbeat time.Duration
	// RenewAfter is the age at which a connection is replaced by a new one; up
	// to a tenth less, at random. Zero: 1 h 50 min; API Gateway closes any
	// connection after 2 hours.
	RenewAfter time.Duration
	// GapWait is how long a message is kept back for those before it that have
	// not come. Zero: 3 s.
	GapWait time.Duration
	// MinBackoff and MaxBackoff are the longest wait before connecting again: at
	// first, and after it has doubled with each try. The wait is at random, at least
	// half of that. Zero: 500 ms and 15 s.
	MinBackoff, MaxBackoff time.Duration
	// Grace is how long, after a connection was lost, messages wait for their
	// receivers to be back. Zero: 20 s.
	Grace time.Duration

	// OnState, if not nil, is told of each state of the client, and why: what the
	// connection was lost by, and what each attempt failed by, until there is another
	// one; what Err returns, when the client has ended. The first is StateConnected. It
	// is called, like OnGap, by one goroutine, so that one call follows the other, and
	// may not call Close.
	OnState func(State, error)
	// OnGap, if not nil, is told of messages for this user that were lost, soon after
	// it is known.
	OnGap func(Gap)

	// HTTPClient makes the handshakes; its Transport may bring TLS roots or a
	// proxy. Nil: [http.DefaultClient].
	HTTPClient *http.Client
	// Log gets what becomes of connections, at level debug, and never a token or
	// a message. Nil: nothing is logged.
	Log *slog.Logger

	random func() float64 // from 0 to 1; nil: as it comes
}

func (o Options) withDefaults() Options {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&o.AckTimeout, 2 * time.Second},
		{&o.Heartbeat, time.Minute},
		{&o.RenewAfter, 110 * time.Minute},
		{&o.GapWait, 3 * time.Second},
		{&o.MinBackoff, 500 * time.Millisecond},
		{&o.MaxBackoff, 15 * time.Second},
		{&o.Grace, 20 * time.Second},
	} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelError + 1}))
	}
	if o.random == nil {
		o.random = rand.Float64
	}
	return o
}

const (
	// dialWithin bounds one try to connect, the welcome included.
	dialWithin = 10 * time.Second
	// lingerWithin is how long a connection is still read that was replaced. The
	// server closes it at once.
	lingerWithin = 10 * time.Second
	// leaveWithin bounds how long Close waits for the server.
	leaveWithin = 2 * time.Second
	// maxUnreceived is how many messages are kept for Receive. Past it, the
	// connection is not read: acks wait, too.
	maxUnreceived = 1024
)

// Client is a user's client, with a session that outlives its connections. Its
// methods may be called concurrently.
type Client struct {
	url     *url.URL
	options Options
	session string

	life   context.Context // of all connections
	cancel context.CancelFunc
	work   sync.WaitGroup

	ended   chan struct{} // closed when the client ends
	arrived chan struct{} // has an element if there may be something to receive
	noticed chan struct{} // has an element if there may be notices
	slots   chan struct{} // an element for each message that was not received yet
	asking  chan struct{} // has an element while somebody asks for presence
	soon    chan struct{} // has an element if a deadline came earlier

	mu       sync.Mutex // protects what follows
	err      error      // why the client has ended
	user     string
	outbox   outbox
	inbox    inbox
	received []Message
	notices  []func()      // calls of the program's functions that are due
	current  *connection   // the newest that was welcome; nil: none is up
	others   int           // connections that were welcome and replaced, and are still read
	online   chan struct{} // closed while current is not nil
	payload  int           // bytes that a message may have
	opening  bool          // a connection is on its way, which was not welcome yet
	doubtful bool          // the current one was superseded meanwhile: by that, or by another client
	query    *query        // presence that is asked for
	watches  map[string]*watch
	ice      iceServers
	armed    time.Time // the earliest deadline that is known
	corks    int       // who want that nothing is sent yet
}

// Dial connects to the server at a URL like wss://host/prod, and returns once
// the server has said the user's name. The scheme is ws, wss, http or https; a path
// that is missing is /socket.io/, which the local server and a domain of one's own
// serve. Dial tries once; later connections are tried for until the client ends.
// ctx bounds the dialling only, which ends after 10 s in any case. The error
// wraps a [*Error] if the server refuses the client, and is [ErrNoToken] if there
// is no token.
func Dial(ctx context.Context, url string, o Options) (*Client, error) {
	u, err := parseURL(url)
	if err != nil {
		return nil, fmt.Errorf("dial: %w", err)
	}
	o = o.withDefaults()
	c := &Client{
		url: u, options: o, session: newSession(),
		ended: make(chan struct{}), online: make(chan struct{}),
		arrived: make(chan struct{}, 1), noticed: make(chan struct{}, 1), soon: make(chan struct{}, 1),
		watches: make(map[string]*watch),
		slots:   make(chan struct{}, maxUnreceived), asking: make(chan struct{}, 1),
		outbox: outbox{timeout: o.AckTimeout}, inbox: inbox{wait: o.GapWait, recovery: recovery{timeout: o.AckTimeout}}, payload: maxPayload,
	}
	c.life, c.cancel = context.WithCancel(context.Background())
	ctx, cancel := context.WithTimeout(ctx, dialWithin)
	defer cancel()
	k, err := c.dial(ctx, "")
	if err != nil {
		c.end(ErrClosed)
		c.cancel()
		c.work.Wait()
		return nil, fmt.Errorf("dial %s: %w", u.Host, err)
	}
	c.run(func() { c.stayConnected(k) })
	c.run(c.meetDeadlines)
	c.run(c.notify)
	return c, nil
}

// run does some of the client's work, which Close waits for.
func (c *Client) run(work func()) {
	c.work.Add(1)
	go func() {
		defer c.work.Done()
		work()
	}()
}

// newSession makes up the name of a session.
func newSession() string {
	var b [16]byte
	_, _ = cryptorand.Read(b[:]) // never fails, says its documentation
	return hex.EncodeToString(b[:])
}

// User is the name that the server gave last.
func (c *Client) User() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.user
}

// Close takes leave of the server, which takes 2 s at most, and ends the
// client. What Send has under way fails; what has come can still be received.
// It returns when everything has ended. Closing again does nothing more.
func (c *Client) Close() error {
	c.mu.Lock()
	k := c.current
	c.mu.Unlock()
	if c.end(ErrClosed) && k != nil {
		k.send(leaveFrame)
		select {
		case <-k.done:
		case <-time.After(leaveWithin):
		}
	}
	c.cancel()
	c.work.Wait()
	return nil
}

// end ends the client, if it has not ended, and reports whether it had not.
// Connections stay until their context ends.
func (c *Client) end(why error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.endLocked(why)
}

func (c *Client) endLocked(why error) bool {
	if c.err != nil {
		return false
	}
	c.err = why
	c.changed(StateEnded, why)
	for _, m := range c.outbox.abandon(true) {
		if m.number != 0 {
			m.tell(fmt.Errorf("%w: %w", why, ErrUnknown))
		} else {
			m.tell(why)
		}
	}
	close(c.ended)
	return true
}
