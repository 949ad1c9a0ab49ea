package client

import (
	"errors"
	"fmt"
)

// Code is OWT's number for what went wrong.
type Code int

// The codes that the server uses.
const (
	CodeServer      Code = 2100 // the server failed, or does not know how the message ended
	CodeUnavailable Code = 2101 // a part the server needs did not answer
	CodeBusy        Code = 2102 // a limit was reached; the same later may succeed
	CodeUnsupported Code = 2103 // what the client asks for is not supported
	CodeClient      Code = 2110 // what the client sent cannot be understood, or is too large for the receiver
	CodeNobody      Code = 2120 // no token, and nobody is let in without
	CodeToken       Code = 2121 // the token was refused, or has ended
	CodeUnreachable Code = 2201 // the receiver is not online
)

var meanings = map[Code]string{
	CodeServer:      "the server failed, or does not know how the message ended",
	CodeUnavailable: "a part the server needs did not answer",
	CodeBusy:        "a limit was reached; the same later may succeed",
	CodeUnsupported: "what the client asks for is not supported",
	CodeClient:      "what the client sent cannot be understood, or is too large for the receiver",
	CodeNobody:      "no token, and nobody is let in without",
	CodeToken:       "the token was refused, or has ended",
	CodeUnreachable: "the receiver is not online",
}

// String is what the code means.
func (c Code) String() string {
	if s, ok := meanings[c]; ok {
		return s
	}
	return "unknown code"
}

// Error is what the server answers when something fails.
type Error struct {
	Code Code
	Text string // the server's
}

// Error implements error.
func (e *Error) Error() string { return fmt.Sprintf("%d: %s", int(e.Code), e.Code) }

// Is makes errors.Is(e, [ErrUnknown]) true for the codes that do not say
// whether the message was delivered.
func (e *Error) Is(target error) bool {
	return target == ErrUnknown && (e.Code == CodeServer || e.Code == CodeUnavailable)
}

var (
	// ErrUnknown says that the message may have been delivered, once, or not at all. All
	// other errors of Send say that it was not.
	ErrUnknown = errors.New("the outcome is not known")
	// ErrSuperseded says that another connection has taken the user's name. The client
	// has ended and does not connect again, lest the two take the name from each
	// other for ever.
	ErrSuperseded = errors.New("superseded by another connection of the user")
	// ErrClosed says that the client was closed.
	ErrClosed = errors.New("client is closed")
	// ErrNoToken says that there is no token, and Anonymous is not set.
	ErrNoToken = errors.New("there is no token, and the client is not to be anonymous")
	// ErrQueueFull says that too many messages wait already.
	ErrQueueFull = errors.New("too many messages are waiting")
	// ErrTooLarge says that the message exceeds what the server takes.
	ErrTooLarge = errors.New("message is too large")
)

// final reports whether a refusal stays: another try would be refused, too.
func (c Code) final() bool { return c == CodeUnsupported || c == CodeNobody || c == CodeToken }

// passing reports whether a message may have better luck under the same number,
// which cannot deliver it twice.
func (c Code) passing() bool { return c == CodeServer || c == CodeUnavailable || c == CodeBusy }
