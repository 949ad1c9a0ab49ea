package storetest

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal"
)

func (s *suite) claim(t testing.TB, name signal.UserName, p signal.Peer, at, until signal.Instant) signal.Claimed {
	t.Helper()
	c, err := s.Claim(ctx, signal.Claim{User: name, Peer: p, At: at, Until: until, Epoch: s.unique()})
	if err != nil {
		t.Fatalf("claim: %v", err)
	}
	return c
}

func (s *suite) ownership(t *testing.T) {
	name, a, b := signal.UserName(s.unique()), s.peer(), s.peer()
	until := now.Add(time.Hour)
	if _, err := s.Route(ctx, name, now); !errors.Is(err, signal.ErrOffline) {
		t.Fatalf("route to a user who never was: %v", err)
	}
	first := s.claim(t, name, a, now, until)
	if first.Before != nil || first.Seq != 0 || first.Epoch == "" {
		t.Fatalf("first claim: %+v", first)
	}
	if owner, err := s.Owner(ctx, name, now); err != nil || owner != a {
		t.Fatalf("owner %+v, %v", owner, err)
	}
	r, err := s.Route(ctx, name, now)
	if err != nil || r.Peer != a || r.Seq != 1 || r.Epoch != first.Epoch {
		t.Fatalf("route %+v, %v", r, err)
	}
	second := s.claim(t, name, b, now+1, until)
	if second.Before == nil || *second.Before != a || second.Seq != 1 || second.Epoch != first.Epoch {
		t.Fatalf("takeover: %+v", second)
	}
	if r, err = s.Route(ctx, name, now); err != nil || r.Peer != b || r.Seq != 2 {
		t.Fatalf("route after takeover %+v, %v", r, err)
	}
	if released, err := s.Release(ctx, name, b.ID); err != nil || !released {
		t.Fatalf("release: %v, %v", released, err)
	}
	if _, err := s.Route(ctx, name, now); !errors.Is(err, signal.ErrOffline) {
		t.Fatalf("route after release: %v", err)
	}
	if _, err := s.Owner(ctx, name, now); !errors.Is(err, signal.ErrOffline) {
		t.Fatalf("owner after release: %v", err)
	}
	third := s.claim(t, name, a, now, until) // earlier than the last, but nobody owns the name
	if third.Before != nil || third.Seq != 2 || third.Epoch != first.Epoch {
		t.Fatalf("claim after release: %+v", third)
	}
}

func (s *suite) repeatedClaim(t *testing.T) {
	name, a, b := signal.UserName(s.unique()), s.peer(), s.peer()
	s.claim(t, name, a, now, now.Add(time.Hour))
	first := s.claim(t, name, b, now+1, now.Add(time.Hour))
	for _, at := range []signal.Instant{now + 1, now + 2} {
		again := s.claim(t, name, b, at, now.Add(time.Hour))
		if again.Before == nil || *again.Before != *first.Before || again.Epoch != first.Epoch || again.Seq != first.Seq {
			t.Fatalf("first %+v, repeated %+v", first, again)
		}
	}
}

func (s *suite) newestClaim(t *testing.T) {
	name, a, b := signal.UserName(s.unique()), s.peer(), s.peer()
	s.claim(t, name, b, now+1, now.Add(time.Hour))
	_, err := s.Claim(ctx, signal.Claim{User: name, Peer: a, At: now, Until: now.Add(time.Hour), Epoch: "e"})
	if !errors.Is(err, signal.ErrNewerClaim) {
		t.Fatalf("an older claim: %v", err)
	}
	if owner, err := s.Owner(ctx, name, now); err != nil || owner != b {
		t.Fatalf("owner %+v, %v", owner, err)
	}
}

