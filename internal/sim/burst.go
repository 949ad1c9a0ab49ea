package sim

import (
	"fmt"
	"slices"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// Burst is what it takes to bring a number of messages, sent at once, to their
// receiver: a caller's candidates.
type Burst struct {
	Messages int
	P50, P99 time.Duration // from the first send to the last delivery
	// Items that are written and read, and posts, per message.
	Writes, Reads, Posts float64
	// Bodies is how many of those items per message were what held frames say: each
	// is written, read and deleted.
	Bodies float64
	// Held is how many of the writes per message were of a record that held so
	// many frames, before or after: a write is charged by the whole record.
	Held map[int]float64
	// Busy is how long the invocations were at work per message, waiting
	// included.
	Busy time.Duration
}

// How long things typically take in [MeasureBurst], as they may on AWS: until
// an invocation starts, a store call, a post.
const (
	InvokeTime = 8 * time.Millisecond
	StoreTime  = 4 * time.Millisecond
	PostTime   = 10 * time.Millisecond
)

// MeasureBurst sends bursts between Socket.IO clients in many worlds with AWS-like
// times and no faults: one in fifty of each takes up to twenty times as long as is
// typical.
func MeasureBurst(messages, worlds int) Burst { return measure(messages, worlds, generationB) }

// MeasureFrames sends bursts between JSON clients that put several messages into a
// frame, and take several.
func MeasureFrames(messages, worlds int) Burst { return measure(messages, worlds, generationJSON) }

func measure(messages, worlds int, kind generation) Burst {
	took := make([]time.Duration, 0, worlds)
	total := make(map[string]int)
	all := spent{held: make(map[int]int)}
	for seed := range uint64(worlds) {
		s := newSim(seed, None, nil)
		s.bodies = make(bodies)
		s.tokens.last = time.Hour                                // as of an issuer: that a token has not ended costs no call
		s.service.Rate = lane.Rate{PerSecond: 1000, Burst: 1000} // which costs nothing
		s.faults = Faults{Invoke: InvokeTime, Store: StoreTime, Post: PostTime}
		alice, bob := s.newClient("alice", kind), s.newClient("bob", kind)
		alice.batches, bob.batches = kind == generationJSON, kind == generationJSON
		alice.connect()
		bob.connect()
		s.run(3 * time.Second)
		s.counts, s.spent = make(map[string]int), spent{held: make(map[int]int)}
		began := s.now
		for range messages {
			alice.send("bob")
		}
		s.run(began + quiet)
		took = append(took, s.lastDelivery()-began)
		for what, n := range s.counts {
			total[what] += n
		}
		for frames, n := range s.held {
			all.held[frames] += n
		}
		all.busy += s.busy
		s.endProcesses()
	}
	slices.Sort(took)
	each := func(what string) float64 { return float64(total[what]) / float64(messages*worlds) }
	held := make(map[int]float64)
	for frames, n := range all.held {
		held[frames] = float64(n) / float64(messages*worlds)
	}
	return Burst{
		Messages: messages, P50: took[len(took)/2], P99: took[len(took)*99/100],
		Writes: each("writes"), Reads: each("reads"), Posts: each("posts"), Bodies: each("bodies"),
		Held: held, Busy: all.busy / time.Duration(messages*worlds),
	}
}

// spent is what a burst took.
type spent struct {
	held map[int]int // writes by the frames that their record held; nil: not measured
	busy time.Duration
}

// weigh notes a write of a connection's record, which is c now.
func (s *spent) weigh(c signal.Connection, m lane.Move, made bool) {
	if s.held == nil {
		return
	}
	frames := len(c.Lane.Held)
	if made {
		frames += len(m.Change.Unhold)
	}
	s.held[frames]++
}

// timed returns an invocation whose time is taken.
func (s *Sim) timed(body func()) func() {
	return func() {
		began := s.now
		defer func() { s.busy += s.now - began }()
		body()
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

// String returns the measurement for people.
func (b Burst) String() string {
	return fmt.Sprintf("%3d messages at once: p50 %v, p99 %v to the last delivery; per message %.1f writes, %.1f reads, %.1f posts, acks included",
		b.Messages, b.P50.Round(time.Millisecond), b.P99.Round(time.Millisecond), b.Writes, b.Reads, b.Posts)
}

// writes tells the store calls that write from those that read.
func writes(call string) bool {
	return call != "get" && call != "get ended" && call != "owner" && call != "fetch"
}
