package sim_test

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/owt-signal/owt-signal/internal/sim"
)

// TestWorlds runs some worlds, always the same; `make sim` runs more, and
// others. The race detector makes them slow, and they have no races: only one
// process runs at a time.
func TestWorlds(t *testing.T) {
	seeds := uint64(2000)
	if testing.Short() {
		seeds = 200
	}
	for _, first := range []uint64{1, sim.FirstWithSessions, sim.FirstWithOutages, sim.FirstWithRepeats} {
		r := sim.Search{First: first, Seeds: seeds, Workers: runtime.NumCPU()}.Run(t.Context())
		t.Log("\n" + r.String())
		if len(r.Failures) > 0 {
			t.Error("a promise was broken")
		}
		judgeWorlds(t, r)
		if sessions := r.Counts["renewals"] > 0; sessions != (first >= sim.FirstWithSessions) {
			t.Errorf("worlds from %d on: sessions %v", first, sessions)
		}
		if outages := r.Counts["calls in an outage"] > 0; outages != (first >= sim.FirstWithOutages) {
			t.Errorf("worlds from %d on: outages %v", first, outages)
		}
		for _, what := range []string{"repeated numbers", "cut before welcome", "resume", "spend"} {
			if some := r.Counts[what] > 0; !some && first == sim.FirstWithRepeats {
				t.Errorf("no world had %s", what)
			}
		}
	}
}

// judgeWorlds: worlds in which nothing goes wrong, or everything, tell nothing.
func judgeWorlds(t *testing.T, r sim.Result) {
	t.Helper()
	for _, what := range []string{
		"adopt", "revoke", "crashes", "ended tokens", "failed posts", "hold", "late store effects", "lost $disconnects", "lost frames", "lost post answers",
		"lost store answers", "expire", "repeated invocations", "runs to several", "skip", "store failures", "takeovers", "throttled posts",
	} {
		if r.Counts[what] == 0 {
			t.Errorf("no world had %s", what)
		}
	}
	if r.Delivered < r.Messages*3/4 {
		t.Errorf("only %d of %d messages were delivered: the worlds are too hard to tell anything", r.Delivered, r.Messages)
	}
}

// TestMutations: a checker that cannot fail proves nothing. Each deliberate
// fault must be found, by the promise that it breaks.
func TestMutations(t *testing.T) {
	for mutation, promise := range map[sim.Mutation]string{
		sim.LaneOff: "order", sim.Forgetful: "order", sim.Eager: "once", sim.Liar: "truth",
		sim.NoFence: "owner", sim.Clinging: "online", sim.Blind: "stall",
		sim.Amnesia: "once", sim.Hasty: "once", sim.Undying: "expiry",
		sim.AckFirst: "answer", sim.OtherClock: "order", sim.WildClocks: "order",
		sim.Traceless: "answer", sim.Heirless: "once", sim.Deaf: "once", sim.TooFew: "seq",
	} {
		t.Run(string(mutation), func(t *testing.T) {
			t.Parallel()
			first := uint64(1)
			switch mutation {
			case sim.Amnesia, sim.Hasty:
				first = sim.FirstWithSessions
			case sim.AckFirst, sim.OtherClock, sim.WildClocks:
				first = sim.FirstWithOutages
			case sim.Traceless, sim.Heirless, sim.Deaf:
				first = sim.FirstWithRepeats
			}
			r := sim.Search{First: first, Seeds: 4000, Mutation: mutation, Workers: 1}.Run(t.Context())
			for _, f := range r.Failures {
				for _, v := range f.Violations {
					if strings.HasPrefix(v, promise+":") {
						t.Logf("found in world %d: %s", f.Seed, v)
						return
					}
				}
			}
			t.Errorf("not found in %d worlds:\n%s", r.Worlds, r)
		})
	}
}

// TestKeptSeeds replays worlds that once broke a promise.
func TestKeptSeeds(t *testing.T) {
	for seed, was := range map[uint64]string{
		220:     "a frame that a repeated invocation held was taken a second time, after a gap below it was skipped",
		1418:    "a frame that the run under way had left out was never answered",
		2870:    "a watcher gave up when a write failed",
		206538:  "a connection found gone lost its name, not its record, and went on sending",
		171480:  "the number after the authentication was waited for 100 ms only",
		1087623: "a session's number was denied that had been delivered on the connection before",

		1099511629453:       "a frame was answered that the connection is revoked, and delivered by its repeated invocation",
		2199023300537:       "numbers were denied that had been delivered on the connection before, by the end of one that was refused",
		1795884037439385048: "a connection was created again after it had ended, by a write that took effect late",
		1795888541618258228: "a lane whose holder had died was left to others, who had died, by a machine whose clock is behind",
	} {
		if r := sim.Run(seed, sim.None, nil); len(r.Violations) > 0 {
			t.Errorf("seed %d (%s): %s", seed, was, r.Violations[0])
		}
	}
}

// TestReplay: a seed decides everything.
func TestReplay(t *testing.T) {
	var first, second strings.Builder
	for _, b := range []*strings.Builder{&first, &second} {
		sim.Run(42, sim.None, func(line string) { b.WriteString(line + "\n") })
	}
	if first.String() != second.String() || first.Len() == 0 {
		t.Error("the same seed gave two worlds")
	}
}

// TestCallsPerMessage: an undisturbed message costs three writes and one post.
func TestCallsPerMessage(t *testing.T) {
	one := sim.MeasureBurst(1, 200)
	if one.Writes != 3 || one.Reads != 0 || one.Posts != 1 {
		t.Errorf("an undisturbed message: %v", one)
	}
	t.Logf("\n%v\n%v", one, sim.MeasureBurst(20, 200))
}

// TestHeldFrames: what a burst's writes cost besides their number. Whoever is
// alone has nothing to wait for, and holds nothing.
func TestHeldFrames(t *testing.T) {
	one := sim.MeasureBurst(1, 50)
	if len(one.Held) != 1 || one.Held[0] != 2 { // take and finish; route is of the receiver
		t.Errorf("an undisturbed message: writes by held frames %v", one.Held)
	}
	many := sim.MeasureBurst(20, 50)
	var writes, frames float64
	for held, n := range many.Held {
		writes += n
		frames += n * float64(held)
	}
	if writes <= 2 || writes >= many.Writes || frames/writes < 1 || frames/writes > 20 {
		t.Errorf("20 at once: %v writes, of them %v of the sender's record, with %v frames on average", many.Writes, writes, frames/writes)
	}
	if one.Busy <= 0 || many.Busy <= 0 || one.Busy > time.Second || many.Busy > time.Second {
		t.Errorf("busy for %v and %v", one.Busy, many.Busy)
	}
	t.Logf("alone %v, %v; 20 at once %v, %v", one.Busy, one.Held, many.Busy, many.Held)
}
