package sim

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// Mutation is a deliberate fault in the service's world, one for each promise:
// a checker that does not find it proves nothing. The zero value is none.
type Mutation string

// The mutations.
const (
	None       Mutation = ""
	LaneOff    Mutation = "lane off"    // messages go as they come
	Eager      Mutation = "eager"       // a post is tried again although it may have been accepted
	Forgetful  Mutation = "forgetful"   // the store forgets who holds the lease
	Liar       Mutation = "liar"        // posts are said to be accepted before they are
	NoFence    Mutation = "no fence"    // superseded connections keep their records
	Clinging   Mutation = "clinging"    // names are never released
	Blind      Mutation = "blind"       // no watcher ever looks again
	Amnesia    Mutation = "amnesia"     // sessions are forgotten
	Hasty      Mutation = "hasty"       // a session is resumed before its last lease is finished
	Undying    Mutation = "undying"     // the store does not ask whether a token has ended
	AckFirst   Mutation = "ack first"   // a run counts as finished before that is written
	OtherClock Mutation = "other clock" // a lease is judged by the clock of another machine
	WildClocks Mutation = "wild clocks" // clocks are further apart than lane.ClockBound
	Traceless  Mutation = "traceless"   // nothing is kept of a connection that has ended
	Heirless   Mutation = "heirless"    // the store forgets which connection has resumed a session
	Deaf       Mutation = "deaf"        // the store forgets the messages without a number
	Spilling   Mutation = "spilling"    // a lobby loses a packet that was posted
	Denier     Mutation = "denier"      // the store says of a call whose answer is lost that it has refused it
	TooFew     Mutation = "too few"     // a route reserves one number less than it is asked for
	Curtailed  Mutation = "curtailed"   // of several messages in a post the last is lost
	Credulous  Mutation = "credulous"   // whatever comes under a finished number passes for what it was
	Hurried    Mutation = "hurried"     // leaving does not wait for what was sent before
	Careless   Mutation = "careless"    // a post counts as kept before that is written
	Brief      Mutation = "brief"       // a replay leaves something out
	Hopeless   Mutation = "hopeless"    // a number that is missing is void at once
	Mixing     Mutation = "mixing"      // one receiver's history is another's
	Impatient  Mutation = "impatient"   // history is deleted before its time
	Unmarked   Mutation = "unmarked"    // history is deleted, and no record says so
	Mute       Mutation = "mute"        // nobody is told of who comes and goes
	Hopeful    Mutation = "hopeful"     // a change counts as told before it is
	Hindsight  Mutation = "hindsight"   // who begins to watch is told what was before
	Keyless    Mutation = "keyless"     // what a backend sends under a key is forgotten
	Haunted    Mutation = "haunted"     // connections that have ended are told, too
)

func (m Mutation) input(in signal.Input) signal.Input {
	if m != LaneOff {
		return in
	}
	switch in := in.(type) {
	case signal.Send:
		in.Number = signal.NoNumber
		return in
	case signal.Sends:
		in = slices.Clone(in)
		for i := range in {
			in[i].Number = signal.NoNumber
		}
		return in
	default:
		return in
	}
}

func (m Mutation) store(s signal.Store) signal.Store {
	switch m {
	case Forgetful, NoFence, Clinging, Blind, Amnesia, Hasty, Undying, AckFirst, OtherClock, Traceless, Heirless, Deaf, TooFew, Spilling, Denier, Credulous, Careless, Hopeless, Mixing, Impatient, Unmarked, Mute, Hopeful, Hindsight, Haunted:
		return mutatedStore{s, m}
	default:
		return s
	}
}

func (m Mutation) pusher(p signal.Pusher) signal.Pusher {
	switch m {
	case Liar:
		return liar{p}
	case Eager:
		return eager{p}
	case Curtailed:
		return curtailed{p}
	case Brief:
		return brief{p}
	default:
		return p
	}
}

type mutatedStore struct {
	signal.Store
	mutation Mutation
}

// UpdateLobby loses the last packet of a lobby, if the store is spilling.
func (s mutatedStore) UpdateLobby(ctx context.Context, id signal.LobbyID, m signal.LobbyMove, now lane.Instant) (signal.Lobby, bool, error) {
	l, made, err := s.Store.UpdateLobby(ctx, id, m, now)
	if s.mutation == Spilling && m.Empty && len(l.Packets) > 0 {
		l.Packets = l.Packets[:len(l.Packets)-1]
	}
	return l, made, err
}

