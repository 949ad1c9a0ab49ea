package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/owt-signal/owt-signal/internal/dynamo"
	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// watcher is a connection that may watch.
func (s *suite) watcher(t testing.TB, at lane.Instant) signal.Peer {
	t.Helper()
	c := signal.Connection{Peer: s.peer(), Since: at, Expires: at.Add(signal.ConnectionLife), Lane: lane.New()}
	if err := s.Create(ctx, c); err != nil {
		t.Fatal(err)
	}
	return c.Peer
}

// watch has a connection watch a user, who is online or not.
func (s *suite) watch(t testing.TB, name signal.UserName, by signal.Peer, at lane.Instant, online bool) signal.Presence {
	t.Helper()
	p, err := s.Watch(ctx, name, by.ID, at)
	if err != nil || p.User != name || p.Online != online || !p.Watched || p.At == 0 {
		t.Fatalf("watch: %+v, %v; online is to be %v", p, err, online)
	}
	return p
}

// watchers is who watches a user, who is online or not.
func (s *suite) watchers(t testing.TB, name signal.UserName, at lane.Instant, online bool, want ...signal.Peer) signal.Presence {
	t.Helper()
	p, got, err := s.Watchers(ctx, name, at)
	slices.SortFunc(got, byID)
	slices.SortFunc(want, byID)
	if err != nil || p.Online != online || !slices.Equal(got, want) {
		t.Fatalf("watchers %v of %+v, %v; want %v, online %v", got, p, err, want, online)
	}
	return p
}

// watching: whoever changes a user's presence finds who watches, and what it owes is
// known until all have been told.
func (s *suite) watching(t *testing.T) {
	name, owner, until := signal.UserName(s.unique()), s.peer(), now.Add(time.Hour)
	a, b := s.watcher(t, now), s.watcher(t, now)
	first := s.watch(t, name, a, now, false)
	if again := s.watch(t, name, a, now+1, false); again != first {
		t.Errorf("%+v, and again %+v", first, again)
	}
	s.watch(t, name, b, now, false)
	s.watchers(t, name, now, false, a, b)
	claimed, _ := s.claim(t, name, owner, now, until)
	online := s.watchers(t, name, now, true, a, b)
	if !claimed.Owed || online.At <= first.At {
		t.Errorf("%+v, and then %+v, owed %v", first, online, claimed.Owed)
	}
	for _, at := range []int64{first.At, online.At} {
		if again, err := s.Claim(ctx, signal.Claim{User: name, Peer: owner, At: now, Until: until}); err != nil || !again.Owed {
			t.Errorf("told up to %d less than one: %+v, %v", at, again, err)
		}
		if err := s.Told(ctx, name, at); err != nil {
			t.Error(err)
		}
	}
	if again, err := s.Claim(ctx, signal.Claim{User: name, Peer: owner, At: now, Until: until}); err != nil || again.Owed {
		t.Errorf("all are told: %+v, %v", again, err)
	}
	if err := s.Unwatch(ctx, name, a.ID); err != nil {
		t.Error(err)
	}
	for _, want := range []signal.Released{{Owner: true, Owed: true}, {Owed: true}} {
		if r, err := s.Release(ctx, name, owner.ID, 0); err != nil || r != want {
			t.Errorf("release: %+v, %v; want %+v", r, err, want)
		}
	}
	offline := s.watchers(t, name, now, false, b)
	if offline.At <= online.At {
		t.Errorf("%+v, and then %+v", online, offline)
	}
	if err := s.Told(ctx, name, offline.At); err != nil {
		t.Error(err)
	}
	if r, err := s.Release(ctx, name, owner.ID, 0); err != nil || r != (signal.Released{}) {
		t.Errorf("all are told: %+v, %v", r, err)
	}
	s.gone(t, b)
	s.watchers(t, name, now, false)
	if claimed, _ := s.claim(t, name, owner, now, until); claimed.Owed {
		t.Error("nobody watches, and somebody is owed something")
	}
	s.watch(t, name, s.watcher(t, now), now, true)
}

