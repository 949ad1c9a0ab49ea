package lane

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// sender is what one of the sending connections does.
type sender struct {
	user    int
	auth    bool  // it has to authenticate; otherwise it has
	at      int64 // with that number
	numbers []int64
}

// config is one bounded world that is explored completely.
type config struct {
	name    string
	senders [2]sender
	moves   bool  // bob's name is taken over by connection Y
	faults  fault // each may occur once, anywhere
	slow    int   // ticks that may pass while somebody is at work
	late    bool  // one frame, whichever, comes as late as it likes, or never
	after   int64 // this frame comes once all else has come to rest
	small   bool  // also without -explore=all
}

// model is a config to explore, and what decides in it.
type model struct {
	config
	hooks
	only string // the property that is judged; empty: all
}

var frames = func() (out [16]Frame) {
	for n := range out {
		out[n] = Frame{To: "bob", Data: []byte{byte(n)}}
	}
	return out
}()

// moving reports whether bob's record may change. As long as it does not, a
// route commutes with every other step, and need not be one.
func (x *model) moving() bool { return x.moves || x.config.faults&(goneTo) != 0 }

// begin is where the worlds of the config start: one, or one for each frame
// that may be late.
func (x *model) begin() []*world {
	w := &world{faults: x.config.faults, slow: x.slow}
	for i := range w.users {
		w.users[i].owner = noConn
	}
	for i := range w.conns {
		w.conns[i] = (&connState{}).seal()
	}
	for i, s := range x.senders {
		w.connect(i, s.user, !s.auth && s.numbers != nil, s.numbers != nil)
		if s.auth {
			w.join(&plan{conn: i, user: userName[s.user], auth: true, n: s.at}, x.config.faults)
		}
		for _, n := range s.numbers {
			w.join(&plan{conn: i, n: n, begins: x.after != 0 && n == x.after}, x.config.faults)
		}
	}
	w.connect(connX, bob, true, true)
	if x.moves {
		w.connect(connY, bob, false, true)
		w.join(&plan{conn: connY, user: "bob", auth: true}, 0)
	}
	if !x.config.late {
		return []*world{w}
	}
	return w.delayed()
}

// connect is a connection that is there from the start.
func (w *world) connect(i, user int, opened, there bool) {
	c := connState{there: there, lane: New()}
	if opened {
		c.lane.Apply(openAt(c.lane, 0, "-", present))
		c.user = userName[user]
		w.users[user].owner = i
	}
	w.conns[i] = c.seal()
}

// join adds an invocation, and its repeat.
func (w *world) join(p *plan, faults fault) {
	p.of = w.n
	p.me = fmt.Sprintf("%s%d", connName[p.conn], p.n)
	if p.auth {
		p.me = connName[p.conn] + "*"
	}
	w.invs[w.n] = (&inv{plan: p}).seal()
	w.n++
	if faults&repeat != 0 && !p.begins {
		again := *p
		again.me += "'"
		w.invs[w.n] = (&inv{plan: &again}).seal()
		w.n++
	}
}

// delayed are the worlds in each of which another frame may be late.
func (w *world) delayed() []*world {
	var out []*world
	for i, v := range w.invs[:w.n] {
		if v.auth || v.of != i || v.begins {
			continue
		}
		late := *w
		p := *v.plan
		p.late = true
		late.invs[i] = (&inv{plan: &p}).seal()
		out = append(out, &late)
	}
	return out
}

// faultless reports whether nothing has been at fault so far.
func (x *model) faultless(w *world) bool {
	return w.faults == x.config.faults && w.slow == x.slow && !x.config.late
}

// nexts are all the steps that are possible in w. In a world at rest, where
// nothing happens any more without a fault, atRest is true.
func (x *model) nexts(w *world) (out []next, atRest bool) {
	if i, ok := x.alone(w); ok {
		return append(x.steps(w, i), x.crash(w, i)...), false
	}
	was := w.hash()
	var whims []next
	for i, v := range w.invs[:w.n] {
		whims = append(whims, x.crash(w, i)...)
		switch {
		case v.pc == pcAway && v.begins:
		case v.pc == pcAway && (v.plan.late || v.of != i): // a repeat is a whim, too
			whims = append(whims, x.steps(w, i)...)
		default:
			out = append(out, changed(x.steps(w, i), was)...)
		}
	}
	if w.late != nil {
		whims = append(whims, x.land(w))
	}
	later := next{label{who: "..", what: "time passes"}, w.ticked()}
	switch {
	case len(out) == 0 && later.w.hash() != was: // nothing else to do: time passes
		whims = append(whims, later)
	case len(out) == 0:
		out = x.last(w)
		atRest = len(out) == 0
	case w.slow > 0:
		later.w.slow--
		whims = append(whims, later)
	}
	return append(out, whims...), atRest
}

