package apigw

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/apigatewaymanagementapi"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/owt-signal/owt-signal/internal/awsenv"
	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// Management implements [Connections] by AWS's SDK. The zero value is not
// ready; use [NewManagement]. It is safe for concurrent use.
type Management struct {
	config  aws.Config
	mu      sync.Mutex
	clients map[string]*apigatewaymanagementapi.Client // by endpoint
}

var _ Connections = (*Management)(nil)

// throttledPause is the longest pause before a throttled frame is sent again,
// so that all tries fit into [lane.PostWithin].
const throttledPause = 200 * time.Millisecond

// NewManagement returns the @connections operations of whatever endpoints the
// records name.
func NewManagement(config aws.Config) *Management {
	return &Management{config: config, clients: make(map[string]*apigatewaymanagementapi.Client)}
}

// Endpoint returns the @connections endpoint of an API's own domain, which works
// for clients on a custom domain, too ("Use @connections commands in your
// backend service", API Gateway Developer Guide).
func Endpoint(region string) func(events.APIGatewayWebsocketProxyRequestContext) string {
	suffix := awsenv.URLSuffix(region)
	return func(rc events.APIGatewayWebsocketProxyRequestContext) string {
		return fmt.Sprintf("https://%s.execute-api.%s.%s/%s", rc.APIID, region, suffix, rc.Stage)
	}
}

// Post implements [Connections].
func (m *Management) Post(ctx context.Context, endpoint string, id signal.ConnectionID, frame []byte) error {
	ctx, cancel := context.WithTimeout(ctx, lane.PostWithin)
	defer cancel()
	_, err := m.client(endpoint).PostToConnection(ctx, &apigatewaymanagementapi.PostToConnectionInput{
		ConnectionId: aws.String(string(id)), Data: frame,
	})
	return translate(err)
}

// Get implements [Connections].
func (m *Management) Get(ctx context.Context, endpoint string, id signal.ConnectionID) error {
	ctx, cancel := context.WithTimeout(ctx, lane.PostWithin)
	defer cancel()
	_, err := m.client(endpoint).GetConnection(ctx, &apigatewaymanagementapi.GetConnectionInput{
		ConnectionId: aws.String(string(id)),
	})
	return translate(err)
}

// Delete implements [Connections].
func (m *Management) Delete(ctx context.Context, endpoint string, id signal.ConnectionID) error {
	ctx, cancel := context.WithTimeout(ctx, lane.PostWithin)
	defer cancel()
	_, err := m.client(endpoint).DeleteConnection(ctx, &apigatewaymanagementapi.DeleteConnectionInput{
		ConnectionId: aws.String(string(id)),
	})
	if err = translate(err); errors.Is(err, signal.ErrGone) {
		return nil
	}
	return err
}

func (m *Management) client(endpoint string) *apigatewaymanagementapi.Client {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, ok := m.clients[endpoint]
	if !ok {
		c = apigatewaymanagementapi.NewFromConfig(m.config, func(o *apigatewaymanagementapi.Options) {
			o.BaseEndpoint = &endpoint
			o.Retryer = retry.NewStandard(func(o *retry.StandardOptions) {
				o.Backoff = retry.NewExponentialJitterBackoff(throttledPause)
				o.Retryables = []retry.IsErrorRetryable{retry.IsErrorRetryableFunc(throttled)}
			})
		})
		m.clients[endpoint] = c
	}
	return c
}

// throttled returns the one error after which a frame is sent again: whatever else
// goes wrong, the frame may have been accepted, and would arrive twice.
func throttled(err error) aws.Ternary {
	return aws.BoolTernary(status(err) == http.StatusTooManyRequests)
}

// translate maps the service's errors to the domain's, by HTTP status: only
// with a certain header does the SDK know a 410 by its name.
func translate(err error) error {
	switch status(err) {
	case http.StatusGone:
		return fmt.Errorf("%w: %w", signal.ErrGone, err)
	case http.StatusTooManyRequests:
		return fmt.Errorf("%w: %w", signal.ErrBusy, err)
	case http.StatusRequestEntityTooLarge:
		return fmt.Errorf("%w: %w", signal.ErrTooLarge, err)
	default:
		return err
	}
}

// status returns the HTTP status of the service's answer, zero if there was none.
func status(err error) int {
	if response, ok := errors.AsType[*smithyhttp.ResponseError](err); ok {
		return response.HTTPStatusCode()
	}
	return 0
}
