// Package eventbus puts events of users who come and go, which follow from the stream of
// the table, on a bus of Amazon EventBridge.
package eventbus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"

	"github.com/owt-signal/owt-signal/internal/awsenv"
	"github.com/owt-signal/owt-signal/internal/dynamo"
	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/webhook"
)

const (
	// maxEntries is how many events are put at a time ("Amazon EventBridge quotas").
	maxEntries = 10
	// putTries is how often an event is put, with pauses that double, before the
	// stream is to be read again from there.
	putTries = 3
	putPause = 100 * time.Millisecond
)

// Bus is where events go.
type Bus struct {
	client *eventbridge.Client
	name   string
	source string
	meter  signal.Meter
	log    *slog.Logger
}

// New returns the bus of that name. A stack's name is part of the source of what is
// put; empty: there is none.
func New(config aws.Config, name, stack string, meter signal.Meter, log *slog.Logger) *Bus {
	client := eventbridge.NewFromConfig(config, func(o *eventbridge.Options) { o.BaseEndpoint = awsenv.Endpoint("EVENTBRIDGE") })
	source := "owt-signal"
	if stack != "" {
		source += "." + stack
	}
	return &Bus{client: client, name: name, source: source, meter: meter, log: log}
}

// entry is an event, and the place in the stream that it follows from.
type entry struct {
	webhook.Event
	place string
}

// Handle puts what follows from some of the stream on the bus, the events of each user
// in their order. What could not be put it names, by the first place to read again
// from ("Configuring partial batch response with DynamoDB and Lambda").
func (b *Bus) Handle(ctx context.Context, in events.DynamoDBEvent) (out events.DynamoDBEventResponse) {
	var all []entry
	for _, r := range in.Records {
		o, ok := dynamo.ReadOwners(r)
		if !ok {
			continue
		}
		change := webhook.Change{
			ID: r.EventID, User: o.User, Was: o.Was, Is: o.Is, At: r.Change.ApproximateCreationDateTime.Time, Number: r.Change.SequenceNumber,
		}
		for _, e := range change.Events() {
			all = append(all, entry{e, r.Change.SequenceNumber})
		}
	}
	for len(all) > 0 {
		n := together(all)
		if failed, err := b.put(ctx, all[:n]); err != nil {
			b.log.ErrorContext(ctx, "events not put", "bus", b.name, "connection", string(failed.Connection), "error", err)
			return events.DynamoDBEventResponse{BatchItemFailures: []events.DynamoDBBatchItemFailure{{ItemIdentifier: failed.place}}}
		}
		all = all[n:]
	}
	return out
}

// together returns how many may be put at a time: of each user one, lest the second is
// put and the first is not.
func together(all []entry) int {
	users := make(map[signal.UserName]bool, maxEntries)
	for i, e := range all {
		if i == maxEntries || users[e.User] {
			return i
		}
		users[e.User] = true
	}
	return len(all)
}

// put puts events of different users. If it fails it returns the first that is not put.
func (b *Bus) put(ctx context.Context, left []entry) (entry, error) {
	for try := 0; ; try++ {
		refused, err := b.putOnce(ctx, left)
		b.meter.Count(signal.MetricEvents, len(left)-len(refused))
		if len(refused) == 0 {
			return entry{}, nil
		}
		if left = refused; try == putTries-1 {
			return left[0], err
		}
		b.meter.Count(signal.MetricEventsRetried, len(left))
		select {
		case <-time.After(putPause << try):
		case <-ctx.Done():
			return left[0], errors.Join(err, ctx.Err())
		}
	}
}

// putOnce returns those that were not put.
func (b *Bus) putOnce(ctx context.Context, all []entry) ([]entry, error) {
	in := &eventbridge.PutEventsInput{}
	for _, e := range all {
		detail, err := json.Marshal(e.Event)
		if err != nil {
			return all, fmt.Errorf("put events: %w", err)
		}
		in.Entries = append(in.Entries, types.PutEventsRequestEntry{
			EventBusName: &b.name, Source: &b.source, DetailType: aws.String(string(e.Kind)), Detail: aws.String(string(detail)), Time: &e.At,
		})
	}
	out, err := b.client.PutEvents(ctx, in)
	if err != nil {
		return all, fmt.Errorf("put events: %w", err)
	}
	var refused []entry
	for i, result := range out.Entries {
		if result.ErrorCode != nil && i < len(all) {
			refused = append(refused, all[i])
			err = fmt.Errorf("put events: %s: %s", *result.ErrorCode, aws.ToString(result.ErrorMessage))
		}
	}
	return refused, err
}
