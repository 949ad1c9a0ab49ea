package explore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"iter"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/owt-signal/owt-signal/internal/memory"
	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// program is what an invocation does: the real service, from its input on.
type program struct {
	name    string
	conn    int
	skew    time.Duration // of its machine's clock
	run     func(*replay)
	several bool                // messages in its frame
	known   map[uint64]*history // by what they remember
}

// history is what an invocation has observed since it began. The service is
// deterministic, so its history decides what it does next; histories are shared
// by all worlds in which an invocation has observed the same.
type history struct {
	id      uint64
	program *program
	parent  *history
	seen    observation
	later   *history  // the same, a tick later
	did     *effect   // of which seen is the answer; nil: it began
	waits   []*effect // what it waits for, of each strand, once that is known
	ran     bool      // it is
	kept    recollection
}

// observation is what the world has answered to an effect, and when.
type observation struct {
	now     lane.Instant
	err     error
	conn    signal.Connection
	made    bool
	route   signal.Route
	claimed signal.Claimed
	kept    []signal.Kept
	of      uint64 // the hash of the record that conn is, or of the user's whose history was read
}

// effect is what a strand of an invocation waits for. It is shared, and never
// changed.
type effect struct {
	kind   kind
	name   string
	strand int          // 0: what began with the invocation
	since  lane.Instant // when it was asked for
	write  bool
	reads  bool                // history
	keeps  bool                // history
	conn   signal.ConnectionID // whose record, or whose socket
	call   func(*memory.Store) observation
	move   *signal.Update
	claim  *signal.Claim
	user   signal.UserName
	event  signal.Event
	sleep  time.Duration

	numbers int // that a route reserves
}

type kind int

const (
	storeCall kind = iota
	post
	closing
	answer
	sleeping
)

var seed = maphash.MakeSeed()

// hashOf tells values apart by all that they hold. Among n of them two are
// taken for one with a probability below n²/2^65.
func hashOf(v any) uint64 { return maphash.String(seed, fmt.Sprintf("%v", v)) }

// mix is the hash of several, in their order.
func mix(hashes ...uint64) uint64 {
	b := make([]byte, 0, 128)
	for _, h := range hashes {
		b = binary.LittleEndian.AppendUint64(b, h)
	}
	return maphash.Bytes(seed, b)
}

func (o observation) hash() uint64 {
	var b []byte
	b = binary.AppendVarint(b, int64(o.now))
	b = binary.LittleEndian.AppendUint64(b, o.of)
	if o.made {
		b = append(b, 1)
	}
	if o.err != nil {
		b = append(b, o.err.Error()...)
	}
	b = append(append(b, o.route.Peer.ID...), 0)
	b = append(append(b, o.claimed.Owner.ID...), 0)
	b = append(b, o.claimed.Epoch...)
	b = binary.AppendVarint(binary.AppendVarint(b, o.route.Seq), o.claimed.Seq)
	return maphash.Bytes(seed, b)
}

// root is the history of an invocation that begins.
func (p *program) root(ids *uint64) *history {
	return p.history(nil, nil, observation{now: present}, ids)
}

// then is the history that goes on with the answer to an effect.
func (h *history) then(e *effect, o observation, ids *uint64) *history {
	return h.program.history(h, e, o, ids)
}

// history is the one of an invocation that has observed something more. Those
// that remember the same are one.
func (p *program) history(parent *history, did *effect, o observation, ids *uint64) *history {
	m := parent.remember(did, o)
	key := m.hash()
	if h, ok := p.known[key]; ok {
		return h
	}
	*ids++
	h := &history{id: *ids, program: p, parent: parent, did: did, seen: o, kept: m}
	p.known[key] = h
	return h
}

