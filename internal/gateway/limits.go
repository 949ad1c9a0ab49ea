package gateway

import "time"

// Limits of API Gateway, from the page "Quotas for configuring and running a WebSocket API in API Gateway". The sizes
// are fixed, as they are there; the times are what Config means by zero. The account's throttles (500 new connections
// and 10,000 requests per second) are not imitated.
const (
	// MaxMessage is the largest message in bytes, in either direction, inclusive. A larger one from the client closes
	// its connection with 1009; a larger one posted is ErrPayloadTooLarge.
	MaxMessage = 128 << 10

	// MaxFrame is the largest payload of one WebSocket frame in bytes, inclusive. A larger one from the client closes
	// its connection with 1009, before its payload is read. Messages to the client are fragmented to fit.
	MaxFrame = 32 << 10

	// MaxURL is the longest request target (path and query) of a handshake in bytes, inclusive. The page gives the
	// number and not what happens past it; the gateway answers 414.
	MaxURL = 4096

	// DefaultIdle closes a connection on which no message went either way for so long.
	DefaultIdle = 10 * time.Minute

	// DefaultDuration closes any connection that has lasted so long.
	DefaultDuration = 2 * time.Hour

	// DefaultIntegrationTimeout bounds one invocation of a function.
	DefaultIntegrationTimeout = 29 * time.Second
)

// MaxInvocations bounds the invocations under way for the messages of one connection: Lambda's default of concurrent
// executions in an account. At the bound the gateway does not fail the message, as Lambda would, but stops reading from
// that connection until one ends.
const MaxInvocations = 1000

// What Limits means by zero.
const (
	// DefaultConnections at 8 KB are 160 MB, if they rest.
	DefaultConnections = 20_000

	// DefaultPerAddress is for a company behind one address.
	DefaultPerAddress = 2_000

	// DefaultUnfinished is room for 450 of the largest messages, or for the first frames of 1,300, in bytes.
	DefaultUnfinished = 64 << 20
)
