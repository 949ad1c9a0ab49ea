package client

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// worlds is how many random courses of events a test tries.
const worlds = 2000

// Whatever comes in whatever order, what is handed out ascends, each seq is
// handed out or in a gap, and nothing is kept back longer than wait.
func TestInboxOrder(t *testing.T) {
	for seed := range uint64(worlds) {
		testInboxOrder(t, seed)
		if t.Failed() {
			t.Fatalf("in world %d", seed)
		}
	}
}

func testInboxOrder(t *testing.T, seed uint64) {
	const wait = 3 * time.Second
	random := rand.New(rand.NewPCG(seed, 0))
	b := inbox{wait: wait}
	now := time.Unix(0, 0)
	begin := random.Int64N(6)
	b.welcome(standing{epoch: "e", seq: begin}, true, now)
	last, highest, came := begin, begin, make(map[int64]time.Time)
	check := func(a arrivals) {
		type span struct{ first, last int64 }
		var spans []span
		for i, m := range a.messages {
			if now.Sub(came[m.Seq]) > wait {
				t.Errorf("%d was kept back for %v", m.Seq, now.Sub(came[m.Seq]))
			}
			if i > 0 && m.Seq <= a.messages[i-1].Seq {
				t.Errorf("%d after %d", m.Seq, a.messages[i-1].Seq)
			}
			spans = append(spans, span{m.Seq, m.Seq})
		}
		for _, g := range a.gaps {
			spans = append(spans, span{g.First, g.Last})
		}
		slices.SortFunc(spans, func(a, b span) int { return int(a.first - b.first) })
		for _, s := range spans {
			if s.first != last+1 {
				t.Errorf("%d comes after %d", s.first, last)
			}
			last = s.last
		}
	}
	advance := func(d time.Duration) {
		for until := now.Add(d); ; now = b.deadline() {
			check(b.expire(now))
			if b.deadline().IsZero() || until.Before(b.deadline()) {
				now = until
				return
			}
		}
	}
	for range 1 + random.IntN(60) {
		switch random.IntN(10) {
		case 0:
			advance(time.Duration(1+random.IntN(2000)) * time.Millisecond)
		case 1:
			highest += random.Int64N(3)
			check(b.welcome(standing{epoch: "e", seq: highest}, random.IntN(2) == 0, now))
		case 2:
			check(b.onlyNewest())
		default:
			seq := max(1, last-2) + random.Int64N(9)
			highest = max(highest, seq)
			if _, again := came[seq]; !again {
				came[seq] = now
			}
			check(b.receive(Message{Epoch: "e", Seq: seq}, now))
		}
	}
	advance(wait)
	if len(b.held) > 0 || !b.deadline().IsZero() {
		t.Error("something is kept back for ever")
	}
}

// The same number of a session is the same message, whatever its seq.
func TestInboxRepeats(t *testing.T) {
	var b inbox
	now := time.Unix(0, 0)
	b.welcome(standing{epoch: "e"}, true, now)
	seq := int64(0)
	receive := func(session string, number int64) bool {
		seq++
		a := b.receive(Message{From: "alice", Epoch: "e", Seq: seq, Session: session, Number: number}, now)
		if len(a.messages)+a.dropped != 1 {
			t.Fatalf("got %+v", a)
		}
		return len(a.messages) == 1
	}
	if !receive("s", 1) || !receive("s", 2) || receive("s", 1) || receive("s", 2) || !receive("t", 1) || !receive("", 0) || !receive("", 0) {
		t.Error("repeats are those of one session")
	}
	for i := range maxSessions {
		receive(fmt.Sprint("other", i), 1)
	}
	if receive("s", 2) {
		t.Errorf("a session was forgotten for %d others", maxSessions)
	}
	for i := range 2 * maxSessions {
		receive(fmt.Sprint("third", i), 1)
	}
	if len(b.delivered)+len(b.deliveredBefore) > 2*maxSessions {
		t.Errorf("%d sessions are remembered", len(b.delivered)+len(b.deliveredBefore))
	}
}
