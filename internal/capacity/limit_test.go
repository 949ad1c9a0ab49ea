package capacity_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/owt-signal/owt-signal/internal/awsenv"
	"github.com/owt-signal/owt-signal/internal/capacity"
)

const table = "records"

// served is a DynamoDB that serves everything, of which each request consumes so
// many units.
type served struct {
	t      *testing.T
	client *dynamodb.Client
	units  float64
	got    atomic.Int64
}

func serve(t *testing.T, writeUnits int) *served {
	s := &served{t: t, units: 1}
	s.client = client(&capacity.Limit{Next: s.serve, WriteUnits: writeUnits}, "http://127.0.0.1:1")
	return s
}

// client is a client of DynamoDB that tries nothing again.
func client(network dynamodb.HTTPClient, endpoint string) *dynamodb.Client {
	return dynamodb.NewFromConfig(awsenv.ConfigOr("us-east-1", "test"), func(o *dynamodb.Options) {
		o.BaseEndpoint, o.HTTPClient, o.Retryer = &endpoint, network, aws.NopRetryer{}
	})
}

func (s *served) serve(r *http.Request) (*http.Response, error) {
	s.got.Add(1)
	body, err := io.ReadAll(r.Body)
	if !bytes.Contains(body, []byte(`"ReturnConsumedCapacity":"TOTAL"`)) {
		s.t.Errorf("%s is not asked for what it consumes: %s, %v", r.Header.Get("X-Amz-Target"), body, err)
	}
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/x-amz-json-1.0"}},
		Body: io.NopCloser(strings.NewReader(fmt.Sprintf(`{"ConsumedCapacity":{"TableName":%q,"CapacityUnits":%v}}`, table, s.units))),
	}, nil
}

func record(pk string, bytes int) map[string]types.AttributeValue {
	it := map[string]types.AttributeValue{"pk": &types.AttributeValueMemberS{Value: pk}}
	if bytes > 0 {
		it["d"] = &types.AttributeValueMemberB{Value: make([]byte, bytes-len("pkd")-len(pk))}
	}
	return it
}

func (s *served) put(pk string) error {
	_, err := s.client.PutItem(s.t.Context(), &dynamodb.PutItemInput{TableName: aws.String(table), Item: record(pk, 0)})
	return err
}

func (s *served) get(pk string) error {
	_, err := s.client.GetItem(s.t.Context(), &dynamodb.GetItemInput{TableName: aws.String(table), Key: record(pk, 0)})
	return err
}

// serves counts how many calls are served before one is refused, and sees that it
// is as DynamoDB does.
func (s *served) serves(call func(string) error, pk, reason string) (n int) {
	s.t.Helper()
	before := s.got.Load()
	var err error
	for ; err == nil; n++ {
		err = call(pk)
	}
	n--
	refusal, ok := errors.AsType[*types.ThrottlingException](err)
	if !ok || len(refusal.ThrottlingReasons) != 1 || *refusal.ThrottlingReasons[0].Reason != reason ||
		!strings.HasSuffix(*refusal.ThrottlingReasons[0].Resource, ":table/"+table) || !strings.Contains(refusal.ErrorMessage(), "hot key") {
		s.t.Errorf("refused by %v, %+v", err, refusal)
	}
	if reached := s.got.Load() - before; reached != int64(n) {
		s.t.Errorf("%d requests of %d have reached the table", reached, n)
	}
	return n
}

const (
	writesRefused = "TableWriteKeyRangeThroughputExceeded"
	readsRefused  = "TableReadKeyRangeThroughputExceeded"
)

func TestLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, capacity.WritesPerKey)
		if n := s.serves(s.put, "a", writesRefused); n != 1000 {
			t.Errorf("%d writes of one unit are served at once", n)
		}
		if n := s.serves(s.get, "a", readsRefused); n != 3000 {
			t.Errorf("%d reads of one unit are served at once", n)
		}
		if n := s.serves(s.put, "b", writesRefused); n != 1000 {
			t.Errorf("%d writes of another key are served", n)
		}
		time.Sleep(100 * time.Millisecond)
		if n := s.serves(s.put, "a", writesRefused); n != 100 {
			t.Errorf("after 100 ms %d writes are served", n)
		}
		time.Sleep(time.Minute)
		s.units = 400 // the largest item
		if n := s.serves(s.put, "a", writesRefused); n != 3 {
			t.Errorf("after a minute %d writes of 400 units are served at once", n)
		}
		time.Sleep(200 * time.Millisecond) // pays what the last one has taken too much
		if err := s.put("a"); err == nil {
			t.Error("a key in debt is served")
		}
		time.Sleep(time.Millisecond)
		if err := s.put("a"); err != nil {
			t.Error(err)
		}
	})
}

// TestNoLimit: without one a request passes as it is.
func TestNoLimit(t *testing.T) {
	asIs := false
	l := &capacity.Limit{Next: func(r *http.Request) (*http.Response, error) {
		body, err := io.ReadAll(r.Body)
		asIs = err == nil && !bytes.Contains(body, []byte("ReturnConsumedCapacity"))
		return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader("{}"))}, nil
	}}
	s := &served{t: t, client: client(l, "http://127.0.0.1:1")}
	if err := s.put("a"); err != nil || !asIs {
		t.Errorf("passes as it is: %v, %v", asIs, err)
	}
}

// TestUncharged: what the limit cannot charge it does not let through, unless it is
// of no key.
func TestUncharged(t *testing.T) {
	l := &capacity.Limit{WriteUnits: 1, Next: func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader("{}"))}, nil
	}}
	c := client(l, "http://127.0.0.1:1")
	for range 3 {
		if _, err := c.Scan(t.Context(), &dynamodb.ScanInput{TableName: aws.String(table)}); err != nil {
			t.Error(err)
		}
	}
	_, err := c.Query(t.Context(), &dynamodb.QueryInput{TableName: aws.String(table)})
	if err == nil || !strings.Contains(err.Error(), "Query") {
		t.Errorf("a query: %v", err)
	}
}

// TestManyKeys: a limit forgets keys that are at rest, and none that is not.
func TestManyKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, 1)
		s.units = 100
		if n := s.serves(s.put, "hot", writesRefused); n != 1 {
			t.Errorf("%d writes are served", n)
		}
		s.units = 1
		for i := range 3000 {
			if err := s.put(fmt.Sprint(i)); err != nil {
				t.Fatal(err)
			}
			if i%100 == 0 {
				time.Sleep(time.Second)
			}
		}
		if err := s.put("hot"); err == nil {
			t.Error("a key is forgotten while it is refused")
		}
	})
}

// TestOneAfterTheOther: requests for one key do not slip through together.
func TestOneAfterTheOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, 1000)
		s.units = 400
		slow := &capacity.Limit{WriteUnits: 1000, Next: func(r *http.Request) (*http.Response, error) {
			time.Sleep(time.Millisecond)
			return s.serve(r)
		}}
		c := client(slow, "http://127.0.0.1:1")
		refused := make(chan bool, 10)
		for range cap(refused) {
			go func() {
				_, err := c.PutItem(context.Background(), &dynamodb.PutItemInput{TableName: aws.String(table), Item: record("a", 0)})
				refused <- err != nil
			}()
		}
		n := 0
		for range cap(refused) {
			if <-refused {
				n++
			}
		}
		if n != 7 {
			t.Errorf("%d of 10 writes of 400 units are refused", n)
		}
	})
}
