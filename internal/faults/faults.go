// Package faults makes a server on one machine behave like a bad day on AWS:
// invocations that start late, twice, die halfway or never happen, posts that
// are late or throttled, a slow store, a table whose keys serve so much a second.
// All of it may happen on AWS, so nothing that a server promises may break by it.
//
// It wraps the seams that there are: the gateway's functions, the @connections
// operations and the store. For handlers in this process these are calls, and
// an invocation is known to all of them by its context. For functions in
// processes of their own the operations and the store are HTTP, and an
// invocation dies with its process.
package faults

import (
	"log/slog"

	"github.com/aws/aws-lambda-go/events"
)

type (
	request  = events.APIGatewayWebsocketProxyRequest
	response = events.APIGatewayProxyResponse
)

// Faults injects what a [Spec] asks for. Its wrappers are safe for concurrent
// use. A nil Faults injects nothing: its wrappers return what they are given.
//
// Each kind of decision has a random source of its own. The seed fixes a
// source's decisions; the order in which invocations and their calls come
// fixes who gets which.
type Faults struct {
	spec Spec
	log  *slog.Logger

	invocations source // delays
	duplicates  source
	crashes     source
	disconnects source
	posts       source // delays
	throttles   source
	stores      source // delays
}

// New is the faults that spec asks for; nil, if spec is. Log gets the spec as
// a warning, and a line at level info for each fault but delays.
func New(spec *Spec, log *slog.Logger) *Faults {
	if spec == nil {
		return nil
	}
	f := &Faults{spec: *spec, log: log}
	for i, s := range []*source{
		&f.invocations, &f.duplicates, &f.crashes, &f.disconnects, &f.posts, &f.throttles, &f.stores,
	} {
		s.seed(spec.Seed, uint64(i))
	}
	log.Warn("misbehaving on purpose", "faults", spec.String())
	return f
}
