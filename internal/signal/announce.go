package signal

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// Whoever changes a user's presence tells those who watch it, beside its other work:
// nobody waits for that. If that fails in part, or the invocation's time ends before,
// the user's record says that they are owed it, and the next round of keepalive does it.

const (
	// announceAtOnce is to how many connections a change is posted at a time.
	announceAtOnce = 16
	// announceMargin is how long before the invocation must end nothing more is posted.
	announceMargin = 500 * time.Millisecond
)

// announcements are those of one invocation. What it has changed before its answer is
// announced once that is out, all else at once. It does not know the service, of which
// all would be in each binary: what is in a context may be reflected on.
type announcements struct {
	pause func() bool // waits before each post, and reports whether there is time left; nil: there is
	mu    sync.Mutex
	ctx   context.Context // of the work; nil: it has not begun
	due   []UserName      // to be announced when it has
	waits []func()
}

type announcementsKey struct{}

// announcing returns a context by which what is changed is announced beside the work
// that [Service.announced] returns.
func announcing(ctx context.Context) (context.Context, *announcements) {
	a := new(announcements)
	return context.WithValue(ctx, announcementsKey{}, a), a
}

// announcingIn does work, and announces beside it what that changes.
func (s *Service) announcingIn(ctx context.Context, pause func() bool, work After) {
	s.announced(&announcements{pause: pause}, work)(ctx)
}

// announced returns work, and what is to be announced beside it; nil if there is
// neither.
func (s *Service) announced(a *announcements, work After) After {
	if work == nil && len(a.due) == 0 {
		return nil
	}
	return func(ctx context.Context) {
		a.mu.Lock()
		a.ctx = context.WithValue(ctx, announcementsKey{}, a)
		a.mu.Unlock()
		for _, user := range a.due {
			s.beginAnnouncing(a, user)
		}
		if work != nil {
			work(a.ctx)
		}
		for _, wait := range a.waits {
			wait()
		}
	}
}

// beginAnnouncing announces a user's presence beside what is done.
func (s *Service) beginAnnouncing(a *announcements, user UserName) {
	wait := s.beside(func() { s.announce(a.ctx, user, a.pause) })
	a.mu.Lock()
	defer a.mu.Unlock()
	a.waits = append(a.waits, wait)
}

// changed has a user's presence announced that has changed.
func (s *Service) changed(ctx context.Context, user UserName) {
	a, _ := ctx.Value(announcementsKey{}).(*announcements)
	if a == nil {
		s.announce(ctx, user, nil)
		return
	}
	a.mu.Lock()
	begun := a.ctx != nil
	if !begun {
		a.due = append(a.due, user)
	}
	a.mu.Unlock()
	if begun {
		s.beginAnnouncing(a, user)
	}
}

// announce tells those who watch a user whether it is online. A connection that is
// found gone is left to who finds it by a message, or visits it: else one that is
// found could have all found who watch each other.
func (s *Service) announce(ctx context.Context, user UserName, pause func() bool) {
	ctx, stop := before(ctx, announceMargin)
	defer stop()
	is, watchers, err := s.Store.Watchers(ctx, user, s.Clock.Now())
	var failed atomic.Int64
	if err == nil {
		s.sideBySide(len(watchers), announceAtOnce, func(i int) {
			if ctx.Err() != nil || pause != nil && !pause() {
				failed.Add(1)
			} else if err := s.Pusher.Post(ctx, watchers[i], is); err != nil && !errors.Is(err, ErrGone) {
				failed.Add(1)
			}
		})
		if failed.Load() == 0 {
			err = s.Store.Told(ctx, user, is.At)
		}
	}
	if err != nil || failed.Load() > 0 {
		s.Log.WarnContext(ctx, "not all who watch a user were told", "user", user, "watchers", len(watchers), "failed", failed.Load(), "error", err)
	}
}
