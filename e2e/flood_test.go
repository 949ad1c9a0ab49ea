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
	floodRate  = 5  // messages per second that a user may send
	floodBurst = 10 // and at once
	pairs      = 5  // of others, so that each keeps to its rate
	flooders   = 200
	floodPause = 100 * time.Millisecond // each sends this often: twice of what it may
	exchanges  = 200                    // of the others
	talkPause  = 20 * time.Millisecond
)

// TestFlood sees that a flood for one user leaves others their answers: each
// message of theirs arrives and is acknowledged, and the flood gets no further
// than its rate. With -v it says how long the others' answers take.
func TestFlood(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds; not in -short")
	}
	s := serve(t, "-log", "error", "-message-rate", fmt.Sprint(floodRate), "-message-burst", fmt.Sprint(floodBurst))
	var others []*user
	for i := range pairs {
		others = append(others, join(t, s, socketIO(4), fmt.Sprintf("one%d", i)), join(t, s, plainJSON{}, fmt.Sprintf("other%d", i)))
	}
	victim := join(t, s, plainJSON{}, "victim")
	var received, refused atomic.Int64
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
	quiet := talk(t, others)
	ctx, cancel := context.WithCancel(context.Background())
	began := time.Now()
	var flooding sync.WaitGroup
	for _, f := range flood {
		flooding.Go(func() { pour(ctx, f, victim.name, &refused) })
	}
	busy := talk(t, others)
	cancel()
	flooding.Wait()
	allowed := int64(flooders * (floodBurst + floodRate*time.Since(began).Seconds()))
	t.Logf("p99 of an ack: quiet %v, in the flood %v; the victim got %d messages of %d allowed, %d were refused",
		quiet, busy, received.Load(), allowed, refused.Load())
	if received.Load() == 0 || received.Load() > allowed || refused.Load() == 0 {
		t.Errorf("the victim got %d messages, at most %d allowed; %d were refused", received.Load(), allowed, refused.Load())
	}
}

// talk has users tell their neighbours something, one after the other. It
// returns the 99th percentile of how long that took.
func talk(t *testing.T, users []*user) time.Duration {
	t.Helper()
	var took []time.Duration
	for n := range exchanges {
		time.Sleep(talkPause)
		i := n % len(users)
		began := time.Now()
		users[i].tell(t, users[i^1])
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	return took[len(took)*99/100]
}

// pour sends to the victim until ctx ends, reads what it is answered, and counts
// the refusals.
func pour(ctx context.Context, f *user, victim string, refused *atomic.Int64) {
	socket, ok := f.socket.(goodSocket)
	if !ok {
		return
	}
	for ctx.Err() == nil {
		f.sent++
		if err := socket.Write(context.Background(), 1, []byte(f.message(f.sent, victim, `"flood"`))); err != nil {
			return
		}
		answer, err := f.next()
		if err != nil {
			return
		}
		if _, code, ok := f.answered(answer); ok && code == 2102 {
			refused.Add(1)
		}
		time.Sleep(floodPause/2 + rand.N(floodPause))
	}
}
