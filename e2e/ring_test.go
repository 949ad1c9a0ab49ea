package e2e

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/owt-signal/owt-signal/client"
)

// ringRate is how many messages a second all users of a ring send together.
const ringRate = 2000

// ring is users of whom each sends numbers to the next, and is told which arrive.
type ring struct {
	users      []*client.Client
	acked      [][]int // by sender; to be read when done is closed
	done       []chan struct{}
	sent, acks atomic.Int64
}

// sendInRing has users send until a time.
func sendInRing(ctx context.Context, users []*client.Client, until <-chan struct{}) *ring {
	n := len(users)
	r := &ring{users: users, acked: make([][]int, n), done: make([]chan struct{}, n)}
	pause := time.Second * time.Duration(n) / ringRate
	for i := range users {
		r.done[i] = make(chan struct{})
		go func() {
			defer close(r.done[i])
			for number := 0; ; number++ {
				select {
				case <-time.After(time.Duration(rand.Int64N(int64(2 * pause)))):
				case <-until:
					return
				case <-ctx.Done():
					return
				}
				r.sent.Add(1)
				if r.users[i].Send(ctx, users[(i+1)%n].User(), number) == nil {
					r.acks.Add(1)
					r.acked[i] = append(r.acked[i], number)
				}
			}
		}()
	}
	return r
}

// arrives receives what was sent to a user until it has all that was acknowledged, and
// what it has sent itself. All comes once, and in order.
func (r *ring) arrives(ctx context.Context, t *testing.T, i int) {
	from := (i + len(r.users) - 1) % len(r.users)
	<-r.done[from]
	missing, latest, self := r.acked[from], -1, false
	for len(missing) > 0 || !self {
		m, err := r.users[i].Receive(ctx)
		var number int
		if err == nil {
			err = json.Unmarshal(m.Data, &number)
		}
		switch {
		case err != nil:
			t.Errorf("%s receives: %v; of %s's messages %d are missing", r.users[i].User(), err, r.users[from].User(), len(missing))
			return
		case m.From == r.users[i].User():
			self = true
			continue
		case number <= latest:
			t.Errorf("%s: %d from %s after %d", r.users[i].User(), number, m.From, latest)
		}
		latest = number
		if len(missing) > 0 && missing[0] == number {
			missing = missing[1:]
		} else if len(missing) > 0 && missing[0] < number {
			t.Errorf("%s: %d comes before %d, which was acknowledged", r.users[i].User(), number, missing[0])
			return
		}
	}
}