// recollection is what an invocation remembers of its history: all of it, but for
// what it has forgotten. A look at a record replaces the look before it, where
// it does nothing but look, be it of a lane or of history; so does a record that refuses a move, where it then
// decides anew; and who takes a run has nothing left of what it has done before,
// but for the runs that it had. Nothing is forgotten while another strand is under
// way, and, if one has found a socket gone, nothing of those.
type recollection struct {
	answered bool           // it works on after its answer
	runs     uint64         // what it has taken so far
	observed lane.Observed  // what it has seen of its lane
	saw      uint64         // the hash of that
	since    uint64         // all that its first strand has observed since
	loop     uint64         // the same before the first of the moves that were refused just now; 0: none was
	replay   uint64         // the same before it first looked at history
	beside   map[int]uint64 // what the other strands have observed
	gone     bool           // one of them has found a socket gone
}

func (m recollection) hash() uint64 {
	all := append(make([]uint64, 0, 16), uint64(bits(m.answered, m.gone)), m.runs, m.saw, m.since, m.loop, m.replay)
	for _, strand := range slices.Sorted(maps.Keys(m.beside)) {
		all = append(all, uint64(strand), m.beside[strand])
	}
	return mix(all...)
}

func (h *history) remember(e *effect, o observation) recollection {
	if h == nil {
		return recollection{since: o.hash()}
	}
	m := h.kept
	seen := mix(o.hash(), maphash.String(seed, e.name))
	if e.strand != 0 {
		m.beside = maps.Clone(m.beside)
		if m.beside == nil {
			m.beside = make(map[int]uint64)
		}
		if h.looksAgain(e) { // since when it does is what the first strand knows
			m.beside[e.strand] = 0
		}
		m.beside[e.strand] = mix(m.beside[e.strand], seen)
		m.gone = m.gone || errors.Is(o.err, signal.ErrGone)
		return m
	}
	if o.conn.ID == connName[h.program.conn] && o.err == nil {
		m.observed = m.observed.Look(o.conn.Lane, o.now)
		m.saw = hashOf(m.observed)
	}
	m.answered = m.answered || e.kind == answer
	before := m.since
	switch {
	case m.loop != 0 && e.move != nil:
		before = m.loop
	case e.reads && h.looksAgain(e):
		before = m.replay
	case e.reads:
		m.replay = before
	}
	if e.move != nil {
		seen = mix(seen, hashOf(numbers(e.move.Run)))
	}
	m.since, m.loop = mix(before, seen), 0
	if e.move != nil && !o.made && o.err == nil && (e.move.Kind == lane.KindOpen || e.move.Kind == lane.KindFinish) {
		m.loop = before
	}
	if e.move != nil && e.move.Kind == lane.KindHold && o.err != nil { // it may have been made
		m.runs = mix(m.runs, seen)
	}
	switch {
	case h.program.several && !m.answered: // what it has done for one run is answered after the next
	case h.program.several && e.kind == answer:
		m.runs = mix(m.runs, before)
	case len(h.waiting()) == 1:
		m.forget(h, e, o, seen)
	}
	return m
}

// forget drops what does not count any more once the only strand under way has
// got an answer.
func (m *recollection) forget(h *history, e *effect, o observation, seen uint64) {
	made := e.move != nil && o.err == nil && (o.made || e.move.Made(o.conn.Lane)) // by now, or before its answer was lost
	switch last := h.of(0).did; {
	case made && (e.move.Kind == lane.KindTake || e.move.Kind == lane.KindAdopt):
		m.runs, m.since = mix(m.runs, hashOf(numbers(e.move.Run))), seen
		if !m.gone {
			m.beside = nil
		}
	case e.move != nil && !made && o.err == nil && decidesAnew[e.move.Kind]:
		if e.move.Kind == lane.KindTake { // it may still take effect
			m.runs = mix(m.runs, uint64(e.move.Change.Done), uint64(e.move.Change.Taken))
		}
		m.since = seen
	case e.name == "gets" && last != nil && last.polls():
		m.since = seen
	}
}

// looksAgain reports whether a strand looks at history once more, having waited.
func (h *history) looksAgain(e *effect) bool {
	last := h.of(e.strand).did
	return e.reads && last != nil && last.polls()
}

// decidesAnew are the moves after whose refusal only the record counts.
var decidesAnew = map[lane.Kind]bool{lane.KindTake: true, lane.KindHold: true, lane.KindAdopt: true, lane.KindSkip: true, lane.KindExpire: true}

