package signal

import (
	"errors"

	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// The errors by which the ports answer. Adapters wrap them; the domain asks
// with errors.Is.
var (
	// ErrNoConnection: there is no record of that connection. It was superseded,
	// has ended, or was never created.
	ErrNoConnection = errors.New("no such connection")
	// ErrNoLobby: there is no lobby of that name that such a client may use.
	ErrNoLobby = errors.New("no such lobby")
	// ErrLobbyFull: more was posted in a lobby than it keeps.
	ErrLobbyFull = errors.New("lobby is full")
	// ErrOffline: no connection owns that name.
	ErrOffline = errors.New("user is offline")
	// ErrNewerClaim: a newer connection owns the name already.
	ErrNewerClaim = errors.New("name is owned by a newer connection")
	// ErrGone: the socket does not exist, any more or yet.
	ErrGone = errors.New("socket is gone")
	// ErrBusy: the service in between has refused a request, because there are
	// too many.
	ErrBusy = errors.New("too many requests")
	// ErrContended: the record was changed by others at each of many tries.
	ErrContended = errors.New("too many others write the same record")
	// ErrTooManyWatches: the connection watches too many users, or too many watch the
	// user.
	ErrTooManyWatches = errors.New("too many watches")
	// ErrTooLarge: the message exceeds what the service in between takes.
	ErrTooLarge = errors.New("message is too large")
	// ErrRefused: the authenticator does not accept the token.
	ErrRefused = errors.New("token refused")
	// errNoToken: there is no token, and none may connect without.
	errNoToken = errors.New("no token")
	// errRevoked: the connection was refused, or its token has ended.
	errRevoked = errors.New("connection is revoked")
	// errOpened: the lane is open; a repeated invocation was first.
	errOpened = errors.New("connection has authenticated already")
	// errMisread: the frame has not the form that the connection's have.
	errMisread = errors.New("frame of another protocol")
	// errNotJoined: the client has not asked to join in time.
	errNotJoined = errors.New("client did not ask to join")
	// errPostedLost: the answer was lost that had what was posted in a lobby.
	errPostedLost = errors.New("what was posted in the lobby is lost")
)

// codeOf returns what a client is told of an error. It is the one place where
// that is decided.
func codeOf(err error) lane.Code {
	switch {
	case err == nil:
		return lane.OK
	case errors.Is(err, errNotKnown):
		return lane.CodeUnavailable
	case errors.Is(err, ErrNoConnection), errors.Is(err, ErrNoLobby), errors.Is(err, errNoToken):
		return lane.CodeUnknownUser
	case errors.Is(err, ErrOffline), errors.Is(err, ErrGone):
		return lane.CodeUnreachable
	case errors.Is(err, ErrBusy), errors.Is(err, ErrContended), errors.Is(err, ErrTooManyWatches):
		return lane.CodeBusy
	case errors.Is(err, ErrTooLarge), errors.Is(err, errNotJoined):
		return lane.CodeClient
	case errors.Is(err, ErrRefused), errors.Is(err, errRevoked):
		return lane.CodeWrongToken
	default:
		return lane.CodeUnavailable
	}
}
