package explore

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"log/slog"
	"time"

	"github.com/owt-signal/owt-signal/internal/memory"
	"github.com/owt-signal/owt-signal/internal/signal"
)

// program is what an invocation does: the real service, from its input on.
type program struct {
	name  string
	conn  int
	skew  time.Duration // of its machine's clock
	run   func(*replay)
	roots map[signal.Instant]*history
}

// history is what an invocation has observed since it began. The service is
// deterministic, so its history decides what it does next; histories are shared
// by all worlds in which an invocation has observed the same.
type history struct {
	id      uint64
	program *program
	parent  *history
	seen    observation
	next    effect
	after   map[uint64]*history
}

// observation is what the world has answered to an effect, and when.
type observation struct {
	now     signal.Instant
	err     error
	conn    signal.Connection
	made    bool
	route   signal.Route
	claimed signal.Claimed
	of      uint64 // the hash of the record that conn is
}

// effect is what an invocation waits for. It is shared, and never changed.
type effect struct {
	kind  kind
	name  string
	write bool
	conn  signal.ConnectionID // whose record, or whose socket
	call  func(*memory.Store) observation
	move  *signal.Move
	claim *signal.Claim
	user  signal.UserName
	event signal.Event
	sleep time.Duration
}

type kind int

const (
	ended kind = iota
	storeCall
	post
	closing
	answer
	sleeping
)

var seed = maphash.MakeSeed()

// hashOf tells values apart by all that they hold. Among n of them two are
// taken for one with a probability below n²/2^65.
func hashOf(v any) uint64 { return maphash.String(seed, fmt.Sprintf("%+v", v)) }

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
	return maphash.Bytes(seed, b)
}

// root is the history of an invocation that begins now.
func (p *program) root(now signal.Instant, ids *uint64) *history {
	if h, ok := p.roots[now]; ok {
		return h
	}
	h := newHistory(p, nil, observation{now: now}, ids)
	p.roots[now] = h
	return h
}

// then is the history that goes on with an observation.
func (h *history) then(o observation, ids *uint64) *history {
	key := o.hash()
	if next, ok := h.after[key]; ok {
		return next
	}
	next := newHistory(h.program, h, o, ids)
	if h.after == nil {
		h.after = make(map[uint64]*history)
	}
	h.after[key] = next
	return next
}

func newHistory(p *program, parent *history, o observation, ids *uint64) *history {
	*ids++
	h := &history{id: *ids, program: p, parent: parent, seen: o}
	h.next = h.replay()
	return h
}

// replay runs the service again, from the beginning to the first effect that
// has no answer yet.
func (h *history) replay() (next effect) {
	r := &replay{program: h.program}
	for at := h; at != nil; at = at.parent {
		r.seen = append(r.seen, at.seen)
	}
	r.now = r.observe().now
	defer func() {
		if v := recover(); v != nil {
			e, waits := v.(effect)
			if !waits {
				panic(v)
			}
			next = e
		}
	}()
	r.program.run(r)
	return effect{kind: ended}
}

// replay is the world as the service sees it: its ports, by what was observed.
type replay struct {
	*program
	seen   []observation // the last comes first
	now    signal.Instant
	random byte
}

func (r *replay) observe() observation {
	last := len(r.seen) - 1
	o := r.seen[last]
	r.seen = r.seen[:last]
	return o
}

// wait is an effect: its answer, or the end of the replay.
func (r *replay) wait(e effect) observation {
	if len(r.seen) == 0 {
		panic(e)
	}
	o := r.observe()
	r.now = o.now
	return o
}

