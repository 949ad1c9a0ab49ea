package capacity

import (
	"bytes"
	"encoding/json"
	"io"
	"math"
	"net/http"
	"strings"
)

// answer is what DynamoDB answers to a request, or a limit in its place.
type answer struct {
	status    int
	header    http.Header
	text      []byte
	throttled bool
}

const contentType = "application/x-amz-json-1.0"

// found returns the answer to a request that was served.
func found(out document) (answer, error) {
	text, err := json.Marshal(out)
	return answer{status: http.StatusOK, header: http.Header{"Content-Type": {contentType}}, text: text}, err
}

// failed returns an answer of an error; members are further ones.
func failed(kind, message string, members document) answer {
	text, _ := json.Marshal(members.with("__type", kind).with("message", message)) // texts
	return answer{status: http.StatusBadRequest, header: http.Header{"Content-Type": {contentType}}, text: text}
}

// throttled returns the answer to a request for a key that has no units left, as
// a table on demand gives it: ThrottlingException and ThrottlingReason in the
// Amazon DynamoDB API Reference.
func throttled(of bucketKey) answer {
	reason := "TableReadKeyRangeThroughputExceeded"
	if of.write {
		reason = "TableWriteKeyRangeThroughputExceeded"
	}
	a := failed("com.amazon.coral.availability#ThrottlingException",
		"Throughput exceeds the current capacity of your table or index. DynamoDB is automatically scaling your table or index so please try again shortly. "+
			"If exceptions persist, check if you have a hot key: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html",
		document{}.with("throttlingReasons", []map[string]string{{
			"reason": reason, "resource": "arn:aws:dynamodb:us-east-1:000000000000:table/" + of.table,
		}}))
	a.throttled = true
	return a
}

// response returns the answer as the response to r.
func (a answer) response(r *http.Request) *http.Response {
	return &http.Response{
		StatusCode: a.status, Status: http.StatusText(a.status), Header: a.header, Request: r,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Body: io.NopCloser(bytes.NewReader(a.text)), ContentLength: int64(len(a.text)),
	}
}

// item returns the item that was read, as JSON; nil if there is none.
func (a answer) item() json.RawMessage {
	var out struct{ Item json.RawMessage }
	_ = json.Unmarshal(a.text, &out) // what is no JSON has none
	return out.Item
}

// consumed returns the units that a request for one item has consumed: as the
// answer says, or, of a write whose condition does not hold, by the item that is
// there ("Read and write operations", Developer Guide). An error consumes nothing.
func (a answer) consumed() float64 {
	var out struct {
		Type             string `json:"__type"`
		ConsumedCapacity struct{ CapacityUnits float64 }
		Item             item
	}
	_ = json.Unmarshal(a.text, &out) // what is no JSON is an error
	if _, kind, _ := strings.Cut(out.Type, "#"); kind == "ConditionalCheckFailedException" {
		return math.Max(1, math.Ceil(float64(out.Item.size())/(1<<10)))
	}
	return out.ConsumedCapacity.CapacityUnits
}

// item is an item in DynamoDB's JSON.
type item map[string]attribute

type attribute struct {
	S, N *string
	B    *[]byte
	BOOL *bool
	NULL *bool
	SS   []string
	NS   []string
	BS   [][]byte
	M    item
	L    []attribute
}

// size returns the size of an item in bytes, by which DynamoDB charges for it
// ("DynamoDB item sizes and formats", Developer Guide).
func (i item) size() (size int) {
	for name, a := range i {
		size += len(name) + a.size()
	}
	return size
}

func (a attribute) size() (size int) {
	switch {
	case a.S != nil:
		return len(*a.S)
	case a.N != nil:
		return numberSize(*a.N)
	case a.B != nil:
		return len(*a.B)
	case a.M != nil:
		return 3 + len(a.M) + a.M.size()
	case a.L != nil:
		size = 3 + len(a.L)
		for _, e := range a.L {
			size += e.size()
		}
		return size
	case a.BOOL != nil, a.NULL != nil:
		return 1
	}
	for _, s := range a.SS {
		size += len(s)
	}
	for _, n := range a.NS {
		size += numberSize(n)
	}
	for _, b := range a.BS {
		size += len(b)
	}
	return size
}

func numberSize(n string) int { return (len(n)+1)/2 + 1 }
