package capacity_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/owt-signal/owt-signal/internal/capacity"
	"github.com/owt-signal/owt-signal/internal/storetest"
)

// metered is a table on a real engine, with what was charged since the last look.
type metered struct {
	*dynamodb.Client
	t       *testing.T
	charges chan capacity.Charge
}

func newMetered(t *testing.T) *metered {
	t.Helper()
	m := &metered{t: t, charges: make(chan capacity.Charge, 100)}
	endpoint := storetest.Engine(t)
	network := &http.Client{Timeout: time.Minute}
	t.Cleanup(network.CloseIdleConnections)
	m.Client = client(&capacity.Limit{Next: network.Do, Charged: func(c capacity.Charge) { m.charges <- c }}, endpoint)
	if _, err := m.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName:            aws.String(table),
		BillingMode:          types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("pk"), AttributeType: types.ScalarAttributeTypeS}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("pk"), KeyType: types.KeyTypeHash}},
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, _ = m.DeleteTable(context.Background(), &dynamodb.DeleteTableInput{TableName: aws.String(table)})
	})
	return m
}

// charged sees what has been charged.
func (m *metered) charged(what string, err error, want ...capacity.Charge) {
	m.t.Helper()
	if _, refused := errors.AsType[*types.ConditionalCheckFailedException](err); err != nil && !refused {
		m.t.Fatalf("%s: %v", what, err)
	}
	if len(m.charges) != len(want) {
		m.t.Errorf("%s: %d charges, want %d", what, len(m.charges), len(want))
	}
	got := make(map[capacity.Charge]int)
	for range len(m.charges) {
		got[<-m.charges]++
	}
	for _, c := range want {
		if got[c]--; got[c] < 0 {
			m.t.Errorf("%s: charged %v, want %+v", what, got, c)
		}
	}
}

func (m *metered) put(pk string, bytes int, condition *string) error {
	_, err := m.PutItem(m.t.Context(), &dynamodb.PutItemInput{TableName: aws.String(table), Item: record(pk, bytes), ConditionExpression: condition})
	return err
}

func (m *metered) update(pk, expression string, condition *string) error {
	in := &dynamodb.UpdateItemInput{TableName: aws.String(table), Key: record(pk, 0), UpdateExpression: &expression, ConditionExpression: condition}
	if strings.Contains(expression, ":v") {
		in.ExpressionAttributeValues = map[string]types.AttributeValue{":v": &types.AttributeValueMemberS{Value: strings.Repeat("x", 2000)}}
	}
	_, err := m.UpdateItem(m.t.Context(), in)
	return err
}

func (m *metered) delete(pk string) error {
	_, err := m.DeleteItem(m.t.Context(), &dynamodb.DeleteItemInput{TableName: aws.String(table), Key: record(pk, 0)})
	return err
}

func (m *metered) get(pk string, consistent bool) error {
	_, err := m.GetItem(m.t.Context(), &dynamodb.GetItemInput{TableName: aws.String(table), Key: record(pk, 0), ConsistentRead: &consistent})
	return err
}

func write(key string, units float64) capacity.Charge {
	return capacity.Charge{Key: key, Write: true, Units: units}
}

func read(key string, units float64) capacity.Charge {
	return capacity.Charge{Key: key, Units: units}
}

// TestUnits holds what a request is charged, on a real engine, against what AWS
// says ("DynamoDB read and write operations", Developer Guide).
func TestUnits(t *testing.T) {
	m := newMetered(t)
	absent, there := aws.String("attribute_not_exists(pk)"), aws.String("attribute_exists(pk)")
	m.charged("put of 1 KB", m.put("a", 1024, nil), write("a", 1))
	m.charged("put of a byte more", m.put("b", 1025, nil), write("b", 2))
	m.charged("put over a larger item", m.put("b", 100, nil), write("b", 2))
	m.charged("put over a smaller item", m.put("b", 3000, nil), write("b", 3))
	m.charged("put that is refused", m.put("b", 10, absent), write("b", 3))
	m.charged("put that is refused, of nothing", m.put("c", 5000, there), write("c", 1))
	m.charged("update that grows", m.update("a", "SET v = :v", nil), write("a", 3))
	m.charged("update that does not change the size", m.update("a", "SET v = :v", there), write("a", 3))
	m.charged("update that is refused", m.update("a", "SET v = :v", absent), write("a", 3))
	m.charged("update that shrinks", m.update("a", "REMOVE v", nil), write("a", 3))
	m.charged("update of what has shrunk", m.update("a", "REMOVE v", nil), write("a", 1))
	m.charged("put of 5000 bytes", m.put("d", 5000, nil), write("d", 5))
	m.charged("consistent read", m.get("d", true), read("d", 2))
	m.charged("eventual read", m.get("d", false), read("d", 1))
	m.charged("consistent read of nothing", m.get("c", true), read("c", 1))
	m.charged("delete", m.delete("d"), write("d", 5))
	m.charged("delete of nothing", m.delete("d"), write("d", 1))
}

