package signal

import (
	"context"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// Store keeps the records of connections and users. Its reads and conditions
// are strongly consistent; a record whose time has passed counts as absent,
// whether or not it was deleted yet. Its methods may be called concurrently.
// [ErrBusy] means that a call was refused because there are too many for a record,
// and has changed nothing. Errors other than the named ones mean that the outcome is
// not known.
type Store interface {
	ConnectionStore
	UserStore
	LobbyStore
	HistoryStore
	PresenceStore
}

// ConnectionStore keeps a record for each connection.
type ConnectionStore interface {
	// Create writes the record of a new connection, unless there is one.
	Create(ctx context.Context, c Connection) error
	// Get reads the record of a connection; [ErrNoConnection] if there is none.
	Get(ctx context.Context, id ConnectionID, now lane.Instant) (Connection, error)
	// GetEnded reads a record, whether the connection has ended or not;
	// [ErrNoConnection] if there is none.
	GetEnded(ctx context.Context, id ConnectionID, now lane.Instant) (Connection, error)
	// Update makes a conditional write on a record, if [Connection.Allows] it. It
	// returns the record as it is after the write, and true; or, where it is not
	// allowed, the record that does not allow it, and false. [ErrNoConnection] if
	// there is none. A store may keep what held frames say apart from the record,
	// as long as it is held or in a run that is not finished: then the frames of
	// records have a [lane.Body] instead.
	Update(ctx context.Context, id ConnectionID, u Update, now lane.Instant) (Connection, bool, error)
	// Fetch returns a run with To and Data of the frames whose [lane.Body] it
	// keeps. One whose body is not there has [lane.CodeBusy]: there was no room for
	// it, but the write that was refused took effect late.
	Fetch(ctx context.Context, id ConnectionID, run []lane.Numbered) ([]lane.Numbered, error)
	// End ends a connection and returns its record as it was; [ErrNoConnection] if
	// there is none. The record becomes [Connection.EndedAt]: to all but GetEnded,
	// and updates with [Update.Ended], it is absent.
	End(ctx context.Context, id ConnectionID, now lane.Instant) (Connection, error)
	// Delete deletes the record of a connection, if it has expired.
	Delete(ctx context.Context, id ConnectionID, now lane.Instant) error
	// Scan calls f with every connection of a segment of the records that has not
	// ended, and with those that have expired, in no order and without the lane,
	// what is known of the client and the attributes, until that is done or ctx
	// ends. It deletes bodies that nobody needs, which a crash has left behind. What it reads may be a little old, unlike all other reads: a connection
	// that came or went just before may be missed or still be there. And it calls owed
	// with the users of the segment whose presence has changed since all who watch
	// them were told of it ([PresenceStore.Told]).
	Scan(ctx context.Context, s Segment, now lane.Instant, f func(Connection), owed func(UserName)) error
}

// Segment is one of several parts of the records, which together hold every
// record once: number Index, from 0, of Of.
type Segment struct{ Index, Of int }

// UserStore keeps a record for each user.
type UserStore interface {
	// Claim makes a connection the owner of a name that is free, or whose
	// owner is the one that the claim expects. If another connection owns it, or
	// did so less than [FenceAfter] ago, the claim is not made, and that one is
	// returned; [ErrNewerClaim] if its claim is newer. A repeated claim of one
	// connection changes nothing and is answered like the first.
	Claim(ctx context.Context, c Claim) (Claimed, error)
	// Release ends the ownership of a connection. It changes nothing if another
	// connection owns the name, or none.
	// It leaves the connection's bucket for the next one.
	Release(ctx context.Context, user UserName, id ConnectionID, tat lane.TAT) (Released, error)
	// Route returns which connection owns the name and reserves the next sequence
	// numbers for so many messages, which are at least one; [ErrOffline] if none
	// does.
	Route(ctx context.Context, user UserName, messages int, now lane.Instant) (Route, error)
	// Owner returns which connection owns the name; [ErrOffline] if none does.
	Owner(ctx context.Context, user UserName, now lane.Instant) (Peer, error)
}

// LobbyStore keeps a record for each lobby.
type LobbyStore interface {
	// CreateLobby writes the record of a new lobby.
	CreateLobby(ctx context.Context, l Lobby) error
	// GetLobby reads the record of a lobby; [ErrNoLobby] if there is none.
	GetLobby(ctx context.Context, id LobbyID, now lane.Instant) (Lobby, error)
	// UpdateLobby makes a conditional write on a record, if [Lobby.Allows] it. It
	// returns the record as it was before, and whether the write was made.
	// [ErrNoLobby] if there is none.
	UpdateLobby(ctx context.Context, id LobbyID, m LobbyMove, now lane.Instant) (Lobby, bool, error)
}

// Claim is a connection's claim of a name.
type Claim struct {
	User   UserName
	Peer   Peer
	At     lane.Instant // since when the connection is: the later wins; at the same instant, the claim that is made last
	Until  lane.Instant // the ownership's end: from then on nothing is routed to its connection
	Epoch  string       // the record's epoch if the claim begins one
	Expect ConnectionID // the owner to replace; empty: none
	Now    lane.Instant // to replace an owner whose time has not passed, by any clock, leaves the user's presence as it is
}

// Claimed is a claim's answer.
type Claimed struct {
	Owner Peer // who owns the name now
	// Epoch and Seq are where the user's sequence numbers stand.
	Epoch string
	Seq   int64
	// KeptAfter is the number above which all is kept in history that was posted to
	// clients that recover. A store deletes history only at or below it, and only
	// [HistoryMargin] after its time. What was posted to a client that does not
	// recover is at or below it once the next owner does.
	KeptAfter int64
	// TAT is that of the bucket that the name's last release has left.
	TAT lane.TAT
	// Owed: those who watch the user have not all been told of its presence.
	Owed bool
}

// Released is a release's answer.
type Released struct {
	Owner bool // the connection was the owner until now
	Owed  bool // nobody owns the name, and those who watch the user have not all been told
}

// Route is where messages for a user go, and their place among the user's
// messages: the sequence number of the first, which the others follow, within
// the epoch, which changes when the count begins anew.
type Route struct {
	Peer  Peer
	Epoch string
	Seq   int64
}

// FenceAfter is for how long after an ownership's end a claim still meets the
// owner, who is to be fenced off like any other: by a clock that is behind it
// may not have ended yet.
const FenceAfter = time.Minute

// EpochLife is how long a user's sequence numbers are remembered after the
// last ownership's end.
const EpochLife = 24 * time.Hour

// MaxPost is the largest frame that can be posted, in bytes ("Quotas for
// configuring and running a WebSocket API in API Gateway"). A delivery has, in any
// protocol, at most maxEnvelope besides its data and the sender's name: names of
// members, an epoch, two numbers and a session's id.
const (
	MaxPost     = 128 << 10
	maxEnvelope = 192
)

// refuseTooLarge refuses a message that not every receiver can be posted, before it
// gets a sequence number, which would be missed.
func refuseTooLarge(from UserName, f *lane.Frame) {
	if f.Code == lane.OK && len(f.Data)+from.quoted()+maxEnvelope > MaxPost {
		f.Code = lane.CodeClient
	}
}

// Pusher sends to sockets. Its methods may be called concurrently.
type Pusher interface {
	// Post sends the event to the peer in its protocol, and gives up after
	// [lane.PostWithin]. Nil means that the service in between has accepted it,
	// [ErrGone] that there is no such socket, [ErrBusy] that a limit was reached
	// and nothing sent, [ErrTooLarge] that the event is; any other error means that the outcome is not known. It
	// must not send again what may have been accepted.
	Post(ctx context.Context, to Peer, e Event) error
	// Close closes the socket. One that is gone is no error.
	Close(ctx context.Context, p Peer) error
}

// Prober finds out about sockets.
type Prober interface {
	// Probe sends nothing. Nil means that there is the socket, [ErrGone] that
	// there is not, any more or yet; any other error that this is not known.
	Probe(ctx context.Context, p Peer) error
}

// Meter counts what happens. It may be called concurrently.
type Meter interface {
	// Count counts what happened n times.
	Count(m Metric, n int)
}

// Authenticator identifies clients by their credentials. Its methods may be
// called concurrently.
type Authenticator interface {
	// Authenticate returns whose token it is, which is not empty and at most
	// [MaxToken] bytes of UTF-8. [ErrRefused] if the token is not accepted; any
	// other error means that this is not known, and refuses the client, too. Errors
	// are logged, so they must not quote the token.
	Authenticate(ctx context.Context, c Credentials) (Identity, error)
	// Needs is what it wants to know beside the token. It does not change.
	Needs() Needs
}
