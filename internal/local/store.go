package local

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/owt-signal/owt-signal/internal/awsenv"
	"github.com/owt-signal/owt-signal/internal/dynamo"
	"github.com/owt-signal/owt-signal/internal/memory"
	"github.com/owt-signal/owt-signal/internal/signal"
)

// newStore is the store that the options ask for.
func newStore(ctx context.Context, o options) (signal.Store, error) {
	if o.dynamodb == "" {
		return memory.New(), nil
	}
	client := dynamodb.NewFromConfig(awsenv.ConfigOr("us-east-1", "local"), func(d *dynamodb.Options) {
		d.BaseEndpoint = &o.dynamodb
	})
	store := dynamo.New(client, o.table)
	if err := store.EnsureTable(ctx); err != nil {
		return nil, fmt.Errorf("use DynamoDB at %s: %w", o.dynamodb, err)
	}
	return store, nil
}
