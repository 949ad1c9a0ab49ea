package webhook

import (
	"context"
	"encoding/json"
	"hash/maphash"
	"log/slog"
	"sync"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal"
)

// Limits of a [Queue].
const (
	// Lanes is how many events are posted at a time. Those of a user go one after the
	// other.
	Lanes = 32
	// MaxQueued is how many events a lane keeps.
	MaxQueued = 1024
	// MaxAge is for how long an event is posted again before it is dropped.
	MaxAge = time.Hour
	// PostWithin is how long a server may take to answer.
	PostWithin = 10 * time.Second
)

// Pauses before an event is posted again: the first, which doubles, and the longest.
const (
	firstPause = time.Second
	mostPause  = time.Minute
)

// Queue posts events to one server: in the order of each user, and again until the
// server takes them. It is safe for concurrent use.
type Queue struct {
	client *Client
	meter  signal.Meter
	log    *slog.Logger
	seed   maphash.Seed
	first  time.Duration // pause
	lanes  [Lanes]chan Event
	work   sync.WaitGroup
	ending chan struct{} // closed: what is queued is posted once more
	stop   context.CancelFunc
	full   sync.Map // of lanes that dropped something since they last had room
}

// NewQueue returns a Queue that posts by a client, until it is closed.
func NewQueue(c *Client, meter signal.Meter, log *slog.Logger) *Queue {
	return newQueue(c, meter, log, firstPause)
}

func newQueue(c *Client, meter signal.Meter, log *slog.Logger, first time.Duration) *Queue {
	q := &Queue{client: c, meter: meter, log: log, seed: maphash.MakeSeed(), first: first, ending: make(chan struct{})}
	var ctx context.Context
	ctx, q.stop = context.WithCancel(context.Background())
	for i := range q.lanes {
		q.lanes[i] = make(chan Event, MaxQueued)
		q.work.Go(func() { q.serve(ctx, q.lanes[i]) })
	}
	return q
}

// lane is where a user's events are queued.
func (q *Queue) lane(user signal.UserName) uint64 {
	return maphash.String(q.seed, string(user)) % Lanes
}

// Add queues events of one user. It does not wait: what there is no room for is
// dropped. What is added once [Queue.Close] was called may be lost.
func (q *Queue) Add(events ...Event) {
	for _, e := range events {
		n := q.lane(e.User)
		select {
		case q.lanes[n] <- e:
			q.full.Delete(n)
		default:
			q.meter.Count(signal.MetricEventsDropped, 1)
			if _, known := q.full.LoadOrStore(n, true); !known { // not a line for each
				q.log.Error("events dropped", "error", "the queue is full", "server", q.client.Name(), "user", string(e.User))
			}
		}
	}
}

// Close ends the queue once every event was posted, whether or not it was taken, or
// ctx ends.
func (q *Queue) Close(ctx context.Context) {
	close(q.ending)
	stopped := context.AfterFunc(ctx, q.stop)
	q.work.Wait()
	stopped()
	q.stop()
}

// serve posts the events of a lane, one after the other.
func (q *Queue) serve(ctx context.Context, lane <-chan Event) {
	for e, ok := q.next(lane); ok; e, ok = q.next(lane) {
		if err := q.deliver(ctx, e); err != nil {
			q.meter.Count(signal.MetricEventsDropped, 1)
			q.log.ErrorContext(ctx, "event dropped", "error", err, "server", q.client.Name(), "user", string(e.User), "connection", string(e.Connection), "type", string(e.Kind))
			continue
		}
		q.meter.Count(signal.MetricEvents, 1)
	}
}

// next waits for the next event of a lane; false if there is none, and the queue ends.
func (q *Queue) next(lane <-chan Event) (Event, bool) {
	select {
	case e := <-lane:
		return e, true
	default:
	}
	select {
	case e := <-lane:
		return e, true
	case <-q.ending:
		return Event{}, false
	}
}

// deliver posts an event until the server takes it, or for [MaxAge].
func (q *Queue) deliver(ctx context.Context, e Event) error {
	body, err := json.Marshal(e)
	if err != nil {
		return err
	}
	for pause := q.first; ; pause = min(2*pause, mostPause) {
		if err = q.client.Tell(ctx, body); err == nil {
			return nil
		}
		if q.client.now().Sub(e.At) >= MaxAge || !q.wait(ctx, pause) {
			return err
		}
		q.meter.Count(signal.MetricEventsRetried, 1)
		q.log.WarnContext(ctx, "event not taken", "error", err, "server", q.client.Name(), "connection", string(e.Connection), "type", string(e.Kind))
	}
}

// wait waits, and reports whether there is to be another try.
func (q *Queue) wait(ctx context.Context, pause time.Duration) bool {
	select {
	case <-time.After(pause):
		return true
	case <-q.ending:
		return false
	case <-ctx.Done():
		return false
	}
}