// alone is an invocation whose next step is an ack. That an ack is given does
// not matter to any other step, nor do they to it: the acks given are a set, and
// what one must be preceded by stays. So it may be given first, alone, and every
// other order leads to the same worlds. Not so where the ack may find the
// sender's socket gone, or time may pass before what follows on it.
func (x *model) alone(w *world) (int, bool) {
	if w.slow > 0 || w.faults&goneAck != 0 {
		return 0, false
	}
	for i, v := range w.invs[:w.n] {
		if v.pc == pcTell {
			return i, true
		}
	}
	return 0, false
}

// changed are the steps that change something: a look that finds nothing new
// does not.
func changed(steps []next, was uint64) []next {
	return slices.DeleteFunc(steps, func(s next) bool { return s.w.hash() == was })
}

// last is the frame that comes once all else has come to rest.
func (x *model) last(w *world) []next {
	for i, v := range w.invs[:w.n] {
		if v.pc == pcAway && v.begins {
			return x.steps(w, i)
		}
	}
	return nil
}

// land is the late write taking effect, or not.
func (x *model) land(w *world) next {
	out := *w
	a := act{model: x, w: &out}
	m := w.late.m
	if rec := w.conns[w.late.conn]; rec.there && x.allows(rec.lane, *m) {
		a.apply(w.late.conn, m)
	}
	out.late = nil
	return next{label{who: "..", what: "lands", kind: m.Kind}, &out}
}

// judged is bad, if the property is judged.
func (x *model) judged(bad string) string {
	if !strings.HasPrefix(bad, x.only) {
		return ""
	}
	return bad
}

// stalled says what has been left undone in a world at rest.
func (x *model) stalled(w *world) string {
	for _, v := range w.invs[:w.n] {
		if v.pc != pcEnd && v.pc != pcAway {
			return fmt.Sprintf("stall: %s never ends", v.me)
		}
	}
	for i := range x.senders {
		if bad := x.undone(w, i); bad != "" {
			return bad
		}
	}
	return x.nameless(w)
}

// undone says what has been left undone on one connection, if that is living.
// What a crashed invocation had in hand may be, until the next frame comes.
func (x *model) undone(w *world, i int) string {
	c, t := w.conns[i], w.told[i]
	crashed := x.config.faults&crash != 0 && w.faults&crash == 0
	if !c.there || w.gone[i] || !c.lane.Opened() && crashed {
		return ""
	}
	var excused uint16
	if crashed && (x.after == 0 || t.unknown&bit(x.after) != 0) {
		excused = t.unknown | ^t.reached
	}
	for n := c.lane.Done + 1; n <= c.lane.Taken; n++ {
		if excused&bit(n) == 0 {
			return fmt.Sprintf("stall: %d is never finished", n)
		}
	}
	for n := range c.lane.Held {
		if excused&bit(n) == 0 {
			return fmt.Sprintf("stall: %d is held for ever", n)
		}
	}
	if open := t.reached &^ (t.ok | t.fail | t.nobody | t.unknown); open != 0 {
		return fmt.Sprintf("stall: the sender is never told of %v", list(open))
	}
	return ""
}

// nameless says which name ended up with a connection that is nobody. After a
// crash that may be; it lasts until a message for the name finds the socket gone.
func (x *model) nameless(w *world) string {
	if x.config.faults&crash != 0 {
		return ""
	}
	for i, u := range w.users {
		if u.owner != noConn && !w.conns[u.owner].there {
			return fmt.Sprintf("name: %s is owned by connection %s, which has no record", userName[i], connName[u.owner])
		}
	}
	return ""
}

// result is what an exploration found.
type result struct {
	states, steps int
	bad           string
}

