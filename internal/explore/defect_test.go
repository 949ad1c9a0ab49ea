package explore

import (
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// defect is a deliberate one: an edit of the service's source, a config in which
// it must be found, and the promise that it breaks.
type defect struct {
	name     string
	breaks   string
	in       config
	file     string // below internal/signal
	old, new string // old stands in it once
}

var defects = []defect{
	{
		"a frame is taken although another holds the lease", "order", config{senders: one(1, 2)},
		"lane/decide.go", "if l.Opened() && l.Idle() {", "if l.Opened() {",
	},
	{
		"the first try does not ask whether the number is held", "stall", config{senders: one(1, 2, 3), faults: repeat, late: true},
		"lane/transitions.go", "Taken: Is(below), Vacant: numbers(run)}", "Taken: Is(below)}",
	},
	{
		"a frame is held whatever the lane has become", "stall", config{senders: one(1, 2), faults: repeat},
		"lane/transitions.go", "Guard{TakenBelow: Is(frames[0].N), Vacant:", "Guard{Vacant:",
	},
	{
		"finish takes held frames out and forgets them", "stall", config{senders: one(1, 2)},
		"lane/transitions.go", "m.Change.Taken, m.Change.LeasedAt, m.Change.Taking = end, now, digests(run)", "m.Run, m.Change.LeasedAt, m.Change.Taking, _ = nil, now, digests(run), end",
	},
	{
		"finish does not ask who holds the lease", "once", config{senders: one(1, 2), slow: 4},
		"lane/move.go", "	if !g.Done.Allows(l.Done) ||", "	if m.Kind == KindFinish {\n		return true\n	}\n	if !g.Done.Allows(l.Done) ||",
	},
	{
		"opening does not ask what is held", "stall", config{senders: opening(3, 1, 2)},
		"lane/start.go", "Held: Is(held)}", "Held: Expected[int]{value: held}}",
	},
	{
		"every number counts as delivered", "truth", config{senders: one(1, 2), late: true},
		"lane/decide.go", "case f.N <= l.Done:\n			a.Finished = append(a.Finished, Finished{f, l.Answer(f)})", "case f.N <= l.Done:\n			a.Finished = append(a.Finished, Finished{f, OK})",
	},
	{
		"a lease expires that is being used", "order", config{senders: one(1, 2)},
		"lane/decide.go", "	case o.expired(l, now):\n		return makeMove(l.Expire(id))\n	case n <= l.Done", "	case !l.Idle() && n > l.Taken:\n		return makeMove(l.Expire(id))\n	case n <= l.Done",
	},
	{
		"numbers of an expired lease may be taken again", "once", config{senders: one(1, 2), faults: crash | repeat},
		"lane/transitions.go",
		"Change: Change{Done: l.Taken, Taken: l.Taken, Holder: id,\n			Finished: l.Finished.and(l.Taking), Outcomes: l.passed(l.Taken, nil, []Undelivered{{l.Done + 1, l.Taken, CodeServer}})},",
		"Change: Change{Done: l.Done, Taken: l.Done, Holder: id},",
	},
	{
		"a post starts however old the lease is", "order", config{senders: one(1, 2), slow: 2},
		"send.go", "<= lane.PostStartWithin\n", "<= lane.ClockBound\n",
	},
	{
		"another's move is taken for one's own", "once", config{senders: one(1), faults: repeat},
		"lane/move.go", `return c.Holder != "" && l.Holder == c.Holder &&`, `return c.Holder != "" &&`,
	},
	{
		"one's own move is not known again", "stall", config{senders: one(1), faults: lostMove},
		"lane/move.go", "func (m Move) Made(l Lane) bool {\n", "func (m Move) Made(l Lane) bool {\n	if m.Kind != \"\" {\n		return false\n	}\n",
	},
	{
		"a gap is skipped at once", "truth", config{senders: one(1, 2)},
		"lane/decide.go", "case waited > timeout, age >", "case waited >= 0, age >",
	},
	{
		"nobody watches", "stall", config{senders: one(1, 2, 3), late: true},
		"send.go", "	for ctx.Err() == nil {\n		d := v.decideWatch(n)", "	for ctx.Err() != nil {\n		d := v.decideWatch(n)",
	},
	{
		"who holds the lease leaves what is held", "stall", config{senders: one(1, 2, 3, 4), faults: crash},
		"send.go", "		n, held := v.conn.Lane.Lowest()\n		if !held {", "		n, held := v.conn.Lane.Lowest()\n		if n > 0 || !held {",
	},
	{
		"the connection before is not fenced off", "fence", config{senders: takeover(sends(1), sends(1))},
		"authenticate.go", "was, err := s.end(ctx, owner.ID)", "was, err := s.getEnded(ctx, owner.ID)",
	},
	{
		"a session goes on before its last lease is over", "once", config{senders: resumed(upTo(2), upTo(2))},
		"lane/decide.go", "	case l.Idle():\n		return Decision{Action: Pending}\n	case o.expired", "	case l.Idle(), id != \"\":\n		return Decision{Action: Pending}\n	case o.expired",
	},
	{
		"a frame whose hold may have been made is answered twice", "answer", config{senders: one(1, 2), faults: lostMove},
		"send.go", "return code != lane.CodeServer && f.N <=", "return false && f.N <=",
	},
	{
		"a revoked connection takes on something new", "expiry", config{senders: ending(upTo(2)), slow: 2},
		"connection.go", "(!u.NotRevoked || !c.Revoked(now)) &&", "(!u.NotRevoked || u.NotRevoked) &&",
	},
	{
		"what goes to one receiver is posted side by side", "order", config{senders: one(1, 2, 3)},
		"run.go", "			if j < 0 {", "			if j < len(p.run) {",
	},
	{
		"a run is acked before it is posted", "truth", config{senders: one(1, 2)},
		"run.go", "	for open := v.streams(&p, now);", "	v.ackAll(ctx, p)\n	for open := v.streams(&p, now);",
	},
	{
		"a run is acked before it is finished", "truth", config{senders: one(1, 2), slow: 4},
		"send.go", "		next, ok, err := v.finish(ctx, p, more)\n", "		v.ackAll(ctx, *p)\n		next, ok, err := v.finish(ctx, p, more)\n",
	},
	{
		"an invocation ends before its acks are out", "stall", config{senders: one(1, 2)},
		"ack.go", "		if v.acked != nil {", "		if v.acked != nil && ctx == nil {",
	},
	{
		"leaving does not wait for what was sent before", "leaving", config{senders: one(1, 2), leaves: true},
		"leave.go", "	s.awaitSent(ctx, id)\n", "",
	},
	{
		"a post of several leaves some out", "truth", config{senders: together([]int64{1, 2}), batches: true},
		"run.go", "return batch(events[:n]), n", "return batch(events[:1]), n",
	},
	{
		"whatever comes under a number counts as what it was", "truth", config{senders: reused(upTo(2), 1)},
		"lane/digest.go", "return known != 0 && known != f.Digest()", "return known != 0 && f.N < 0",
	},
	{
		"of several that come early one is held", "stall", config{senders: together([]int64{1}, []int64{2, 3})},
		"lane/decide.go", "a.Move = hold(frames[:n],", "a.Move = hold(frames[:1],",
	},
	{
		"of several that are posted the first counts as taken", "once", config{senders: together([]int64{1, 2}), faults: repeat},
		"lane/transitions.go", "Taken: run[len(run)-1].N", "Taken: run[0].N",
	},
	{
		"a message is acked before it is kept", "recovery", config{senders: one(1), recovers: true},
		"history.go", "		k.wait()\n", "",
	},
	{
		"a message that was too late for history is acked", "recovery", config{senders: one(1), recovers: true, slow: 2},
		"history.go", "	if err == nil && kept {", "	if err == nil && (kept || post != nil) {",
	},
	{
		"what is missing is void at once", "recovery", config{senders: one(1, 2), recovers: true},
		"replay.go", "			missing = append(missing, n)", "			r.add(Void{r.epoch, n, n})\n			r.next = n + 1",
	},
	{
		"a void number keeps nothing out", "recovery", config{senders: one(1), recovers: true, slow: 2},
		"replay.go", "			return r.Store.Void(ctx, r.conn.User, r.epoch, missing[i], until)", "			r.add(Void{r.epoch, missing[i], missing[i]})\n			r.next = missing[i] + 1\n			_ = until\n			return ctx.Err()",
	},
	{
		"a replay leaves out the last", "recovery", config{senders: one(1, 2), recovers: true, faults: unknown},
		"replay.go", "r.next <= last && r.Clock", "r.next < last && r.Clock",
	},
	{
		"a client that has a part of a post gets no more of it", "recovery", config{senders: together(upTo(3)), batches: true, recovers: true, since: 1},
		"replay.go", "r.next-MaxBatch+1, to)", "r.next, to)",
	},
	{
		"what is posted to one receiver is kept as another's", "recovery", config{senders: together(upTo(3)), batches: true, two: true, recovers: true},
		"history.go", "	to := st.to\n", "	to := UserName(st.run[1].To)\n",
	},
	{
		"one receiver's history is another's", "recovery", config{senders: together(upTo(3)), batches: true, two: true, recovers: true},
		"../memory/history.go", "		if e, ok := s.history.posts.rows[historyKey{user, epoch, n}]; ok {", "		for k, e := range s.history.posts.rows {\n			if k.seq != n {\n				continue\n			}",
	},
}

var inDefect = flag.String("defect", "", "explore the config of the defect of that name, which must be found: the source has it")

// TestExploreFindsDefects builds the service with one defect after the other,
// and explores it.
func TestExploreFindsDefects(t *testing.T) {
	if *inDefect != "" {
		t.Skip("for TestDefect")
	}
	for i, d := range defects {
		if *explore != "all" && i > 0 { // each is a build
			break
		}
		t.Run(d.name, func(t *testing.T) {
			if r := (&explorer{config: d.in}).explore(); r.bad != "" {
				t.Fatalf("without the defect: %s", r.bad)
			}
			test := exec.CommandContext(t.Context(), "go", "test", "-overlay", d.overlay(t), "-run", "^TestDefect$", "-v", ".", "-defect", d.name)
			out, err := test.CombinedOutput()
			if err != nil || !strings.Contains(string(out), "--- PASS: TestDefect") {
				t.Errorf("%v\n%s", err, out)
			}
			for line := range strings.Lines(string(out)) {
				if strings.Contains(line, "defect_test.go") {
					t.Log(strings.TrimSpace(line))
				}
			}
		})
	}
}

// overlay writes the source with the defect, and for the go command which file
// that is to stand for.
func (d defect) overlay(t *testing.T) string {
	source, err := filepath.Abs(filepath.Join("..", "signal", d.file))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), d.old); n != 1 {
		t.Fatalf("%s stands %d times in %s", d.old, n, d.file)
	}
	dir := t.TempDir()
	replaced, overlay := filepath.Join(dir, "defect.go"), filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(replaced, []byte(strings.Replace(string(text), d.old, d.new, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	list, err := json.Marshal(map[string]map[string]string{"Replace": {source: replaced}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(overlay, list, 0o600); err != nil {
		t.Fatal(err)
	}
	return overlay
}

// TestDefect finds the defect that the service was built with.
func TestDefect(t *testing.T) {
	if *inDefect == "" {
		t.Skip("the service was built without")
	}
	for _, d := range defects {
		if d.name != *inDefect {
			continue
		}
		r := (&explorer{config: d.in, only: d.breaks}).explore()
		t.Logf("%s, after %d states", r.bad, r.states)
		if r.bad == "" {
			t.Fatal("not found")
		}
		return
	}
	t.Fatal("no such defect")
}

// resumed has B resume A's session, and send again there once it is welcome.
func resumed(before, again []int64) []sender {
	return []sender{
		{user: alice, numbers: before, session: "s"},
		{user: alice, auth: true, session: "s", resume: connName[connA], again: again},
	}
}

// ending has A's token end after a while.
func ending(numbers []int64) []sender {
	return []sender{{user: alice, numbers: numbers, ends: true}}
}
