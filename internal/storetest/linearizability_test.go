package storetest

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/owt-signal/owt-signal/internal/memory"
	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// brief is a load that shows a defect soon, and is checked soon.
var brief = load{clients: 8, names: 2, operations: 80}

// histories is how many of them may pass before a defect that shows now and
// then must have been found.
const histories = 200

// TestFindsDefects: a check that lets everything pass would be worth nothing.
func TestFindsDefects(t *testing.T) {
	for name, defect := range map[string]func(signal.Store) signal.Store{
		"an owner is stale":                         func(s signal.Store) signal.Store { return &staleOwner{Store: s} },
		"two claims win":                            func(s signal.Store) signal.Store { return twoWinners{s} },
		"a release ends the ownership of another":   func(s signal.Store) signal.Store { return anyRelease{s} },
		"two messages have the same number":         func(s signal.Store) signal.Store { return sameNumber{s} },
		"a route reserves one number too few":       func(s signal.Store) signal.Store { return tooFew{s} },
		"a reading of a free name brings its owner": func(s signal.Store) signal.Store { return &staleRoute{Store: s} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			t.Run("every answer arrives", func(t *testing.T) {
				finds(t, func() signal.Store { return defect(memory.New()) })
			})
			t.Run("answers are lost", func(t *testing.T) {
				finds(t, func() signal.Store { return &lossy{Store: defect(memory.New()), tries: 1} })
			})
			t.Run("answers are lost, attempts repeated", func(t *testing.T) {
				finds(t, func() signal.Store { return &lossy{Store: defect(memory.New()), tries: 3} })
			})
		})
	}
}

func finds(t *testing.T, store func() signal.Store) {
	t.Helper()
	seed := seed(t)
	for i := range uint64(histories) {
		h := brief.put(store(), seed+i)
		if porcupine.CheckOperationsTimeout(model, h.ops, checkWithin) == porcupine.Illegal {
			t.Logf("%s=%d: found in history %d", seedVariable, seed, i+1)
			return
		}
	}
	t.Errorf("%s=%d: not found in %d histories", seedVariable, seed, histories)
}

// TestLostAnswers: a check that knows less than what happened must still
// accept what did.
func TestLostAnswers(t *testing.T) {
	for name, tries := range map[string]int{"one attempt": 1, "three attempts": 3} {
		t.Run(name, func(t *testing.T) {
			linearizable(t, &lossy{Store: memory.New(), tries: tries})
		})
	}
}

// TestUnexpectedErrors: a store that fails is not consistent, but broken.
func TestUnexpectedErrors(t *testing.T) {
	h := brief.put(&lossy{Store: memory.New(), tries: 1, silent: true}, seed(t))
	if len(h.failed) == 0 {
		t.Error("errors without a lost answer went unnoticed")
	}
}

// TestVisualized: a history that was refused can be looked at.
func TestVisualized(t *testing.T) {
	path, err := brief.put(twoWinners{memory.New()}, seed(t)).visualize()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.Remove(path) }()
	if page, err := os.ReadFile(path); err != nil || !bytes.Contains(page, []byte("claim")) {
		t.Errorf("visualized in %q: %d bytes, %v", path, len(page), err)
	}
}

// oneIn is when a defect shows.
func oneIn(n int) bool { return rand.IntN(n) == 0 }

// kept is a value of some time ago.
type kept[K comparable, V any] struct {
	mu     sync.Mutex
	values map[K]V
}

// swap keeps v now and then, and now and then returns what it kept instead.
func (k *kept[K, V]) swap(key K, v V) V {
	k.mu.Lock()
	defer k.mu.Unlock()
	if old, ok := k.values[key]; ok && oneIn(10) {
		return old
	}
	if k.values == nil {
		k.values = make(map[K]V)
	}
	if oneIn(10) {
		k.values[key] = v
	}
	return v
}