// explore goes through all worlds of the model, depth first. Each is judged
// once; a way that leads back to itself would be an endless run, and counts as
// a stall.
func (x *model) explore() result {
	d := dive{model: x, onPath: make(map[uint64]bool)}
	for _, w := range x.begin() {
		d.enter(w)
		for d.bad == "" && len(d.path) > 0 {
			d.on()
		}
		if d.bad != "" {
			break
		}
	}
	return d.result
}

// dive is an exploration under way.
type dive struct {
	*model
	result
	onPath map[uint64]bool // every world seen: is it on the path?
	path   []level
}

// level is a world on the path, and the steps that are still to be taken.
type level struct {
	hash uint64
	rest []next
}

// on takes the next step, or turns back.
func (d *dive) on() {
	top := &d.path[len(d.path)-1]
	if len(top.rest) == 0 {
		d.onPath[top.hash] = false
		d.path = d.path[:len(d.path)-1]
		return
	}
	step := top.rest[len(top.rest)-1]
	top.rest = top.rest[:len(top.rest)-1]
	d.result.steps++
	d.enter(step.w)
}

func (d *dive) enter(w *world) {
	if d.bad = w.bad; d.bad != "" {
		return
	}
	h := w.hash()
	if on, seen := d.onPath[h]; seen {
		if on && d.path[len(d.path)-1].hash != h {
			d.bad = d.judged("stall: a run without end")
		}
		return
	}
	d.states++
	steps, atRest := d.nexts(w)
	if atRest {
		d.bad = d.judged(d.stalled(w))
	}
	d.onPath[h] = true
	d.path = append(d.path, level{h, steps})
}

// enough is how many worlds are looked at for a shortest trace.
const enough = 1_000_000

// shortest is a shortest trace to a broken property, breadth first.
func (x *model) shortest() string {
	s := search{model: x, seen: make(map[uint64]bool)}
	for i, w := range x.begin() {
		s.add(w, node{-1, 0, int16(i)})
	}
	for len(s.next) > 0 && len(s.nodes) < enough {
		level := s.next
		s.next = nil
		for _, o := range level {
			if trace := s.expand(o); trace != "" {
				return trace
			}
		}
	}
	return "no short trace found\n"
}

// search is a search breadth first. It keeps of each world only how it was
// reached.
type search struct {
	*model
	seen  map[uint64]bool
	nodes []node
	next  []reached
}

type node struct {
	from   int32 // the node before, or -1
	choice int16 // which of its steps
	root   int16 // which of the worlds to begin with
}

type reached struct {
	w  *world
	id int32
}

// add notes a world that is new.
func (s *search) add(w *world, n node) bool {
	h := w.hash()
	if w.bad == "" && s.seen[h] {
		return false
	}
	s.seen[h] = true
	s.nodes = append(s.nodes, n)
	s.next = append(s.next, reached{w, int32(len(s.nodes) - 1)})
	return true
}

// expand is the trace to a property that is broken in o or one step further, if
// any is.
func (s *search) expand(o reached) string {
	steps, atRest := s.nexts(o.w)
	if atRest {
		if bad := s.judged(s.stalled(o.w)); bad != "" {
			return s.trace(o.id, bad)
		}
	}
	for i, step := range steps {
		if s.add(step.w, node{o.id, int16(i), 0}) && step.w.bad != "" {
			return s.trace(int32(len(s.nodes)-1), step.w.bad)
		}
	}
	return ""
}

func (s *search) trace(id int32, bad string) string {
	var choices []int16
	for ; s.nodes[id].from >= 0; id = s.nodes[id].from {
		choices = append(choices, s.nodes[id].choice)
	}
	slices.Reverse(choices)
	return s.retell(int(s.nodes[id].root), choices) + bad + "\n"
}

// retell walks a trace again and writes it down.
func (x *model) retell(root int, choices []int16) string {
	var b strings.Builder
	w := x.begin()[root]
	for _, v := range w.invs[:w.n] {
		if v.plan.late {
			fmt.Fprintf(&b, "%s may be late\n", v.me)
		}
	}
	for i, c := range choices {
		steps, _ := x.nexts(w)
		w = steps[c].w
		fmt.Fprintf(&b, "%3d  %-40s%s\n", i+1, steps[c].label, w)
	}
	return b.String()
}

func one(numbers ...int64) [2]sender { return [2]sender{{user: alice, numbers: numbers}} }

