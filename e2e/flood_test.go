package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A flood of messages for one victim, against others who talk meanwhile, two and
// two.
const (
	floodRate    = 5                      // messages per second that a user may send
	pairs        = 5                      // of others, so that each keeps to its rate
	flooders     = 200                    // connections, which send
	floodPause   = 100 * time.Millisecond // each this often: twice of what they may
	talkFor      = 4 * time.Second
	talkPause    = 20 * time.Millisecond
	slowerAtMost = 3                    // times the quiet run's p99 …
	quietAtLeast = 4 * time.Millisecond // … which counts as no less than that
	floodTries   = 3                    // the machine has others, too
)

// TestFlood sees that a flood for one user leaves others their answers.
func TestFlood(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds; not in -short")
	}
	s := serve(t, "-log", "error", "-message-rate", fmt.Sprint(floodRate), "-message-burst", "10")
	var others []*user
	for i := range pairs {
		others = append(others, join(t, s, socketIO(4), fmt.Sprintf("one%d", i)), join(t, s, plainJSON{}, fmt.Sprintf("other%d", i)))
	}
	victim := join(t, s, plainJSON{}, "victim")
	var received atomic.Int64
	go func() {
		for {
			if _, err := victim.next(); err != nil {
				return
			}
			received.Add(1)
		}
	}()
	flood := make([]*user, flooders)
	for i := range flood {
		flood[i] = join(t, s, []dialect{socketIO(3), socketIO(4), plainJSON{}}[i%3], fmt.Sprintf("flooder%d", i))
	}
	for try := 1; ; try++ {
		quiet := talk(t, others)
		ctx, cancel := context.WithCancel(context.Background())
		var flooding sync.WaitGroup
		for _, f := range flood {
			flooding.Go(func() { pour(ctx, f, victim.name) })
		}
		before := received.Load()
		busy := talk(t, others)
		cancel()
		flooding.Wait()
		t.Logf("p99 of an ack: quiet %v, in the flood %v, in which the victim got %d messages", quiet, busy, received.Load()-before)
		if busy <= slowerAtMost*max(quiet, quietAtLeast) {
			return
		}
		if try == floodTries {
			t.Fatalf("p99 went from %v to %v", quiet, busy)
		}
	}
}

// talk has users tell their neighbours something, one after the other. It
// returns the 99th percentile of how long that took.
func talk(t *testing.T, users []*user) time.Duration {
	t.Helper()
	var took []time.Duration
	for end := time.Now().Add(talkFor); time.Now().Before(end); time.Sleep(talkPause) {
		i := len(took) % len(users)
		began := time.Now()
		users[i].tell(t, users[i^1])
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	return took[len(took)*99/100]
}

// pour sends to the victim until ctx ends, and reads what it is answered.
func pour(ctx context.Context, f *user, victim string) {
	socket, ok := f.socket.(goodSocket)
	if !ok {
		return
	}
	for ctx.Err() == nil {
		f.sent++
		if err := socket.Write(context.Background(), 1, []byte(f.message(f.sent, victim, `"flood"`))); err != nil {
			return
		}
		if _, err := f.next(); err != nil {
			return
		}
		time.Sleep(floodPause/2 + rand.N(floodPause))
	}
}
