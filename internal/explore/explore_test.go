package explore

import (
	"flag"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal"
)

var explore = flag.String("explore", "small", `what to explore: "small", or "all", which takes some minutes`)

// TestExplore goes through every interleaving of the effects of a few
// invocations, in worlds that are small, but in which everything may happen that
// the configs name.
func TestExplore(t *testing.T) {
	var states, steps atomic.Int64
	t.Cleanup(func() { t.Logf("%d states, %d steps in all", states.Load(), steps.Load()) })
	for _, c := range configs {
		if *explore != "all" && !c.small {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			x := &explorer{config: c}
			r := x.explore()
			t.Logf("%8d states %9d steps %7d histories %8s", r.states, r.steps, x.ids, time.Since(began).Round(time.Millisecond))
			states.Add(int64(r.states))
			steps.Add(int64(r.steps))
			if r.bad != "" {
				slices.Reverse(r.trace)
				t.Errorf("%s\n%s", r.bad, strings.Join(r.trace, "\n"))
			}
		})
	}
}

func one(numbers ...int64) []sender { return []sender{{user: alice, numbers: numbers}} }

func opening(at int64, numbers ...int64) []sender {
	return []sender{{user: alice, auth: true, at: at, numbers: numbers}}
}

// The connection A is taken over by B, which brings frames before it is alice.
func takeover(a, b sender) []sender {
	b.auth, b.user = true, alice
	return []sender{a, b}
}

func sends(numbers ...int64) sender { return sender{user: alice, numbers: numbers} }
func greetsFirst(s sender) sender   { s.auth = true; return s }
func both(a, c []int64) []sender {
	return []sender{{user: alice, numbers: a}, {user: carol, numbers: c}}
}

// twice has B resume A's session and send before it is welcome; and C resume
// A's, too, since it does not know of B's.
func twice() []sender {
	return []sender{
		{user: alice, session: "s"},
		{user: alice, auth: true, session: "s", resume: connName[connA], numbers: []int64{1}},
		{user: alice, auth: true, session: "s", resume: connName[connA], again: []int64{1}},
	}
}

// together has alice send frames of several numbers.
func together(frames ...[]int64) []sender {
	return []sender{{user: alice, frames: frames}}
}

// reused has alice give numbers to other messages, too.
func reused(numbers []int64, again ...int64) []sender {
	return []sender{{user: alice, numbers: numbers, reused: again}}
}

func upTo(n int64) (numbers []int64) {
	for i := range n {
		numbers = append(numbers, i+1)
	}
	return numbers
}

// unknownStart is the number of an authentication that has none, by a client
// that does not say at which number it begins.
const unknownStart = signal.NoNumber

