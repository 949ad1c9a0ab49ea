package storetest

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/owt-signal/owt-signal/internal/memory"
	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// brief is a load that shows a defect soon, and is judged soon.
var brief = load{clients: 8, lanes: 2, names: 2, operations: 600}

// histories is how many of them may pass before a defect that shows now and
// then must have been found.
const histories = 40

// TestFindsDefects: a judge that lets everything pass would be worth nothing.
func TestFindsDefects(t *testing.T) {
	for name, defect := range map[string]func(signal.Store) signal.Store{
		"an inspection is stale":                    func(s signal.Store) signal.Store { return &staleInspect{Store: s} },
		"a lane handed back is stale":               func(s signal.Store) signal.Store { return &staleLane{Store: s} },
		"an owner is stale":                         func(s signal.Store) signal.Store { return &staleOwner{Store: s} },
		"a number is taken twice":                   func(s signal.Store) signal.Store { return takenTwice{s} },
		"a move is answered and forgotten":          func(s signal.Store) signal.Store { return forgottenMove{s} },
		"a move is answered before it is made":      func(s signal.Store) signal.Store { return &earlyAnswer{Store: s} },
		"a held frame is forgotten":                 func(s signal.Store) signal.Store { return forgottenFrame{s} },
		"a finish does not ask what is held":        func(s signal.Store) signal.Store { return blindFinish{s} },
		"a dropped connection is still there":       func(s signal.Store) signal.Store { return lazyDrop{s} },
		"two claims win":                            func(s signal.Store) signal.Store { return twoWinners{s} },
		"a release ends the ownership of another":   func(s signal.Store) signal.Store { return anyRelease{s} },
		"two messages have the same number":         func(s signal.Store) signal.Store { return sameNumber{s} },
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
		if porcupine.CheckOperationsTimeout(model, h.operations(), judgeWithin) == porcupine.Illegal {
			t.Logf("%s=%d: found in history %d", SeedVariable, seed, i+1)
			return
		}
	}
	t.Errorf("%s=%d: not found in %d histories", SeedVariable, seed, histories)
}

