package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/owt-signal/owt-signal/internal/awsenv"
	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// Limits of a function, or a server, that authenticates.
const (
	// MaxTimeout leaves time for the rest within the 29 s that API Gateway waits
	// for the answer to a frame.
	MaxTimeout = 10 * time.Second
	// maxAnswer is the longest answer, in bytes.
	maxAnswer     = 16 << 10
	functionTries = 2
)

// Function is the authenticator that asks a Lambda function of the user's own.
// docs/authentication.md has what it is asked and what it may answer.
type Function struct {
	client  *lambda.Client
	name    string
	headers []string
	timeout time.Duration
}

var _ signal.Authenticator = (*Function)(nil)

// question is the payload of the invocation, or the body of the request.
type question struct {
	Token   string            `json:"token"`
	Type    string            `json:"clientType"`
	Version string            `json:"clientVersion"`
	Address string            `json:"sourceIp"`
	Headers map[string]string `json:"headers"`
}

// verdict is what it answers. Members that are not there are nil, which is not
// the same as empty.
type verdict struct {
	User       *string           `json:"user"`
	Attributes map[string]string `json:"attributes"`
	Expires    *float64          `json:"expires"`
	Refused    bool              `json:"refused"`
}

// newFunction is the authenticator that c, which has been checked, asks for.
func newFunction(c Config, config aws.Config) *Function {
	client := lambda.NewFromConfig(config, func(o *lambda.Options) {
		o.BaseEndpoint = awsenv.Endpoint("LAMBDA")
		o.HTTPClient = awsenv.NewClient(c.Timeout)
		o.Retryer = retry.NewStandard(func(o *retry.StandardOptions) { o.MaxAttempts = functionTries })
	})
	return &Function{client: client, name: c.Function, headers: c.Headers, timeout: c.Timeout}
}

// Needs implements [signal.Authenticator].
func (f *Function) Needs() signal.Needs { return signal.Needs{Client: true, Headers: f.headers} }

// Authenticate implements [signal.Authenticator]. A function that fails lets
// nobody in, nor does one whose answer cannot be understood.
func (f *Function) Authenticate(ctx context.Context, c signal.Credentials) (signal.Identity, error) {
	answer, err := f.ask(ctx, c)
	if err != nil {
		return signal.Identity{}, fmt.Errorf("ask function %s: %w", f.name, err)
	}
	id, err := readVerdict(answer)
	if err != nil {
		return signal.Identity{}, fmt.Errorf("read the answer of function %s: %w", f.name, err)
	}
	return id, nil
}

func (f *Function) ask(ctx context.Context, c signal.Credentials) ([]byte, error) {
	payload, err := encodeQuestion(c)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	out, err := f.client.Invoke(ctx, &lambda.InvokeInput{FunctionName: &f.name, Payload: payload})
	switch {
	case err != nil:
		return nil, err
	case out.FunctionError != nil: // what it says may quote what it was asked
		return nil, fmt.Errorf("it failed (%s)", *out.FunctionError)
	case len(out.Payload) > maxAnswer:
		return nil, fmt.Errorf("its answer has %d bytes, at most %d are allowed", len(out.Payload), maxAnswer)
	}
	return out.Payload, nil
}

func encodeQuestion(c signal.Credentials) ([]byte, error) {
	q := question{c.Token, c.Client.Type, c.Client.Version, c.Client.Address, c.Client.Headers}
	if q.Headers == nil {
		q.Headers = map[string]string{} // {}, not null
	}
	return json.Marshal(q)
}

// readVerdict reads what a function, or a server, answered. What is wrong with it is no fault
// of the client's, so only a refusal is one.
func readVerdict(answer []byte) (signal.Identity, error) {
	var v verdict
	if json.Unmarshal(answer, &v) != nil { // its error may quote the answer
		return signal.Identity{}, errors.New("it is not an object with user, attributes, expires and refused of their types")
	}
	switch {
	case v.Refused:
		return signal.Identity{}, signal.ErrRefused
	case v.User == nil:
		return signal.Identity{}, errors.New("it has neither a user nor refused")
	}
	id := signal.Identity{User: signal.UserName(*v.User), Attributes: v.Attributes}
	if v.Expires != nil {
		id.Expires = instant(*v.Expires)
	}
	if err := id.Check(); err != nil {
		return signal.Identity{}, err
	}
	return id, nil
}

// maxSeconds is a time that any connection ends before, and any clock can tell.
const maxSeconds = 1 << 40

// instant is a JSON Web Token's NumericDate (RFC 7519, section 2).
func instant(seconds float64) lane.Instant {
	switch {
	case seconds >= maxSeconds:
		return 0
	case seconds < 1:
		return 1 // long ago
	default:
		return lane.Instant(seconds * 1000)
	}
}
