package sim

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// generation is a kind of client: how it authenticates and how it numbers.
type generation int

const (
	generationJSON    generation = iota // with the handshake; numbers begin at 1 on each connection
	generationA                         // with the handshake; numbers go on across reconnects
	generationB                         // by an event, after what was buffered; numbers go on
	generationJava                      // by an event, before what was buffered; numbers go on
	generationSession                   // JSON with a session: numbers go on, and what was not answered is sent again
	generations
	generationBackend = generations // which is no client
)

// client is a user's program: it connects, sends, and reconnects when its
// connection ends.
type client struct {
	sim    *Sim
	user   signal.UserName
	kind   generation
	next   int64
	socket *socket
	ready  bool       // authenticated, as far as it knows
	left   bool       // does not come back
	queue  []*message // emitted while it was offline

	batches bool   // it sends several messages in a frame, and takes several
	inbox   *inbox // nil: it does not recover

	sights map[signal.UserName]*sight // what it knows of those whom it watches; nil: it watches nobody

	session    string // generationSession: its name
	resume     signal.ConnectionID
	unanswered []*message
	cuts       int // how many of its next connections are cut before they are welcome
}

// socket is a connection of a client.
type socket struct {
	id        signal.ConnectionID
	protocol  signal.Protocol
	client    *client
	open      bool
	opened    bool // was open once
	greeted   bool
	abandoned bool
	shutAt    time.Duration
	auth      int64 // the number of its authentication
	told      map[string]bool
	lobby     *lobby     // nil: it has not been in one
	frame     []*message // emitted on it at this time, and not sent yet
	leaving   leaving
	dead      bool // its link is, without anybody's knowledge
}

// message is one that a client sent.
type message struct {
	id       int
	from     *socket
	n        int64 // or signal.NoNumber
	to       signal.UserName
	arrived  time.Duration // when an invocation first had it; 0: never
	lost     bool
	accepted []acceptance
	// invocations is how often it came to one.
	invocations int
	acks        []ack
}

type acceptance struct {
	by *socket
	at time.Duration
}

type ack struct {
	code lane.Code
	at   time.Duration
}

func (s *Sim) newClient(user signal.UserName, kind generation) *client {
	c := &client{sim: s, user: user, kind: kind}
	if kind == generationSession {
		c.session, c.next = "session"+strconv.Itoa(len(s.clients)), 1
	}
	if s.batches && (kind == generationJSON || kind == generationSession) {
		c.batches = s.chance(0.7)
	}
	if s.recovers && (kind == generationJSON || kind == generationSession) && s.chance(0.8) {
		c.inbox = newInbox()
	}
	if s.watches {
		c.sights = make(map[signal.UserName]*sight)
	}
	s.clients = append(s.clients, c)
	return c
}

// connect opens a new connection.
func (c *client) connect() {
	s := c.sim
	if c.left || c.socket != nil && !c.socket.abandoned {
		return
	}
	s.serial++
	k := &socket{
		id: signal.ConnectionID(string(c.user) + strconv.Itoa(len(s.sockets))), client: c,
		protocol: signal.EIO4, told: make(map[string]bool), auth: signal.NoNumber,
	}
	c.socket, c.ready = k, false
	issued := s.tokens.issue(c.user)
	var token *string
	switch c.kind {
	case generationJSON:
		k.protocol, c.next = signal.JSON, 1
		token = &issued
	case generationSession:
		k.protocol, token = signal.JSON, &issued
	case generationA:
		k.protocol, token = signal.EIO3, &issued
	case generationJava:
		k.protocol = signal.EIO3
	}
	s.tracef("%s connects as %s, kind %d, next number %d", c.user, k.id, c.kind, c.next)
	s.begin(k, token)
}

// handshake is what a client says when it connects.
func (c *client) handshake(token *string) signal.Handshake {
	h := signal.Handshake{Peer: signal.Peer{ID: c.socket.id, Protocol: c.socket.protocol, Batches: c.batches}, Token: token}
	if c.inbox != nil {
		h.Peer.Recovers, h.Since = true, c.inbox.given()
	}
	switch c.kind {
	case generationJSON:
		h.Start = lane.StartAfter(0)
	case generationSession:
		first := c.next
		if len(c.unanswered) > 0 {
			first = c.unanswered[0].n
		}
		h.Start = lane.StartAfter(first - 1)
		h.Session = &signal.Session{ID: c.session, Resume: c.resume}
	}
	return h
}

// renew has a session go on with a new connection while the one before is open.
func (c *client) renew() {
	c.socket, c.ready = nil, false
	c.connect()
}

// disconnected is how a client finds out that its connection has ended.
func (c *client) disconnected(k *socket) {
	k.abandoned = true
	if c.socket != k {
		return
	}
	c.socket, c.ready = nil, false
	c.sim.after(10*time.Millisecond+c.sim.upTo(200*time.Millisecond), c.connect)
}

// greeted is called when the first packet has come.
func (c *client) greeted(k *socket) {
	if c.socket != k || k.greeted {
		return
	}
	k.greeted = true
	c.sim.after(authTimeout, func() {
		if c.socket == k && !c.ready && k.open {
			c.sim.shut(k, true)
		}
	})
	switch c.kind {
	case generationSession:
		c.sendEarly(k)
	case generationA:
		c.flush()
	case generationB:
		c.flush()
		c.authenticate(k)
	case generationJava:
		c.authenticate(k)
		c.flush()
	}
}

