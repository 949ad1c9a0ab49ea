package sim_test

import (
	"fmt"
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
		seeds = 500
	}
	for _, first := range []uint64{1, sim.FirstWithSessions, sim.FirstWithOutages, sim.FirstWithRepeats, sim.FirstWithBodies, sim.FirstWithBatches, sim.FirstWithLobbies, sim.FirstWithLeaving, sim.FirstWithReuse, sim.FirstWithRecovery, sim.FirstWithWatches, sim.FirstWithBackends} {
		r := sim.Search{First: first, Seeds: seeds, Workers: runtime.NumCPU()}.Run(t.Context())
		t.Log("\n" + r.String())
		if len(r.Failures) > 0 {
			t.Error("a promise was broken")
		}
		judgeWorlds(t, r)
		if sessions := r.Counts["renewals"] > 0; sessions != (first >= sim.FirstWithSessions) {
			t.Errorf("worlds from %d on: sessions %v", first, sessions)
		}
		if bodies := r.Counts["bodies"] > 0; bodies != (first >= sim.FirstWithBodies) {
			t.Errorf("worlds from %d on: bodies apart %v", first, bodies)
		}
		if outages := r.Counts["calls in an outage"] > 0; outages != (first >= sim.FirstWithOutages) {
			t.Errorf("worlds from %d on: outages %v", first, outages)
		}
		if over := r.Counts["taken over"] > 0; over != (first >= sim.FirstWithLobbies) {
			t.Errorf("worlds from %d on: lobbies %v", first, over)
		}
		if batches := r.Counts["several in a frame"] > 0 && r.Counts["several in a post"] > 0; batches != (first >= sim.FirstWithBatches) {
			t.Errorf("worlds from %d on: several in a frame %v", first, batches)
		}
		if leaving := r.Counts["leaving"] > 0; leaving != (first >= sim.FirstWithLeaving) {
			t.Errorf("worlds from %d on: leaving %v", first, leaving)
		}
		for _, what := range []string{"watches", "presences", "presences posted", "cut links"} {
			if some := r.Counts[what] > 0; some != (first >= sim.FirstWithWatches) {
				t.Errorf("worlds from %d on: %s %v", first, what, some)
			}
		}
		if reused := r.Counts["reused numbers"] > 0; reused != (first >= sim.FirstWithReuse) {
			t.Errorf("worlds from %d on: reused numbers %v", first, reused)
		}
		for _, what := range []string{"dead links", "replayed", "void numbers", "questions", "lost numbers"} {
			if recovery := r.Counts[what] > 0; recovery != (first >= sim.FirstWithRecovery) {
				t.Errorf("worlds from %d on: %s %v", first, what, recovery)
			}
		}
		for _, what := range []string{"requests of backends", "requests again", "keys in use"} {
			if some := r.Counts[what] > 0; some != (first >= sim.FirstWithBackends) {
				t.Errorf("worlds from %d on: %s %v", first, what, some)
			}
		}
		if throttled := r.Counts["throttled calls"] > 0; throttled != (first >= sim.FirstWithBodies) {
			t.Errorf("worlds from %d on: throttled calls %v", first, throttled)
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
		sim.Traceless: "answer", sim.Heirless: "once", sim.Deaf: "once", sim.TooFew: "seq", sim.Spilling: "lobby", sim.Denier: "answer", sim.Curtailed: "truth",
		sim.Hurried: "leaving", sim.Credulous: "truth", sim.Careless: "recovery", sim.Brief: "recovery", sim.Hopeless: "recovery", sim.Mixing: "address",
		sim.Impatient: "recovery", sim.Unmarked: "recovery",
		sim.Mute: "watch", sim.Hopeful: "watch", sim.Hindsight: "watch", sim.Haunted: "watch",
		sim.Keyless: "once",
	} {
		t.Run(string(mutation), func(t *testing.T) {
			t.Parallel()
			first := uint64(1)
			switch mutation {
			case sim.Amnesia, sim.Hasty:
				first = sim.FirstWithSessions
			case sim.AckFirst, sim.OtherClock, sim.WildClocks, sim.Denier:
				first = sim.FirstWithOutages
			case sim.Spilling:
				first = sim.FirstWithLobbies
			case sim.Traceless, sim.Heirless, sim.Deaf:
				first = sim.FirstWithRepeats
			case sim.Curtailed:
				first = sim.FirstWithBatches
			case sim.Credulous:
				first = sim.FirstWithReuse
			case sim.Hurried:
				first = sim.FirstWithLeaving
			case sim.Careless, sim.Brief, sim.Hopeless, sim.Mixing, sim.Impatient, sim.Unmarked:
				first = sim.FirstWithRecovery
			case sim.Mute, sim.Hopeful, sim.Hindsight, sim.Haunted:
				first = sim.FirstWithWatches
			case sim.Keyless:
				first = sim.FirstWithBackends
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
		140737488587434:     "a number that another invocation had delivered was told that nothing was known, by one that could not hold it for 5 s",
		140737488624154:     "the same, while a number before was finished",
		1795916674867009349: "whoever had a fast clock noted as told what the release of an ownership that had ended would say",
		1795897222077083904: "a gap whose watcher had died was left to it by one that came 21 s later",
	} {
		if r := sim.Run(seed, sim.None, nil); len(r.Violations) > 0 {
			t.Errorf("seed %d (%s): %s", seed, was, r.Violations[0])
		}
	}
}

// TestReplay: a seed decides everything.
func TestReplay(t *testing.T) {
	for _, seed := range []uint64{42, sim.FirstWithRecovery + 1, sim.FirstWithWatches + 3} { // the last two with keepalive
		var first, second strings.Builder
		for _, b := range []*strings.Builder{&first, &second} {
			sim.Run(seed, sim.None, func(line string) { b.WriteString(line + "\n") })
		}
		if first.String() != second.String() || first.Len() == 0 {
			t.Errorf("the seed %d gave two worlds", seed)
		}
	}
}

// TestBursts: an undisturbed message costs three writes and one post, and nobody
// has to wait for it; many at once cost what is held besides.
func TestBursts(t *testing.T) {
	for _, b := range []sim.Bursts{{}, {JSON: true}} {
		b.Worlds, b.Bytes = 100, 3000
		b.Messages = 1
		one := b.Measure()
		t.Log(one)
		if one.Writes != 3 || one.Reads != 0 || one.Posts != 1 || one.WriteUnits != 3 || one.ReadUnits != 0 || one.Delivered != 1 {
			t.Errorf("an undisturbed message: %+v", one)
		}
		b.Messages = 20
		many := b.Measure()
		t.Log(many)
		// Each body of 3 KB is three units to write and three to delete.
		if many.WriteUnits <= many.Writes+1 || many.WriteUnits >= 3*many.Writes || many.ReadUnits <= 0 || many.Delivered != 1 || many.P50 <= one.P50 {
			t.Errorf("many at once: %+v", many)
		}
		if one.Busy <= 0 || many.Busy <= one.Busy || many.Busy > time.Second {
			t.Errorf("busy for %v and %v", one.Busy, many.Busy)
		}
	}
}

// TestBurstInAFrame: what is sent in one frame, and taken in one, costs what a
// message does.
func TestBurstInAFrame(t *testing.T) {
	b := sim.Bursts{JSON: true, Batches: true, Messages: 20, Worlds: 200, Bytes: 600}.Measure()
	t.Log(b)
	if took := fmt.Sprintf("%.2f %.2f %.2f %.2f", 20*b.Writes, 20*b.WriteUnits, 20*b.Reads, 20*b.Posts); took != "3.00 3.00 0.00 1.00" || b.Delivered != 1 {
		t.Errorf("%s: %+v", took, b)
	}
}

// TestLargeBurstInFrames: a frame has 32 KB at most.
func TestLargeBurstInFrames(t *testing.T) {
	b := sim.Bursts{JSON: true, Batches: true, Messages: 20, Worlds: 100, Bytes: 3000}.Measure()
	t.Log(b)
	if b.Writes < 6./20 || b.Writes > 30./20 || b.Posts < 2./20 || b.Posts > 4./20 || b.Delivered != 1 {
		t.Errorf("%+v", b)
	}
}

// TestThrottledBurst: a burst that a key does not serve at once takes longer.
func TestThrottledBurst(t *testing.T) {
	b := sim.Bursts{Messages: 20, Worlds: 50, Bytes: 600}
	free := b.Measure()
	b.KeyLimit = 20
	limited := b.Measure()
	t.Logf("\n%v\n%v", free, limited)
	if free.Throttled != 0 || limited.Throttled == 0 || limited.P50 <= free.P50 {
		t.Errorf("%+v\n%+v", free, limited)
	}
}
