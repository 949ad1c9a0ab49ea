package storetest

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/owt-signal/owt-signal/internal/capacity"
	"github.com/owt-signal/owt-signal/internal/dynamo"
	"github.com/owt-signal/owt-signal/internal/signal"
)

// TestKeyLimit: a call for a record that is written too much is made or refused, and
// what is refused has changed nothing; other records do not mind.
func TestKeyLimit(t *testing.T) {
	config, table := newTable(t)
	limit := &capacity.Limit{Next: config.HTTPClient.Do, WriteUnits: 2}
	store := dynamo.New(dynamodb.NewFromConfig(config, dynamo.Retry, func(o *dynamodb.Options) { o.HTTPClient = limit }), table)
	claim := func(user signal.UserName) {
		if _, err := store.Claim(t.Context(), signal.Claim{User: user, Peer: signal.Peer{ID: "c"}, At: now, Until: now.Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
	}
	claim("hot")
	const calls = 100
	var routed, refused atomic.Int64
	var all sync.WaitGroup
	for range calls {
		all.Go(func() {
			switch _, err := store.Route(t.Context(), "hot", 1, now); {
			case err == nil:
				routed.Add(1)
			case errors.Is(err, signal.ErrBusy):
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	claim("cold")
	all.Wait()
	if refused.Load() == 0 || routed.Load()+refused.Load() != calls {
		t.Errorf("%d calls were made, %d refused", routed.Load(), refused.Load())
	}
	for range calls {
		r, err := store.Route(t.Context(), "hot", 1, now)
		if errors.Is(err, signal.ErrBusy) {
			continue
		}
		if err != nil || r.Seq != routed.Load()+1 {
			t.Errorf("after %d calls the next number is %d, %v", routed.Load(), r.Seq, err)
		}
		return
	}
	t.Error("the record is refused for good")
}
