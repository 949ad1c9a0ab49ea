package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/anishathalye/porcupine"

	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// user is the sequential model of a user, as [signal.UserStore] has it.
type user struct {
	owner            signal.Peer // zero: none
	claimedAt, until lane.Instant
	epoch            string
	seq              int64
	fullAt           lane.TAT
	ended            bool // the history: what has not happened by now never does
}

func (u user) owned(at lane.Instant) bool { return u.owner.ID != "" && at < u.until }

// call is an operation on one user.
type call interface {
	of() signal.UserName
	// ask makes the call of a store.
	ask(context.Context, signal.Store) answer
	// on is the model: what the operation answers when nothing else happens, and
	// what becomes of the user.
	on(user) (answer, user)
}

// answer is what an operation answers; the fields that it does not have are
// zero.
type answer struct {
	Released bool
	Claimed  signal.Claimed
	Route    signal.Route
	Peer     signal.Peer
	Err      error
}

// errored is the error of an answer: one of the errors that are answers is
// itself, however it is wrapped.
func errored(err error) error {
	for _, named := range answers {
		if errors.Is(err, named) {
			return named
		}
	}
	return err
}

// answers are the errors that are answers. After any other the outcome is not
// known.
var answers = []error{signal.ErrOffline, signal.ErrNewerClaim}

func (a answer) known() bool { return a.Err == nil || slices.Contains(answers, a.Err) }

// outcome is the answer, if there was one. Without, the operation takes effect
// at any later time, or never.
type outcome struct {
	known  bool
	answer answer
}

// model checks each user's history by itself: no operation is of two.
var model = porcupine.Model{
	Partition:         byUser,
	Init:              func() any { return user{} },
	Step:              step,
	DescribeOperation: func(in, out any) string { return fmt.Sprintf("%T %+v -> %+v", in, in, out) },
	DescribeState:     func(s any) string { return fmt.Sprintf("%+v", s) },
}

func step(state, in, out any) (bool, any) {
	before := state.(user)
	c, ok := in.(call)
	if !ok { // the end
		before.ended = true
		return true, before
	}
	want, after := c.on(before)
	o := out.(outcome)
	switch {
	case o.known:
		return o.answer == want, after
	case before.ended:
		return true, before
	default: // what would change nothing here can as well come after the end: that keeps the search short
		return after != before, after
	}
}

// byUser splits a history into those of the users, each with an end.
func byUser(history []porcupine.Operation) [][]porcupine.Operation {
	parts := make(map[signal.UserName][]porcupine.Operation)
	var last int64
	for _, op := range history {
		name := op.Input.(call).of()
		parts[name] = append(parts[name], op)
		last = max(last, op.Call)
		if op.Return != never {
			last = max(last, op.Return)
		}
	}
	all := make([][]porcupine.Operation, 0, len(parts))
	for _, part := range parts {
		all = append(all, append(part, porcupine.Operation{Input: end{}, Call: last + 1, Return: last + 2}))
	}
	return all
}

// end is the end of a user's history.
type end struct{}

type (
	claim   struct{ signal.Claim }
	release struct {
		user signal.UserName
		id   signal.ConnectionID
		full lane.TAT
	}
	route struct {
		user     signal.UserName
		messages int
		at       lane.Instant
	}
	owner struct {
		user signal.UserName
		at   lane.Instant
	}
)

func (c claim) of() signal.UserName   { return c.User }
func (c release) of() signal.UserName { return c.user }
func (c route) of() signal.UserName   { return c.user }
func (c owner) of() signal.UserName   { return c.user }

func (c claim) ask(ctx context.Context, s signal.Store) answer {
	claimed, err := s.Claim(ctx, c.Claim)
	return answer{Claimed: claimed, Err: errored(err)}
}

func (c release) ask(ctx context.Context, s signal.Store) answer {
	released, err := s.Release(ctx, c.user, c.id, c.full)
	return answer{Released: released.Owner, Err: errored(err)}
}

func (c route) ask(ctx context.Context, s signal.Store) answer {
	r, err := s.Route(ctx, c.user, c.messages, c.at)
	return answer{Route: r, Err: errored(err)}
}

func (c owner) ask(ctx context.Context, s signal.Store) answer {
	p, err := s.Owner(ctx, c.user, c.at)
	return answer{Peer: p, Err: errored(err)}
}

func (c claim) on(u user) (answer, user) {
	before := u
	if c.At >= u.until.Add(signal.EpochLife) { // as for one who never was
		u = user{epoch: c.Epoch, ended: u.ended}
	}
	fenced := u.owner.ID != "" && c.At < u.until.Add(signal.FenceAfter)
	other := fenced && u.owner.ID != c.Peer.ID
	if other && u.claimedAt > c.At {
		return answer{Err: signal.ErrNewerClaim}, before
	}
	refused := other && u.owner.ID != c.Expect
	if refused || u.owner.ID == c.Peer.ID {
		return u.claimed(), before
	}
	u.owner, u.claimedAt, u.until = c.Peer, c.At, c.Until
	return u.claimed(), u
}

func (u user) claimed() answer {
	return answer{Claimed: signal.Claimed{Owner: u.owner, Epoch: u.epoch, Seq: u.seq, TAT: u.fullAt}}
}

func (c release) on(u user) (answer, user) {
	if u.owner.ID != c.id {
		return answer{}, u
	}
	u.owner, u.fullAt = signal.Peer{}, c.full
	return answer{Released: true}, u
}

func (c route) on(u user) (answer, user) {
	if !u.owned(c.at) {
		return answer{Err: signal.ErrOffline}, u
	}
	first := u.seq + 1
	u.seq += int64(c.messages)
	return answer{Route: signal.Route{Peer: u.owner, Epoch: u.epoch, Seq: first}}, u
}

func (c owner) on(u user) (answer, user) {
	if !u.owned(c.at) {
		return answer{Err: signal.ErrOffline}, u
	}
	return answer{Peer: u.owner}, u
}