// Update takes a lease that is held, if the store is forgetful.
func (s mutatedStore) Update(ctx context.Context, id signal.ConnectionID, u signal.Update, now lane.Instant) (signal.Connection, bool, error) {
	if s.mutation == Undying {
		u.NotRevoked = false
	}
	switch s.mutation {
	case Heirless:
		u.Succession = nil
	case Deaf:
		u.Guard.Unnumbered = lane.Expected[lane.Unnumbered]{}
	}
	if s.mutation == OtherClock && u.Kind == lane.KindExpire {
		at, _ := u.Guard.LeasedAt.Value()
		u.Guard.LeasedAt = lane.Is(at.Add(lane.ClockBound))
	}
	c, made, err := s.Store.Update(ctx, id, u, now)
	if s.mutation == AckFirst && u.Kind == lane.KindFinish && errors.Is(err, errUnknown) {
		if c, err := s.Store.(store).Store.GetEnded(ctx, id, now); err == nil { //nolint:forcetypeassert // it is that under every mutation
			c.Apply(&u)
			return c, true, nil
		}
	}
	if s.mutation == Credulous && !made {
		for _, f := range u.Run {
			if d := &c.Lane.Finished; f.N <= d.Last && f.N > d.Last-int64(len(d.Sums)) {
				d.Sums = slices.Clone(d.Sums)
				d.Sums[int64(len(d.Sums))-1-d.Last+f.N] = f.Digest()
			}
		}
	}
	if s.mutation == Denier && errors.Is(err, errUnknown) {
		err = signal.ErrBusy
	}
	if s.mutation == Deaf {
		c.Lane.Unnumbered = nil
	}
	if s.mutation == OtherClock && c.Lane.Holder != u.Change.Holder {
		c.Lane = older(c.Lane)
	}
	if s.mutation == Forgetful && err == nil && !made && u.Kind == lane.KindTake {
		return c, true, nil
	}
	return c, made, err
}

// Inspect never sees anything change, if the store is blind.
func (s mutatedStore) Get(ctx context.Context, id signal.ConnectionID, now lane.Instant) (signal.Connection, error) {
	c, err := s.Store.Get(ctx, id, now)
	if s.mutation == Blind && err == nil && c.Lane.Opened() {
		return signal.Connection{}, signal.ErrNoConnection
	}
	switch s.mutation {
	case OtherClock:
		c.Lane = older(c.Lane)
	case Deaf:
		c.Lane.Unnumbered = nil
	}
	return c, err
}

// older returns a lane whose lease is judged as if clocks could not be apart.
func older(l lane.Lane) lane.Lane {
	l.LeasedAt = l.LeasedAt.Add(-lane.ClockBound)
	return l
}

// GetEnded finds nothing, if sessions are forgotten, and every lane idle, if
// they are hasty.
func (s mutatedStore) GetEnded(ctx context.Context, id signal.ConnectionID, now lane.Instant) (signal.Connection, error) {
	c, err := s.Store.GetEnded(ctx, id, now)
	switch s.mutation {
	case Amnesia:
		return signal.Connection{}, signal.ErrNoConnection
	case Hasty:
		c.Lane.Taken = c.Lane.Done
	}
	return c, err
}

// End leaves the record there, if there is no fence, and nothing, if no traces
// are kept.
func (s mutatedStore) End(ctx context.Context, id signal.ConnectionID, now lane.Instant) (signal.Connection, error) {
	if s.mutation == NoFence {
		return signal.Connection{}, signal.ErrNoConnection
	}
	c, err := s.Store.End(ctx, id, now)
	if s.mutation == Traceless && c.Session == "" {
		_ = s.Store.Delete(ctx, id, now.Add(signal.ConnectionLife))
	}
	return c, err
}

// Release does nothing, if names cling, and owes nobody anything, if the store is mute.
func (s mutatedStore) Release(ctx context.Context, user signal.UserName, id signal.ConnectionID, tat lane.TAT) (signal.Released, error) {
	if s.mutation == Clinging {
		return signal.Released{}, nil
	}
	r, err := s.Store.Release(ctx, user, id, tat)
	r.Owed = r.Owed && s.mutation != Mute
	return r, err
}

// Route reserves too little, if it is too few.
func (s mutatedStore) Route(ctx context.Context, user signal.UserName, messages int, now lane.Instant) (signal.Route, error) {
	if s.mutation == TooFew {
		messages = max(1, messages-1)
	}
	return s.Store.Route(ctx, user, messages, now)
}

// eager tries every post again that fails.
type eager struct{ signal.Pusher }

func (e eager) Post(ctx context.Context, p signal.Peer, ev signal.Event) error {
	if err := e.Pusher.Post(ctx, p, ev); err == nil {
		return nil
	}
	return e.Pusher.Post(ctx, p, ev)
}

// liar says that every delivery was accepted, and posts none.
type liar struct{ signal.Pusher }

func (l liar) Post(ctx context.Context, p signal.Peer, e signal.Event) error {
	if _, ok := e.(signal.Delivery); ok {
		return nil
	}
	return l.Pusher.Post(ctx, p, e)
}

// hurried is a clock by which nobody waits.
type hurried struct{ signal.Clock }

func (hurried) Sleep(context.Context, time.Duration) error { return context.Canceled }

// curtailed posts all but the last of several deliveries.
type curtailed struct{ signal.Pusher }

func (c curtailed) Post(ctx context.Context, p signal.Peer, e signal.Event) error {
	if batch, ok := e.(signal.Batch); ok {
		if _, ok := batch[0].(signal.Delivery); ok {
			e = batch[:len(batch)-1]
		}
	}
	return c.Pusher.Post(ctx, p, e)
}