// sendEarly has a session send before it is welcome, and perhaps lose its
// connection then.
func (c *client) sendEarly(k *socket) {
	s := c.sim
	if c.resume == "" || c.cuts == 0 && (!s.repeats || !s.chance(0.5)) {
		return // what it sends before its first welcome it may send again in vain
	}
	for _, m := range c.unanswered {
		c.emit(m)
	}
	if c.cuts == 0 {
		return
	}
	c.cuts--
	s.after(s.upTo(80*time.Millisecond), func() {
		if c.socket == k && !c.ready && k.open {
			s.count("cut before welcome")
			s.shut(k, true)
		}
	})
}

// authTimeout is how long a client waits to be authenticated.
const authTimeout = 5 * time.Second

func (c *client) authenticate(k *socket) {
	k.auth = c.next
	c.next++
	c.sim.message(k, "auth "+string(k.id), signal.Authenticate{Number: k.auth, Token: c.sim.tokens.issue(c.user)})
}

func (c *client) flush() {
	for _, m := range c.queue {
		c.emit(m)
	}
	c.queue = nil
}

// send sends a message, now or, if the client keeps what it sends while it is
// offline, when it is connected again.
func (c *client) send(to signal.UserName) {
	s := c.sim
	if c.kind == generationSession {
		c.keep(to)
		return
	}
	online := c.socket != nil && c.socket.greeted && c.socket.open
	if !online && (c.kind == generationJSON || c.left) || online && c.kind != generationJSON && !c.ready {
		return
	}
	m := &message{id: len(s.messages), n: c.next, to: to}
	if online && s.repeats && !s.calm && s.chance(0.15) {
		m.n = signal.NoNumber
	} else {
		c.next++
	}
	s.messages = append(s.messages, m)
	if !online {
		c.queue = append(c.queue, m)
		return
	}
	c.emit(m)
}

// keep sends a message of a session, now or when it goes on.
func (c *client) keep(to signal.UserName) {
	if c.left {
		return
	}
	m := &message{id: len(c.sim.messages), n: c.next, to: to}
	c.next++
	c.sim.messages = append(c.sim.messages, m)
	c.unanswered = append(c.unanswered, m)
	if c.ready {
		c.emit(m)
	}
}

func (c *client) emit(m *message) {
	m.from, m.arrived = c.socket, 0
	c.sim.tracef("%s sends %d to %s: message %d", m.from.id, m.n, m.to, m.id)
	if !c.batches {
		c.sim.message(m.from, "message "+strconv.Itoa(m.id), m.input(c.sim.units))
		return
	}
	if k := m.from; len(k.frame) == 0 {
		c.sim.after(0, k.send)
	}
	m.from.frame = append(m.from.frame, m)
}

// send sends what was emitted at this time, in as few frames as may be.
func (k *socket) send() {
	frame, s := k.frame, k.client.sim
	k.frame = nil
	for some := range slices.Chunk(frame, s.units.together()) {
		var in signal.Sends
		for _, m := range some {
			in = append(in, m.input(s.units))
		}
		if len(in) > 1 {
			s.count("several in a frame")
		}
		s.message(k, fmt.Sprintf("messages %d to %d", some[0].id, some[len(some)-1].id), in)
	}
}

// again sends the last numbers of a connection once more.
func (c *client) again() {
	k := c.socket
	if k == nil || !k.open || !k.greeted {
		return
	}
	for _, m := range slices.Backward(c.sim.messages) {
		if m.from != k {
			break
		}
		if m.n != signal.NoNumber {
			c.sim.count("repeated numbers")
			c.sim.message(k, "message "+strconv.Itoa(m.id)+" again", m.input(c.sim.units))
		}
	}
}

// input returns what the service gets. The data is the message's id.
func (m *message) input(u *units) signal.Send {
	in := signal.Send{Number: m.n, Frame: lane.Frame{To: string(m.to), Data: fmt.Appendf(nil, "%0*d", u.dataBytes(), m.id)}}
	if m.n == signal.NoNumber {
		in.ID = "message " + strconv.Itoa(m.id)
	}
	return in
}

// receive is what a client does about what it is told.
func (c *client) receive(k *socket, e signal.Event) {
	switch e := e.(type) {
	case signal.Opened:
		c.greeted(k)
	case signal.Probed:
		c.sim.probed(k)
	case signal.Welcome:
		if c.socket == k {
			if !c.ready {
				c.sim.watchAll(c)
			}
			c.ready, c.resume = true, k.id
			for _, m := range c.unanswered {
				c.emit(m)
			}
		}
	case signal.Presence:
		c.sees(k, e)
	case signal.Ack:
		if c.session != "" && c.socket == k { // if not, it asks again where it goes on
			c.sim.acked(k, e)
			c.unanswered = slices.DeleteFunc(c.unanswered, func(m *message) bool { return m.n == e.Number })
		}
	case signal.Superseded, signal.ConnectionRefused:
		if c.socket == k {
			c.left = true // another device has the name; it does not fight for it
		}
		if r, ok := e.(signal.ConnectionRefused); ok && r.Code != lane.CodeUnknownUser {
			c.left = false // a passing fault
		}
	}
}
