package storetest

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// receiver is a user whose client recovers, or not.
type receiver struct {
	*suite
	*testing.T
	user signal.UserName
	at   lane.Instant
	now  signal.Claimed
}

func (s *suite) receiver(t *testing.T) *receiver {
	return &receiver{suite: s, T: t, user: signal.UserName("bob#" + s.unique()), at: now}
}

// claims is a new connection that takes over.
func (r *receiver) claims(recovers bool) signal.Claimed {
	r.Helper()
	p := r.peer()
	p.Recovers = recovers
	r.at = r.at.Add(time.Second)
	claimed, err := r.Claim(ctx, signal.Claim{User: r.user, Peer: p, At: r.at, Until: now.Add(time.Hour), Epoch: "an epoch", Expect: r.now.Owner.ID})
	if err != nil || claimed.Owner != p {
		r.Fatalf("claim: %+v, %v", claimed, err)
	}
	r.now = claimed
	return claimed
}

func (r *receiver) route(n int) signal.Route {
	r.Helper()
	route, err := r.Route(ctx, r.user, n, now)
	if err != nil || route.Peer != r.now.Owner {
		r.Fatalf("route: %+v, %v", route, err)
	}
	return route
}

// post is so many messages, as they are posted together.
func post(first int64, n int) (all []signal.Delivery) {
	for i := range int64(n) {
		d := signal.Delivery{From: "alice", Data: []byte(`{"a":1}`), Epoch: "an epoch", Seq: first + i, Number: signal.NoNumber}
		if i%2 == 1 {
			d.From, d.Session, d.Number, d.Data = "\x00 ü", "a-session", signal.MaxNumber, []byte(strings.Repeat("x", 300))
		}
		all = append(all, d)
	}
	return all
}

func (r *receiver) keeps(all []signal.Delivery, until lane.Instant, want bool) {
	r.Helper()
	if kept, err := r.Keep(ctx, r.user, all, until); err != nil || kept != want {
		r.Errorf("keep %d: %v, %v", all[0].Seq, kept, err)
	}
}

func (r *receiver) voids(n int64, until lane.Instant) {
	r.Helper()
	if err := r.Void(ctx, r.user, "an epoch", n, until); err != nil {
		r.Error(err)
	}
}

func (r *receiver) wants(first, last int64, want ...signal.Kept) {
	r.Helper()
	if got, err := r.History(ctx, r.user, "an epoch", first, last); err != nil || !reflect.DeepEqual(got, want) {
		r.Errorf("history from %d to %d: %v, %v, want %v", first, last, shown(got), err, shown(want))
	}
}

// shown is what is kept, in short.
func shown(all []signal.Kept) (lines []string) {
	for _, k := range all {
		lines = append(lines, fmt.Sprintf("%d: %.200v", k.Seq, fmt.Sprint(k.Post)))
	}
	return lines
}

func (s *suite) history(t *testing.T) {
	r, other := s.receiver(t), s.receiver(t)
	until := now.Add(time.Minute)
	r.keeps(post(1, 1), until, true)
	r.keeps(post(1, 1), until, true) // again
	r.keeps(post(4, 3), until, true)
	r.voids(3, until)
	r.voids(4, until) // there is a post
	r.keeps(post(3, 1), until, false)
	one, void, some := signal.Kept{Seq: 1, Post: post(1, 1)}, signal.Kept{Seq: 3}, signal.Kept{Seq: 4, Post: post(4, 3)}
	r.wants(-31, 9, one, void, some)
	r.wants(1, 3, one, void)
	r.wants(5, 200)
	r.wants(4, 4, some)
	other.wants(0, 9)
	if got, err := r.History(ctx, r.user, "another epoch", 0, 9); err != nil || got != nil {
		t.Errorf("another epoch: %+v, %v", got, err)
	}
	most := []signal.Delivery{{From: "alice", Data: []byte(strings.Repeat("x", signal.MaxPost)), Epoch: "an epoch", Seq: 300}}
	r.keeps(most, until, true)
	r.wants(300, 300, signal.Kept{Seq: 300, Post: most})
}

