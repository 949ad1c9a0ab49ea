package client

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Whatever comes in whatever order, what is handed out ascends, each seq is
// handed out or in a gap, and nothing is kept back longer than wait.
func TestInboxOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const wait = 3 * time.Second
		b := inbox{wait: wait}
		now := time.Unix(0, 0)
		begin := rapid.Int64Range(0, 5).Draw(t, "begin")
		b.welcome("e", begin, false, now)
		last, came := begin, make(map[int64]time.Time)
		check := func(a arrivals) {
			type span struct{ first, last int64 }
			var spans []span
			for _, m := range a.messages {
				if now.Sub(came[m.Seq]) > wait {
					t.Fatalf("%d was kept back for %v", m.Seq, now.Sub(came[m.Seq]))
				}
				spans = append(spans, span{m.Seq, m.Seq})
			}
			for i, m := range a.messages {
				if i > 0 && m.Seq <= a.messages[i-1].Seq {
					t.Fatalf("%d after %d", m.Seq, a.messages[i-1].Seq)
				}
			}
			for _, g := range a.gaps {
				spans = append(spans, span{g.First, g.Last})
			}
			slices.SortFunc(spans, func(a, b span) int { return int(a.first - b.first) })
			for _, s := range spans {
				if s.first != last+1 {
					t.Fatalf("%d comes after %d", s.first, last)
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
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			case 0:
				advance(time.Duration(rapid.IntRange(1, 2000).Draw(t, "ms")) * time.Millisecond)
			case 1:
				seq := b.highest() + rapid.Int64Range(0, 2).Draw(t, "routed")
				check(b.welcome("e", max(seq, last), rapid.Bool().Draw(t, "another"), now))
			default:
				seq := max(1, last-2) + rapid.Int64Range(0, 8).Draw(t, "ahead")
				if _, again := came[seq]; !again {
					came[seq] = now
				}
				check(b.receive(Message{Epoch: "e", Seq: seq}, now))
			}
		}
		advance(wait)
		if len(b.held) > 0 || !b.deadline().IsZero() {
			t.Fatal("something is kept back for ever")
		}
	})
}

// A new epoch counts anew; what was kept back of the old one is handed out.
func TestInboxEpochs(t *testing.T) {
	var b inbox
	now := time.Unix(0, 0)
	b.welcome("e", 4, false, now)
	b.receive(Message{Epoch: "e", Seq: 7}, now)
	a := b.welcome("f", 0, false, now)
	if len(a.messages) != 1 || len(a.gaps) != 1 || a.gaps[0] != (Gap{"e", 5, 6}) {
		t.Errorf("the end of the old epoch: %+v", a)
	}
	if a = b.receive(Message{Epoch: "f", Seq: 1}, now); len(a.messages) != 1 || len(a.gaps) != 0 {
		t.Errorf("the begin of the new one: %+v", a)
	}
	if a = b.receive(Message{Epoch: "g", Seq: 9}, now); len(a.messages) != 1 || len(a.gaps) != 0 {
		t.Errorf("one that no welcome told of: %+v", a)
	}
}

// Once no other connection is left, nothing below the welcome can come.
func TestInboxAlone(t *testing.T) {
	b := inbox{wait: time.Hour}
	now := time.Unix(0, 0)
	b.welcome("e", 0, false, now)
	if a := b.welcome("e", 2, true, now); len(a.gaps) > 0 || b.deadline().IsZero() {
		t.Errorf("a gap at once: %+v", a)
	}
	b.receive(Message{Epoch: "e", Seq: 3}, now)
	if a := b.alone("f", 2); len(a.gaps) > 0 {
		t.Errorf("a gap in an epoch that is over: %+v", a)
	}
	a := b.alone("e", 2)
	if len(a.messages) != 1 || len(a.gaps) != 1 || a.gaps[0] != (Gap{"e", 1, 2}) {
		t.Errorf("got %+v", a)
	}
}

// The same number of a session is the same message, whatever its seq.
func TestInboxRepeats(t *testing.T) {
	var b inbox
	now := time.Unix(0, 0)
	b.welcome("e", 0, false, now)
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
