package lane

import "fmt"

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

// String returns the code in words that are safe to show to any client.
func (c Code) String() string {
	if s, ok := codeText[c]; ok {
		return s
	}
	return fmt.Sprintf("code %d", int(c))
}