// ticked is the history a tick later.
func (h *history) ticked(ids *uint64) *history {
	if h.later == nil {
		var before *history
		if h.parent != nil {
			before = h.parent.ticked(ids)
		}
		o := h.seen
		o.now, o.conn = older(o.now), ticked(o.conn)
		if o.of != 0 && h.did.user == "" {
			o.of = hashOf(o.conn)
		}
		h.later = h.program.history(before, h.did, o, ids)
	}
	return h.later
}

// ticked is a record a tick later.
func ticked(c signal.Connection) signal.Connection {
	c.Until, c.Revocation.At, c.Lane.LeasedAt = older(c.Until), older(c.Revocation.At), older(c.Lane.LeasedAt)
	if len(c.Lane.Held) > 0 {
		c.Lane.Held = maps.Clone(c.Lane.Held)
		for n, held := range c.Lane.Held {
			held.At = older(held.At)
			c.Lane.Held[n] = held
		}
	}
	return c
}

// present is the time in every world: the clock stands, and a tick moves all that
// is remembered into the past.
const present = lane.Instant(1_800_000_000_000)

func older(i lane.Instant) lane.Instant {
	if i == 0 {
		return 0
	}
	return i.Add(-tick)
}

// polls reports whether the effect is a pause of an invocation that looks at a
// record again and again, and not of one that waits for stragglers, or hands over
// to others.
func (e *effect) polls() bool {
	return e.kind == sleeping && e.sleep != lane.ReorderWindow && e.sleep != 50*time.Millisecond
}

// waiting are the effects that the invocation waits for; none: it has ended.
func (h *history) waiting() []*effect {
	if !h.ran {
		h.waits, h.ran = h.replay(), true
	}
	return h.waits
}

// waitsFor is what a strand waits for; nil: nothing.
func (h *history) waitsFor(strand int) *effect {
	for _, e := range h.waiting() {
		if e.strand == strand {
			return e
		}
	}
	return nil
}

// of is the history up to the last observation of a strand.
func (h *history) of(strand int) *history {
	for h.did != nil && h.did.strand != strand {
		h = h.parent
	}
	return h
}

// replay runs the service again, from the beginning to the effects that have no
// answer yet.
func (h *history) replay() (next []*effect) {
	r := &replay{program: h.program}
	for at := h; at.parent != nil; at = at.parent {
		r.seen = append(r.seen, at)
	}
	root := h
	if n := len(r.seen); n > 0 {
		root = r.seen[n-1].parent
	}
	r.now = root.seen.now
	r.begin(func() { r.program.run(r) })
	defer r.unwind()
	for r.settle(); len(r.seen) > 0; r.settle() {
		last := len(r.seen) - 1
		r.answer(r.seen[last])
		r.seen = r.seen[:last]
	}
	for _, st := range r.strands {
		if st.waits != nil && !r.strands[0].over { // what is under way then is lost
			next = append(next, st.waits)
		}
	}
	return next
}

// replay is the world as the service sees it: its ports, by what was observed.
type replay struct {
	*program
	signal.LobbyStore               // nil: lobbies are explored by themselves
	signal.PresenceStore            // nil: nobody watches
	seen                 []*history // the last comes first
	now                  lane.Instant
	random               byte
	strands              []*strand
	current              *strand
	unwinding            bool
}

// strand is what an invocation does one after the other. It runs until it waits.
type strand struct {
	number int
	next   func() (*effect, bool)
	stop   func()
	yield  func(*effect) bool
	waits  *effect // for its answer
	joins  *strand // for its end
	seen   observation
	over   bool
}

// begin adds a strand.
func (r *replay) begin(f func()) *strand {
	st := &strand{number: len(r.strands)}
	st.next, st.stop = iter.Pull(func(yield func(*effect) bool) {
		st.yield = yield
		defer func() {
			if v := recover(); v != nil && v != any(errUnwound) {
				panic(v)
			}
		}()
		f()
	})
	r.strands = append(r.strands, st)
	return st
}

