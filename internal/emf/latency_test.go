package emf_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigatewaymanagementapi"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go/middleware"

	"github.com/owt-signal/owt-signal/internal/awsenv"
	"github.com/owt-signal/owt-signal/internal/emf"
)

// calls are operations of the SDK that fail and take time: the nth one
// takes[n-1], or n ms.
type calls struct {
	clock *clock // nil: no time passes
	takes []time.Duration
	made  int

	ctx     context.Context
	handler middleware.Handler
}

var errCall = errors.New("of the call")

// newCalls returns calls of the operation that m measures.
func newCalls(t testing.TB, m *emf.Metrics, operation string, clock *clock, takes ...time.Duration) *calls {
	t.Helper()
	c := &calls{clock: clock, takes: takes, ctx: middleware.WithOperationName(t.Context(), operation)}
	stack := middleware.NewStack(operation, func() any { return nil })
	if err := m.Measure(stack); err != nil {
		t.Fatal(err)
	}
	c.handler = middleware.DecorateHandler(c, stack)
	return c
}

func posts(t testing.TB, m *emf.Metrics, clock *clock, takes ...time.Duration) *calls {
	t.Helper()
	return newCalls(t, m, "PostToConnection", clock, takes...)
}

func reads(t testing.TB, m *emf.Metrics, clock *clock, takes ...time.Duration) *calls {
	t.Helper()
	return newCalls(t, m, "GetItem", clock, takes...)
}

// call makes a call.
func (c *calls) call() {
	if _, _, err := c.handler.Handle(c.ctx, nil); !errors.Is(err, errCall) {
		panic(err)
	}
}

// Handle implements [middleware.Handler]: it is what the SDK does on the wire.
func (c *calls) Handle(context.Context, any) (any, middleware.Metadata, error) {
	took := time.Duration(c.made+1) * time.Millisecond
	if c.made < len(c.takes) {
		took = c.takes[c.made]
	}
	c.made++
	if c.clock != nil {
		c.clock.pass(took)
	}
	return nil, middleware.Metadata{}, errCall
}

// TestMeasured: each operation of the SDK that reads or writes one record, or
// posts, is measured once, though its attempts are several; no other is.
func TestMeasured(t *testing.T) {
	attempts := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if attempts++; attempts == 1 {
			w.WriteHeader(http.StatusInternalServerError)
		}
		_, _ = w.Write([]byte(`{}`))
	}))
	t.Cleanup(server.Close)
	m, out, _ := newMetrics("s")
	config := awsenv.ConfigOr("us-east-1", "test")
	config.BaseEndpoint = &server.URL
	config.APIOptions = append(config.APIOptions, m.Measure)
	table, connections := dynamodb.NewFromConfig(config), apigatewaymanagementapi.NewFromConfig(config)

	ctx, name, id := t.Context(), aws.String("table"), aws.String("c=")
	key := map[string]types.AttributeValue{"pk": &types.AttributeValueMemberS{Value: "k"}}
	for operation, test := range map[string]struct {
		call         func() (any, error)
		store, posts int
	}{
		"get": {func() (any, error) { return table.GetItem(ctx, &dynamodb.GetItemInput{TableName: name, Key: key}) }, 1, 0},
		"put": {func() (any, error) { return table.PutItem(ctx, &dynamodb.PutItemInput{TableName: name, Item: key}) }, 1, 0},
		"update": {func() (any, error) {
			return table.UpdateItem(ctx, &dynamodb.UpdateItemInput{TableName: name, Key: key})
		}, 1, 0},
		"delete": {func() (any, error) {
			return table.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: name, Key: key})
		}, 1, 0},
		"scan": {func() (any, error) { return table.Scan(ctx, &dynamodb.ScanInput{TableName: name}) }, 0, 0},
		"post": {func() (any, error) {
			return connections.PostToConnection(ctx, &apigatewaymanagementapi.PostToConnectionInput{ConnectionId: id, Data: []byte("x")})
		}, 0, 1},
		"get connection": {func() (any, error) {
			return connections.GetConnection(ctx, &apigatewaymanagementapi.GetConnectionInput{ConnectionId: id})
		}, 0, 0},
		"delete connection": {func() (any, error) {
			return connections.DeleteConnection(ctx, &apigatewaymanagementapi.DeleteConnectionInput{ConnectionId: id})
		}, 0, 0},
	} {
		out.Reset()
		attempts = 0
		m.End(func() {
			if _, err := test.call(); err != nil {
				t.Errorf("%s: %v", operation, err)
			}
		})
		if attempts != 2 {
			t.Errorf("%s: %d attempts", operation, attempts)
		}
		var told struct{ StoreLatency, PostLatency []float64 }
		if out.Len() > 0 {
			check(t, out.Bytes())
			if err := json.Unmarshal(out.Bytes(), &told); err != nil {
				t.Fatal(err)
			}
		}
		if len(told.StoreLatency) != test.store || len(told.PostLatency) != test.posts {
			t.Errorf("%s: told %s", operation, out)
		}
	}
}
