package storetest

import (
	"log/slog"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"

	"github.com/owt-signal/owt-signal/internal/faults"
	"github.com/owt-signal/owt-signal/internal/memory"
	"github.com/owt-signal/owt-signal/internal/signal"
)

// TestContract runs the contract on every store, one of them on a real
// DynamoDB engine.
func TestContract(t *testing.T) {
	for name, store := range map[string]func(*testing.T) signal.Store{
		"dynamo": func(t *testing.T) signal.Store { return newDynamo(t) },
		"memory": func(*testing.T) signal.Store { return memory.New() },
		"slow": func(*testing.T) signal.Store {
			spec := faults.Spec{SlowStore: 50 * time.Microsecond, Seed: 1}
			return faults.New(&spec, slog.New(slog.DiscardHandler)).Store(memory.New())
		},
	} {
		t.Run(name, func(t *testing.T) { contract(t, store(t)) })
	}
}

func TestLinearizable(t *testing.T) {
	t.Run("memory", func(t *testing.T) { linearizable(t, memory.New()) })
	t.Run("dynamo", func(t *testing.T) { linearizable(t, newDynamo(t)) })

	// Without retries an operation whose answer is lost fails, and may take effect.
	t.Run("dynamo without answers", func(t *testing.T) {
		linearizable(t, newWatchedDynamo(t, nowAndThen, aws.NopRetryer{}))
	})

	// With the SDK's retries it is answered by a later attempt, which a condition
	// refuses if an earlier one took effect. That a move was made is then told by
	// [lane.Move.Made]; a claim is answered as owned; a release is reported as
	// not made, a connection as dropped already; and a route may skip a number.
	t.Run("dynamo with retries", func(t *testing.T) {
		linearizable(t, newWatchedDynamo(t, nowAndThen, retry.NewStandard(func(o *retry.StandardOptions) {
			o.RateLimiter = ratelimit.None // as for a client that seldom meets an error
			o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return time.Millisecond, nil })
		})))
	})
}

func TestRepeatedClaim(t *testing.T) {
	t.Run("memory", func(t *testing.T) { claimsRepeatedly(t, memory.New()) })
	t.Run("dynamo", func(t *testing.T) { claimsRepeatedly(t, newDynamo(t)) })
}
