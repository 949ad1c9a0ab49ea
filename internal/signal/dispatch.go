package signal

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// A backend does not number what it sends, and has no socket for acks. Its lane is in a
// record like that of a connection, without an end. Each message gets the number that
// follows all that have come, and whoever sends it waits until that is finished.

// senderLife is how long a backend's lane is kept.
const senderLife = 100 * 365 * 24 * time.Hour

// keyWithin is how long a message that was sent under a key may be under way. Whoever
// asks after it later takes it that its invocation has died.
const keyWithin = 30 * time.Second

// drainWithin is for how long who has posted its own message goes on with what others
// have sent meanwhile, before it answers.
const drainWithin = time.Second

// What may be wrong with a key.
var (
	// ErrKeyReused: another message was sent under the key.
	ErrKeyReused = errors.New("key was used for another message")
	// ErrKeyInUse: the message that was sent under the key is still under way.
	ErrKeyInUse = errors.New("message of that key is under way")
)

// Dispatch sends a message from a backend, and returns how that ended: what an ack
// tells a client. Under the same key the same message is sent once, within [KeyLife],
// and answered alike; without one, each time. Unless it was refused for want of room
// ([lane.CodeBusy]): then it is sent when it comes again.
func (s *Service) Dispatch(ctx context.Context, from UserName, key string, f lane.Frame) (code lane.Code, err error) {
	s.Count(MetricMessages, 1)
	if key == "" {
		code = s.dispatch(ctx, from, f)
	} else {
		code, err = s.dispatchKeyed(ctx, from, key, f)
	}
	if err == nil {
		s.countAnswer(Ack{Code: code})
	}
	return code, err
}

func (s *Service) dispatchKeyed(ctx context.Context, from UserName, key string, f lane.Frame) (lane.Code, error) {
	now := s.Clock.Now()
	mine := Keyed{Digest: f.Digest(), By: s.randomID(), At: now}
	var k Keyed
	err := s.untilKnown(ctx, func(lane.Instant) (err error) {
		k, err = s.Backends.BeginKey(ctx, from, key, mine)
		return err
	})
	switch {
	case err != nil:
		s.Log.ErrorContext(ctx, "dispatch failed", "from", from, "error", err)
		return codeOf(err), nil
	case k == mine:
		return s.endKey(ctx, from, key, s.dispatch(ctx, from, f)), nil
	case k.Digest != mine.Digest:
		return 0, ErrKeyReused
	case k.Ended:
		return k.Code, nil
	case now.Sub(k.At) < keyWithin:
		return 0, ErrKeyInUse
	default:
		return s.endKey(ctx, from, key, lane.CodeServer), nil
	}
}

// endKey notes how a message has ended, and returns what is told of it. What is not
// noted is not told: a repeat would be told otherwise.
func (s *Service) endKey(ctx context.Context, from UserName, key string, code lane.Code) lane.Code {
	var noted lane.Code
	err := s.untilKnown(ctx, func(lane.Instant) (err error) {
		noted, err = s.Backends.EndKey(ctx, from, key, code)
		return err
	})
	if err != nil {
		s.Log.ErrorContext(ctx, "outcome not noted", "from", from, "error", err)
		return lane.CodeUnavailable
	}
	return noted
}

// dispatch sends a message, and returns how that ended.
func (s *Service) dispatch(ctx context.Context, from UserName, f lane.Frame) lane.Code {
	v, err := s.senderLane(ctx, from)
	var a lane.Arrival
	var its lane.Numbered
	if err == nil {
		its, a, err = v.submitNext(ctx, f)
	}
	switch {
	case err != nil:
		s.Log.ErrorContext(ctx, "dispatch failed", "from", from, "error", err)
		return codeOf(err)
	case len(a.Finished) > 0 && len(v.mayHold) > 0:
		return lane.CodeUnavailable // it may be held, by a write that takes effect late
	case len(a.Finished) > 0:
		return a.Finished[0].Code
	case len(a.Move.Run) > 0:
		return v.postAndDrain(ctx, a.Move.Run, its.N)
	default:
		return v.awaitFinished(ctx, its)
	}
}