func (r *replay) service() *signal.Service {
	return &signal.Service{
		Store: r, Pusher: r, Clock: r, Access: signal.OpenAccess, Random: r.bytes, Log: slog.New(slog.DiscardHandler),
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
func (r *replay) Now() signal.Instant { return r.now.Add(r.skew) }

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

// Admit implements [signal.ConnectionStore].
func (r *replay) Admit(ctx context.Context, c signal.Connection) error {
	return r.wait(effect{kind: storeCall, name: "admits", write: true, conn: c.ID, call: func(s *memory.Store) observation {
		return observation{err: s.Admit(ctx, c)}
	}}).err
}

// Inspect implements [signal.ConnectionStore].
func (r *replay) Inspect(ctx context.Context, id signal.ConnectionID, now signal.Instant) (signal.Connection, error) {
	return r.read(effect{kind: storeCall, name: "inspects", conn: id, call: func(s *memory.Store) observation {
		c, err := s.Inspect(ctx, id, now)
		return observation{conn: c, err: err}
	}})
}

// Recall implements [signal.ConnectionStore].
func (r *replay) Recall(ctx context.Context, id signal.ConnectionID, now signal.Instant) (signal.Connection, error) {
	return r.read(effect{kind: storeCall, name: "recalls", conn: id, call: func(s *memory.Store) observation {
		c, err := s.Recall(ctx, id, now)
		return observation{conn: c, err: err}
	}})
}

// Drop implements [signal.ConnectionStore].
func (r *replay) Drop(ctx context.Context, id signal.ConnectionID) (signal.Connection, error) {
	return r.read(effect{kind: storeCall, name: "drops", write: true, conn: id, call: func(s *memory.Store) observation {
		c, err := s.Drop(ctx, id)
		return observation{conn: c, err: err}
	}})
}

func (r *replay) read(e effect) (signal.Connection, error) {
	o := r.wait(e)
	return o.conn, o.err
}

// Move implements [signal.ConnectionStore].
func (r *replay) Move(ctx context.Context, id signal.ConnectionID, m signal.Move, now signal.Instant) (signal.Connection, bool, error) {
	o := r.wait(effect{kind: storeCall, name: string(m.Kind), write: true, conn: id, move: &m, call: func(s *memory.Store) observation {
		c, made, err := s.Move(ctx, id, m, now)
		return observation{conn: c, made: made, err: err}
	}})
	return o.conn, o.made, o.err
}

// Each implements [signal.ConnectionStore]; only keepalive needs it.
func (*replay) Each(context.Context, signal.Segment, signal.Instant, func(signal.Connection)) error {
	panic("explored invocations do not scan")
}

// Claim implements [signal.UserStore].
func (r *replay) Claim(ctx context.Context, c signal.Claim) (signal.Claimed, error) {
	o := r.wait(effect{kind: storeCall, name: "claims", write: true, user: c.User, claim: &c, call: func(s *memory.Store) observation {
		claimed, err := s.Claim(ctx, c)
		return observation{claimed: claimed, err: err}
	}})
	return o.claimed, o.err
}

// Release implements [signal.UserStore].
func (r *replay) Release(ctx context.Context, user signal.UserName, id signal.ConnectionID, full signal.FullAt) (bool, error) {
	o := r.wait(effect{kind: storeCall, name: "releases", write: true, user: user, call: func(s *memory.Store) observation {
		released, err := s.Release(ctx, user, id, full)
		return observation{made: released, err: err}
	}})
	return o.made, o.err
}

// Route implements [signal.UserStore]. The sequence number is left out: nothing
// that the service does depends on it.
func (r *replay) Route(ctx context.Context, user signal.UserName, now signal.Instant) (signal.Route, error) {
	o := r.wait(effect{kind: storeCall, name: "routes", user: user, call: func(s *memory.Store) observation {
		route, err := s.Route(ctx, user, now)
		return observation{route: signal.Route{Peer: route.Peer, Epoch: route.Epoch}, err: err}
	}})
	return o.route, o.err
}

// Owner implements [signal.UserStore]; only queries need it.
func (r *replay) Owner(ctx context.Context, user signal.UserName, now signal.Instant) (signal.Peer, error) {
	o := r.wait(effect{kind: storeCall, name: "asks for the owner", user: user, call: func(s *memory.Store) observation {
		owner, err := s.Owner(ctx, user, now)
		return observation{route: signal.Route{Peer: owner}, err: err}
	}})
	return o.route.Peer, o.err
}