func (s *suite) keptAfter(t *testing.T) {
	r := s.receiver(t)
	if _, err := r.Standing(ctx, r.user, now); !errors.Is(err, signal.ErrOffline) {
		t.Errorf("nobody: %v", err)
	}
	for i, step := range []struct {
		recovers bool
		want     int64
	}{
		{true, 0}, {true, 0}, {false, 0}, {false, 0}, {true, 8}, {true, 8},
	} {
		claimed := r.claims(step.recovers)
		if claimed.KeptAfter != step.want || claimed.Seq != int64(2*i) {
			t.Errorf("claim %d: %+v, kept after %d is wanted", i, claimed, step.want)
		}
		r.route(2)
		standing, err := r.Standing(ctx, r.user, now)
		claimed.Seq += 2
		if err != nil || standing != claimed {
			t.Errorf("standing: %+v, %v, want %+v", standing, err, claimed)
		}
	}
	if _, err := r.Release(ctx, r.user, r.now.Owner.ID, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Standing(ctx, r.user, now); !errors.Is(err, signal.ErrOffline) {
		t.Errorf("released: %v", err)
	}
	r.now = signal.Claimed{}
	if claimed := r.claims(true); claimed.KeptAfter != 8 || claimed.Seq != 12 {
		t.Errorf("come back: %+v", claimed)
	}
	if _, err := r.Standing(ctx, r.user, now.Add(time.Hour)); !errors.Is(err, signal.ErrOffline) {
		t.Errorf("expired: %v", err)
	}
}

func (s *suite) historyEnds(t *testing.T) {
	r := s.receiver(t)
	r.claims(true)
	r.route(9)
	until := now.Add(time.Minute)
	r.keeps(post(1, 2), until, true)
	r.keeps(post(3, 3), until, true)
	r.voids(6, until)
	r.keeps(post(7, 1), until+1, true)
	round := func(at lane.Instant, after int64, want ...signal.Kept) {
		t.Helper()
		scan(t, r, at)
		standing, err := r.Standing(ctx, r.user, now)
		if err != nil || standing.KeptAfter != after {
			t.Errorf("kept after %d, %v, want %d", standing.KeptAfter, err, after)
		}
		r.wants(0, 9, want...)
	}
	last := signal.Kept{Seq: 7, Post: post(7, 1)}
	round(until.Add(signal.HistoryMargin)-1, 0, signal.Kept{Seq: 1, Post: post(1, 2)}, signal.Kept{Seq: 3, Post: post(3, 3)}, signal.Kept{Seq: 6}, last)
	round(until.Add(signal.HistoryMargin), 6, last)
	round(until.Add(signal.HistoryMargin)+1, 7)
	r.claims(false)
	r.keeps(post(8, 1), until, true)
	round(until.Add(signal.HistoryMargin)+1, 0) // nothing is promised
}

// scan is a round of keepalive over all segments.
func scan(t *testing.T, s signal.Store, at lane.Instant) {
	t.Helper()
	for i := range 4 {
		if err := s.Scan(ctx, signal.Segment{Index: i, Of: 4}, at, func(signal.Connection) {}, func(signal.UserName) {}); err != nil {
			t.Fatal(err)
		}
	}
}

func (s *suite) postAgainstVoid(t *testing.T) {
	r := s.receiver(t)
	until := now.Add(time.Minute)
	for n := range int64(20) {
		var kept bool
		var err error
		var both sync.WaitGroup
		both.Go(func() { kept, err = r.Keep(ctx, r.user, post(n+1, 1), until) })
		both.Go(func() { r.voids(n+1, until) })
		both.Wait()
		want := signal.Kept{Seq: n + 1}
		if kept {
			want.Post = post(n+1, 1)
		}
		if err != nil {
			t.Fatal(err)
		}
		r.wants(n+1, n+1, want)
	}
}
