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

// Limits of this gateway, where API Gateway has one but publishes no figure, or where one process must bound itself.
const (
	// MaxQueuedMessages and MaxQueuedBytes (payload) bound what is accepted for one connection and not yet written to
	// its socket, inclusive. Past half of either, Post takes a millisecond. Past either, it gives ErrLimitExceeded ("the
	// WebSocket client side buffer is full", in the words of the @connections model) and route responses wait.
	MaxQueuedMessages = 1024
	MaxQueuedBytes    = 1 << 20

	// WriteStall closes a connection whose socket took not one byte for so long. Only a socket with data to write is
	// judged, so a silent client is not.
	WriteStall = 10 * time.Second

	// MaxInvocations bounds the invocations under way for the messages of one connection: Lambda's default of
	// concurrent executions in an account. At the bound the gateway does not fail the message, as Lambda would, but
	// stops reading from that connection until one ends.
	MaxInvocations = 1000
)

const (
	// firstRead is how much is read from a connection at rest, at once, in bytes; a hand reads readAhead.
	firstRead = 256
	readAhead = 16 << 10

	// closeWait is how long a client may take to answer a close frame.
	closeWait = 5 * time.Second

	// behindMessages and behindBytes, queued, are how far a writer may be behind before those who post give way.
	behindMessages = 64
	behindBytes    = 64 << 10

	// pushBack is how long each Post takes while more than half of MaxQueuedMessages or MaxQueuedBytes is queued.
	pushBack = time.Millisecond

	// maxHeldMessages and maxHeldBytes bound what waits until the hand at work on a connection is done.
	maxHeldMessages = 256
	maxHeldBytes    = 64 << 10

	// writeChunk is how much is written under one WriteStall deadline, in bytes.
	writeChunk = 64 << 10

	// keepBuffer is the largest buffer that goes back to a pool, or stays with a hand, in bytes.
	keepBuffer = 64 << 10
)
