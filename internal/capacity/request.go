package capacity

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
)

// partitionKey is the name of the attribute that is the key of the table, as
// internal/dynamo has it.
const partitionKey = "pk"

// uncounted are the operations that go through as they are: they are about a
// table, or all of its keys.
var uncounted = []string{
	"Scan", "CreateTable", "DescribeTable", "DeleteTable", "ListTables", "UpdateTimeToLive", "DescribeTimeToLive",
}

// RoundTrip implements [http.RoundTripper].
func (l *Limit) RoundTrip(r *http.Request) (*http.Response, error) { return l.Do(r) }

// Do implements the HTTP client of the AWS SDK. The request is one of the
// protocol of DynamoDB, awsJson1_0; what it cannot charge, it refuses.
func (l *Limit) Do(r *http.Request) (*http.Response, error) {
	version, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	if l.WriteUnits == 0 && l.Charged == nil || slices.Contains(uncounted, operation) {
		return l.Next(r)
	}
	defer func() { _ = r.Body.Close() }()
	var in document
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		return nil, fmt.Errorf("read request to DynamoDB: %w", err)
	}
	c := call{Limit: l, request: r, version: version}
	a, err := c.answer(operation, in)
	if err != nil {
		return nil, err
	}
	return a.response(r), nil
}

// document is a request or an answer: JSON whose members are looked at only where
// they matter.
type document map[string]json.RawMessage

// with sets a member, and returns the document.
func (d document) with(member string, value any) document {
	d[member], _ = json.Marshal(value) // of texts, and of what was read
	return d
}

// call is one request to DynamoDB, which may become several.
type call struct {
	*Limit
	request *http.Request
	version string
}

func (c call) answer(operation string, in document) (answer, error) {
	switch operation {
	case "PutItem", "UpdateItem", "DeleteItem", "GetItem":
		return c.one(operation, in)
	case "BatchGetItem":
		return c.batchGet(in)
	case "BatchWriteItem":
		return c.batchWrite(in)
	default:
		return failed("com.amazon.coral.validate#ValidationException", "the limit of a key cannot be told for "+operation, document{}), nil
	}
}

// one makes a request for one item.
func (c call) one(operation string, in document) (answer, error) {
	of := bucketKey{write: operation != "GetItem"}
	var key struct {
		TableName string
		Key, Item item
	}
	for member, into := range map[string]any{"TableName": &key.TableName, "Key": &key.Key, "Item": &key.Item} {
		if text, ok := in[member]; ok {
			if err := json.Unmarshal(text, into); err != nil {
				return answer{}, fmt.Errorf("read %s of %s: %w", member, operation, err)
			}
		}
	}
	of.table = key.TableName
	for _, it := range []item{key.Key, key.Item} {
		if v, ok := it[partitionKey]; ok && v.S != nil {
			of.key = *v.S
		}
	}
	in.with("ReturnConsumedCapacity", "TOTAL")
	if _, conditional := in["ConditionExpression"]; conditional {
		in.with("ReturnValuesOnConditionCheckFailure", "ALL_OLD")
	}
	return c.charge(c.request.Context(), of, func() (answer, error) { return c.send(operation, in) })
}

// send makes a request.
func (c call) send(operation string, in document) (answer, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return answer{}, err
	}
	r := c.request.Clone(c.request.Context())
	r.Header.Set("X-Amz-Target", c.version+"."+operation)
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	response, err := c.Next(r)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	return answer{status: response.StatusCode, header: response.Header, text: text}, err
}
