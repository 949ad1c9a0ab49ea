package local

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/owt-signal/owt-signal/internal/awsenv"
	"github.com/owt-signal/owt-signal/internal/dynamo"
	"github.com/owt-signal/owt-signal/internal/emf"
	"github.com/owt-signal/owt-signal/internal/faults"
	"github.com/owt-signal/owt-signal/internal/memory"
	"github.com/owt-signal/owt-signal/internal/prom"
	"github.com/owt-signal/owt-signal/internal/signal"
)

// newStore is the store that the options ask for, with the faults of a table, whose
// latency is observed.
func newStore(ctx context.Context, o options, f *faults.Faults, m *prom.Metrics) (signal.Store, error) {
	if o.dynamodb == "" {
		return memory.New(), nil
	}
	client := dynamodb.NewFromConfig(awsenv.ConfigOr("us-east-1", "local"), dynamo.Retry, func(d *dynamodb.Options) {
		d.BaseEndpoint, d.HTTPClient = &o.dynamodb, f.Table(d.HTTPClient.Do)
		d.APIOptions = append(d.APIOptions, emf.Measure(time.Now, m.Observe))
	})
	store := dynamo.New(client, o.table)
	if err := store.EnsureTable(ctx); err != nil {
		return nil, fmt.Errorf("use DynamoDB at %s: %w", o.dynamodb, err)
	}
	return store, nil
}
