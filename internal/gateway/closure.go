package gateway

import (
	"errors"
	"net"

	"github.com/coder/websocket"
)

// closure is why a connection ended, as $disconnect tells it.
type closure struct {
	code   websocket.StatusCode
	reason string
}

var (
	// deleted, goingAway (for the idle timeout) and noStatus are observed on AWS. That the end of a connection's
	// duration and of the gateway also say goingAway is by analogy.
	deleted   = closure{websocket.StatusNormalClosure, "Connection Closed Normally"}
	goingAway = closure{websocket.StatusGoingAway, "Going away"}
	noStatus  = closure{websocket.StatusNoStatusRcvd, "Client-side close frame status not set"}

	// abnormal is for a socket that ended or stalled without a close frame. The code is RFC 6455's (section 7.1.5);
	// what API Gateway tells is not published.
	abnormal = closure{websocket.StatusAbnormalClosure, ""}

	// protocolError is RFC 6455's too.
	protocolError = closure{websocket.StatusProtocolError, "Protocol error"}
)

// refusal is what the client sent, and the gateway closes the connection for.
type refusal struct{ closure }

func (r *refusal) Error() string { return r.reason }

// The codes are from API Gateway's quotas page and RFC 6455 section 8.1; the reasons are not known, and so our own.
var (
	errFrameTooLarge   = &refusal{closure{websocket.StatusMessageTooBig, "Frame too large"}}
	errMessageTooLarge = &refusal{closure{websocket.StatusMessageTooBig, "Message too large"}}
	errBinary          = &refusal{closure{websocket.StatusUnsupportedData, "Binary frames are not accepted"}}
	errNotUTF8         = &refusal{closure{websocket.StatusInvalidFramePayloadData, "Text is not valid UTF-8"}}
)

// judge tells from the error of a read why the connection ends, and whether the client is still to be told by a close
// frame. broken says that the socket itself failed.
func judge(err error, broken bool) (why closure, tell bool) {
	if closed, ok := errors.AsType[websocket.CloseError](err); ok {
		if closed.Code == websocket.StatusNoStatusRcvd {
			return noStatus, false
		}
		return closure{closed.Code, closed.Reason}, false
	}
	if refused, ok := errors.AsType[*refusal](err); ok {
		return refused.closure, true
	}
	if broken || errors.Is(err, net.ErrClosed) {
		return abnormal, false
	}
	return protocolError, true
}
