package lambdaenv

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	smithyrand "github.com/aws/smithy-go/rand"
)

// accountID stands in for an AWS account in the ARN of a function.
const accountID = "000000000000"

// invocation is one call of a function, from Invoke to the answer and on to the end of the work after it.
type invocation struct {
	requestID string
	arn       string
	traceID   string
	payload   []byte
	deadline  time.Time      // set when it is given to an environment that is ready
	life      *time.Duration // how long after that its process is killed; nil: it is not

	answered chan answer // gets one
}

// answer is what the caller of an invocation gets.
type answer struct {
	payload []byte
	err     error
}

func newInvocation(config Config, payload []byte) (*invocation, error) {
	if len(payload) == 0 {
		payload = []byte("{}")
	}
	switch {
	case len(payload) > MaxPayload:
		return nil, fmt.Errorf("payload of %d bytes is larger than %d", len(payload), MaxPayload)
	case !json.Valid(payload):
		return nil, errors.New("payload is not JSON")
	}
	return &invocation{
		requestID: newUUID(),
		arn:       fmt.Sprintf("arn:aws:lambda:%s:%s:function:%s", config.Region, accountID, config.Name),
		traceID:   newTraceID(time.Now()),
		payload:   payload,
		answered:  make(chan answer, 1),
	}, nil
}

// newUUID returns a random UUID, as Lambda uses for its ids.
func newUUID() string {
	id, _ := smithyrand.NewUUID(rand.Reader).GetUUID() // it fails if the source does, which never does
	return id
}

// newTraceID returns an X-Ray tracing header of a request that is not sampled (X-Ray Developer Guide, "Tracing header").
func newTraceID(now time.Time) string {
	var b [20]byte
	rand.Read(b[:])
	return fmt.Sprintf("Root=1-%08x-%x;Parent=%x;Sampled=0", now.Unix(), b[:12], b[12:])
}