var configs = []config{
	{name: "4 frames", senders: one(1, 2, 3, 4), small: true},
	{name: "3 frames, crash", senders: one(1, 2, 3), faults: crash, small: true},
	{name: "3 frames, crash, repeat", senders: one(1, 2, 3), faults: crash | repeat},
	{name: "3 frames, repeat, one late", senders: one(1, 2, 3), faults: repeat, late: true},
	{name: "2 frames, repeat, lost answer, one late", senders: one(1, 2), faults: repeat | lostMove, late: true},
	{name: "3 frames, all posts' faults", senders: one(1, 2, 3), faults: goneTo | goneAck | unknown},
	{name: "3 frames, posts' faults, lost answer", senders: one(1, 2, 3), faults: lostMove | unknown | goneTo},
	{name: "2 frames, posts' faults, lost answer, repeat", senders: one(1, 2), faults: lostMove | unknown | goneTo | goneAck | repeat},
	{name: "2 frames and one after, everything but time", senders: one(1, 2, 3), faults: crash | lostMove | unknown | goneTo, late: true, after: 3},
	{name: "2 frames and one after, crash, lost answer, one late", senders: one(1, 2, 3), faults: crash | lostMove, late: true, after: 3},
	{name: "2 frames and one after, crash, repeat, one late", senders: one(1, 2, 3), faults: crash | repeat, late: true, after: 3},
	{name: "2 frames, slow", senders: one(1, 2), slow: 2, small: true},
	{name: "3 frames, slow", senders: one(1, 2, 3), slow: 2},
	{name: "2 frames, slow, repeat, lost answer", senders: one(1, 2), slow: 2, faults: repeat | lostMove},
	{name: "2 frames, slow, unknown post, lost answer", senders: one(1, 2), slow: 2, faults: lostMove | unknown},
	{name: "2 frames, slower, repeat", senders: one(1, 2), slow: 3, faults: repeat},
	{name: "2 frames and one after, slow, crash, one late", senders: one(1, 2, 3), slow: 2, faults: crash, late: true, after: 3},
	{name: "3 frames and one after, late write", senders: one(1, 2, 3, 4), faults: lateDup, after: 4},
	{name: "2 frames and one after, slow, late write", senders: one(1, 2, 3), slow: 2, faults: lateDup, after: 3},
	{name: "several in a frame", senders: together([]int64{1, 2}, []int64{3, 4}), batches: true, small: true},
	{name: "several in a frame, clients take one", senders: together([]int64{1, 2}, []int64{3}), small: true},
	{name: "several in a frame, with a gap", senders: together([]int64{1, 3}, []int64{2}), batches: true, small: true},
	{name: "several in a frame, crash, repeat", senders: together([]int64{1, 2}, []int64{3}), batches: true, faults: crash | repeat},
	{name: "several in a frame, repeat, one late", senders: together([]int64{1, 2}, []int64{3}), batches: true, faults: repeat, late: true},
	{name: "several in a frame, posts' faults, lost answer", senders: together([]int64{1, 2}, []int64{3}), batches: true, faults: lostMove | unknown | goneTo},
	{name: "several in a frame, slow", senders: together([]int64{1, 2}, []int64{3}), batches: true, slow: 2},
	{name: "several in a frame, two receivers, sender gone", senders: together([]int64{1, 2, 3}, []int64{4}), batches: true, two: true, faults: goneAck | unknown},
	{name: "several in a frame, with a gap, crash, lost answer", senders: together([]int64{1, 3}, []int64{2}), batches: true, faults: crash | lostMove},
	{name: "a number for two messages", senders: reused(upTo(2), 1), small: true},
	{name: "a number for two messages, that come early", senders: reused(upTo(2), 2), small: true},
	{name: "a number for two messages, crash, posts' faults", senders: reused(upTo(2), 2), faults: crash | unknown | goneTo | lostMove},
	{name: "two senders", senders: both(upTo(2), upTo(2)), small: true},
	{name: "two senders, posts' faults", senders: both(upTo(2), upTo(1)), faults: goneTo | unknown},
	{name: "two senders, crash, repeat", senders: both(upTo(2), upTo(2)), faults: crash | repeat},
	{name: "the receiver moves", senders: one(1, 2, 3), moves: true, small: true},
	{name: "the receiver moves, crash, posts' faults", senders: one(1, 2), moves: true, faults: crash | unknown | goneTo},
	{name: "two receivers", senders: one(1, 2, 3), two: true, small: true},
	{name: "two receivers, 4 frames", senders: one(1, 2, 3, 4), two: true},
	{name: "two receivers, slow", senders: one(1, 2, 3), two: true, slow: 1},
	{name: "two receivers, crash, posts' faults", senders: one(1, 2, 3), two: true, faults: crash | unknown | goneTo},
	{name: "two receivers, sender gone, one late", senders: one(1, 2, 3), two: true, faults: goneAck, late: true},
	{name: "opening", senders: opening(0, 1, 2, 3), small: true},
	{name: "opening, crash", senders: opening(0, 1, 2, 3), faults: crash, small: true},
	{name: "opening, repeat, lost answer", senders: opening(0, 1, 2), faults: repeat | lostMove},
	{name: "opening, one late", senders: opening(0, 1, 2), faults: lostMove, late: true},
	{name: "opening and one after, crash, lost answer, one late", senders: opening(0, 1, 2, 3), faults: crash | lostMove, late: true, after: 3},
	{name: "reopening", senders: opening(3, 1, 2, 4), small: true},
	{name: "reopening, repeat, lost answer", senders: opening(3, 2, 4), faults: repeat | lostMove},
	{name: "reopening and one after, crash, lost answer, one late", senders: opening(3, 2, 4, 5), faults: crash | lostMove, late: true, after: 5},
	{name: "unknown start", senders: opening(unknownStart, 0, 1, 2), small: true},
	{name: "unknown start above 0", senders: opening(unknownStart, 2, 3, 4), small: true},
	{name: "unknown start, repeat, lost answer", senders: opening(unknownStart, 0, 1), faults: repeat | lostMove},
	{name: "takeover", senders: takeover(sends(1, 2), sends(1)), small: true},
	{name: "takeover, crash, repeat", senders: takeover(sends(1, 2), sends()), faults: crash | repeat},
	{name: "takeover, lost answer, repeat", senders: takeover(sends(1, 2), sends()), faults: lostMove | repeat},
	{name: "takeover, unknown post, sender gone", senders: takeover(sends(1, 2), sends(1)), faults: unknown | goneAck},
	{name: "takeover while authenticating", senders: takeover(greetsFirst(sends(1)), sends(1)), small: true},
	{name: "takeover while authenticating, lost answer", senders: takeover(greetsFirst(sends(1)), sends(1)), faults: lostMove},
	{name: "takeover while authenticating, repeat", senders: takeover(greetsFirst(sends(1)), sends()), faults: repeat},
	{name: "takeover while authenticating, crash, repeat", senders: takeover(greetsFirst(sends(1)), sends()), faults: crash | repeat},
	{name: "a session goes on", senders: resumed(upTo(2), upTo(2)), small: true},
	{name: "a session goes on, crash", senders: resumed(upTo(2), upTo(2)), faults: crash},
	{name: "a session goes on, lost answer", senders: resumed(upTo(2), upTo(2)), faults: lostMove},
	{name: "a session goes on twice", senders: twice(), small: true},
	{name: "a session goes on twice, crash", senders: twice(), faults: crash},
	{name: "leaving", senders: one(1, 2, 3), leaves: true, small: true},
	{name: "leaving, several in a frame", senders: together([]int64{1, 2}, []int64{3, 4}), leaves: true, batches: true, small: true},
	{name: "leaving, crash, repeat", senders: one(1, 2), leaves: true, faults: crash | repeat},
	{name: "leaving, posts' faults, lost answer", senders: one(1, 2), leaves: true, faults: lostMove | unknown | goneTo | goneAck},
	{name: "the receiver comes back", senders: one(1, 2), recovers: true, small: true},
	{name: "the receiver comes back, 3 frames", senders: one(1, 2, 3), recovers: true},
	{name: "the receiver comes back with a part", senders: together([]int64{1, 2, 3}), batches: true, recovers: true, since: 1, small: true},
	{name: "the receiver comes back, crash", senders: one(1, 2), recovers: true, faults: crash},
	{name: "the receiver comes back, posts' faults", senders: one(1, 2), recovers: true, faults: unknown | goneTo},
	{name: "the receiver comes back, lost answer", senders: one(1, 2), recovers: true, faults: lostMove},
	{name: "the receiver comes back, late write", senders: one(1, 2), recovers: true, faults: lateDup},
	{name: "the receiver comes back, slow", senders: one(1), recovers: true, slow: 2},
	{name: "the receiver comes back, two receivers", senders: together([]int64{1, 2, 3}), batches: true, two: true, recovers: true},
	{name: "the receiver comes back, two senders", senders: both(upTo(1), upTo(1)), recovers: true},
	{name: "the token ends, slow", senders: ending(upTo(2)), slow: 2, small: true},
}
