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
	User    UserName // empty until it has authenticated
	Since   Instant  // when it was admitted: of two connections of a user the later owns the name
	Expires Instant  // from then on the record counts as absent
	Session string   // empty: none; a later connection may go on with it
	Ended   bool     // the connection is nobody; what is left is what its session goes on with
	Lane    Lane
}

// Applied is the connection after the move, which its lane must allow.
func (c Connection) Applied(m Move) Connection {
	c.Lane.Apply(m)
	if m.Change.Opening != nil {
		c.User = m.Change.Opening.User
	}
	return c
}