// concurrentClaims: whoever does not own the name in the end is named as the
// owner before to exactly one other, or was told that a newer one owns it.
func (s *suite) concurrentClaims(t *testing.T) {
	const claims = 50
	for _, spread := range []int64{0, 1} { // all at the same instant; each at its own
		name := signal.UserName(s.unique())
		var mu sync.Mutex
		var superseded, all []signal.Peer
		var wg sync.WaitGroup
		for i := range claims {
			p := s.peer()
			all = append(all, p)
			wg.Go(func() {
				c, err := s.Claim(ctx, signal.Claim{User: name, Peer: p, At: now + signal.Instant(int64(i)*spread), Until: now.Add(time.Hour), Epoch: "e"})
				mu.Lock()
				defer mu.Unlock()
				switch {
				case errors.Is(err, signal.ErrNewerClaim):
					superseded = append(superseded, p)
				case err != nil:
					t.Errorf("claim: %v", err)
				case c.Before != nil:
					superseded = append(superseded, *c.Before)
				}
			})
		}
		wg.Wait()
		winner, err := s.Owner(ctx, name, now)
		if err != nil {
			t.Fatal(err)
		}
		superseded = append(superseded, winner)
		slices.SortFunc(superseded, byID)
		slices.SortFunc(all, byID)
		if !slices.Equal(superseded, all) {
			t.Errorf("of %d claimants %d were named, the winner included", claims, len(superseded))
		}
	}
}

func (s *suite) lateRelease(t *testing.T) {
	name, a, b := signal.UserName(s.unique()), s.peer(), s.peer()
	s.claim(t, name, a, now, now.Add(time.Hour))
	s.claim(t, name, b, now+1, now.Add(time.Hour))
	if released, err := s.Release(ctx, name, a.ID); err != nil || released {
		t.Fatalf("late release: %v, %v", released, err)
	}
	if owner, err := s.Owner(ctx, name, now); err != nil || owner != b {
		t.Fatalf("owner after a late release %+v, %v", owner, err)
	}
	if released, err := s.Release(ctx, signal.UserName(s.unique()), a.ID); err != nil || released {
		t.Fatalf("release of a name nobody has: %v, %v", released, err)
	}
}

func (s *suite) sequence(t *testing.T) {
	const writers, each = 50, 4
	name := signal.UserName(s.unique())
	s.claim(t, name, s.peer(), now, now.Add(time.Hour))
	var mu sync.Mutex
	var seqs []int64
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range each {
				r, err := s.Route(ctx, name, now)
				if err != nil {
					t.Errorf("route: %v", err)
					return
				}
				mu.Lock()
				seqs = append(seqs, r.Seq)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	slices.Sort(seqs)
	for i, seq := range seqs {
		if seq != int64(i+1) {
			t.Fatalf("sequence numbers are %v", seqs)
		}
	}
	if len(seqs) != writers*each {
		t.Fatalf("%d sequence numbers", len(seqs))
	}
}

func (s *suite) epochs(t *testing.T) {
	name, until := signal.UserName(s.unique()), now.Add(time.Hour)
	first := s.claim(t, name, s.peer(), now, until)
	if _, err := s.Route(ctx, name, now); err != nil {
		t.Fatal(err)
	}
	kept := s.claim(t, name, s.peer(), until.Add(signal.EpochLife)-1000, until)
	if kept.Epoch != first.Epoch || kept.Seq != 1 {
		t.Fatalf("within its life the epoch went from %+v to %+v", first, kept)
	}
	later := until.Add(signal.EpochLife)
	next := s.claim(t, name, s.peer(), later, later.Add(time.Hour))
	if next.Epoch == first.Epoch || next.Seq != 0 || next.Before != nil {
		t.Fatalf("after its life the epoch went from %+v to %+v", first, next)
	}
}

func (s *suite) names(t *testing.T) {
	long := make([]byte, signal.MaxUserName)
	for i := range long {
		long[i] = 'x'
	}
	for _, name := range []string{"用户1", "111&222@!;||(){}[]?", "a#b", " ", "\x00", string(long)} {
		name := signal.UserName(name + s.unique())
		p := s.peer()
		s.claim(t, name, p, now, now.Add(time.Hour))
		if owner, err := s.Owner(ctx, name, now); err != nil || owner != p {
			t.Errorf("%q: owner %+v, %v", name, owner, err)
		}
	}
}