// TestLostAnswers: a judge that knows less than what happened must still
// accept what did.
func TestLostAnswers(t *testing.T) {
	for name, tries := range map[string]int{"one attempt": 1, "three attempts": 3} {
		t.Run(name, func(t *testing.T) {
			Linearizable(t, &lossy{Store: memory.New(), tries: tries})
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
	path := visualized(brief.put(takenTwice{memory.New()}, seed(t)))
	path = path[strings.LastIndex(path, " ")+1:]
	defer func() { _ = os.Remove(path) }()
	if page, err := os.ReadFile(path); err != nil || !bytes.Contains(page, []byte("take")) {
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

type staleInspect struct {
	signal.Store
	kept kept[signal.ConnectionID, signal.Connection]
}

func (s *staleInspect) Get(ctx context.Context, id signal.ConnectionID, now lane.Instant) (signal.Connection, error) {
	c, err := s.Store.Get(ctx, id, now)
	if err != nil {
		return c, err
	}
	return s.kept.swap(id, c), nil
}

type staleLane struct {
	signal.Store
	kept kept[signal.ConnectionID, signal.Connection]
}

func (s *staleLane) Update(ctx context.Context, id signal.ConnectionID, u signal.Update, now lane.Instant) (signal.Connection, bool, error) {
	c, made, err := s.Store.Update(ctx, id, u, now)
	if err != nil || made {
		return c, made, err
	}
	return s.kept.swap(id, c), false, nil
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

func (s *staleRoute) Route(ctx context.Context, user signal.UserName, now lane.Instant) (signal.Route, error) {
	r, err := s.Store.Route(ctx, user, now)
	if err != nil && !errors.Is(err, signal.ErrOffline) {
		return r, err
	}
	if r = s.kept.swap(user, r); r.Seq == 0 {
		return r, signal.ErrOffline
	}
	return r, nil
}

type takenTwice struct{ signal.Store }

func (s takenTwice) Update(ctx context.Context, id signal.ConnectionID, u signal.Update, now lane.Instant) (signal.Connection, bool, error) {
	c, made, err := s.Store.Update(ctx, id, u, now)
	if err == nil && !made && u.Kind == lane.KindTake && c.Lane.Taken == u.Change.Taken && oneIn(4) {
		return c.Applied(u), true, nil
	}
	return c, made, err
}

type forgottenMove struct{ signal.Store }

func (s forgottenMove) Update(ctx context.Context, id signal.ConnectionID, u signal.Update, now lane.Instant) (signal.Connection, bool, error) {
	if c, err := s.Get(ctx, id, now); err == nil && c.Lane.Allows(u.Move) && oneIn(20) {
		return c.Applied(u), true, nil
	}
	return s.Store.Update(ctx, id, u, now)
}

type earlyAnswer struct{ signal.Store }

func (s *earlyAnswer) Update(ctx context.Context, id signal.ConnectionID, u signal.Update, now lane.Instant) (signal.Connection, bool, error) {
	if c, err := s.Get(ctx, id, now); err == nil && c.Lane.Allows(u.Move) && oneIn(4) {
		go func() {
			time.Sleep(rand.N(time.Millisecond))
			_, _, _ = s.Store.Update(context.WithoutCancel(ctx), id, u, now)
		}()
		return c.Applied(u), true, nil
	}
	return s.Store.Update(ctx, id, u, now)
}

type forgottenFrame struct{ signal.Store }

func (s forgottenFrame) Update(ctx context.Context, id signal.ConnectionID, u signal.Update, now lane.Instant) (signal.Connection, bool, error) {
	c, made, err := s.Store.Update(ctx, id, u, now)
	if h := u.Change.Hold; made && h != nil && oneIn(20) {
		forget := lane.Numbered{N: h.N, Frame: h.Frame}
		_, _, _ = s.Store.Update(ctx, id, signal.Update{Move: lane.Move{
			Guard:  lane.Guard{Done: lane.Is(c.Lane.Done), Taken: lane.Is(c.Lane.Taken)},
			Change: lane.Change{Done: c.Lane.Done, Taken: c.Lane.Taken, Unhold: []lane.Numbered{forget}},
		}}, now)
	}
	return c, made, err
}

type blindFinish struct{ signal.Store }

func (s blindFinish) Update(ctx context.Context, id signal.ConnectionID, u signal.Update, now lane.Instant) (signal.Connection, bool, error) {
	if u.Kind == lane.KindFinish {
		u.Guard.Held = lane.Expected[int]{}
	}
	return s.Store.Update(ctx, id, u, now)
}

type lazyDrop struct{ signal.Store }

func (s lazyDrop) End(ctx context.Context, id signal.ConnectionID, now lane.Instant) (signal.Connection, error) {
	if oneIn(2) {
		return s.Get(ctx, id, now)
	}
	return s.Store.End(ctx, id, now)
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

func (s anyRelease) Release(ctx context.Context, user signal.UserName, id signal.ConnectionID, full lane.TAT) (bool, error) {
	if p, err := s.Owner(ctx, user, now); err == nil && oneIn(4) {
		id = p.ID
	}
	return s.Store.Release(ctx, user, id, full)
}

type sameNumber struct{ signal.Store }

func (s sameNumber) Route(ctx context.Context, user signal.UserName, now lane.Instant) (signal.Route, error) {
	r, err := s.Store.Route(ctx, user, now)
	if r.Seq > 1 && oneIn(10) {
		r.Seq--
	}
	return r, err
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
			LoseAnswer(ctx)
		}
	}
	var none T
	return none, errLost
}

func (l *lossy) Create(ctx context.Context, c signal.Connection) error {
	_, err := lose(ctx, l, func() (struct{}, error) { return struct{}{}, l.Store.Create(ctx, c) })
	return err
}

func (l *lossy) Get(ctx context.Context, id signal.ConnectionID, now lane.Instant) (signal.Connection, error) {
	return lose(ctx, l, func() (signal.Connection, error) { return l.Store.Get(ctx, id, now) })
}

func (l *lossy) Update(ctx context.Context, id signal.ConnectionID, u signal.Update, now lane.Instant) (signal.Connection, bool, error) {
	type moved struct {
		signal.Connection
		made bool
	}
	a, err := lose(ctx, l, func() (moved, error) {
		c, made, err := l.Store.Update(ctx, id, u, now)
		return moved{c, made}, err
	})
	return a.Connection, a.made, err
}

func (l *lossy) End(ctx context.Context, id signal.ConnectionID, now lane.Instant) (signal.Connection, error) {
	return lose(ctx, l, func() (signal.Connection, error) { return l.Store.End(ctx, id, now) })
}

func (l *lossy) Delete(ctx context.Context, id signal.ConnectionID, now lane.Instant) error {
	_, err := lose(ctx, l, func() (struct{}, error) { return struct{}{}, l.Store.Delete(ctx, id, now) })
	return err
}

func (l *lossy) Claim(ctx context.Context, c signal.Claim) (signal.Claimed, error) {
	return lose(ctx, l, func() (signal.Claimed, error) { return l.Store.Claim(ctx, c) })
}

func (l *lossy) Release(ctx context.Context, user signal.UserName, id signal.ConnectionID, full lane.TAT) (bool, error) {
	return lose(ctx, l, func() (bool, error) { return l.Store.Release(ctx, user, id, full) })
}

func (l *lossy) Route(ctx context.Context, user signal.UserName, now lane.Instant) (signal.Route, error) {
	return lose(ctx, l, func() (signal.Route, error) { return l.Store.Route(ctx, user, now) })
}

func (l *lossy) Owner(ctx context.Context, user signal.UserName, now lane.Instant) (signal.Peer, error) {
	return lose(ctx, l, func() (signal.Peer, error) { return l.Store.Owner(ctx, user, now) })
}
