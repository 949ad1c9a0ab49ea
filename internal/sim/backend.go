package sim

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// FirstWithBackends is the first seed of a world in which, if it is a multiple of 3,
// backends send, too.
const FirstWithBackends = 1 << 49

// request is a message of a backend, which has no number of its own.
type request struct {
	*message
	key             string // empty: it is asked for once
	asked, answered time.Duration
	left            int // how often it is asked for again
}

// asksAgain is how long a backend waits for an answer before it asks again.
const asksAgain = 4 * time.Second

// drawBackends draws what backends send, at once or one after the other.
func (s *Sim) drawBackends(names []signal.UserName) (end time.Duration) {
	for i := range 1 + s.rng.IntN(2) {
		user := signal.UserName(fmt.Sprint(signal.BackendPrefix, i))
		k := &socket{id: signal.ConnectionID(user), client: &client{sim: s, user: user, kind: generationBackend, left: true}, told: make(map[string]bool)}
		s.backends = append(s.backends, k)
		for range 1 + s.rng.IntN(3) {
			at := 200*time.Millisecond + s.upTo(3*time.Second)
			end = max(end, at+time.Second)
			inTurn, pace := s.chance(0.5), s.upTo(30*time.Millisecond)
			to, messages := names[s.rng.IntN(len(names))], 1+s.rng.IntN(6)
			s.after(at, func() { s.dispatches(k, to, messages, inTurn, pace) })
		}
	}
	return end
}

func (s *Sim) dispatches(k *socket, to signal.UserName, messages int, inTurn bool, pace time.Duration) {
	if messages == 0 {
		return
	}
	next := func() { s.dispatches(k, to, messages-1, inTurn, pace) }
	if !inTurn {
		s.after(pace, next)
		next = func() {}
	}
	s.dispatch(k, to, next)
}

// dispatch has a backend ask for a message; then is done once it is answered.
func (s *Sim) dispatch(k *socket, to signal.UserName, then func()) {
	r := &request{message: &message{id: len(s.messages), from: k, n: signal.NoNumber, to: to}, asked: s.now}
	if s.calm || s.chance(0.8) {
		r.key, r.left = fmt.Sprint("key", r.id), 10
	}
	s.messages, s.requests = append(s.messages, r.message), append(s.requests, r)
	s.ask(r, then)
}

func (s *Sim) ask(r *request, then func()) {
	times := 1
	if r.key != "" && s.chance(s.faults.Repeat) {
		times = 2
	}
	s.count("requests of backends")
	s.invoke("dispatch "+fmt.Sprint(r.id), times, func() {
		code, err := s.service.Dispatch(context.Background(), r.from.client.user, r.key, r.input(s.units).Frame)
		s.step()
		s.after(s.latency(s.faults.Post)/2, func() {
			if errors.Is(err, signal.ErrKeyInUse) {
				s.count("keys in use")
				return
			}
			first := r.answered == 0
			s.answered(r, code)
			if first {
				then()
			}
		})
	})
	s.after(asksAgain, func() {
		if r.answered == 0 && r.left > 0 {
			r.left--
			s.count("requests again")
			s.ask(r, then)
		}
	})
}

func (s *Sim) answered(r *request, code lane.Code) {
	s.tracef("%s is answered %d for message %d", r.from.id, int(code), r.id)
	r.acks = append(r.acks, ack{code, s.now})
	r.answered = s.now
	if code == lane.OK && len(r.accepted) == 0 {
		s.violate("truth", "%s was told that message %d was delivered", r.from.id, r.id)
	}
}

// judgeRequests: what was asked for after another was acknowledged comes after it, and
// in the calm all is answered.
func (s *Sim) judgeRequests() {
	for _, r := range s.requests {
		if r.answered == 0 && s.nudged > 0 && r.asked >= s.nudged {
			s.violate("truth", "message %d of %s was never answered", r.id, r.from.id)
		}
		for _, before := range s.requests {
			acked := len(before.acks) > 0 && before.acks[0].code == lane.OK && before.acks[0].at < r.asked
			if acked && before.from == r.from && before.to == r.to && len(before.accepted) > 0 && len(r.accepted) > 0 && before.accepted[0].at > r.accepted[0].at {
				s.violate("order", "message %d of %s came after message %d, which was asked for once it was acknowledged", before.id, r.from.id, r.id)
			}
		}
	}
}

// backendStore is what is kept for backends, behind the network.
type backendStore struct {
	*Sim
	signal.BackendStore
}

// BeginKey implements [signal.KeyStore].
func (s backendStore) BeginKey(ctx context.Context, from signal.UserName, key string, k signal.Keyed) (noted signal.Keyed, err error) {
	failed := s.call("begin key", item{}, func() {
		if s.mutation == Keyless {
			noted = k
			return
		}
		noted, err = s.BackendStore.BeginKey(ctx, from, key, k)
	})
	return noted, errors.Join(failed, err)
}

// EndKey implements [signal.KeyStore].
func (s backendStore) EndKey(ctx context.Context, from signal.UserName, key string, code lane.Code) (noted lane.Code, err error) {
	failed := s.call("end key", item{}, func() { noted, err = s.BackendStore.EndKey(ctx, from, key, code) })
	return noted, errors.Join(failed, err)
}
