package signal

import "time"

// ConnectionID is API Gateway's name for a connection.
type ConnectionID string

// Protocol is what a connection speaks.
type Protocol string

// The protocols.
const (
	EIO3 Protocol = "eio3"          // Engine.IO 3: Socket.IO 1.x and 2.x clients
	EIO4 Protocol = "eio4"          // Engine.IO 4: Socket.IO 3.x and 4.x clients
	JSON Protocol = "owt.signal.v1" // JSON over WebSocket, docs/protocol.md
)

// Peer is all that is needed to send to a connection.
type Peer struct {
	ID       ConnectionID
	Endpoint string // of the API it is connected to, as the Pusher knows it
	Protocol Protocol
}

// ConnectionLife is how long the record of a connection is valid: API
// Gateway's longest connection of 2 hours, and a margin.
const ConnectionLife = 2*time.Hour + 10*time.Minute

// Connection is the record of a connection. That it exists is what makes a
// connection somebody: a superseded one has none.
type Connection struct {
	Peer
	Client     Client            // what its handshake said, if the authenticator [Needs] it; never the token
	Early      bool              // it authenticates with its handshake, and waits for that to be let in
	User       UserName          // empty until it has authenticated
	Until      Instant           // when its token ends, or its time to bring one, if that is before Expires; zero: not before
	Bar        Bar               // why it is barred, if it is
	Attributes map[string]string // of the identity
	Since      Instant           // when it was admitted: of two connections of a user the later owns the name
	Expires    Instant           // from then on the record counts as absent
	Session    string            // empty: none; a later connection may go on with it
	Ended      bool              // the connection is nobody; what is left is what its session goes on with
	Lane       Lane
}

// Bar keeps a connection from taking on anything new, whatever clock it is
// judged by.
type Bar struct {
	Code Code // why: it was refused, or its token has ended
	By   string
	At   Instant
}

// Barred reports whether the connection may take on nothing new: it has a bar,
// or the token by which it has authenticated has ended.
func (c Connection) Barred(now Instant) bool {
	return c.Bar.Code != OK || c.Until != 0 && c.Until <= now
}

// Allows reports whether m may be made now.
func (c Connection) Allows(m Move, now Instant) bool {
	return c.Ended == m.Guard.Ended && (!m.Guard.Valid || !c.Barred(now)) && c.Lane.Allows(m)
}

// Applied is the connection after the move, which it must allow.
func (c Connection) Applied(m Move) Connection {
	c.Lane.Apply(m)
	if o := m.Change.Opening; o != nil {
		c.User, c.Until, c.Attributes = o.User, o.Until, o.Attributes
	}
	if m.Change.Bar != nil {
		c.Bar = *m.Change.Bar
	}
	return c
}