// errUnwound ends a strand that a replay does not need any more.
var errUnwound = errors.New("unwound")

func (r *replay) unwind() {
	r.unwinding = true
	for _, st := range r.strands {
		st.stop()
	}
}

// settle lets every strand go on that waits for nothing.
func (r *replay) settle() {
	for again := true; again; {
		again = false
		for _, st := range r.strands { // if there become more, again
			if !st.over && st.waits == nil && (st.joins == nil || st.joins.over) {
				r.resume(st)
				again = true
			}
		}
	}
}

func (r *replay) resume(st *strand) {
	r.current = st
	e, more := st.next()
	st.waits, st.over = e, !more
}

// answer gives a strand what was observed.
func (r *replay) answer(h *history) {
	var st *strand
	if h.did.strand < len(r.strands) {
		st = r.strands[h.did.strand]
	}
	if st == nil || st.waits == nil || st.waits.name != h.did.name {
		panic(fmt.Sprintf("%s is not deterministic: before, it %s", r.name, h.did.name))
	}
	st.seen, r.now = h.seen, h.seen.now
	r.resume(st)
}

// suspend has the strand that runs wait.
func (r *replay) suspend(e *effect) observation {
	st := r.current
	if r.unwinding || !st.yield(e) { // what is deferred may wait, too
		panic(errUnwound)
	}
	return st.seen
}

// wait is an effect: its answer, or the end of the replay.
func (r *replay) wait(e effect) observation {
	e.strand, e.since = r.current.number, r.now
	return r.suspend(&e)
}

// beside is the service's [signal.Service.Beside].
func (r *replay) beside(f func()) (wait func()) {
	other := r.begin(f)
	return func() {
		if !other.over {
			me := r.current
			me.joins = other
			r.suspend(nil)
			me.joins = nil
		}
	}
}

func (r *replay) service() *signal.Service {
	return &signal.Service{
		Store: r, Pusher: r, Clock: r, Beside: r.beside, Access: signal.OpenAccess, Random: r.bytes, Log: slog.New(slog.DiscardHandler),
		RecoverFor: signal.DefaultRecoverFor, // for clients that do
	}
}

// bytes fills b with what no other invocation has.
func (r *replay) bytes(b []byte) {
	r.random++
	clear(b)
	copy(b, r.name)
	b[len(b)-1] = r.random
}

// receive is an invocation of the message function.
func (r *replay) receive(p signal.Peer, in signal.Input) {
	reply := r.service().Receive(context.Background(), p, in)
	for _, e := range reply.Events {
		r.wait(effect{kind: answer, name: "answers", conn: p.ID, event: e})
	}
	if reply.After != nil {
		reply.After(context.Background())
	}
}

// Now implements [signal.Clock]. Between two effects no time passes.
func (r *replay) Now() lane.Instant { return r.now.Add(r.skew) }

// Sleep implements [signal.Clock].
func (r *replay) Sleep(_ context.Context, d time.Duration) error {
	r.wait(effect{kind: sleeping, name: "sleeps", sleep: d})
	return nil
}

// Post implements [signal.Pusher].
func (r *replay) Post(_ context.Context, to signal.Peer, e signal.Event) error {
	return r.wait(effect{kind: post, name: "posts", conn: to.ID, event: e}).err
}

// Close implements [signal.Pusher].
func (r *replay) Close(_ context.Context, p signal.Peer) error {
	return r.wait(effect{kind: closing, name: "closes", conn: p.ID}).err
}

// Create implements [signal.ConnectionStore].
func (r *replay) Create(ctx context.Context, c signal.Connection) error {
	return r.wait(effect{kind: storeCall, name: "creates", write: true, conn: c.ID, call: func(s *memory.Store) observation {
		return observation{err: s.Create(ctx, c)}
	}}).err
}

// Get implements [signal.ConnectionStore].
func (r *replay) Get(ctx context.Context, id signal.ConnectionID, now lane.Instant) (signal.Connection, error) {
	return r.read(effect{kind: storeCall, name: "gets", conn: id, call: func(s *memory.Store) observation {
		c, err := s.Get(ctx, id, now)
		return observation{conn: c, err: err}
	}})
}

