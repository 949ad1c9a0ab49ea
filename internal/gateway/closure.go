package gateway

import (
	"errors"
	"fmt"

	"github.com/gobwas/ws"
)

// closure is why a connection ended, as $disconnect tells it.
type closure struct {
	code   ws.StatusCode
	reason string
}

var (
	// deleted, goingAway (for the idle timeout) and noStatus are observed on AWS. That the end of a connection's
	// duration and of the gateway also say goingAway is by analogy.
	deleted   = closure{ws.StatusNormalClosure, "Connection Closed Normally"}
	goingAway = closure{ws.StatusGoingAway, "Going away"}
	noStatus  = closure{ws.StatusNoStatusRcvd, "Client-side close frame status not set"}

	// abnormal is for a socket that ended or stalled without a close frame. The code is RFC 6455's (section 7.1.5);
	// what API Gateway tells is not published.
	abnormal = closure{ws.StatusAbnormalClosure, ""}
)

// appendFrame appends the close frame that says so.
func (c closure) appendFrame(dst []byte) []byte {
	if c == noStatus {
		return appendHeader(dst, frameFinal|opClose, 0)
	}
	payload := ws.NewCloseFrameBody(c.code, c.reason)
	return append(appendHeader(dst, frameFinal|opClose, len(payload)), payload...)
}

// farewell is the client's close frame.
type farewell struct{ closure }

func (f *farewell) Error() string { return fmt.Sprintf("client closed with %d", f.code) }

// maxCloseCode is the highest that a client may say (RFC 6455 section 7.4.2).
const maxCloseCode = 4999

// parseFarewell reads the payload of a close frame.
func parseFarewell(payload []byte) error {
	switch len(payload) {
	case 0:
		return &farewell{noStatus}
	case 1:
		return errProtocol
	}
	code, reason := ws.ParseCloseFrameData(payload)
	if err := ws.CheckCloseFrameData(code, reason); err != nil || code > maxCloseCode {
		return errProtocol
	}
	return &farewell{closure{code, reason}}
}

// refusal is what the client sent, and the gateway closes the connection for.
type refusal struct{ closure }

func (r *refusal) Error() string { return r.reason }

// The codes are from API Gateway's quotas page and RFC 6455 section 8.1; the reasons are not known, and so our own.
var (
	errFrameTooLarge   = &refusal{closure{ws.StatusMessageTooBig, "Frame too large"}}
	errMessageTooLarge = &refusal{closure{ws.StatusMessageTooBig, "Message too large"}}
	errBinary          = &refusal{closure{ws.StatusUnsupportedData, "Binary frames are not accepted"}}
	errNotUTF8         = &refusal{closure{ws.StatusInvalidFramePayloadData, "Text is not valid UTF-8"}}
	errProtocol        = &refusal{closure{ws.StatusProtocolError, "Protocol error"}}
)

func isRefusal(err error) bool {
	_, ok := errors.AsType[*refusal](err)
	return ok
}

// judge tells from the error of a read why the connection ends, and whether the client is to get a close frame.
func judge(err error) (why closure, tell bool) {
	if said, ok := errors.AsType[*farewell](err); ok {
		return said.closure, true // the answer, RFC 6455 section 5.5.1
	}
	if refused, ok := errors.AsType[*refusal](err); ok {
		return refused.closure, true
	}
	return abnormal, false
}
