package storetest

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/owt-signal/owt-signal/internal/memory"
	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// backendStore is a store with what is kept for backends.
type backendStore interface {
	signal.Store
	signal.BackendStore
}

// TestBackends holds each store against the contract of a [signal.BackendStore].
func TestBackends(t *testing.T) {
	for name, store := range map[string]func(*testing.T) backendStore{
		"dynamo": func(t *testing.T) backendStore { return newDynamo(t) },
		"memory": func(*testing.T) backendStore { return memory.New() },
	} {
		t.Run(name, func(t *testing.T) {
			s := store(t)
			t.Run("a refusal ends", func(t *testing.T) { refusals(t, s) })
			t.Run("a key is of one message, and has one outcome", func(t *testing.T) { keys(t, s) })
			t.Run("of 20 at once one begins a key", func(t *testing.T) { keyRace(t, s) })
			t.Run("who is online is listed once", func(t *testing.T) { online(t, s) })
		})
	}
}

func refusals(t *testing.T, s signal.RefusalStore) {
	expect := func(user signal.UserName, at, want lane.Instant) {
		t.Helper()
		if until, err := s.RefusedUntil(ctx, user, at); until != want || err != nil {
			t.Errorf("%s at %d: refused until %d, %v, want %d", user, at, until, err, want)
		}
	}
	refuse := func(user signal.UserName, until lane.Instant) {
		t.Helper()
		if err := s.Refuse(ctx, user, until); err != nil {
			t.Fatal(err)
		}
	}
	expect("alice", now, 0)
	refuse("alice", now.Add(time.Minute)+1)
	expect("alice", now, now.Add(time.Minute)+1)
	expect("alice", now.Add(time.Minute), now.Add(time.Minute)+1)
	expect("bob", now, 0)
	expect("alice", now.Add(time.Minute)+1, 0)
	refuse("alice", now.Add(time.Hour))
	refuse("alice", now.Add(time.Second)) // the last one counts
	expect("alice", now, now.Add(time.Second))
	refuse("alice", 0)
	refuse("carol", 0)
	expect("alice", now, 0)
}

func keys(t *testing.T, s signal.KeyStore) {
	first := signal.Keyed{Digest: 1<<32 - 1, By: "first", At: now}
	begin := func(from signal.UserName, key string, k, want signal.Keyed) {
		t.Helper()
		if got, err := s.BeginKey(ctx, from, key, k); got != want || err != nil {
			t.Errorf("begin %s of %s: %+v, %v, want %+v", key, from, got, err, want)
		}
	}
	end := func(from signal.UserName, key string, code, want lane.Code) {
		t.Helper()
		if got, err := s.EndKey(ctx, from, key, code); got != want || err != nil {
			t.Errorf("end %s of %s: %v, %v, want %v", key, from, got, err, want)
		}
	}
	second := signal.Keyed{Digest: 2, By: "second", At: now.Add(time.Second)}
	begin("backend:a", "k#1", first, first)
	begin("backend:a", "k#1", first, first) // its answer was lost
	begin("backend:a", "k#1", second, first)
	begin("backend:b", "k#1", second, second)
	begin("backend:a", "k", second, second)
	end("backend:a", "k#1", lane.CodeUnreachable, lane.CodeUnreachable)
	end("backend:a", "k#1", lane.OK, lane.CodeUnreachable)
	first.Ended, first.Code = true, lane.CodeUnreachable
	begin("backend:a", "k#1", second, first)
	end("backend:a", "k", lane.OK, lane.OK)
	done := second
	done.Ended = true
	begin("backend:a", "k", first, done)

	late := signal.Keyed{Digest: 3, By: "late", At: now.Add(signal.KeyLife) - 1}
	begin("backend:a", "k#1", late, first)
	late.At++
	begin("backend:a", "k#1", late, late)
	end("backend:a", "k#1", lane.CodeBusy, lane.CodeBusy) // it may come again
	again := signal.Keyed{Digest: 4, By: "again", At: late.At}
	begin("backend:a", "k#1", again, again)
	end("backend:a", "nobody's", lane.OK, lane.OK)
	begin("backend:a", "nobody's", again, again)
}

func keyRace(t *testing.T, s signal.KeyStore) {
	var all sync.WaitGroup
	won := make([]string, 20)
	for i := range won {
		all.Go(func() {
			k := signal.Keyed{Digest: 1, By: fmt.Sprint(i), At: now}
			got, err := s.BeginKey(ctx, "backend:race", "k", k)
			if err != nil {
				t.Error(err)
			}
			won[i] = got.By
		})
	}
	all.Wait()
	slices.Sort(won)
	if len(slices.Compact(won)) != 1 {
		t.Errorf("begun by %v", won)
	}
}

func online(t *testing.T, s backendStore) {
	const users = 25
	var want []signal.UserName
	for i := range users {
		name := signal.UserName(fmt.Sprintf("listed-%d\x00/é", i))
		c := signal.Claim{User: name, Peer: signal.Peer{ID: signal.ConnectionID(name), Protocol: signal.JSON}, At: now, Until: now.Add(time.Hour), Epoch: "e"}
		switch i {
		case 0:
			c.Until = now // its time has passed
		default:
			want = append(want, name)
		}
		_, err := s.Claim(ctx, c)
		if err == nil && i == 1 {
			_, err = s.Release(ctx, name, c.Peer.ID, 0)
			want = want[:0]
		}
		if err == nil && i > 1 {
			err = s.Create(ctx, signal.Connection{Peer: c.Peer, Since: now, Expires: now.Add(time.Hour), Lane: lane.New()})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(want)
	for _, limit := range []int{1, 7, len(want), 1000} {
		var got []signal.UserName
		cursor, pages := "", 0
		for ; pages == 0 || cursor != ""; pages++ {
			page, next, err := s.Online(ctx, cursor, limit, now)
			if err != nil || len(page) > limit || pages > 200 {
				t.Fatalf("%d at a time: page %d has %d, %v", limit, pages, len(page), err)
			}
			got, cursor = append(got, page...), next
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%d at a time, in %d pages: %d listed, want %d", limit, pages, len(got), len(want))
		}
	}
}
