package webhook

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/owt-signal/owt-signal/internal/memory"
	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// told is what a Store has told.
type told struct {
	mu     sync.Mutex
	events []Event
}

func (t *told) add(events ...Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.events = append(t.events, events...)
}

// said returns what was told since the last time, in words.
func (t *told) said() string {
	var words []string
	for _, e := range t.events {
		words = append(words, fmt.Sprintf("%s %s %s", e.Kind, e.User, e.Connection))
	}
	t.events = nil
	return strings.Join(words, ", ")
}

func claim(user, id, expect string) signal.Claim {
	return signal.Claim{
		User: signal.UserName(user), Peer: signal.Peer{ID: signal.ConnectionID(id)}, At: at, Until: at + lane.Instant(time.Hour/time.Millisecond), Epoch: "e",
		Expect: signal.ConnectionID(expect),
	}
}

const at = lane.Instant(1_700_000_000_000)

func TestWhatIsTold(t *testing.T) {
	var is told
	s := NewStore(memory.New(), is.add, time.Now)
	ctx := t.Context()
	do := func(want string, f func() error) {
		t.Helper()
		if err := f(); err != nil {
			t.Error(err)
		}
		if got := is.said(); got != want {
			t.Errorf("told %q, want %q", got, want)
		}
	}
	claims := func(c signal.Claim) func() error {
		return func() error { _, err := s.Claim(ctx, c); return err }
	}
	releases := func(user signal.UserName, id signal.ConnectionID) func() error {
		return func() error { _, err := s.Release(ctx, user, id, 0); return err }
	}
	do("connected alice 1", claims(claim("alice", "1", "")))
	do("", claims(claim("alice", "1", ""))) // again
	do("", claims(claim("alice", "2", ""))) // it is taken
	do("superseded alice 1, connected alice 2", claims(claim("alice", "2", "1")))
	do("", releases("alice", "1"))
	do("connected bob 3", claims(claim("bob", "3", "")))
	do("left alice 2", releases("alice", "2"))
	do("", releases("alice", "2"))
	do("connected alice 4", claims(claim("alice", "4", "2"))) // who left meanwhile
	do("left alice 4", releases("alice", "4"))
	do("left bob 3", releases("bob", "3"))
	if len(s.names) != 0 {
		t.Errorf("%d names are kept", len(s.names))
	}
}

// Records outlive the process with a table: what is in them is told of, too.
func TestNewProcess(t *testing.T) {
	records, ctx := memory.New(), t.Context()
	var before, is told
	began := time.Now()
	first := NewStore(records, before.add, func() time.Time { return began })
	for _, c := range []signal.Claim{claim("alice", "1", ""), claim("bob", "2", "")} {
		if _, err := first.Claim(ctx, c); err != nil {
			t.Fatal(err)
		}
	}
	s := NewStore(records, is.add, func() time.Time { return began.Add(time.Millisecond) })
	if _, err := s.Claim(ctx, claim("alice", "3", "1")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Release(ctx, "bob", "2", 0); err != nil {
		t.Fatal(err)
	}
	all := slices.Concat(before.events, is.events)
	if got, want := is.said(), "superseded alice 1, connected alice 3, left bob 2"; got != want {
		t.Errorf("told %q, want %q", got, want)
	}
	wantRising(t, all)
}

func wantRising(t *testing.T, events []Event) {
	t.Helper()
	last, ids := make(map[signal.UserName]string), make(map[string]bool)
	for _, e := range events {
		if e.Order <= last[e.User] || ids[e.ID] || len(e.Order) != maxNumber+1 || e.At.IsZero() {
			t.Errorf("after order %s: %+v", last[e.User], e)
		}
		last[e.User], ids[e.ID] = e.Order, true
	}
}

// unsure does what is asked of it, and does not say so, once.
type unsure struct {
	signal.Store
	fail bool
}

var errUnknown = errors.New("the outcome is not known")

func (u *unsure) lost(err error) error {
	if u.fail {
		u.fail = false
		return errUnknown
	}
	return err
}

func (u *unsure) Claim(ctx context.Context, c signal.Claim) (signal.Claimed, error) {
	claimed, err := u.Store.Claim(ctx, c)
	return claimed, u.lost(err)
}

func (u *unsure) Release(ctx context.Context, user signal.UserName, id signal.ConnectionID, tat lane.TAT) (signal.Released, error) {
	released, err := u.Store.Release(ctx, user, id, tat)
	return released, u.lost(err)
}

// What took effect without an answer is told when it is tried again.
func TestUnknownOutcomes(t *testing.T) {
	var is told
	records := &unsure{Store: memory.New()}
	s, ctx := NewStore(records, is.add, time.Now), t.Context()
	records.fail = true
	for range 2 {
		_, _ = s.Claim(ctx, claim("alice", "1", ""))
	}
	if got := is.said(); got != "connected alice 1" {
		t.Errorf("told %q", got)
	}
	records.fail = true
	for range 2 {
		_, _ = s.Release(ctx, "alice", "1", 0)
	}
	if got := is.said(); got != "left alice 1" {
		t.Errorf("told %q", got)
	}
	records.fail = true
	_, _ = s.Claim(ctx, claim("alice", "2", ""))
	_, _ = s.Release(ctx, "alice", "2", 0)
	if got := is.said(); got != "connected alice 2, left alice 2" {
		t.Errorf("told %q", got)
	}
}

// However many claim and release a name at a time, what is told is a history: each
// event follows from the one before, and the last one says who owns the name.
func TestHistoryIsToldInOrder(t *testing.T) {
	var is told
	s, ctx := NewStore(memory.New(), is.add, time.Now), t.Context()
	users := []signal.UserName{"alice", "bob"}
	var all sync.WaitGroup
	for n := range 200 {
		all.Go(func() {
			id := fmt.Sprint(n)
			c := claim(string(users[n%2]), id, "")
			for {
				claimed, err := s.Claim(ctx, c)
				if err != nil {
					t.Error(err)
					return
				}
				if claimed.Owner.ID == c.Peer.ID {
					break
				}
				c.Expect = claimed.Owner.ID
			}
			if n%3 == 0 {
				_, _ = s.Release(ctx, c.User, c.Peer.ID, 0)
			}
		})
	}
	all.Wait()
	wantRising(t, is.events)
	connected := 0
	for _, user := range users {
		var owner signal.ConnectionID
		for _, e := range is.events {
			switch {
			case e.User != user:
			case e.Kind == Connected && owner == "":
				owner = e.Connection
				connected++
			case e.Kind != Connected && owner == e.Connection:
				owner = ""
			default:
				t.Fatalf("%+v while %q is the owner", e, owner)
			}
		}
		is, err := s.Owner(ctx, user, at)
		if is.ID != owner || err != nil && !errors.Is(err, signal.ErrOffline) {
			t.Errorf("%s: %q is the owner, not %q, %v", user, is.ID, owner, err)
		}
	}
	if connected != 200 || !slices.ContainsFunc(is.events, func(e Event) bool { return e.Kind == Superseded }) {
		t.Errorf("%d have connected", connected)
	}
}