func (s *suite) gone(t testing.TB, p signal.Peer) {
	t.Helper()
	if _, err := s.End(ctx, p.ID, now); err != nil {
		t.Fatal(err)
	}
}

// notWatching: who has ended or is revoked is not told.
func (s *suite) notWatching(t *testing.T) {
	name, a, b := signal.UserName(s.unique()), s.watcher(t, now), s.watcher(t, now)
	for _, p := range []signal.Peer{a, b} {
		s.watch(t, name, p, now, false)
	}
	revoke := signal.Update{Move: lane.New().Revoke(), Revocation: &signal.Revocation{Code: lane.CodeWrongToken, By: "i", At: now}}
	if _, made := s.update(t, a.ID, revoke); !made {
		t.Fatal("not revoked")
	}
	s.watchers(t, name, now, false, b)
	s.watchers(t, name, now.Add(signal.ConnectionLife), false) // its record has expired
	c := s.watcher(t, now)
	s.gone(t, c)
	if _, err := s.Watch(ctx, name, c.ID, now); err != nil && !errors.Is(err, signal.ErrNoConnection) {
		t.Error(err)
	}
	s.watchers(t, name, now, false)
}

// presenceRises: the number of a user's presence rises with each change, whoever
// forgets the user meanwhile, and stays where a connection takes over.
func (s *suite) presenceRises(t *testing.T) {
	name, a, b, c := signal.UserName(s.unique()), s.peer(), s.peer(), s.peer()
	last := signal.Presence{}
	rises := func(what string, at lane.Instant, online, changed bool) {
		t.Helper()
		p, err := s.Watch(ctx, name, s.watcher(t, at).ID, at)
		if err != nil || p.Online != online || changed != (p.At > last.At) || p.At < last.At {
			t.Errorf("%s: %+v, and then %+v, %v", what, last, p, err)
		}
		last = p
	}
	until := now.Add(time.Hour)
	s.watch(t, name, s.watcher(t, now), now, false)
	s.claim(t, name, a, now, until)
	rises("claim", now, true, true)
	if _, err := s.Claim(ctx, signal.Claim{User: name, Peer: b, At: now + 1, Until: until, Expect: a.ID, Now: now}); err != nil {
		t.Error(err)
	}
	rises("takeover", now, true, false)
	almost := until.Add(-2 * lane.ClockBound) // somebody else's clock may have told that it has ended
	if _, err := s.Claim(ctx, signal.Claim{User: name, Peer: c, At: now + 2, Until: until, Expect: b.ID, Now: almost}); err != nil {
		t.Error(err)
	}
	rises("takeover of who is about to end", now, true, true)
	rises("end", until, false, true)
	all, _, err := s.Watchers(ctx, name, until)
	if err != nil || !all.Online || all.At >= last.At {
		t.Errorf("all are told %+v, who asks %+v; %v", all, last, err)
	}
	s.released(t, name, c)
	rises("its release", until, false, false)
	later := until.Add(signal.EpochLife + time.Hour)
	s.scan(t, 1, later, func(signal.Connection) {})
	rises("a day later", later, false, last.At != s.watch(t, name, s.watcher(t, later), later, false).At)
	s.claim(t, name, a, later, later.Add(time.Hour))
	rises("claim a day later", later, true, true)
	if claimed, err := s.Claim(ctx, signal.Claim{User: name, Peer: b, At: later + 1, Until: later.Add(2 * time.Hour), Expect: "nobody"}); err != nil || claimed.Owner != a {
		t.Errorf("%+v, %v", claimed, err)
	}
	s.released(t, name, a)
	rises("release", later, false, true)
	if claimed, err := s.Claim(ctx, signal.Claim{User: name, Peer: b, At: later + 1, Until: later.Add(time.Hour), Expect: a.ID}); err != nil || claimed.Owner != b || !claimed.Owed {
		t.Errorf("claim over who has released: %+v, %v", claimed, err)
	}
	rises("claim over who has released", later, true, true)
}

