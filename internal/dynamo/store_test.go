package dynamo_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/owt-signal/owt-signal/internal/awsenv"
	"github.com/owt-signal/owt-signal/internal/dynamo"
	"github.com/owt-signal/owt-signal/internal/storetest"
)

// TestContract runs the contract on a real DynamoDB engine.
func TestContract(t *testing.T) {
	storetest.Run(t, newStore(t))
}

func newStore(t *testing.T) *dynamo.Store {
	t.Helper()
	endpoint := storetest.Engine(t)
	client := dynamodb.NewFromConfig(awsenv.ConfigOr("us-east-1", "test"), func(o *dynamodb.Options) { o.BaseEndpoint = &endpoint })
	table := fmt.Sprintf("owt-signal-test-%d", time.Now().UnixNano())
	store := dynamo.New(client, table)
	for range 2 { // the second finds it there
		if err := store.EnsureTable(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if _, err := client.DeleteTable(context.Background(), &dynamodb.DeleteTableInput{TableName: &table}); err != nil {
			t.Errorf("delete table: %v", err)
		}
	})
	return store
}