// senderLane reads a backend's lane, which is made when it is first needed.
func (s *Service) senderLane(ctx context.Context, from UserName) (*invocation, error) {
	unheard := *s
	unheard.Pusher = unheardBy{s.Pusher}
	c, err := s.get(ctx, ConnectionID(from))
	if errors.Is(err, ErrNoConnection) {
		now := s.Clock.Now()
		c = Connection{Peer: Peer{ID: ConnectionID(from), Protocol: Backend}, Since: now, Expires: now.Add(senderLife), Lane: lane.New()}
		err = s.untilKnown(ctx, func(lane.Instant) error { return s.Store.Create(ctx, c) })
	}
	v := unheard.invocation(c)
	if err == nil && !c.Lane.Opened() {
		if _, err = v.open(ctx, Identity{User: from}, lane.StartAfter(0).Lane()); errors.Is(err, errOpened) {
			err = nil
		}
	}
	return v, err
}

// unheardBy is a Pusher that leaves out what is for backends.
type unheardBy struct{ Pusher }

// Post implements [Pusher].
func (p unheardBy) Post(ctx context.Context, to Peer, e Event) error {
	if to.Protocol == Backend {
		return nil
	}
	return p.Pusher.Post(ctx, to, e)
}

// submitNext brings a frame to the lane as the next, and returns it with what was
// decided about it, like submit. Whoever was faster has got the number that it would
// have had; unless that was itself, by a write whose answer was lost.
func (v *invocation) submitNext(ctx context.Context, f lane.Frame) (its lane.Numbered, a lane.Arrival, err error) {
	f.Mark = v.id
	var tried []lane.Numbered
	for range decideTries {
		its = lane.Numbered{N: v.conn.Lane.Next(), Frame: f}
		if i := slices.IndexFunc(tried, v.conn.Lane.Has); i >= 0 {
			return tried[i], lane.Arrival{}, nil
		}
		now := v.Clock.Now()
		a = v.arrival([]lane.Numbered{its}, now)
		if a.Move.Kind == "" {
			return its, a, nil
		}
		tried = append(tried, its)
		before := v.conn.Lane
		made, err := v.update(ctx, updateBy(a.Move), now)
		switch {
		case err != nil:
			return its, a, err
		case made && a.Move.Kind == lane.KindExpire:
			v.ackExpired(ctx, before)
		case made:
			v.Count(MetricHeld, len(a.Move.Change.Hold))
			return its, a, nil
		}
	}
	return its, a, ErrContended
}

// postAndDrain posts a run, and what is held behind it, for [drainWithin]: of what is
// held somebody waits for the end, who may have died. It returns how the frame n has
// ended.
func (v *invocation) postAndDrain(ctx context.Context, run []lane.Numbered, n int64) lane.Code {
	code, began := lane.CodeServer, v.Clock.Now()
	for len(run) > 0 {
		p := v.postRun(ctx, run)
		next, ok := v.finishKnown(ctx, &p, v.Clock.Now().Sub(began) < drainWithin)
		if i := slices.IndexFunc(run, func(f lane.Numbered) bool { return f.N == n }); i >= 0 && !p.answered {
			code = p.codes[i]
		}
		if !ok {
			return code
		}
		run = next
	}
	return code
}

// awaitFinished watches over a held frame until it is finished, and returns how that
// ended.
func (v *invocation) awaitFinished(ctx context.Context, its lane.Numbered) lane.Code {
	for pause := watchFirst; v.conn.Lane.Done < its.N; pause = min(2*pause, watchMost) {
		if d := v.decideWatch(its.N); d.Action == lane.MakeMove {
			run, done, err := v.help(ctx, *d.Move)
			switch {
			case len(run) > 0:
				return v.postAndDrain(ctx, run, its.N)
			case done:
				return lane.CodeServer
			case err == nil:
				continue
			}
		}
		if v.Clock.Sleep(ctx, pause) != nil || errors.Is(v.reload(ctx), ErrNoConnection) {
			return lane.CodeServer
		}
	}
	return v.conn.Lane.Answer(its)
}