func (s *suite) released(t testing.TB, name signal.UserName, p signal.Peer) {
	t.Helper()
	if r, err := s.Release(ctx, name, p.ID, 0); err != nil || !r.Owner {
		t.Fatalf("release: %+v, %v", r, err)
	}
}

// watchOutlives: a watch of a user whose record is about to expire, or was never
// there, lasts as long as the connection.
func (s *suite) watchOutlives(t *testing.T) {
	known, unknown, until := signal.UserName(s.unique()), signal.UserName(s.unique()), now.Add(time.Hour)
	s.claim(t, known, s.peer(), now, until)
	at := until.Add(signal.EpochLife - time.Minute)
	w := s.watcher(t, at)
	for _, name := range []signal.UserName{known, unknown} {
		was := s.watch(t, name, w, at, false)
		at := at.Add(signal.ConnectionLife - time.Minute)
		claimed, _ := s.claim(t, name, s.peer(), at, at.Add(time.Hour))
		if is := s.watchers(t, name, at, true, w); !claimed.Owed || is.At <= was.At {
			t.Errorf("%+v, and then %+v, owed %v", was, is, claimed.Owed)
		}
	}
}

// watchedAtMost: a connection watches so many users.
func (s *suite) watchedAtMost(t *testing.T) {
	by, name := s.watcher(t, now), s.unique()
	user := func(i int) signal.UserName { return signal.UserName(fmt.Sprint(name, "-", i)) }
	for i := range signal.MaxWatched {
		s.watch(t, user(i), by, now, false)
	}
	s.watch(t, user(0), by, now, false)
	for range 2 {
		if _, err := s.Watch(ctx, user(signal.MaxWatched), by.ID, now); !errors.Is(err, signal.ErrTooManyWatches) {
			t.Fatalf("%d users: %v", signal.MaxWatched+1, err)
		}
	}
	s.watchers(t, user(signal.MaxWatched), now, false)
	if err := s.Unwatch(ctx, user(1), by.ID); err != nil {
		t.Error(err)
	}
	s.watch(t, user(signal.MaxWatched), by, now, false)
	s.watchers(t, user(1), now, false)
}

// watchersAtMost: so many connections watch a user.
func (s *suite) watchersAtMost(t *testing.T) {
	name, other := signal.UserName(s.unique()), signal.UserName(s.unique())
	all := make([]signal.Peer, signal.MaxWatchers)
	var wg sync.WaitGroup
	const atOnce = 8
	for first := range atOnce {
		wg.Go(func() {
			for i := first; i < len(all); i += atOnce {
				all[i] = s.watcher(t, now)
				s.watch(t, name, all[i], now, false)
			}
		})
	}
	wg.Wait()
	s.watchers(t, name, now, false, all...)
	late := s.watcher(t, now)
	for i := range signal.MaxWatched { // what is refused does not count
		s.watch(t, signal.UserName(fmt.Sprint(other, i)), late, now, false)
		if i == signal.MaxWatched-2 {
			if _, err := s.Watch(ctx, name, late.ID, now); !errors.Is(err, signal.ErrTooManyWatches) {
				t.Fatalf("%d connections: %v", signal.MaxWatchers+1, err)
			}
		}
	}
	if err := s.Unwatch(ctx, signal.UserName(fmt.Sprint(other, 0)), late.ID); err != nil {
		t.Error(err)
	}
	s.watch(t, name, all[700], now, false) // it does already
	s.gone(t, all[700])
	room := false
	for i := range lane.Instant(signal.MaxWatchers) { // perhaps it is looked for in one place at a time
		_, err := s.Watch(ctx, name, late.ID, now+i)
		if room = err == nil; room {
			break
		}
		if !errors.Is(err, signal.ErrTooManyWatches) {
			t.Fatal(err)
		}
	}
	if !room {
		t.Error("no room, though one has ended")
	}
	all[700] = late
	s.watchers(t, name, now, false, all...)
}

