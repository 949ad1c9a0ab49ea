package storetest

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// claim makes a claim over whoever owns the name, and returns the owners that
// it met.
func (s *suite) claim(t testing.TB, name signal.UserName, p signal.Peer, at, until lane.Instant) (signal.Claimed, []signal.Peer) {
	t.Helper()
	claimed, met, err := s.takeOver(signal.Claim{User: name, Peer: p, At: at, Until: until, Epoch: s.unique()})
	if err != nil {
		t.Fatalf("claim: %v", err)
	}
	return claimed, met
}

func (s *suite) takeOver(c signal.Claim) (claimed signal.Claimed, met []signal.Peer, err error) {
	for {
		claimed, err = s.Claim(ctx, c)
		if err != nil || claimed.Owner.ID == c.Peer.ID {
			return claimed, met, err
		}
		met = append(met, claimed.Owner)
		c.Expect = claimed.Owner.ID
	}
}

func (s *suite) ownership(t *testing.T) {
	name, a, b := signal.UserName(s.unique()), s.peer(), s.peer()
	until := now.Add(time.Hour)
	if _, err := s.Route(ctx, name, 1, now); !errors.Is(err, signal.ErrOffline) {
		t.Fatalf("route to a user who never was: %v", err)
	}
	first, met := s.claim(t, name, a, now, until)
	if met != nil || first.Seq != 0 || first.Epoch == "" {
		t.Fatalf("first claim: %+v", first)
	}
	if owner, err := s.Owner(ctx, name, now); err != nil || owner != a {
		t.Fatalf("owner %+v, %v", owner, err)
	}
	r, err := s.Route(ctx, name, 1, now)
	if err != nil || r.Peer != a || r.Seq != 1 || r.Epoch != first.Epoch {
		t.Fatalf("route %+v, %v", r, err)
	}
	second, met := s.claim(t, name, b, now+1, until)
	if len(met) != 1 || met[0] != a || second.Seq != 1 || second.Epoch != first.Epoch {
		t.Fatalf("takeover: %+v, met %v", second, met)
	}
	if r, err = s.Route(ctx, name, 1, now); err != nil || r.Peer != b || r.Seq != 2 {
		t.Fatalf("route after takeover %+v, %v", r, err)
	}
	if r, err = s.Route(ctx, name, 5, now); err != nil || r.Peer != b || r.Seq != 3 || r.Epoch != first.Epoch {
		t.Fatalf("route of 5 messages %+v, %v", r, err)
	}
	if r, err = s.Route(ctx, name, 1, now); err != nil || r.Peer != b || r.Seq != 8 {
		t.Fatalf("route after that of 5 messages %+v, %v", r, err)
	}
	if released, err := s.Release(ctx, name, b.ID, 7); err != nil || !released.Owner {
		t.Fatalf("release: %v, %v", released, err)
	}
	if _, err := s.Route(ctx, name, 1, now); !errors.Is(err, signal.ErrOffline) {
		t.Fatalf("route after release: %v", err)
	}
	if _, err := s.Owner(ctx, name, now); !errors.Is(err, signal.ErrOffline) {
		t.Fatalf("owner after release: %v", err)
	}
	third, met := s.claim(t, name, a, now, until) // earlier than the last, but nobody owns the name
	if met != nil || third.Seq != 8 || third.Epoch != first.Epoch || third.TAT != 7 {
		t.Fatalf("claim after release: %+v", third)
	}
}

// justEnded: its connection may not know yet that it has ended.
func (s *suite) justEnded(t *testing.T) {
	name, a, b := signal.UserName(s.unique()), s.peer(), s.peer()
	until := now.Add(time.Hour)
	s.claim(t, name, a, now, until)
	at := until.Add(signal.FenceAfter) - 1
	if _, met := s.claim(t, name, b, at, at.Add(time.Hour)); len(met) != 1 || met[0] != a {
		t.Errorf("met %v", met)
	}
}

func (s *suite) repeatedClaim(t *testing.T) {
	name, a, b := signal.UserName(s.unique()), s.peer(), s.peer()
	s.claim(t, name, a, now, now.Add(time.Hour))
	first, _ := s.claim(t, name, b, now+1, now.Add(time.Hour))
	for _, c := range []signal.Claim{{At: now + 1, Expect: a.ID}, {At: now + 1}, {At: now + 2}, {At: now}} {
		c.User, c.Peer, c.Until, c.Epoch = name, b, now.Add(time.Hour), "other"
		if again, err := s.Claim(ctx, c); err != nil || again != first {
			t.Fatalf("first %+v, repeated %+v, %v", first, again, err)
		}
	}
}

