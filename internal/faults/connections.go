package faults

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/owt-signal/owt-signal/internal/apigw"
	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// What AWS's SDK does about a post that is throttled, as apigw.Management sets
// it: it tries postTries times in all, postPause apart, within
// lane.PostWithin.
const (
	postTries = 3
	postPause = 200 * time.Millisecond
)

var errThrottled = fmt.Errorf("throttled by a fault: %w", signal.ErrBusy)

// Connections delays operations and throttles posts. Each is given up after
// lane.PostWithin, with an error that means an unknown outcome.
//
// Throttled is each request by itself, and the requests for one post are up to
// three, as AWS's SDK makes them: with a probability p the caller is told of
// signal.ErrBusy, and nothing was sent, with p³.
func (f *Faults) Connections(next apigw.Connections) apigw.Connections {
	if f == nil {
		return next
	}
	return &connections{f, next}
}

type connections struct {
	*Faults
	next apigw.Connections
}

// Post implements [apigw.Connections].
func (c *connections) Post(ctx context.Context, endpoint string, id signal.ConnectionID, frame []byte) error {
	step(ctx)
	ctx, cancel := context.WithTimeout(ctx, lane.PostWithin)
	defer cancel()
	for try := 1; ; try++ {
		err := c.posts.late(ctx, c.spec.Delay, func() error {
			if c.throttles.happens(c.spec.Throttle) {
				return errThrottled
			}
			return c.next.Post(ctx, endpoint, id, frame)
		})
		if !errors.Is(err, errThrottled) {
			return err
		}
		c.log.InfoContext(ctx, "post throttled", "connection", id, "try", try)
		if try == postTries {
			return err
		}
		if err := sleep(ctx, postPause); err != nil {
			return err
		}
	}
}

// Get implements [apigw.Connections].
func (c *connections) Get(ctx context.Context, endpoint string, id signal.ConnectionID) error {
	return c.call(ctx, func(ctx context.Context) error { return c.next.Get(ctx, endpoint, id) })
}

// Delete implements [apigw.Connections].
func (c *connections) Delete(ctx context.Context, endpoint string, id signal.ConnectionID) error {
	return c.call(ctx, func(ctx context.Context) error { return c.next.Delete(ctx, endpoint, id) })
}

// call makes an operation that is not throttled.
func (c *connections) call(ctx context.Context, operation func(context.Context) error) error {
	step(ctx)
	ctx, cancel := context.WithTimeout(ctx, lane.PostWithin)
	defer cancel()
	return c.posts.late(ctx, c.spec.Delay, func() error { return operation(ctx) })
}
