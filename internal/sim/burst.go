package sim

import (
	"fmt"
	"slices"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal"
)

// Burst is what it takes to bring a number of messages, sent at once, to their
// receiver: a caller's candidates.
type Burst struct {
	Messages int
	P50, P99 time.Duration // from the first send to the last delivery
	// Calls per message, of each kind.
	Writes, Reads, Posts float64
}

// MeasureBurst sends bursts in many worlds with AWS-like times and no faults:
// an invocation starts within typically 8 ms, a store call takes 4 ms, a post
// 10 ms, and one in fifty of each up to twenty times as long.
func MeasureBurst(messages, worlds int) Burst {
	took := make([]time.Duration, 0, worlds)
	total := make(map[string]int)
	for seed := range uint64(worlds) {
		s := newSim(seed, None, nil)
		s.tokens.last = time.Hour                                  // as of an issuer: that a token has not ended costs no call
		s.service.Rate = signal.Rate{PerSecond: 1000, Burst: 1000} // which costs nothing
		s.faults = Faults{Invoke: 8 * time.Millisecond, Store: 4 * time.Millisecond, Post: 10 * time.Millisecond}
		alice, bob := s.newClient("alice", generationB), s.newClient("bob", generationB)
		alice.connect()
		bob.connect()
		s.run(3 * time.Second)
		s.counts = make(map[string]int)
		began := s.now
		for range messages {
			alice.send("bob")
		}
		s.run(began + quiet)
		took = append(took, s.lastDelivery()-began)
		for what, n := range s.counts {
			total[what] += n
		}
		s.endProcesses()
	}
	slices.Sort(took)
	each := func(what string) float64 { return float64(total[what]) / float64(messages*worlds) }
	return Burst{
		Messages: messages, P50: took[len(took)/2], P99: took[len(took)*99/100],
		Writes: each("writes"), Reads: each("reads"), Posts: each("posts"),
	}
}

func (s *Sim) lastDelivery() (last time.Duration) {
	for _, m := range s.messages {
		for _, a := range m.accepted {
			last = max(last, a.at)
		}
	}
	return last
}

// String is the measurement for people.
func (b Burst) String() string {
	return fmt.Sprintf("%3d messages at once: p50 %v, p99 %v to the last delivery; per message %.1f writes, %.1f reads, %.1f posts, acks included",
		b.Messages, b.P50.Round(time.Millisecond), b.P99.Round(time.Millisecond), b.Writes, b.Reads, b.Posts)
}

// writes tells the store calls that write from those that read.
func writes(call string) bool {
	return call != "inspect" && call != "recall" && call != "owner"
}