type staleOwner struct {
	signal.Store
	kept kept[signal.UserName, signal.Peer]
}

func (s *staleOwner) Owner(ctx context.Context, user signal.UserName, now lane.Instant) (signal.Peer, error) {
	p, err := s.Store.Owner(ctx, user, now)
	if err != nil {
		return p, err
	}
	return s.kept.swap(user, p), nil
}

type staleRoute struct {
	signal.Store
	kept kept[signal.UserName, signal.Route]
}

func (s *staleRoute) Route(ctx context.Context, user signal.UserName, messages int, now lane.Instant) (signal.Route, error) {
	r, err := s.Store.Route(ctx, user, messages, now)
	if err != nil && !errors.Is(err, signal.ErrOffline) {
		return r, err
	}
	if r = s.kept.swap(user, r); r.Seq == 0 {
		return r, signal.ErrOffline
	}
	return r, nil
}

type twoWinners struct{ signal.Store }

func (s twoWinners) Claim(ctx context.Context, c signal.Claim) (signal.Claimed, error) {
	claimed, err := s.Store.Claim(ctx, c)
	if err == nil && claimed.Owner != c.Peer && oneIn(10) {
		claimed.Owner = c.Peer
	}
	return claimed, err
}

type anyRelease struct{ signal.Store }

func (s anyRelease) Release(ctx context.Context, user signal.UserName, id signal.ConnectionID, full lane.TAT) (signal.Released, error) {
	if p, err := s.Owner(ctx, user, now); err == nil && oneIn(4) {
		id = p.ID
	}
	return s.Store.Release(ctx, user, id, full)
}

type sameNumber struct{ signal.Store }

func (s sameNumber) Route(ctx context.Context, user signal.UserName, messages int, now lane.Instant) (signal.Route, error) {
	r, err := s.Store.Route(ctx, user, messages, now)
	if r.Seq > 1 && oneIn(10) {
		r.Seq--
	}
	return r, err
}

// tooFew reserves one number less than it is asked for.
type tooFew struct{ signal.Store }

func (s tooFew) Route(ctx context.Context, user signal.UserName, messages int, now lane.Instant) (signal.Route, error) {
	return s.Store.Route(ctx, user, max(1, messages-1), now)
}

// lossy loses requests and answers, and brings requests late, as a network
// does; it makes several attempts, as the SDK does.
type lossy struct {
	signal.Store
	tries  int
	silent bool // does not tell of it
}

var errLost = errors.New("no answer")

func lose[T any](ctx context.Context, l *lossy, ask func() (T, error)) (T, error) {
	for range l.tries {
		switch rand.IntN(30) {
		case 0: // the request
		case 1: // the answer
			_, _ = ask()
		case 2: // patience
			go func() {
				time.Sleep(rand.N(time.Millisecond))
				_, _ = ask()
			}()
		default:
			return ask()
		}
		if !l.silent {
			loseAnswer(ctx)
		}
	}
	var none T
	return none, errLost
}

func (l *lossy) Claim(ctx context.Context, c signal.Claim) (signal.Claimed, error) {
	return lose(ctx, l, func() (signal.Claimed, error) { return l.Store.Claim(ctx, c) })
}

func (l *lossy) Release(ctx context.Context, user signal.UserName, id signal.ConnectionID, full lane.TAT) (signal.Released, error) {
	return lose(ctx, l, func() (signal.Released, error) { return l.Store.Release(ctx, user, id, full) })
}

func (l *lossy) Route(ctx context.Context, user signal.UserName, messages int, now lane.Instant) (signal.Route, error) {
	return lose(ctx, l, func() (signal.Route, error) { return l.Store.Route(ctx, user, messages, now) })
}

func (l *lossy) Owner(ctx context.Context, user signal.UserName, now lane.Instant) (signal.Peer, error) {
	return lose(ctx, l, func() (signal.Peer, error) { return l.Store.Owner(ctx, user, now) })
}