// GetEnded implements [signal.ConnectionStore].
func (r *replay) GetEnded(ctx context.Context, id signal.ConnectionID, now lane.Instant) (signal.Connection, error) {
	return r.read(effect{kind: storeCall, name: "gets ended", conn: id, call: func(s *memory.Store) observation {
		c, err := s.GetEnded(ctx, id, now)
		return observation{conn: c, err: err}
	}})
}

// End implements [signal.ConnectionStore].
func (r *replay) End(ctx context.Context, id signal.ConnectionID, now lane.Instant) (signal.Connection, error) {
	return r.read(effect{kind: storeCall, name: "ends", write: true, conn: id, call: func(s *memory.Store) observation {
		c, err := s.End(ctx, id, now)
		return observation{conn: c, err: err}
	}})
}

func (r *replay) read(e effect) (signal.Connection, error) {
	o := r.wait(e)
	return o.conn, o.err
}

// Update implements [signal.ConnectionStore].
func (r *replay) Update(ctx context.Context, id signal.ConnectionID, u signal.Update, now lane.Instant) (signal.Connection, bool, error) {
	o := r.wait(effect{kind: storeCall, name: string(u.Kind), write: true, conn: id, move: &u, call: func(s *memory.Store) observation {
		c, made, err := s.Update(ctx, id, u, now)
		return observation{conn: c, made: made, err: err}
	}})
	return o.conn, o.made, o.err
}

// Delete implements [signal.ConnectionStore]; only keepalive needs it.
func (*replay) Delete(context.Context, signal.ConnectionID, lane.Instant) error {
	panic("explored invocations do not delete")
}

// Scan implements [signal.ConnectionStore]; only keepalive needs it.
func (*replay) Scan(context.Context, signal.Segment, lane.Instant, func(signal.Connection), func(signal.UserName)) error {
	panic("explored invocations do not scan")
}

// Claim implements [signal.UserStore].
func (r *replay) Fetch(_ context.Context, _ signal.ConnectionID, run []lane.Numbered) ([]lane.Numbered, error) {
	return run, nil
}

func (r *replay) Claim(ctx context.Context, c signal.Claim) (signal.Claimed, error) {
	c.Now = 0 // nobody watches
	o := r.wait(effect{kind: storeCall, name: "claims", write: true, user: c.User, claim: &c, call: func(s *memory.Store) observation {
		claimed, err := s.Claim(ctx, c)
		return observation{claimed: claimed, err: err}
	}})
	return o.claimed, o.err
}

// Release implements [signal.UserStore].
func (r *replay) Release(ctx context.Context, user signal.UserName, id signal.ConnectionID, tat lane.TAT) (signal.Released, error) {
	o := r.wait(effect{kind: storeCall, name: "releases", write: true, user: user, call: func(s *memory.Store) observation {
		released, err := s.Release(ctx, user, id, tat)
		return observation{made: released.Owner, err: err}
	}})
	return signal.Released{Owner: o.made}, o.err
}

// Route implements [signal.UserStore].
func (r *replay) Route(ctx context.Context, user signal.UserName, messages int, now lane.Instant) (signal.Route, error) {
	o := r.wait(effect{kind: storeCall, name: "routes", user: user, numbers: messages, call: func(s *memory.Store) observation {
		route, err := s.Route(ctx, user, messages, now)
		return observation{route: route, err: err}
	}})
	return o.route, o.err
}

// Owner implements [signal.UserStore]; only queries need it.
func (r *replay) Owner(ctx context.Context, user signal.UserName, now lane.Instant) (signal.Peer, error) {
	o := r.wait(effect{kind: storeCall, name: "asks for the owner", user: user, call: func(s *memory.Store) observation {
		owner, err := s.Owner(ctx, user, now)
		return observation{route: signal.Route{Peer: owner}, err: err}
	}})
	return o.route.Peer, o.err
}
