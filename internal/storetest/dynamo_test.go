package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"

	"github.com/owt-signal/owt-signal/internal/awsenv"
	"github.com/owt-signal/owt-signal/internal/dynamo"
)

// newDynamo returns a store in a table of its own, which ends with the test.
func newDynamo(t *testing.T) *dynamo.Store {
	t.Helper()
	return newWatchedDynamo(t, noLoss, retry.NewStandard())
}

// newWatchedDynamo is a store over a network that loses one of so many requests,
// in each way that there is. Whatever goes without an answer is told, also what
// a machine under load loses by itself and the SDK hides by its retries.
func newWatchedDynamo(t *testing.T, loss int, retryer aws.Retryer) *dynamo.Store {
	t.Helper()
	config, table := newTable(t)
	network := &lossyNetwork{network: config.HTTPClient, loss: loss}
	t.Cleanup(network.late.Wait)
	return dynamo.New(dynamodb.NewFromConfig(config, func(o *dynamodb.Options) {
		o.HTTPClient, o.Retryer = network, retryer
		o.APIOptions = append(o.APIOptions, tellLost)
	}), table)
}

// newTable makes a table, which ends with the test, and returns how to reach it.
func newTable(t *testing.T) (aws.Config, string) {
	t.Helper()
	endpoint := Engine(t)
	config := awsenv.ConfigOr("us-east-1", "test")
	config.BaseEndpoint = &endpoint
	table := fmt.Sprintf("owt-signal-test-%d", time.Now().UnixNano())
	client := dynamodb.NewFromConfig(config)
	for range 2 { // the second finds it there
		if err := dynamo.New(client, table).EnsureTable(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if _, err := client.DeleteTable(context.Background(), &dynamodb.DeleteTableInput{TableName: &table}); err != nil {
			t.Errorf("delete table: %v", err)
		}
	})
	return config, table
}

// tellLost tells of every attempt without an answer: the step it adds comes
// after the one that makes attempts. An error that the service found in the
// request is an answer; it has changed nothing.
func tellLost(stack *middleware.Stack) error {
	return stack.Finalize.Add(middleware.FinalizeMiddlewareFunc("tellLost", func(
		ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler,
	) (middleware.FinalizeOutput, middleware.Metadata, error) {
		out, metadata, err := next.HandleFinalize(ctx, in)
		refusal, answered := errors.AsType[smithy.APIError](err)
		if err != nil && (!answered || refusal.ErrorFault() != smithy.FaultClient) {
			loseAnswer(ctx)
		}
		return out, metadata, err
	}), middleware.After)
}

// lossyNetwork is a network that now and then loses a request, or the answer to one,
// or brings a request late, when its sender has given up.
type lossyNetwork struct {
	network dynamodb.HTTPClient
	loss    int
	late    sync.WaitGroup
}

// How many requests there are to each that is lost in one way, and by how much
// one comes late at most.
const (
	noLoss     = math.MaxInt
	nowAndThen = 30
	lateBy     = 20 * time.Millisecond
)

// Do implements [dynamodb.HTTPClient].
func (l *lossyNetwork) Do(r *http.Request) (*http.Response, error) {
	switch rand.IntN(l.loss) {
	case 0: // the request
		return nil, errLost
	case 1: // the answer
		if resp, err := l.network.Do(r); err == nil {
			discard(resp)
		}
		return nil, errLost
	case 2: // patience
		return nil, l.sendLate(r)
	default:
		return l.network.Do(r)
	}
}

func (l *lossyNetwork) sendLate(r *http.Request) error {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	again := r.Clone(context.WithoutCancel(r.Context()))
	again.Body = io.NopCloser(bytes.NewReader(body))
	l.late.Go(func() {
		time.Sleep(rand.N(lateBy))
		if resp, err := l.network.Do(again); err == nil {
			discard(resp)
		}
	})
	return errLost
}

// discard leaves the connection fit for the next request.
func discard(resp *http.Response) {
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
}
