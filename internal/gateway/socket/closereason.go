package socket

import (
	"errors"
	"fmt"

	"github.com/gobwas/ws"
)

// CloseReason is why a connection ended: what a close frame says, RFC 6455 section 7.4.
type CloseReason struct {
	Code ws.StatusCode
	Text string
}

var (
	// GoingAway is for the end of a time limit.
	GoingAway = CloseReason{ws.StatusGoingAway, "Going away"}

	// NoStatus is for a close frame of the client that says nothing (RFC 6455 section 7.1.5).
	NoStatus = CloseReason{Code: ws.StatusNoStatusRcvd}

	// Abnormal is for a socket that ended or stalled without a close frame (RFC 6455 section 7.1.5).
	Abnormal = CloseReason{Code: ws.StatusAbnormalClosure}
)

// appendFrame appends the close frame that says so.
func (r CloseReason) appendFrame(dst []byte) []byte {
	if r == NoStatus {
		return appendFrame(dst, frameFinal|opClose, "")
	}
	return appendFrame(dst, frameFinal|opClose, ws.NewCloseFrameBody(r.Code, r.Text))
}

// closeError ends the reading of a connection: by the client's close frame, or by what it sent and must not.
type closeError struct {
	CloseReason

	refused bool
}

func (e *closeError) Error() string { return fmt.Sprintf("close with %d %q", e.Code, e.Text) }

// maxCloseCode is the highest that a client may say (RFC 6455 section 7.4.2).
const maxCloseCode = 4999

// parseCloseFrame reads the payload of a close frame.
func parseCloseFrame(payload []byte) error {
	switch len(payload) {
	case 0:
		return &closeError{CloseReason: NoStatus}
	case 1:
		return errProtocol
	}
	code, text := ws.ParseCloseFrameData(payload)
	if err := ws.CheckCloseFrameData(code, text); err != nil || code > maxCloseCode {
		return errProtocol
	}
	return &closeError{CloseReason: CloseReason{code, text}}
}

func refusal(code ws.StatusCode, text string) error {
	return &closeError{CloseReason{code, text}, true}
}

// The codes are RFC 6455's (section 7.4.1); the texts are our own.
var (
	errFrameTooLarge   = refusal(ws.StatusMessageTooBig, "Frame too large")
	errMessageTooLarge = refusal(ws.StatusMessageTooBig, "Message too large")
	errBinary          = refusal(ws.StatusUnsupportedData, "Binary frames are not accepted")
	errNotUTF8         = refusal(ws.StatusInvalidFramePayloadData, "Text is not valid UTF-8")
	errProtocol        = refusal(ws.StatusProtocolError, "Protocol error")
)

// reasonOf returns why the connection ends by the error of a read, and whether that was refused. What a close frame said
// is also the answer to it (RFC 6455 section 5.5.1).
func reasonOf(err error) (why CloseReason, refused bool) {
	if e, ok := errors.AsType[*closeError](err); ok {
		return e.CloseReason, e.refused
	}
	return Abnormal, false
}