// expectedOwner: a claim is made only over the owner that it expects.
func (s *suite) expectedOwner(t *testing.T) {
	name, a, b, c := signal.UserName(s.unique()), s.peer(), s.peer(), s.peer()
	s.claim(t, name, a, now, now.Add(time.Hour))
	for _, expect := range []signal.ConnectionID{"", b.ID} {
		claimed, err := s.Claim(ctx, signal.Claim{User: name, Peer: c, At: now, Until: now.Add(time.Hour), Expect: expect})
		if err != nil || claimed.Owner != a {
			t.Errorf("expecting %q: %+v, %v", expect, claimed, err)
		}
	}
	if owner, err := s.Owner(ctx, name, now); err != nil || owner != a {
		t.Errorf("owner %+v, %v", owner, err)
	}
	claimed, err := s.Claim(ctx, signal.Claim{User: signal.UserName(s.unique()), Peer: c, At: now, Until: now.Add(time.Hour), Epoch: "e", Expect: a.ID})
	if err != nil || claimed.Owner != c {
		t.Errorf("a name that nobody has, expecting an owner: %+v, %v", claimed, err)
	}
}

func (s *suite) newestClaim(t *testing.T) {
	name, a, b := signal.UserName(s.unique()), s.peer(), s.peer()
	s.claim(t, name, b, now+1, now.Add(time.Hour))
	_, err := s.Claim(ctx, signal.Claim{User: name, Peer: a, At: now, Until: now.Add(time.Hour), Epoch: "e", Expect: b.ID})
	if !errors.Is(err, signal.ErrNewerClaim) {
		t.Fatalf("an older claim: %v", err)
	}
	if owner, err := s.Owner(ctx, name, now); err != nil || owner != b {
		t.Fatalf("owner %+v, %v", owner, err)
	}
}

// concurrentClaims: whoever does not own the name in the end was met as the
// owner by another that then replaced it, or was told that a newer one owns it.
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
				_, met, err := s.takeOver(signal.Claim{User: name, Peer: p, At: now + lane.Instant(int64(i)*spread), Until: now.Add(time.Hour), Epoch: "e"})
				mu.Lock()
				defer mu.Unlock()
				switch {
				case errors.Is(err, signal.ErrNewerClaim):
					superseded = append(superseded, p)
				case err != nil:
					t.Errorf("claim: %v", err)
				case len(met) > 0: // of all it met it has replaced the last
					superseded = append(superseded, met[len(met)-1])
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
	if released, err := s.Release(ctx, name, a.ID, 7); err != nil || released.Owner {
		t.Fatalf("late release: %v, %v", released, err)
	}
	if owner, err := s.Owner(ctx, name, now); err != nil || owner != b {
		t.Fatalf("owner after a late release %+v, %v", owner, err)
	}
	if released, err := s.Release(ctx, signal.UserName(s.unique()), a.ID, 7); err != nil || released.Owner {
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
	reserved := 0
	for i := range writers {
		messages := 1 + i%3
		reserved += messages * each
		wg.Go(func() {
			for range each {
				r, err := s.Route(ctx, name, messages, now)
				if err != nil {
					t.Errorf("route: %v", err)
					return
				}
				mu.Lock()
				for n := range int64(messages) {
					seqs = append(seqs, r.Seq+n)
				}
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
	if len(seqs) != reserved {
		t.Fatalf("%d sequence numbers", len(seqs))
	}
}

func (s *suite) epochs(t *testing.T) {
	name, until := signal.UserName(s.unique()), now.Add(time.Hour)
	first, _ := s.claim(t, name, s.peer(), now, until)
	if _, err := s.Route(ctx, name, 1, now); err != nil {
		t.Fatal(err)
	}
	kept, _ := s.claim(t, name, s.peer(), until.Add(signal.EpochLife)-1000, until)
	if kept.Epoch != first.Epoch || kept.Seq != 1 {
		t.Fatalf("within its life the epoch went from %+v to %+v", first, kept)
	}
	later := until.Add(signal.EpochLife)
	next, met := s.claim(t, name, s.peer(), later, later.Add(time.Hour))
	if next.Epoch == first.Epoch || next.Seq != 0 || met != nil {
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
