package deploy

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/owt-signal/owt-signal/internal/webhook"
)

// bus is an event bus, and the queue that gets what the stack puts on it.
type bus struct {
	*emulator
	name, queue string
}

func (e *emulator) makeBus(t *testing.T) bus {
	t.Helper()
	const name, queue = "users", "listener"
	e.call(t, "events", "create_event_bus", map[string]any{"Name": name}, nil)
	b := bus{e, name, e.create(t, "sqs", "create_queue", map[string]any{"QueueName": queue}, "QueueUrl")}
	pattern, err := json.Marshal(map[string]any{"source": []string{"owt-signal." + stackName}})
	if err != nil {
		t.Fatal(err)
	}
	e.call(t, "events", "put_rule", map[string]any{"Name": "all", "EventBusName": name, "EventPattern": string(pattern)}, nil)
	e.call(t, "events", "put_targets", map[string]any{
		"Rule": "all", "EventBusName": name, "Targets": []any{map[string]string{"Id": "1", "Arn": "arn:aws:sqs:" + region + ":" + account + ":" + queue}},
	}, nil)
	return b
}

// wantEvents waits until the bus has said of a connection that it came, and then went.
func (b bus) wantEvents(t *testing.T) {
	t.Helper()
	said := make(map[string]map[webhook.Kind]string) // by connections, the order
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); {
		var got struct{ Messages []struct{ Body string } }
		b.call(t, "sqs", "receive_message", map[string]any{"QueueUrl": b.queue, "MaxNumberOfMessages": 10, "WaitTimeSeconds": 5, "VisibilityTimeout": 600}, &got)
		for _, m := range got.Messages {
			var put struct {
				Source string        `json:"source"`
				Detail webhook.Event `json:"detail"`
			}
			if err := json.Unmarshal([]byte(m.Body), &put); err != nil || put.Source != "owt-signal."+stackName || put.Detail.User == "" {
				t.Fatalf("%s: %v", m.Body, err)
			}
			e := put.Detail
			of, there := said[string(e.Connection)]
			if !there {
				of = make(map[webhook.Kind]string)
				said[string(e.Connection)] = of
			}
			if of[e.Kind] = e.Order; of[webhook.Connected] != "" && of[webhook.Left] > of[webhook.Connected] {
				return
			}
		}
	}
	t.Errorf("the bus says of no connection that it came and went, but %v", said)
}