func opening(at int64, numbers ...int64) [2]sender {
	return [2]sender{{user: alice, auth: true, at: at, numbers: numbers}}
}

// The connection A is taken over by B, which brings frames before it is alice.
func takeover(a, b sender) [2]sender {
	b.auth, b.user = true, alice
	return [2]sender{a, b}
}

func sends(numbers ...int64) sender { return sender{user: alice, numbers: numbers} }
func greetsFirst(s sender) sender   { s.auth = true; return s }
func both(a, c []int64) [2]sender {
	return [2]sender{{user: alice, numbers: a}, {user: carol, numbers: c}}
}
func upTo(n int64) (numbers []int64) {
	for i := range n {
		numbers = append(numbers, i+1)
	}
	return numbers
}

// configs are the worlds explored. Where a crash meets a second fault, nobody
// may be left who watches over a held frame: there one more frame comes after all
// else, and must set the lane going again.
var configs = []config{
	{name: "4 frames", senders: one(1, 2, 3, 4), small: true},
	{name: "4 frames, crash", senders: one(1, 2, 3, 4), faults: crash, small: true},
	{name: "4 frames, crash, repeat", senders: one(1, 2, 3, 4), faults: crash | repeat},
	{name: "3 frames, repeat, one late", senders: one(1, 2, 3), faults: repeat, late: true, small: true},
	{name: "4 frames, repeat, lost answer, one late", senders: one(1, 2, 3, 4), faults: repeat | lostMove, late: true},
	{name: "3 frames, all posts' faults", senders: one(1, 2, 3), faults: goneTo | goneAck | unknown, small: true},
	{name: "4 frames, posts' faults, lost answer, stint", senders: one(1, 2, 3, 4), faults: lostMove | unknown | goneTo | stint},
	{name: "3 frames, posts' faults, lost answer, stint, repeat", senders: one(1, 2, 3), faults: lostMove | unknown | goneTo | goneAck | stint | repeat},
	{name: "3 frames and one after, everything but time", senders: one(1, 2, 3, 4), faults: crash | lostMove | unknown | goneTo | stint, late: true, after: 4},
	{name: "4 frames and one after, crash, lost answer, one late", senders: one(1, 2, 3, 4, 5), faults: crash | lostMove, late: true, after: 5},
	{name: "3 frames and one after, crash, repeat, one late", senders: one(1, 2, 3, 4), faults: crash | repeat, late: true, after: 4},
	{name: "3 frames, slow", senders: one(1, 2, 3), slow: 2, small: true},
	{name: "2 frames, very slow, repeat, lost answer", senders: one(1, 2), slow: 5, faults: repeat | lostMove},
	{name: "3 frames, slow, unknown post, lost answer", senders: one(1, 2, 3), slow: 2, faults: lostMove | unknown},
	{name: "3 frames, slow, repeat", senders: one(1, 2, 3), slow: 2, faults: repeat},
	{name: "3 frames and one after, slow, crash, one late", senders: one(1, 2, 3, 4), slow: 2, faults: crash, late: true, after: 4},
	{name: "4 frames and one after, late write", senders: one(1, 2, 3, 4, 5), faults: lateDup, after: 5},
	{name: "2 frames and one after, very slow, late write", senders: one(1, 2, 3), slow: 4, faults: lateDup, after: 3},
	{name: "two senders", senders: both(upTo(2), upTo(2)), small: true},
	{name: "two senders, posts' faults", senders: both(upTo(3), upTo(2)), faults: goneTo | unknown},
	{name: "two senders, crash, repeat", senders: both(upTo(2), upTo(2)), faults: crash | repeat},
	{name: "the receiver moves", senders: one(1, 2, 3), moves: true, small: true},
	{name: "the receiver moves, crash, posts' faults", senders: one(1, 2, 3), moves: true, faults: crash | unknown | goneTo},
	{name: "opening", senders: opening(0, 1, 2, 3), small: true},
	{name: "opening, crash", senders: opening(0, 1, 2, 3), faults: crash, small: true},
	{name: "opening, repeat, lost answer", senders: opening(0, 1, 2, 3), faults: repeat | lostMove},
	{name: "opening, one late", senders: opening(0, 1, 2, 3), faults: lostMove, late: true},
	{name: "opening and one after, crash, lost answer, one late", senders: opening(0, 1, 2, 3, 4), faults: crash | lostMove, late: true, after: 4},
	{name: "reopening", senders: opening(3, 1, 2, 4, 5), small: true},
	{name: "reopening, repeat, lost answer", senders: opening(3, 1, 2, 4), faults: repeat | lostMove},
	{name: "reopening and one after, crash, lost answer, one late", senders: opening(3, 1, 2, 4, 5), faults: crash | lostMove, late: true, after: 5},
	{name: "unknown start", senders: opening(unknownStart, 0, 1, 2), small: true},
	{name: "unknown start above 0", senders: opening(unknownStart, 2, 3, 4), small: true},
	{name: "unknown start, repeat, lost answer", senders: opening(unknownStart, 0, 1, 2), faults: repeat | lostMove},
	{name: "takeover", senders: takeover(sends(1, 2), sends(1, 2)), small: true},
	{name: "takeover, crash, repeat", senders: takeover(sends(1, 2), sends(1)), faults: crash | repeat},
	{name: "takeover, lost answer, repeat", senders: takeover(sends(1, 2), sends(1)), faults: lostMove | repeat},
	{name: "takeover, unknown post, sender gone", senders: takeover(sends(1, 2, 3), sends(1)), faults: unknown | goneAck},
	{name: "takeover while authenticating", senders: takeover(greetsFirst(sends(1)), sends(1)), small: true},
	{name: "takeover while authenticating, lost answer", senders: takeover(greetsFirst(sends(1, 2)), sends(1)), faults: lostMove},
	{name: "takeover while authenticating, repeat", senders: takeover(greetsFirst(sends(1)), sends(1)), faults: repeat},
	{name: "takeover while authenticating, crash, repeat", senders: takeover(greetsFirst(sends(1)), sends(1)), faults: crash | repeat},
}

