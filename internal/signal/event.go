package signal

import (
	"math"

	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// NoNumber is the number of what a client did not number. It is none that a
// lane knows.
const NoNumber int64 = math.MinInt64

// MaxNumber is the highest number of a frame: 2^53-1, the largest integer that
// every JavaScript client can count to (Number.MAX_SAFE_INTEGER).
const MaxNumber int64 = 1<<53 - 1

// What goes together in one frame, where the client's protocol has it.
const (
	// MaxBatch is how many messages, or events.
	MaxBatch = 32
	// MaxBatchBytes is how large a frame of several events is at most, in bytes: API
	// Gateway meters every 32 KB as a message. One event may be larger by itself.
	MaxBatchBytes = 32 << 10
)

// Event is what the server tells a client. Each protocol has its own form for
// it, possibly none.
type Event interface{ event() }

// The events.
type (
	// Opened is the first thing on every connection.
	Opened struct{ Connection ConnectionID }
	// Admitted follows where the protocol admits a client before it has
	// authenticated.
	Admitted struct{ Connection ConnectionID }
	// Joined answers [Join].
	Joined struct{ Connection ConnectionID }
	// Welcome answers an authentication, under its Number, if it has one. Resumed:
	// the session continues, and what was answered before is answered alike.
	Welcome struct {
		Number   int64
		User     UserName
		Epoch    string
		Seq      int64
		Session  string
		Resumed  bool
		Recovery Recovery
		ICE      ICE
	}
	// Ack tells a sender how a numbered frame ended.
	Ack struct {
		Number int64
		Code   lane.Code
	}
	// Stored tells a sender that a numbered frame came early; its [Ack] follows.
	Stored struct{ Number int64 }
	// Delivery is a message for the receiver. If it comes from a session,
	// Session and Number are its own: the same again is the same message.
	Delivery struct {
		From    UserName
		Data    []byte
		Epoch   string
		Seq     int64
		Session string
		Number  int64
	}
	// Void tells a receiver that numbers of an epoch, both included, never come, and
	// that nothing was lost.
	Void struct {
		Epoch     string
		Seq, Last int64
	}
	// Lost tells it that they are not kept any more.
	Lost Void
	// Replayed ends a replay: all numbers up to Seq were sent again, or are void, or
	// lost.
	Replayed struct {
		Epoch string
		Seq   int64
	}
	// Superseded tells a connection that another one owns the name now. It is
	// the last thing that its client is told.
	Superseded struct{}
	// Closing tells a client why its connection ends. It is the last thing
	// before it is closed.
	Closing struct{ Code lane.Code }
	// ConnectionRefused tells a client why it is not served. It is the last thing
	// before the connection is closed. Number is that of the authentication, if
	// that is what was refused, and numbered.
	ConnectionRefused struct {
		Number int64
		Code   lane.Code
	}
	// Ended follows the last of these three before a socket is closed whose client
	// has not done so, lest it takes the end for a lost link.
	Ended struct{}
	// AuthenticationDenied answers a numbered authentication that changes
	// nothing: the connection is another user's.
	AuthenticationDenied struct {
		Number int64
		Code   lane.Code
	}
	// Presence answers whether a user is online. Watched: it answers [Watch], or tells
	// of a change since; At is the number of the state, and rises with each change.
	Presence struct {
		User    UserName
		Online  bool
		Watched bool
		At      int64
	}
	// Unwatched answers [Unwatch].
	Unwatched struct{ User UserName }
	// ICEAnswer answers [QueryICE], or, under its Number, a frame that asks for ICE
	// servers.
	ICEAnswer struct {
		Number int64 // or NoNumber
		ICE    ICE
	}
	// RequestFailed answers what has no number; User is whom it was about, if anybody.
	RequestFailed struct {
		Code lane.Code
		User UserName
	}
	// LobbyOpened is the first thing that a client is told that begins by long
	// polling.
	LobbyOpened struct{ Lobby LobbyID }
	// Polled answers a poll. Over: the client's time in the lobby is.
	Polled struct{ Over bool }
	// Probed answers [Probe].
	Probed struct{}
	// Ping keeps a connection alive whose client waits for the server's.
	Ping struct{}
	// Batch is several events in one frame, for a client that takes them
	// ([Peer.Batches]): at most [MaxBatch], and [MaxBatchBytes].
	Batch []Event
)

func (Opened) event()               {}
func (Admitted) event()             {}
func (Joined) event()               {}
func (Welcome) event()              {}
func (Ack) event()                  {}
func (Stored) event()               {}
func (Delivery) event()             {}
func (Void) event()                 {}
func (Lost) event()                 {}
func (Replayed) event()             {}
func (Superseded) event()           {}
func (Closing) event()              {}
func (ConnectionRefused) event()    {}
func (Ended) event()                {}
func (AuthenticationDenied) event() {}
func (Presence) event()             {}
func (Unwatched) event()            {}
func (ICEAnswer) event()            {}
func (RequestFailed) event()        {}
func (LobbyOpened) event()          {}
func (Polled) event()               {}
func (Probed) event()               {}
func (Ping) event()                 {}
func (Batch) event()                {}

// Input is what a client asks of the server, read from a frame by its
// protocol.
type Input interface{ input() }

// The inputs.
type (
	// Join asks to be admitted, where the protocol has its clients ask, perhaps
	// with a token. If the handshake has brought one, that one counts.
	Join struct {
		Token     *string // nil: none
		Malformed bool    // there was no token that could be read
	}
	// Authenticate authenticates the client by a token, after the handshake.
	Authenticate struct {
		Number int64 // or NoNumber
		Token  string
		// Malformed: there was no token that could be read.
		Malformed bool
		// Handshake: it came with the handshake, which alone brings the last three,
		// or with [Join].
		Handshake  bool
		Joins      bool       // the client is joined once it is known who it is
		AwaitsJoin bool       // the client is to ask to join before it owns the name
		Start      lane.Start // where the client's numbers begin
		Session    *Session   // nil: none
		Since      *Since     // what the client has, if it recovers; nil: it does not say
	}
	// Send is a message for another user, or, with Frame.Code, something that
	// cannot be understood, and has a number or came among others.
	Send struct {
		Number int64 // or NoNumber
		Frame  lane.Frame
		// AckAs is the id under which a message without a number is answered; nil:
		// it is answered only if it fails.
		AckAs *int64
		// ID is API Gateway's id of a message without a number, the same in each
		// invocation for it; empty: not known.
		ID string
		// Look has the lane looked at before anything is written: a write that is
		// refused is charged by the whole record. See [Reply.Look].
		Look bool
		// Scarce: it is not held if the client has not authenticated. Of several messages
		// the first says it for all.
		Scarce bool
	}
	// Sends is several messages of one frame, at most [MaxBatch]. Each has its own
	// answer.
	Sends []Send
	// Recover asks for what was posted since, up to a number; zero: the newest.
	Recover struct {
		Since Since
		To    int64
	}
	// Query asks for the presence of a user.
	Query struct{ User UserName }
	// Watch has the client told of the presence of a user, now and with each change.
	Watch struct{ User UserName }
	// Unwatch ends that.
	Unwatch struct{ User UserName }
	// QueryICE asks for ICE servers.
	QueryICE struct{}
	// Probe tries whether the connection carries frames, before it takes over from a
	// lobby, if it does.
	Probe struct{}
	// Upgrade has the connection take over from its lobby.
	Upgrade struct{}
	// Leave ends the connection at its client's wish.
	Leave struct{}
	// Unreadable is a frame for which the protocol has no other answer than to end
	// the connection.
	Unreadable struct{ Code lane.Code }
)

func (Join) input()         {}
func (Authenticate) input() {}
func (Send) input()         {}
func (Sends) input()        {}
func (Recover) input()      {}
func (Query) input()        {}
func (Watch) input()        {}
func (Unwatch) input()      {}
func (QueryICE) input()     {}
func (Probe) input()        {}
func (Upgrade) input()      {}
func (Leave) input()        {}
func (Unreadable) input()   {}

// About returns whose presence an input is about; empty: nobody's.
func About(in Input) UserName {
	switch in := in.(type) {
	case Query:
		return in.User
	case Watch:
		return in.User
	case Unwatch:
		return in.User
	default:
		return ""
	}
}

// start returns where the numbers begin of a client that authenticates so: an
// event that is numbered is the first itself.
func (in Authenticate) start() lane.Start {
	if in.Handshake || in.Number == NoNumber {
		return in.Start
	}
	return lane.StartAt(in.Number)
}
