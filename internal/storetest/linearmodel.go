package storetest

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/anishathalye/porcupine"

	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// call is an operation on one record.
type call interface {
	key() string
	name() string
	// on is the sequential model: what the operation answers when nothing else
	// happens, and what it makes of the record. The same record means that it
	// changes nothing.
	on(*record) (answer, *record)
}

// record is what the model knows of one key: a connection or a user.
type record struct {
	connection *signal.Connection // nil: there is none
	user       user
	ended      bool // the history: what has not happened by now never does
}

// answer is what an operation answers; the fields that it does not have are
// zero.
type answer struct {
	Connection signal.Connection
	Done       bool // updated, released
	Claimed    signal.Claimed
	Route      signal.Route
	Peer       signal.Peer
	Err        error
}

// named are the errors that are answers. After any other the outcome is not
// known.
var named = []error{signal.ErrNoConnection, signal.ErrOffline, signal.ErrNewerClaim}

func errored(err error) error {
	for _, name := range named {
		if errors.Is(err, name) {
			return name
		}
	}
	return err
}

func (a answer) known() bool { return a.Err == nil || slices.Contains(named, a.Err) }

func (a answer) equal(b answer) bool {
	return errors.Is(a.Err, b.Err) && a.Done == b.Done && a.Claimed == b.Claimed && a.Route == b.Route && a.Peer == b.Peer &&
		reflect.DeepEqual(a.Connection, b.Connection)
}

func (a answer) brief() string {
	switch {
	case a.Err != nil:
		return "error"
	case a.Done || a.Peer != signal.Peer{} || a.Route.Seq > 0:
		return "done"
	default:
		return "answered"
	}
}

// certainty is how much is known of an operation.
type certainty int

const (
	known   certainty = iota // its answer
	made                     // that it was made, by what the record shows later
	unknown                  // nothing: it takes effect at any later time, or never
)

type outcome struct {
	certainty certainty
	answer    answer
}

// model judges each record's history by itself: no operation touches two.
var model = porcupine.Model{
	Partition: byKey,
	Init:      func() any { return &record{} },
	Step:      step,
	Equal:     reflect.DeepEqual,
	DescribeOperation: func(in, out any) string {
		o := out.(outcome)
		return fmt.Sprintf("%s %+v -> %s", in.(call).name(), in, [...]string{fmt.Sprintf("%+v", o.answer), "made", "unknown"}[o.certainty])
	},
	DescribeState: func(s any) string {
		if c := s.(*record).connection; c != nil {
			return fmt.Sprintf("%+v", *c)
		}
		return fmt.Sprintf("%+v", s.(*record).user)
	},
}

func step(state, in, out any) (bool, any) {
	before, o := state.(*record), out.(outcome)
	want, after := in.(call).on(before)
	switch o.certainty {
	case made:
		return want.Done, after
	case unknown:
		// One that would change nothing here can as well never happen, which is
		// after the end: that keeps the search short.
		if before.ended {
			return true, before
		}
		return after != before, after
	default:
		return o.answer.equal(want), after
	}
}

// byKey parts a history into those of the records, each with an end.
func byKey(history []porcupine.Operation) [][]porcupine.Operation {
	parts := make(map[string][]porcupine.Operation)
	var last int64
	for _, op := range history {
		k := op.Input.(call).key()
		parts[k] = append(parts[k], op)
		last = max(last, op.Call)
		if op.Return != never {
			last = max(last, op.Return)
		}
	}
	all := make([][]porcupine.Operation, 0, len(parts))
	for k, part := range parts {
		all = append(all, append(part, porcupine.Operation{Input: over{k}, Call: last + 1, Output: outcome{answer: answer{Done: true}}, Return: last + 2}))
	}
	return all
}

// over is the history's end.
type over struct{ of string }

func (e over) key() string  { return e.of }
func (e over) name() string { return "over" }
func (e over) on(r *record) (answer, *record) {
	ended := *r
	ended.ended = true
	return answer{Done: !r.ended}, &ended
}

// A connection's model is the domain's own pure code.
type (
	create struct{ signal.Connection }
	get    struct{ id signal.ConnectionID }
	end    struct {
		id signal.ConnectionID
		at lane.Instant
	}
	remove struct {
		id signal.ConnectionID
		at lane.Instant
	}
	update struct {
		id signal.ConnectionID
		signal.Update
	}
)

func (c create) key() string { return "connection " + string(c.ID) }
func (c get) key() string    { return "connection " + string(c.id) }
func (c end) key() string    { return "connection " + string(c.id) }
func (c remove) key() string { return "connection " + string(c.id) }
func (c update) key() string { return "connection " + string(c.id) }