// explore says how much is explored. The whole takes minutes, and several times
// as long with the race detector.
var explore = flag.String("explore", "small", "what TestExplore goes through: small or all")

// reduced reports whether only the small configs are to be explored.
func reduced() bool { return *explore != "all" }

// TestExplore goes through every interleaving of the steps of a few
// invocations, in worlds that are small, but in which everything may happen
// that the configs name.
func TestExplore(t *testing.T) {
	var states, steps atomic.Int64
	t.Cleanup(func() { t.Logf("%d states, %d steps in all", states.Load(), steps.Load()) })
	for _, c := range configs {
		if reduced() && !c.small {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := judge(t, &model{config: c, hooks: product()})
			states.Add(int64(r.states))
			steps.Add(int64(r.steps))
		})
	}
}

func judge(t *testing.T, x *model) result {
	t.Helper()
	began := time.Now()
	r := x.explore()
	t.Logf("%8d states %9d steps %8s", r.states, r.steps, time.Since(began).Round(time.Millisecond))
	if r.bad != "" {
		t.Errorf("%s\n%s", r.bad, x.shortest())
	}
	return r
}

// mutations are defects, each with a world in which it must be found, and the
// property that it breaks.
var mutations = []struct {
	name   string
	want   string
	in     config
	mutate func(*hooks)
}{
	{"a frame is taken although an owner is at work", "order", config{senders: one(1, 2)}, func(h *hooks) {
		h.arrive = func(l Lane, n int64, f Frame, me string, now Instant) Decision {
			if n == l.Taken+1 && !l.Idle() {
				return makeMove(l.take(KindTake, []Numbered{{n, f}}, n, me, now))
			}
			return l.DecideArrival(n, f, me, now)
		}
	}},
	{"the first try does not ask whether the number is held", "stall", config{senders: one(1, 2, 3), faults: repeat, late: true}, func(h *hooks) {
		h.take = func(n int64, f Frame, me string, now Instant) Move {
			m := Take(n, f, me, now)
			m.Guard.Vacant = nil
			return m
		}
	}},
	{"a frame is held whatever the lane has become", "truth", config{senders: one(1, 2, 3)}, func(h *hooks) {
		h.allows = func(l Lane, m Move) bool { return m.Kind == KindHold && l.Opened() || l.Allows(m) }
	}},
	{"finish takes held frames out and forgets them", "stall", config{senders: one(1, 2)}, func(h *hooks) {
		h.finish = func(l Lane, faults []Undelivered, more bool, me string, now Instant) Move {
			m := l.Finish(faults, more, me, now)
			m.Run, m.Change.Taken = nil, l.Taken
			return m
		}
	}},
	{"finish does not ask who owns the lane", "order", config{senders: one(1, 2, 3), slow: 3}, func(h *hooks) {
		h.allows = func(l Lane, m Move) bool {
			return m.Kind == KindFinish || l.Allows(m)
		}
	}},
	{"opening does not ask what is held", "stall", config{senders: opening(3, 1, 2)}, func(h *hooks) {
		h.open = func(l Lane, at int64, me string, now Instant) Move {
			m := openAt(l, at, me, now)
			m.Guard.Held = Expected[int]{}
			return m
		}
	}},
	{"every number counts as delivered", "truth", config{senders: one(1, 2), late: true}, func(h *hooks) {
		h.arrive = func(l Lane, n int64, f Frame, me string, now Instant) Decision {
			s := l.DecideArrival(n, f, me, now)
			s.Code = OK
			return s
		}
	}},
	{"a living owner is overtaken", "order", config{senders: one(1, 2)}, func(h *hooks) {
		h.watch = func(l Lane, n int64, me string, now Instant) Decision {
			if l.Opened() && !l.Idle() && n > l.Taken {
				return makeMove(l.Expire(me))
			}
			return l.DecideWatch(n, me, now)
		}
	}},
	{"overtaken numbers may be taken again", "once", config{senders: one(1, 2), faults: crash | repeat}, func(h *hooks) {
		h.arrive = func(l Lane, n int64, f Frame, me string, now Instant) Decision {
			s := l.DecideArrival(n, f, me, now)
			if s.Move != nil && s.Move.Kind == KindExpire {
				s.Move.Change.Done, s.Move.Change.Taken, s.Move.Change.Outcomes = l.Done, l.Done, nil
			}
			return s
		}
	}},
	{"an owner posts however old its turn is", "order", config{senders: one(1, 2), slow: 2}, func(h *hooks) {
		h.begin = func(int) bool { return true }
	}},
	{"a late renewal turns the time back", "order", config{senders: one(1, 2, 3), slow: 4, faults: lateDup, after: 3}, func(h *hooks) {
		h.allows = func(l Lane, m Move) bool {
			if m.Kind == KindRenew {
				m.Guard.LeasedAt = Expected[Instant]{}
			}
			return l.Allows(m)
		}
	}},
	{"another's move is taken for one's own", "once", config{senders: one(1), faults: repeat}, func(h *hooks) {
		h.made = func(m Move, l Lane) bool { return l.Done == m.Change.Done && l.Taken == m.Change.Taken }
	}},
	{"one's own move is not known again", "stall", config{senders: one(1), faults: lostMove}, func(h *hooks) {
		h.made = func(Move, Lane) bool { return false }
	}},
	{"a gap is skipped at once", "truth", config{senders: one(1, 2)}, func(h *hooks) {
		h.watch = func(l Lane, n int64, me string, now Instant) Decision {
			return l.DecideWatch(n, me, now.Add(2*LeaseTimeout))
		}
	}},
	{"nobody watches", "stall", config{senders: one(1, 2, 3), late: true}, func(h *hooks) {
		h.watch = func(Lane, int64, string, Instant) Decision { return Decision{} }
	}},
	{"an owner leaves what is held", "stall", config{senders: one(1, 2, 3, 4), faults: crash}, func(h *hooks) { h.lingers = false }},
	{"the connection before is not fenced off", "fence", config{senders: takeover(sends(1), sends(1))}, func(h *hooks) { h.fence = false }},
}

// TestExploreFindsMutations shows that the exploration would find what it looks
// for.
func TestExploreFindsMutations(t *testing.T) {
	for _, m := range mutations {
		if reduced() && m.in.slow > 2 {
			continue
		}
		t.Run(m.name, func(t *testing.T) {
			if r := (&model{config: m.in, hooks: product()}).explore(); r.bad != "" {
				t.Fatalf("without the mutation: %s", r.bad)
			}
			x := &model{config: m.in, hooks: product(), only: m.want}
			m.mutate(&x.hooks)
			r := x.explore()
			t.Logf("%s, after %d states", r.bad, r.states)
			if r.bad == "" {
				t.Fatal("not found")
			}
			if testing.Verbose() && !reduced() {
				t.Log("\n" + x.shortest())
			}
		})
	}
}