// watchAgainstClaim: who begins to watch while a user comes or goes, and while
// nobody else watches any more, learns of it one way or the other.
func (s *suite) watchAgainstClaim(t *testing.T) {
	name := signal.UserName(s.unique())
	for round := range 50 {
		s.watchers(t, name, now, false) // so nobody watches
		by, owner, at := s.watcher(t, now), s.peer(), now+lane.Instant(round)
		var saw signal.Presence
		var found []signal.Peer
		var claimed signal.Claimed
		var wg sync.WaitGroup
		wg.Go(func() {
			var err error
			if saw, err = s.Watch(ctx, name, by.ID, at); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() {
			if _, _, err := s.Watchers(ctx, name, at); err != nil { // and perhaps notes that nobody does
				t.Error(err)
			}
		})
		wg.Go(func() {
			var err error
			claimed, _, err = s.takeOver(signal.Claim{User: name, Peer: owner, At: at, Until: now.Add(time.Hour), Epoch: "e"})
			if err == nil && claimed.Owed {
				_, found, err = s.Watchers(ctx, name, at)
			}
			if err != nil {
				t.Error(err)
			}
		})
		wg.Wait()
		if !saw.Online && !slices.Contains(found, by) {
			t.Fatalf("round %d: saw %+v, and was not found: owed %v, %v", round, saw, claimed.Owed, found)
		}
		if r, err := s.Release(ctx, name, owner.ID, 0); err != nil || !r.Owed {
			t.Fatalf("round %d: %+v, %v", round, r, err)
		}
		s.watchers(t, name, now, false, by)
		s.gone(t, by)
	}
}

// owes: a scan finds who is owed something.
func (s *suite) owes(t *testing.T) {
	name, by, owner := signal.UserName(s.unique()), s.watcher(t, now), s.peer()
	owed := func() (n int) {
		t.Helper()
		for i := range 3 {
			if err := s.Scan(ctx, signal.Segment{Index: i, Of: 3}, now, func(signal.Connection) {}, func(user signal.UserName) {
				if user == name {
					n++
				}
			}); err != nil {
				t.Fatal(err)
			}
		}
		return n
	}
	s.claim(t, name, owner, now, now.Add(time.Hour))
	before := owed()
	s.watch(t, name, by, now, true)
	watched := owed()
	s.released(t, name, owner)
	released := owed()
	if err := s.Told(ctx, name, s.watchers(t, name, now, false, by).At); err != nil {
		t.Error(err)
	}
	if told := owed(); before != 0 || watched != 0 || released != 1 || told != 0 {
		t.Errorf("owed %d before the watch, %d with it, %d when the user has gone, %d when that is told", before, watched, released, told)
	}
	s.claim(t, name, owner, now, now.Add(time.Hour))
	s.gone(t, by)
	s.watchers(t, name, now, true)
	if n := owed(); n != 0 {
		t.Errorf("owed %d when nobody watches", n)
	}
}

// TestWatchesGo: once it has expired, a round of keepalive leaves nothing of a watch,
// nor of a user who was but watched.
func TestWatchesGo(t *testing.T) {
	config, table := newTable(t)
	client := dynamodb.NewFromConfig(config)
	s := &suite{Store: dynamo.New(client, table)}
	s.watch(t, "alice", s.watcher(t, now), now, false)
	s.claim(t, "bob", s.peer(), now, now.Add(time.Hour))
	for _, c := range []struct {
		at   lane.Instant
		want int32
	}{{now.Add(signal.ConnectionLife - time.Second), 5}, {now.Add(signal.ConnectionLife + time.Second), 1}} {
		s.scan(t, 2, c.at, func(of signal.Connection) {
			if err := s.Delete(ctx, of.ID, c.at); err != nil {
				t.Error(err)
			}
		})
		all, err := client.Scan(ctx, &dynamodb.ScanInput{TableName: &table})
		if err != nil || all.Count != c.want {
			t.Errorf("%v later there are %d items, want %d; %v", c.at.Sub(now), all.Count, c.want, err)
		}
	}
}
