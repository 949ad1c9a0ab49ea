package template

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	signer "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/owt-signal/owt-signal/internal/awsenv"
	"github.com/owt-signal/owt-signal/internal/dynamo"
	"github.com/owt-signal/owt-signal/internal/lambdaenv"
	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
	"github.com/owt-signal/owt-signal/internal/storetest"
	"github.com/owt-signal/owt-signal/internal/webhook"
)

// streamed is the table with its stream, in an engine.
type streamed struct {
	*dynamo.Store
	endpoint, stream string
}

const streamedTable = "owt-signal-streamed"

func newStreamed(t *testing.T) *streamed {
	t.Helper()
	s := &streamed{endpoint: storetest.Engine(t)}
	client := dynamodb.NewFromConfig(awsenv.ConfigOr("us-east-1", "test"), func(o *dynamodb.Options) { o.BaseEndpoint = &s.endpoint })
	s.Store = dynamo.New(client, streamedTable)
	if err := s.EnsureTable(t.Context()); err != nil {
		t.Fatal(err)
	}
	out, err := client.UpdateTable(t.Context(), &dynamodb.UpdateTableInput{
		TableName:           aws.String(streamedTable),
		StreamSpecification: &types.StreamSpecification{StreamEnabled: aws.Bool(true), StreamViewType: types.StreamViewTypeNewAndOldImages},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.stream = *out.TableDescription.LatestStreamArn
	return s
}

// call calls an operation of DynamoDB Streams, for which the SDK would need another module.
func (s *streamed) call(t *testing.T, operation string, in, out any) {
	t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.endpoint, strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.0")
	r.Header.Set("X-Amz-Target", "DynamoDBStreams_20120810."+operation)
	config, hash := awsenv.ConfigOr("us-east-1", "test"), sha256.Sum256(body)
	credentials, err := config.Credentials.Retrieve(t.Context())
	if err == nil {
		err = signer.NewSigner().SignHTTP(t.Context(), credentials, r, hex.EncodeToString(hash[:]), "dynamodb", config.Region, time.Now())
	}
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	answer, _ := io.ReadAll(response.Body)
	if response.StatusCode != http.StatusOK || json.Unmarshal(answer, out) != nil {
		t.Fatalf("%s: status %d: %s", operation, response.StatusCode, answer)
	}
}

// records reads the whole stream.
func (s *streamed) records(t *testing.T) (all []json.RawMessage) {
	t.Helper()
	var described struct {
		StreamDescription struct{ Shards []struct{ ShardID string } }
	}
	s.call(t, "DescribeStream", map[string]any{"StreamArn": s.stream}, &described)
	for _, shard := range described.StreamDescription.Shards {
		var begun struct{ ShardIterator string }
		s.call(t, "GetShardIterator", map[string]any{"StreamArn": s.stream, "ShardId": shard.ShardID, "ShardIteratorType": "TRIM_HORIZON"}, &begun)
		for next := begun.ShardIterator; next != ""; {
			var got struct {
				Records           []json.RawMessage
				NextShardIterator string
			}
			s.call(t, "GetRecords", map[string]any{"ShardIterator": next}, &got)
			if all = append(all, got.Records...); len(got.Records) == 0 {
				break
			}
			next = got.NextShardIterator
		}
	}
	return all
}

// passes reports whether a record passes a filter's pattern ("Lambda event filtering").
func passes(pattern, record any) bool {
	switch pattern := pattern.(type) {
	case map[string]any:
		r, _ := record.(map[string]any)
		for key, p := range pattern {
			if !passes(p, r[key]) {
				return false
			}
		}
		return true
	case []any:
		return slices.ContainsFunc(pattern, func(rule any) bool {
			if prefix, ok := at(rule, "prefix").(string); ok {
				s, is := record.(string)
				return is && strings.HasPrefix(s, prefix)
			}
			return rule == record
		})
	}
	return false
}

// filtered returns the records that the filters of the function events let through.
func (tpl template) filtered(t *testing.T, records []json.RawMessage) (through []json.RawMessage) {
	t.Helper()
	filters, _ := at(tpl.properties("EventsFunction"), "Events", "Owners", "Properties", "FilterCriteria", "Filters").([]any)
	for _, r := range records {
		var record any
		if err := json.Unmarshal(r, &record); err != nil {
			t.Fatal(err)
		}
		if slices.ContainsFunc(filters, func(filter any) bool {
			var pattern any
			if err := json.Unmarshal([]byte(at(filter, "Pattern").(string)), &pattern); err != nil {
				t.Fatal(err)
			}
			return passes(pattern, record)
		}) {
			through = append(through, r)
		}
	}
	return through
}

// bus is EventBridge's operation PutEvents (Amazon EventBridge API Reference). There is
// a real one in e2e/deploy; this one refuses when it is told to.
type bus struct {
	mu      sync.Mutex
	put     []webhook.Event
	refuses func(e webhook.Event, times int) bool
	times   map[string]int
	largest int // entries at once
}

func (b *bus) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var in struct {
		Entries []struct{ Source, DetailType, Detail, EventBusName string }
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || r.Header.Get("X-Amz-Target") != "AWSEvents.PutEvents" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	b.largest = max(b.largest, len(in.Entries))
	failed, entries := 0, make([]map[string]string, len(in.Entries))
	for i, entry := range in.Entries {
		var e webhook.Event
		if json.Unmarshal([]byte(entry.Detail), &e) != nil || entry.Source != "owt-signal.streamed" || entry.EventBusName != "users" || entry.DetailType != string(e.Kind) {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		b.times[e.ID]++
		if entries[i] = map[string]string{"EventId": e.ID}; b.refuses != nil && b.refuses(e, b.times[e.ID]) {
			entries[i], failed = map[string]string{"ErrorCode": "ThrottlingException", "ErrorMessage": "not now"}, failed+1
			continue
		}
		b.put = append(b.put, e)
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	_ = json.NewEncoder(w).Encode(map[string]any{"FailedEntryCount": failed, "Entries": entries})
}

// said returns what was put of each user, in words; what is put again counts once.
func (b *bus) said(t *testing.T) map[signal.UserName]string {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	words, last, seen := make(map[signal.UserName]string), make(map[signal.UserName]string), make(map[string]bool)
	for _, e := range b.put {
		switch {
		case seen[e.ID]:
			continue
		case e.Order <= last[e.User] || e.At.IsZero():
			t.Errorf("after order %s: %+v", last[e.User], e)
		}
		seen[e.ID], last[e.User] = true, e.Order
		words[e.User] = strings.TrimSpace(fmt.Sprintf("%s %s %s", words[e.User], e.Kind, e.Connection))
	}
	return words
}

// The binary that is deployed puts what users do on the bus, by the records that a real
// stream has of it and the template's filters let through: messages and what else is in
// the table do not invoke it.
func TestStreamBecomesEvents(t *testing.T) {
	s, ctx := newStreamed(t), t.Context()
	now := lane.Instant(time.Now().UnixMilli())
	own := func(user, id, expect string) {
		t.Helper()
		c := signal.Claim{
			User: signal.UserName(user), Peer: signal.Peer{ID: signal.ConnectionID(id), Endpoint: "e", Protocol: signal.JSON}, At: now, Until: now + 3_600_000,
			Epoch: "e", Expect: signal.ConnectionID(expect), Now: now,
		}
		for range 2 { // the second changes nothing
			if claimed, err := s.Claim(ctx, c); err != nil || claimed.Owner.ID != c.Peer.ID {
				t.Fatalf("%+v, %v", claimed, err)
			}
		}
	}
	release := func(user, id string) {
		t.Helper()
		if r, err := s.Release(ctx, signal.UserName(user), signal.ConnectionID(id), 0); err != nil || !r.Owner {
			t.Fatalf("%+v, %v", r, err)
		}
	}
	want := make(map[signal.UserName]string)
	const routes = 5
	message := func(user string) {
		t.Helper()
		for range routes {
			if _, err := s.Route(ctx, signal.UserName(user), 1, now); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.Create(ctx, signal.Connection{Peer: signal.Peer{ID: "1"}, Expires: now + 3_600_000, Lane: lane.New()}); err != nil {
		t.Fatal(err)
	}
	own("alice", "1", "")
	message("alice")
	own("alice", "2", "1")
	message("alice")
	release("alice", "2")
	own("alice", "3", "")
	want["alice"] = "connected 1 superseded 1 connected 2 left 2 connected 3"
	const users = 25
	for n := range users {
		own(fmt.Sprint("user", n), fmt.Sprint("c", n), "")
	}
	for n := range users {
		user, id := fmt.Sprint("user", n), fmt.Sprint("c", n)
		release(user, id)
		want[signal.UserName(user)] = "connected " + id + " left " + id
	}
	if _, err := s.End(ctx, "1", now); err != nil {
		t.Fatal(err)
	}

	all := s.records(t)
	records := load(t).filtered(t, all)
	if changes := 4 + 2*users; len(records) < changes || len(records) > changes+2 || len(all) < len(records)+2*routes {
		t.Fatalf("%d of %d records come through", len(records), len(all))
	}
	b := &bus{times: make(map[string]int)}
	server := httptest.NewServer(b)
	defer server.Close()
	f := start(t, "events", map[string]string{"EVENT_BUS": "users", "STACK_NAME": "streamed", "AWS_ENDPOINT_URL_EVENTBRIDGE": server.URL})
	for name, refuses := range map[string]func(webhook.Event, int) bool{
		"well":           nil,
		"busy at first":  func(e webhook.Event, times int) bool { return times == 1 && strings.HasSuffix(string(e.User), "3") },
		"busy for long":  func(e webhook.Event, times int) bool { return times <= 4 && e.User == "user7" },
		"stops midway":   func(e webhook.Event, times int) bool { return times <= 3 && e.Connection == "2" },
		"stops at alice": func(e webhook.Event, times int) bool { return times <= 6 && e.Kind == webhook.Superseded },
	} {
		t.Run(name, func(t *testing.T) {
			b.mu.Lock()
			b.put, b.times, b.refuses, b.largest = nil, make(map[string]int), refuses, 0
			b.mu.Unlock()
			invokeFromStream(t, f, records)
			if got := b.said(t); !maps.Equal(got, want) {
				t.Errorf("put %v, want %v", got, want)
			}
			if b.largest != 10 {
				t.Errorf("%d events at once", b.largest)
			}
		})
	}
}

// invokeFromStream invokes a function as Lambda does for a shard: what it does not
// manage comes again, from the first place that it names.
func invokeFromStream(t *testing.T, f *lambdaenv.Function, records []json.RawMessage) {
	t.Helper()
	for range 10 {
		payload, err := json.Marshal(map[string]any{"Records": records})
		if err != nil {
			t.Fatal(err)
		}
		answer, err := f.Invoke(t.Context(), payload)
		if err != nil {
			t.Fatal(err)
		}
		var failed struct {
			BatchItemFailures []struct{ ItemIdentifier string } `json:"batchItemFailures"`
		}
		if err := json.Unmarshal(answer, &failed); err != nil {
			t.Fatalf("%s: %v", answer, err)
		}
		if len(failed.BatchItemFailures) == 0 {
			return
		}
		from := slices.IndexFunc(records, func(r json.RawMessage) bool {
			return strings.Contains(string(r), `"`+failed.BatchItemFailures[0].ItemIdentifier+`"`)
		})
		if from < 0 {
			t.Fatalf("no record of %s", answer)
		}
		records = records[from:]
	}
	t.Error("it does not come to an end")
}
