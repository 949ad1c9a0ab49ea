package signal

import (
	"slices"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// ConnectionID is API Gateway's name for a connection.
type ConnectionID string

// Protocol names what a connection speaks. The service itself does nothing
// that depends on it.
type Protocol string

// The protocols.
const (
	EIO3 Protocol = "eio3"          // Engine.IO 3: Socket.IO 1.x and 2.x clients
	EIO4 Protocol = "eio4"          // Engine.IO 4: Socket.IO 3.x and 4.x clients
	JSON Protocol = "owt.signal.v1" // JSON over WebSocket, docs/protocol.md
)

// Engine.IO for clients whose ack ids are no sequence.
const (
	EIO3Unnumbered Protocol = "eio3-unnumbered"
	EIO4Unnumbered Protocol = "eio4-unnumbered"
)

// Peer is all that is needed to send to a connection.
type Peer struct {
	ID       ConnectionID
	Endpoint string // of the API it is connected to, as the Pusher knows it
	Protocol Protocol
	Batches  bool // its client takes several events in a frame ([Batch])
	Recovers bool // what is posted to it is kept, for its client to come back
}

// ConnectionLife is how long the record of a connection is valid: API
// Gateway's longest connection of 2 hours, and a margin.
const ConnectionLife = 2*time.Hour + 10*time.Minute

// EndedLife is how long the record of a connection that has ended is kept if it
// has no session: for who holds the lease, and for who is asked how a number
// ended.
const EndedLife = time.Minute

// Connection is the record of a connection.
type Connection struct {
	Peer
	Client     Client            // what its handshake said, if the authenticator [Needs] it; never the token
	Lobby      LobbyID           // that it takes over from; empty: none
	JoinsLate  bool              // its client asks to join, which is answered once the handshake has authenticated it
	Joining    bool              // it has asked
	User       UserName          // empty until it has authenticated
	Until      lane.Instant      // when its token ends, or its time to bring one, if that is before Expires; zero: not before
	Revocation Revocation        // zero: none
	Attributes map[string]string // of the identity
	Since      lane.Instant      // when it was opened, by API Gateway's clock: of two connections of a user the later owns the name
	Expires    lane.Instant      // from then on the record counts as absent
	Session    string            // empty: none; a later connection may resume it
	Ended      bool              // the connection has ended, or was superseded; the record is kept for a while
	Next       ConnectionID      // the connection that has resumed the session, or was about to; empty: none
	Lane       lane.Lane
}

// Revocation keeps a connection from doing anything new, whatever clock it is
// judged by.
type Revocation struct {
	Code lane.Code // why: it was refused, or its token has ended
	By   string    // the invocation that tells the client, and closes the connection
	At   lane.Instant
}

// Revoked reports whether the connection may do nothing new: it was revoked, or
// the token by which it has authenticated has ended.
func (c Connection) Revoked(now lane.Instant) bool {
	return c.Revocation.Code != lane.OK || c.Until != 0 && c.Until <= now
}

// mayHaveCome reports whether a number that the lane does not know may have come
// before, on the connection that this one would resume. It is not answered when
// this one ends: its client sends it again where the session goes on.
func (c Connection) mayHaveCome() bool { return c.Session != "" && !c.Lane.Opened() }

// Update is one conditional write on the record of a connection: a move of its
// lane, and what the record itself asks and changes besides.
type Update struct {
	lane.Move
	Ended      bool            // asks that the connection has ended; otherwise, that it has not
	NotRevoked bool            // asks that the connection is not revoked
	Speaks     []Protocol      // asks that the connection speaks one of them; nil: any
	Joining    bool            // the client has asked to join
	Opening    *Opening        // nil: stays
	Revocation *Revocation     // asks that there is none, and sets it; nil: stays
	Succession *Succession     // nil: none
	Spent      []lane.Numbered // frames that were fetched: what a store keeps apart of them is not needed any more
}

// Succession makes a connection the next one of its session: it asks that the
// next one is From, and sets To.
type Succession struct{ From, To ConnectionID }

// Opening is what the authentication sets for good.
type Opening struct {
	User       UserName
	Until      lane.Instant
	Attributes map[string]string
}

// updateBy returns the update that makes a move and changes nothing else.
func updateBy(m lane.Move) Update { return Update{Move: m, NotRevoked: m.NewWork()} }

// Allows reports whether u may be made now.
func (c Connection) Allows(u Update, now lane.Instant) bool {
	return c.Ended == u.Ended && (!u.NotRevoked || !c.Revoked(now)) &&
		(u.Revocation == nil || c.Revocation.Code == lane.OK) &&
		(u.Speaks == nil || slices.Contains(u.Speaks, c.Protocol)) &&
		(u.Succession == nil || c.Next == u.Succession.From) && c.Lane.Allows(u.Move)
}

// Applied returns the connection after the update, which it must allow. It
// changes the lane's map of held frames in place.
func (c Connection) Applied(u Update) Connection {
	c.Lane.Apply(u.Move)
	if o := u.Opening; o != nil {
		c.User, c.Until, c.Attributes = o.User, o.Until, o.Attributes
	}
	c.Joining = c.Joining || u.Joining
	if u.Revocation != nil {
		c.Revocation = *u.Revocation
	}
	if u.Succession != nil {
		c.Next = u.Succession.To
	}
	return c
}

// EndedAt returns the connection once it has ended: what it held is given up.
// The record of one without a session expires after [EndedLife].
func (c Connection) EndedAt(now lane.Instant) Connection {
	c.Ended, c.Lane.Held, c.Lane.Size = true, nil, 0
	if c.Session == "" {
		c.Expires = now.Add(EndedLife)
	}
	return c
}
