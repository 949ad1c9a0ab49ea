package dynamo

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/smithy-go/middleware"

	"github.com/owt-signal/owt-signal/internal/signal"
)

// A request is made up to maxAttempts times, firstPause apart at most, and twice
// as long for each further one: a holder of a lease who is throttled twice can
// still begin its post ([lane.PostStartWithin]). The SDK's own pause would be up to
// a second after the first refusal, and up to two after the second.
const (
	maxAttempts = 3
	firstPause  = 50 * time.Millisecond
)

// Retry makes a client try requests again as a Store needs it, and an error of
// one that was throttled [signal.ErrBusy]. It is an option for
// [dynamodb.NewFromConfig].
func Retry(o *dynamodb.Options) {
	o.Retryer = newRetryer(rand.Float64)
	o.APIOptions = append(o.APIOptions, tellThrottled)
}

// newRetryer returns a retryer whose pauses are random between a half and the
// whole of what they may be. It has no quota of retries: whoever calls the store
// bounds them by time.
func newRetryer(random func() float64) aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = maxAttempts
		o.RateLimiter = ratelimit.None
		o.Backoff = retry.BackoffDelayerFunc(func(attempt int, _ error) (time.Duration, error) {
			most := firstPause << (attempt - 1)
			return most/2 + time.Duration(random()*float64(most/2)), nil
		})
	})
}

// tellThrottled adds a step around all attempts of a request.
func tellThrottled(stack *middleware.Stack) error {
	return stack.Finalize.Insert(middleware.FinalizeMiddlewareFunc("Throttled", func(
		ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler,
	) (middleware.FinalizeOutput, middleware.Metadata, error) {
		out, metadata, err := next.HandleFinalize(ctx, in)
		if err != nil && onlyThrottled(metadata) {
			err = fmt.Errorf("%w: %w", signal.ErrBusy, err)
		}
		return out, metadata, err
	}), (*retry.Attempt)(nil).ID(), middleware.Before)
}

// onlyThrottled reports whether all attempts of a request were throttled, so that
// it has certainly not been served. Of one that failed otherwise before, nobody
// knows that.
func onlyThrottled(metadata middleware.Metadata) bool {
	attempts, _ := retry.GetAttemptResults(metadata)
	for _, a := range attempts.Results {
		if retry.IsErrorThrottles(retry.DefaultThrottles).IsErrorThrottle(a.Err) != aws.TrueTernary {
			return false
		}
	}
	return len(attempts.Results) > 0
}