func keys(pks ...string) (all []map[string]types.AttributeValue) {
	for _, pk := range pks {
		all = append(all, record(pk, 0))
	}
	return all
}

// TestBatches: a batch is charged item by item, and changes and returns what it
// should.
func TestBatches(t *testing.T) {
	m := newMetered(t)
	put := func(pk string, bytes int) types.WriteRequest {
		return types.WriteRequest{PutRequest: &types.PutRequest{Item: record(pk, bytes)}}
	}
	writes := func(all ...types.WriteRequest) error {
		out, err := m.BatchWriteItem(m.t.Context(), &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{table: all}})
		if err == nil && len(out.UnprocessedItems) > 0 {
			t.Errorf("not processed: %v", out.UnprocessedItems)
		}
		return err
	}
	m.charged("puts", writes(put("a", 500), put("b", 2500)), write("a", 1), write("b", 3))
	out, err := m.BatchGetItem(t.Context(), &dynamodb.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{
		table: {Keys: keys("a", "b", "c"), ConsistentRead: aws.Bool(true)},
	}})
	m.charged("gets", err, read("a", 1), read("b", 1), read("c", 1))
	if err == nil {
		sizes := make(map[int]bool)
		for _, it := range out.Responses[table] {
			sizes[storetest.ItemSize(it)] = true
		}
		if len(sizes) != 2 || !sizes[500] || !sizes[2500] || len(out.UnprocessedKeys) > 0 {
			t.Errorf("read items of %v bytes, not processed %v", sizes, out.UnprocessedKeys)
		}
	}
	m.charged("a delete and a put", writes(types.WriteRequest{DeleteRequest: &types.DeleteRequest{Key: record("b", 0)}}, put("c", 10)), write("b", 3), write("c", 1))
	m.charged("what is deleted", m.get("b", true), read("b", 1))
}

// TestThrottledBatches: of a batch what is refused is not processed, and the batch
// is refused if that is all.
func TestThrottledBatches(t *testing.T) { synctest.Test(t, throttledBatches) }

func throttledBatches(t *testing.T) {
	s := serve(t, 1)
	if err := s.put("hot"); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := s.get("hot"); err != nil {
			t.Fatal(err)
		}
	}
	some, all := []string{"hot", "cold"}, []string{"hot"}
	get := func(pks []string) (*dynamodb.BatchGetItemOutput, error) {
		return s.client.BatchGetItem(t.Context(), &dynamodb.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{
			table: {Keys: keys(pks...), ConsistentRead: aws.Bool(true)},
		}})
	}
	out, err := get(some)
	if err != nil {
		t.Fatal(err)
	}
	if left := out.UnprocessedKeys[table]; len(left.Keys) != 1 || storetest.ItemSize(left.Keys[0]) != len("pkhot") || !*left.ConsistentRead {
		t.Errorf("keys not processed: %+v", out.UnprocessedKeys)
	}
	if _, err := get(all); !isThrottled(err) {
		t.Errorf("read of a batch that is refused: %v", err)
	}
	put := func(pks []string) (*dynamodb.BatchWriteItemOutput, error) {
		var writes []types.WriteRequest
		for _, pk := range pks {
			writes = append(writes, types.WriteRequest{PutRequest: &types.PutRequest{Item: record(pk, 100)}})
		}
		return s.client.BatchWriteItem(t.Context(), &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{table: writes}})
	}
	wrote, err := put(some)
	if err != nil {
		t.Fatal(err)
	}
	if left := wrote.UnprocessedItems[table]; len(left) != 1 || storetest.ItemSize(left[0].PutRequest.Item) != 100 {
		t.Errorf("items not processed: %+v", wrote.UnprocessedItems)
	}
	if _, err := put(all); !isThrottled(err) {
		t.Errorf("write of a batch that is refused: %v", err)
	}
}

func isThrottled(err error) bool {
	_, ok := errors.AsType[*types.ThrottlingException](err)
	return ok
}
