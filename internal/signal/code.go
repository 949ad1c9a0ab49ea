package signal

import (
	"errors"
	"fmt"
)

// Code is what a client is told when something fails. The numbers are OWT's
// (owt-server-p2p and the client SDKs, "P2PError"); zero means success.
type Code int

// The codes that OWT's SDKs know.
const (
	OK                Code = 0
	CodeServer        Code = 2100 // the server failed, or does not know the outcome
	CodeUnavailable   Code = 2101 // a part the server needs did not answer
	CodeBusy          Code = 2102 // a limit was reached; the same later may succeed
	CodeUnsupported   Code = 2103 // the client's version or request is not supported
	CodeClient        Code = 2110 // the client sent what cannot be understood
	CodeUnknownUser   Code = 2120 // nobody has authenticated on this connection
	CodeWrongToken    Code = 2121 // the token was refused
	CodeUnreachable   Code = 2201 // the receiver is not online
	CodeReceiverError Code = 2202 // the receiver denied; relayed between clients only
)

var codeText = map[Code]string{
	OK:                "ok",
	CodeServer:        "server error",
	CodeUnavailable:   "server unavailable",
	CodeBusy:          "server busy",
	CodeUnsupported:   "not supported",
	CodeClient:        "client error",
	CodeUnknownUser:   "not authenticated",
	CodeWrongToken:    "wrong user name or token",
	CodeUnreachable:   "target unreachable",
	CodeReceiverError: "denied",
}

// String says the code in words that are safe to show to any client.
func (c Code) String() string {
	if s, ok := codeText[c]; ok {
		return s
	}
	return fmt.Sprintf("code %d", int(c))
}

// The errors by which the ports answer. Adapters wrap them; the domain asks
// with errors.Is.
var (
	// ErrNoConnection: no record of that connection. Whoever sends on it is
	// nobody: it was superseded, has gone, or was never admitted.
	ErrNoConnection = errors.New("no such connection")
	// ErrOffline: no connection owns that name.
	ErrOffline = errors.New("user is offline")
	// ErrNewerClaim: a newer connection owns the name already.
	ErrNewerClaim = errors.New("name is owned by a newer connection")
	// ErrGone: the socket does not exist, any more or yet.
	ErrGone = errors.New("socket is gone")
	// ErrBusy: a limit of the service in between was reached.
	ErrBusy = errors.New("too many requests")
	// ErrTooLarge: the message exceeds what the service in between takes.
	ErrTooLarge = errors.New("message is too large")
	// ErrRefused: the authenticator does not accept the token.
	ErrRefused = errors.New("token refused")
	// errNoToken: there is none, and nobody is let in without.
	errNoToken = errors.New("no token")
	// errBarred: the connection was refused, or its token has ended.
	errBarred = errors.New("connection is barred")
)

// codeOf is the one place where an error becomes what a client is told.
func codeOf(err error) Code {
	switch {
	case err == nil:
		return OK
	case errors.Is(err, ErrNoConnection), errors.Is(err, errNoToken):
		return CodeUnknownUser
	case errors.Is(err, ErrOffline), errors.Is(err, ErrGone):
		return CodeUnreachable
	case errors.Is(err, ErrBusy):
		return CodeBusy
	case errors.Is(err, ErrTooLarge):
		return CodeClient
	case errors.Is(err, ErrRefused), errors.Is(err, errBarred):
		return CodeWrongToken
	default:
		return CodeUnavailable
	}
}
