package sim

import (
	"fmt"
	"slices"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// Bursts are what [Bursts.Measure] measures: messages that a client sends at once,
// a caller's candidates.
type Bursts struct {
	Messages int  // of a burst
	Worlds   int  // in which there is one
	Bytes    int  // of a message's data
	JSON     bool // both clients speak JSON, or else Socket.IO
	Batches  bool // they put several messages into a frame, and take several
	KeyLimit int  // write units that a key serves in a second; 0: any
}

// Burst is what it takes to bring a burst to its receiver.
type Burst struct {
	Bursts
	P50, P99 time.Duration // from the first send to the last delivery
	// Items that are written and read, and posts, per message, and the units that
	// DynamoDB charges for the items.
	Writes, Reads, Posts  float64
	WriteUnits, ReadUnits float64
	// Busy is how long the invocations were at work per message, waiting
	// included.
	Busy time.Duration
	// Delivered is which part of the messages was; Throttled is how many calls per
	// message were refused.
	Delivered, Throttled float64
}

// How long things typically take in [Bursts.Measure], as they may on AWS: until
// an invocation starts, a store call, a post.
const (
	InvokeTime = 8 * time.Millisecond
	StoreTime  = 4 * time.Millisecond
	PostTime   = 10 * time.Millisecond
)

// Measure sends bursts in many worlds with AWS-like times and no faults: one in
// fifty of each takes up to twenty times as long as is typical.
func (b Bursts) Measure() Burst {
	took := make([]time.Duration, 0, b.Worlds)
	total := make(map[string]float64)
	for seed := range uint64(b.Worlds) {
		s := newSim(seed, None, nil)
		s.bodies = make(bodies)
		s.tokens.last = time.Hour                                // as of an issuer: that a token has not ended costs no call
		s.service.Rate = lane.Rate{PerSecond: 1000, Burst: 1000} // which costs nothing
		s.faults = Faults{Invoke: InvokeTime, Store: StoreTime, Post: PostTime}
		kind := generationB
		if b.JSON {
			kind = generationJSON
		}
		alice, bob := s.newClient("alice", kind), s.newClient("bob", kind)
		alice.batches, bob.batches = b.Batches, b.Batches
		alice.connect()
		bob.connect()
		s.run(3 * time.Second)
		s.counts, s.busy, s.units = make(map[string]int), 0, newUnits(b.Bytes, b.KeyLimit)
		began := s.now
		for range b.Messages {
			alice.send("bob")
		}
		s.run(began + quiet)
		took = append(took, s.lastDelivery()-began)
		for what, n := range s.counts {
			total[what] += float64(n)
		}
		for _, m := range s.messages {
			total["delivered"] += float64(len(m.accepted))
		}
		total["write units"] += s.units.writes
		total["read units"] += s.units.reads
		total["busy"] += float64(s.busy)
		s.endProcesses()
	}
	slices.Sort(took)
	each := func(what string) float64 { return total[what] / float64(b.Messages*b.Worlds) }
	return Burst{
		Bursts: b, P50: took[len(took)/2], P99: took[len(took)*99/100],
		Writes: each("writes"), Reads: each("reads"), Posts: each("posts"),
		WriteUnits: each("write units"), ReadUnits: each("read units"), Busy: time.Duration(each("busy")),
		Delivered: each("delivered"), Throttled: each("throttled calls"),
	}
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
	clients := "Socket.IO"
	switch {
	case b.Batches:
		clients = "JSON, several in a frame"
	case b.JSON:
		clients = "JSON"
	}
	return fmt.Sprintf("%s, %d messages of %d bytes at once: p50 %v, p99 %v to the last delivery; "+
		"per message %.1f writes, %.1f reads, %.1f posts, acks included; %.2f write and %.2f read units; %.2f calls throttled, %.1f %% delivered",
		clients, b.Messages, b.Bytes, b.P50.Round(time.Millisecond), b.P99.Round(time.Millisecond),
		b.Writes, b.Reads, b.Posts, b.WriteUnits, b.ReadUnits, b.Throttled, 100*b.Delivered)
}

// writes tells the store calls that write from those that read.
func writes(call string) bool {
	return call != "get" && call != "get ended" && call != "owner" && call != "fetch" && call != "history" && call != "standing" && call != "watchers"
}