func (c create) name() string { return "create" }
func (c get) name() string    { return "get" }
func (c end) name() string    { return "end" }
func (c remove) name() string { return "delete" }
func (c update) name() string { return string(c.Kind) }

func (r *record) with(c *signal.Connection) *record {
	return &record{connection: c, user: r.user, ended: r.ended}
}

func (c create) on(r *record) (answer, *record) {
	if r.connection != nil {
		return answer{}, r
	}
	created := normal(c.Connection)
	return answer{}, r.with(&created)
}

func (c get) on(r *record) (answer, *record) {
	if r.absent() {
		return answer{Err: signal.ErrNoConnection}, r
	}
	return answer{Connection: *r.connection}, r
}

// absent: a connection that has ended is, to all of these.
func (r *record) absent() bool { return r.connection == nil || r.connection.Ended }

func (c end) on(r *record) (answer, *record) {
	if r.absent() {
		return answer{Err: signal.ErrNoConnection}, r
	}
	ended := normal(r.connection.EndedAt(c.at))
	return answer{Connection: *r.connection}, r.with(&ended)
}

func (c remove) on(r *record) (answer, *record) {
	if r.connection == nil || r.connection.Expires > c.at {
		return answer{}, r
	}
	return answer{}, r.with(nil)
}

func (c update) on(r *record) (answer, *record) {
	if r.absent() {
		return answer{Err: signal.ErrNoConnection}, r
	}
	if !r.connection.Allows(c.Update, now) {
		return answer{Connection: *r.connection}, r
	}
	updated := *r.connection
	updated.Lane.Held = maps.Clone(updated.Lane.Held) // an update is applied in place
	updated = normal(updated.Applied(c.Update))
	return answer{Connection: updated, Done: true}, r.with(&updated)
}

// user is the model of a user, as [signal.UserStore] has it.
type user struct {
	owner            signal.Peer // zero: none
	claimedAt, until lane.Instant
	epoch            string
	seq              int64
	fullAt           lane.TAT
}

type (
	claim   struct{ signal.Claim }
	release struct {
		user signal.UserName
		id   signal.ConnectionID
		full lane.TAT
	}
	route struct {
		user signal.UserName
		at   lane.Instant
	}
	owner struct {
		user signal.UserName
		at   lane.Instant
	}
)

func (c claim) key() string   { return "user " + string(c.User) }
func (c release) key() string { return "user " + string(c.user) }
func (c route) key() string   { return "user " + string(c.user) }
func (c owner) key() string   { return "user " + string(c.user) }

func (c claim) name() string   { return "claim" }
func (c release) name() string { return "release" }
func (c route) name() string   { return "route" }
func (c owner) name() string   { return "owner" }

func (u user) owned(at lane.Instant) bool { return u.owner.ID != "" && at < u.until }

func (r *record) of(u user) *record { return &record{user: u, ended: r.ended} }

func (c claim) on(r *record) (answer, *record) {
	u := r.user
	if c.At >= u.until.Add(signal.EpochLife) { // as for one who never was
		u = user{epoch: c.Epoch}
	}
	fenced := u.owner.ID != "" && c.At < u.until.Add(signal.FenceAfter)
	other := fenced && u.owner.ID != c.Peer.ID
	if other && u.claimedAt > c.At {
		return answer{Err: signal.ErrNewerClaim}, r
	}
	refused := other && u.owner.ID != c.Expect
	if refused || u.owner.ID == c.Peer.ID {
		return u.claimed(), r
	}
	u.owner, u.claimedAt, u.until = c.Peer, c.At, c.Until
	return u.claimed(), r.of(u)
}

func (u user) claimed() answer {
	return answer{Claimed: signal.Claimed{Owner: u.owner, Epoch: u.epoch, Seq: u.seq, TAT: u.fullAt}}
}

func (c release) on(r *record) (answer, *record) {
	u := r.user
	if u.owner.ID != c.id {
		return answer{}, r
	}
	u.owner, u.fullAt = signal.Peer{}, c.full
	return answer{Done: true}, r.of(u)
}

func (c route) on(r *record) (answer, *record) {
	u := r.user
	if !u.owned(c.at) {
		return answer{Err: signal.ErrOffline}, r
	}
	u.seq++
	return answer{Route: signal.Route{Peer: u.owner, Epoch: u.epoch, Seq: u.seq}}, r.of(u)
}

func (c owner) on(r *record) (answer, *record) {
	if !r.user.owned(c.at) {
		return answer{Err: signal.ErrOffline}, r
	}
	return answer{Peer: r.user.owner}, r
}
