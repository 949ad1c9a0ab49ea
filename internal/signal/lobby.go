package signal

import (
	"slices"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// LobbyID is the name of a lobby, which its client alone knows until a
// WebSocket has claimed it.
type LobbyID string

// Limits of a lobby.
const (
	// LobbyLife is how long a client may take until its WebSocket takes over.
	LobbyLife = time.Minute
	// UpgradeWithin is how long a WebSocket that has claimed a lobby may take to
	// take over: what a Socket.IO server gives it (engine.io, upgradeTimeout).
	UpgradeWithin = 10 * time.Second
	// PollWithin is how long a poll waits: less than the 30 s after which an HTTP
	// API gives up ("Quotas for HTTP API", API Gateway Developer Guide).
	PollWithin = 20 * time.Second
	// MaxPolls is how many polls a lobby answers. A client needs three, one for each
	// PollWithin, and some while its WebSocket takes over.
	MaxPolls = 64
	// MaxLobbyPackets and MaxLobbyBytes are what a client may post before its
	// WebSocket takes over. Clients post a CONNECT for each namespace, which may have
	// a token in it.
	MaxLobbyPackets = 32
	MaxLobbyBytes   = 32 << 10
)

// Stage is how far a client has come in its lobby.
type Stage int

// The stages.
const (
	LobbyWaiting  Stage = iota // no WebSocket has come
	LobbyClaimed               // a WebSocket has, and no other may
	LobbyProbed                // it carries frames; the client polls no more
	LobbyUpgraded              // it has taken over; nothing is posted any more
	LobbyEnded                 // its client has given up, or its WebSocket was too late
)

// Lobby is where a client waits that begins by long polling, until its
// WebSocket takes over. What it posts meanwhile is kept.
type Lobby struct {
	ID         LobbyID
	Handshake  string // a digest of what the WebSocket's handshake must repeat; empty once it has come
	Expires    lane.Instant
	Stage      Stage
	Connection ConnectionID // the WebSocket that has claimed it
	Follows    bool         // the invocation of its $connect goes on once it has taken over
	ClaimedAt  lane.Instant
	Upgrader   string   // the invocation that has what was posted
	Packets    [][]byte // in the order in which they were posted; what was read, but for a WebSocket that takes over, may have nil for some
	Size       int      // of the packets, in bytes
	Polls      int      // so far; the latest is the one that is waited for
}

// LobbyMove is one conditional write on the record of a lobby. The zero value
// of each part asks and changes nothing, except for the stages.
type LobbyMove struct {
	From, Through Stage        // asks that the stage is one of these
	Of            ConnectionID // asks that this connection has claimed it
	Handshakes    []string     // asks that the handshake is one of these; it is forgotten then

	To       Stage       // the stage; less than From: stays
	Claim    *LobbyClaim // nil: stays
	Upgrader string
	Post     [][]byte // packets to keep, within MaxLobbyPackets and MaxLobbyBytes
	Poll     bool     // counts one, within MaxPolls
	Empty    bool     // forgets the packets
}

// LobbyClaim is what a claim sets.
type LobbyClaim struct {
	Connection ConnectionID
	Follows    bool
	At         lane.Instant
}

// postInLobby keeps packets, before the WebSocket has taken over.
func postInLobby(packets [][]byte) LobbyMove {
	return LobbyMove{Through: LobbyProbed, To: -1, Post: packets}
}

func pollLobby() LobbyMove { return LobbyMove{Through: LobbyProbed, To: -1, Poll: true} }

// claimLobby makes a lobby a WebSocket's, whose handshake may repeat either.
func claimLobby(c LobbyClaim, handshakes ...string) LobbyMove {
	return LobbyMove{Through: LobbyWaiting, Handshakes: handshakes, To: LobbyClaimed, Claim: &c}
}

// probeLobby may be made again: a frame may be handled twice.
func probeLobby(id ConnectionID) LobbyMove {
	return LobbyMove{From: LobbyClaimed, Through: LobbyProbed, Of: id, To: LobbyProbed}
}

// upgradeLobby is made once. The record before has what was posted.
func upgradeLobby(id ConnectionID, by string) LobbyMove {
	return LobbyMove{From: LobbyProbed, Through: LobbyProbed, Of: id, To: LobbyUpgraded, Upgrader: by, Empty: true}
}

func endLobby() LobbyMove { return LobbyMove{Through: LobbyProbed, To: LobbyEnded, Empty: true} }

// PostSize returns the size of what is posted, in bytes.
func (m LobbyMove) PostSize() int {
	n := 0
	for _, p := range m.Post {
		n += len(p)
	}
	return n
}

// Allows reports whether m may be made.
func (l Lobby) Allows(m LobbyMove) bool {
	return m.From <= l.Stage && l.Stage <= m.Through &&
		(m.Of == "" || l.Connection == m.Of) &&
		(m.Handshakes == nil || slices.Contains(m.Handshakes, l.Handshake)) &&
		(m.Post == nil || !l.full(m)) &&
		(!m.Poll || l.Polls < MaxPolls)
}

func (l Lobby) full(m LobbyMove) bool {
	return len(l.Packets)+len(m.Post) > MaxLobbyPackets || l.Size+m.PostSize() > MaxLobbyBytes
}

// Applied returns the lobby after the move, which it must allow.
func (l Lobby) Applied(m LobbyMove) Lobby {
	l.Stage = max(l.Stage, m.To)
	if m.Handshakes != nil {
		l.Handshake = ""
	}
	if c := m.Claim; c != nil {
		l.Connection, l.Follows, l.ClaimedAt = c.Connection, c.Follows, c.At
	}
	if m.Upgrader != "" {
		l.Upgrader = m.Upgrader
	}
	l.Packets, l.Size = slices.Concat(l.Packets, m.Post), l.Size+m.PostSize()
	if m.Empty {
		l.Packets, l.Size = nil, 0
	}
	if m.Poll {
		l.Polls++
	}
	return l
}

// abandoned reports whether the WebSocket that has claimed the lobby did not
// take over in time.
func (l Lobby) abandoned(now lane.Instant) bool {
	return l.Stage == LobbyClaimed && now.Sub(l.ClaimedAt) >= UpgradeWithin
}
