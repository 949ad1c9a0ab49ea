package storetest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// now is the suite's time: whole seconds, as the time to live has them.
const now = lane.Instant(1_800_000_000_000)

// contract holds a store against the contract of a [signal.Store]. The suite
// names its records so that it can run on a store that holds others.
func contract(t *testing.T, store signal.Store) {
	s := &suite{Store: store}
	for _, c := range []struct {
		name string
		test func(*testing.T)
	}{
		{"create, get, end", s.records},
		{"what has ended is kept for a while", s.ends},
		{"a session goes on once", s.successions},
		{"an expired record is absent", s.expiry},
		{"an update is made or hands back the record", s.updates},
		{"any update does what the pure record does", s.updatesAsPure},
		{"held frames come back as they were", s.frames},
		{"a run is fetched until it is finished", s.runs},
		{"what can be held is bounded", s.bounds},
		{"hold against finish loses no frame", s.holdAgainstFinish},
		{"what is known of a client comes back as it was", s.clients},
		{"a connection that is revoked does nothing new", s.revoked},
		{"an update may ask which protocol is spoken", s.spoken},
		{"the segments hold every connection once", s.scans},
		{"scan ends with its context", s.scanEnds},
		{"claim, route, release", s.ownership},
		{"an ownership that has just ended is still fenced off", s.justEnded},
		{"a repeated claim is answered like the first", s.repeatedClaim},
		{"a claim is made over the owner that it expects", s.expectedOwner},
		{"the newest claim wins", s.newestClaim},
		{"50 concurrent claims have one winner", s.concurrentClaims},
		{"a late release changes nothing", s.lateRelease},
		{"sequence numbers are consecutive under 50 writers", s.sequence},
		{"epochs", s.epochs},
		{"awkward names", s.names},
		{"what was posted is kept, each number once", s.history},
		{"history is whole from where its user's client recovers", s.keptAfter},
		{"history is deleted once its record says so", s.historyEnds},
		{"of a post and a void number one comes first", s.postAgainstVoid},
		{"a lobby, from its opening to the upgrade", s.lobbies},
		{"an expired lobby is absent", s.lobbiesEnd},
		{"any move of a lobby does what the pure record does", s.lobbiesAsPure},
		{"the polls of a lobby are bounded", s.lobbyPolls},
		{"20 concurrent claims of a lobby have one winner", s.lobbyRace},
		{"an expired lobby is deleted in passing", s.lobbiesGo},
		{"who watches a user", s.watching},
		{"who has ended does not watch", s.notWatching},
		{"the number of a user's presence rises", s.presenceRises},
		{"a watch lasts as long as its connection", s.watchOutlives},
		{"what a connection watches is bounded", s.watchedAtMost},
		{"who watches a user is bounded", s.watchersAtMost},
		{"a watch against a claim misses nothing", s.watchAgainstClaim},
		{"a scan finds who is owed something", s.owes},
	} {
		t.Run(c.name, c.test)
	}
}

type suite struct {
	signal.Store
	ids atomic.Int64
}

var ctx = context.Background()

func (s *suite) unique() string {
	return fmt.Sprintf("t%d-%d", time.Now().UnixNano(), s.ids.Add(1))
}

func (s *suite) peer() signal.Peer {
	return signal.Peer{ID: signal.ConnectionID(s.unique() + "="), Endpoint: "https://api.example/prod", Protocol: signal.EIO4}
}

func (s *suite) create(t testing.TB) signal.Connection {
	t.Helper()
	c := signal.Connection{Peer: s.peer(), Since: now, Expires: now.Add(time.Hour), Lane: lane.New()}
	if err := s.Create(ctx, c); err != nil {
		t.Fatal(err)
	}
	return c
}

// opening opens a lane for alice.
func opening(m lane.Move) signal.Update {
	return signal.Update{Move: m, Opening: &signal.Opening{User: "alice"}}
}

// open makes a move that opens the lane of c at number 0.
func (s *suite) open(t testing.TB, c signal.Connection) signal.Connection {
	t.Helper()
	c, made := s.update(t, c.ID, opening(start(c)))
	if !made {
		t.Fatal("lane did not open")
	}
	return c
}

// start returns the move that opens the lane of c at number 0.
func start(c signal.Connection) lane.Move {
	return c.Lane.Start(lane.StartAt(0).Lane(), "opener", now)
}

func (s *suite) move(t testing.TB, id signal.ConnectionID, m lane.Move) (signal.Connection, bool) {
	t.Helper()
	return s.update(t, id, signal.Update{Move: m})
}

func (s *suite) update(t testing.TB, id signal.ConnectionID, u signal.Update) (signal.Connection, bool) {
	t.Helper()
	c, made, err := s.Update(ctx, id, u, now)
	if err != nil {
		t.Fatalf("%s: %v", u.Kind, err)
	}
	return c, made || u.Made(c.Lane) // a request that was sent again after its answer was lost
}

func (s *suite) records(t *testing.T) {
	c := s.create(t)
	got, err := s.Get(ctx, c.ID, now)
	equal(t, got, c, err)

	opened := s.open(t, c)
	if err := s.Create(ctx, c); err != nil {
		t.Fatalf("create again: %v", err)
	}
	got, err = s.Get(ctx, c.ID, now)
	equal(t, got, opened, err)
	if got.User != "alice" {
		t.Fatalf("user is %q", got.User)
	}

	got, err = s.End(ctx, c.ID, now)
	equal(t, got, opened, err)
	s.wantAbsent(t, c.ID)
}

// ends: a connection ends without a trace for all but those who ask for ended
// ones, and is kept for a while, or, for its session, as long as it would have
// been.
func (s *suite) ends(t *testing.T) {
	for session, expires := range map[string]lane.Instant{"": now.Add(signal.EndedLife), "s": now.Add(time.Hour)} {
		c := s.ended(t, session)
		if c.Expires != expires {
			t.Errorf("session %q: it expires after %v", session, c.Expires.Sub(now))
		}
		for _, at := range []struct {
			lane.Instant
			want error
		}{{expires - 1000, nil}, {expires, signal.ErrNoConnection}} { // a second: dynamo's
			if err := s.Delete(ctx, c.ID, at.Instant); err != nil {
				t.Fatal(err)
			}
			if _, err := s.GetEnded(ctx, c.ID, now); !errors.Is(err, at.want) {
				t.Errorf("session %q, deleted %v before its end: %v", session, expires.Sub(at.Instant), err)
			}
		}
		if err := s.Delete(ctx, c.ID, expires); err != nil {
			t.Errorf("deleted again: %v", err)
		}
		c = s.ended(t, session)
		if _, err := s.GetEnded(ctx, c.ID, c.Expires); !errors.Is(err, signal.ErrNoConnection) {
			t.Errorf("get ended at the end: %v", err)
		}
	}
	if _, err := s.GetEnded(ctx, s.peer().ID, now); !errors.Is(err, signal.ErrNoConnection) {
		t.Errorf("get ended of a connection that never was: %v", err)
	}
}

// ended returns a connection that has ended.
func (s *suite) ended(t *testing.T, session string) signal.Connection {
	c := signal.Connection{Peer: s.peer(), Since: now, Expires: now.Add(time.Hour), Until: now.Add(time.Minute), Session: session, Lane: lane.New()}
	if err := s.Create(ctx, c); err != nil {
		t.Fatal(err)
	}
	c = s.open(t, c)
	take := lane.Take([]lane.Numbered{{N: 1, Frame: lane.Frame{To: "bob"}}}, "me", now)
	c, _ = s.move(t, c.ID, take)
	c, _ = s.hold(t, c, 3, lane.Held{Frame: lane.Frame{To: "bob", Data: []byte("x")}, At: now})
	got, err := s.GetEnded(ctx, c.ID, now)
	equal(t, got, c, err)

	ended := c.Lane
	ended.Held = nil
	finish := signal.Update{Move: ended.Finish(nil, false, "me", now), Ended: true}
	if _, made := s.update(t, c.ID, finish); made {
		t.Error("an update for a connection that has ended was made on one that has not")
	}
	got, err = s.End(ctx, c.ID, now)
	equal(t, got, c, err)
	s.wantAbsent(t, c.ID)

	c = c.EndedAt(now)
	got, err = s.GetEnded(ctx, c.ID, now)
	equal(t, got, c, err)
	got, made := s.update(t, c.ID, finish)
	c = c.Applied(finish)
	if equal(t, got, c, nil); !made {
		t.Error("the owner at work could not finish")
	}
	if err := s.Create(ctx, signal.Connection{Peer: c.Peer, Expires: c.Expires, Lane: lane.New()}); err != nil {
		t.Fatal(err)
	}
	s.wantAbsent(t, c.ID)
	return c
}

// successions: of those who would go on with a session one does.
func (s *suite) successions(t *testing.T) {
	c := s.ended(t, "s")
	succeed := func(from, to signal.ConnectionID) bool {
		t.Helper()
		got, made := s.update(t, c.ID, signal.Update{Move: c.Lane.Resume(), Ended: true, Succession: &signal.Succession{From: from, To: to}})
		if made && got.Next != to {
			t.Errorf("the next is %q, want %q", got.Next, to)
		}
		return made
	}
	for _, x := range []struct {
		from, to signal.ConnectionID
		want     bool
	}{{"a", "b", false}, {"", "a", true}, {"", "b", false}, {"b", "c", false}, {"a", "b", true}} {
		if made := succeed(x.from, x.to); made != x.want {
			t.Errorf("from %q to %q: made %v", x.from, x.to, made)
		}
	}
	got, err := s.GetEnded(ctx, c.ID, now)
	c.Next = "b"
	equal(t, got, c, err)
}

// wantAbsent sees that nothing is to be had of a connection.
func (s *suite) wantAbsent(t *testing.T, id signal.ConnectionID) {
	t.Helper()
	for _, f := range []func() error{
		func() error { _, err := s.End(ctx, id, now); return err },
		func() error { _, err := s.Get(ctx, id, now); return err },
		func() error {
			_, _, err := s.Update(ctx, id, signal.Update{Move: lane.Take([]lane.Numbered{{N: 1}}, "me", now)}, now)
			return err
		},
	} {
		if err := f(); !errors.Is(err, signal.ErrNoConnection) {
			t.Errorf("without a record: %v", err)
		}
	}
}

func (s *suite) expiry(t *testing.T) {
	c := s.open(t, s.create(t))
	for _, at := range []struct {
		lane.Instant
		want error
	}{{c.Expires - 1, nil}, {c.Expires, signal.ErrNoConnection}} {
		take := lane.Take([]lane.Numbered{{N: c.Lane.Taken + 1}}, "me", now)
		take.Guard.Holder = lane.Is("nobody") // does not hold: nothing changes
		if _, _, err := s.Update(ctx, c.ID, signal.Update{Move: take}, at.Instant); !errors.Is(err, at.want) {
			t.Errorf("update at %d: %v, want %v", at.Instant, err, at.want)
		}
		if _, err := s.Get(ctx, c.ID, at.Instant); !errors.Is(err, at.want) {
			t.Errorf("get at %d: %v, want %v", at.Instant, err, at.want)
		}
	}

	name, until := signal.UserName(s.unique()), now.Add(time.Hour)
	s.claim(t, name, s.peer(), now, until)
	if _, err := s.Route(ctx, name, 1, until-1); err != nil {
		t.Errorf("route before the end: %v", err)
	}
	if _, err := s.Route(ctx, name, 1, until); !errors.Is(err, signal.ErrOffline) {
		t.Errorf("route at the end: %v", err)
	}
	if _, err := s.Owner(ctx, name, until); !errors.Is(err, signal.ErrOffline) {
		t.Errorf("owner at the end: %v", err)
	}
	over := until.Add(signal.FenceAfter)
	if _, met := s.claim(t, name, s.peer(), over, over.Add(time.Hour)); met != nil { // although no later claim has ended it
		t.Errorf("long after its end the claim met %v", met)
	}
}

func (s *suite) updates(t *testing.T) {
	c := s.open(t, s.create(t))
	first := lane.Take([]lane.Numbered{{N: 1, Frame: lane.Frame{To: "bob"}}}, "me", now)
	c, made := s.move(t, c.ID, first)
	if !made || c.Lane.Taken != 1 || c.Lane.Done != 0 || c.Lane.Holder != "me" || c.Lane.LeasedAt != now || c.User != "alice" {
		t.Fatalf("take: made %v, %+v", made, c)
	}
	back, made := s.move(t, c.ID, lane.Take([]lane.Numbered{{N: 1, Frame: lane.Frame{To: "bob"}}}, "you", now))
	if made {
		t.Fatal("the same number was taken twice")
	}
	equal(t, back, c, nil)
	if !first.Made(back.Lane) {
		t.Error("one's own move is not recognised")
	}
	if _, made = s.move(t, c.ID, lane.Take([]lane.Numbered{{N: 2}}, "you", now)); made {
		t.Error("a number was taken while an owner is at work")
	}
}

// updatesAsPure makes random updates, most of which are refused for one guard
// or another, on the store and on a record in memory.
func (s *suite) updatesAsPure(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		want := s.create(t)
		got := want
		ctx, lost := watched(ctx)
		for range rapid.IntRange(1, 12).Draw(r, "updates") {
			u := drawUpdate(r, got.Lane, s.unique())
			var made bool
			var err error
			got, made, err = s.Update(ctx, want.ID, u, now)
			switch {
			case lost.Load() > 0:
				return // it was made twice, perhaps
			case err != nil:
				r.Fatalf("%+v: %v", u, err)
			}
			if made != want.Allows(u, now) {
				r.Fatalf("made %v, the pure record says otherwise\nlane %+v\nupdate %+v", made, want.Lane, u)
			}
			if made {
				want = want.Applied(u)
			}
			if !reflect.DeepEqual(normal(got), normal(want)) {
				r.Fatalf("after %+v\n got %+v\nwant %+v", u, got, want)
			}
			fetched, err := s.Fetch(ctx, want.ID, heldBy(got))
			if said, wanted := says(fetched), says(heldBy(want)); err != nil || !slices.Equal(said, wanted) {
				r.Fatalf("after %+v\nheld %q\nwant %q, %v", u, said, wanted, err)
			}
		}
	})
}

// drawGuard draws a guard that holds now and then; each condition may be
// missing.
func drawGuard(r *rapid.T, l lane.Lane) lane.Guard {
	near := func(label string, v int64) int64 {
		return v + rapid.SampledFrom([]int64{0, 0, 0, 0, 0, 1, -1}).Draw(r, label)
	}
	asks := func(label string, oneIn int) bool { return rapid.IntRange(1, oneIn).Draw(r, "ask "+label) == 1 }
	var g lane.Guard
	if !asks("nothing of done", 5) {
		g.Done = lane.Is(near("done", l.Done))
	}
	if !asks("nothing of taken", 5) {
		g.Taken = lane.Is(near("taken", l.Taken))
	}
	if asks("what is below", 4) {
		g.TakenBelow = lane.Is(l.Taken + rapid.Int64Range(0, 2).Draw(r, "below"))
	}
	if asks("holder", 2) {
		g.Holder = lane.Is(rapid.SampledFrom([]string{l.Holder, "", "a", "b"}).Draw(r, "holder"))
	}
	if asks("held", 2) {
		g.Held = lane.Is(rapid.SampledFrom([]int{len(l.Held), len(l.Held), len(l.Held) + 1}).Draw(r, "held"))
	}
	if asks("vacancy", 3) {
		g.Vacant = rapid.SliceOfN(rapid.Int64Range(0, 9), 1, 2).Draw(r, "vacant")
	}
	if asks("lease", 4) {
		g.LeasedAt = lane.Is(rapid.SampledFrom([]lane.Instant{l.LeasedAt, l.LeasedAt, 0, 1}).Draw(r, "leased at"))
	}
	if asks("bucket", 4) {
		g.TAT = lane.Is(lane.TAT(near("tat", int64(l.TAT))))
	}
	if asks("unnumbered", 3) {
		g.Unnumbered = lane.Is(rapid.SampledFrom([]lane.Unnumbered{{}, {ID: 1, By: 2}, {ID: 3}}).Draw(r, "newest"))
	}
	return g
}

// drawUpdate draws an update, by an invocation of that name if it holds a frame.
func drawUpdate(r *rapid.T, l lane.Lane, by string) signal.Update {
	holder := rapid.SampledFrom([]string{"", "a", "b"})
	u := signal.Update{Move: lane.Move{Kind: "random", Guard: drawGuard(r, l)}}
	u.NotRevoked = rapid.Bool().Draw(r, "ask validity")
	c := &u.Change
	c.Done, c.Taken = rapid.Int64Range(-2, 9).Draw(r, "done'"), rapid.Int64Range(-2, 9).Draw(r, "taken'")
	c.Holder = holder.Draw(r, "holder'")
	c.LeasedAt = lane.Instant(rapid.Int64Range(0, 3).Draw(r, "leased at'"))
	c.TAT = lane.TAT(rapid.Int64Range(0, 3).Draw(r, "tat'"))
	switch rapid.IntRange(0, 7).Draw(r, "what") {
	case 0:
		c.Open = new(rapid.Int64Range(-1, 9).Draw(r, "open"))
		u.Opening = &signal.Opening{
			User:       "alice",
			Until:      rapid.SampledFrom([]lane.Instant{0, now, now + 1}).Draw(r, "until"),
			Attributes: rapid.SampledFrom([]map[string]string{nil, {"role": "doctor", "empty": ""}}).Draw(r, "attributes"),
		}
	case 1:
		for _, n := range rapid.SliceOfNDistinct(rapid.Int64Range(0, 9), 1, 3, rapid.ID).Draw(r, "hold") {
			c.Hold = append(c.Hold, lane.HeldFrame{N: n, Held: lane.Held{
				Frame: lane.Frame{
					To:   rapid.String().Draw(r, "to"),
					Data: rapid.SliceOfN(rapid.Byte(), 1, 20).Draw(r, "data"),
					Code: rapid.SampledFrom([]lane.Code{lane.OK, 1, lane.CodeUnknownUser}).Draw(r, "code"),
					Asks: rapid.SampledFrom([]lane.Question{lane.AsksNothing, lane.AsksName, lane.AsksICE}).Draw(r, "asks"),
				},
				By: by, At: now,
			}})
			u.Guard.Vacant = append(u.Guard.Vacant, n)
		}
	case 2:
		for _, n := range slices.Sorted(maps.Keys(l.Held)) {
			if rapid.Bool().Draw(r, "unhold") {
				c.Unhold = append(c.Unhold, lane.Numbered{N: n, Frame: l.Held[n].Frame})
			}
		}
		u.Guard.Held = lane.Is(len(l.Held))
	case 3:
		c.Outcomes = &lane.Outcomes{After: 3, Undelivered: []lane.Undelivered{{From: 4, To: 5, Code: lane.CodeServer}}}
	case 4:
		u.Revocation = &signal.Revocation{Code: lane.CodeWrongToken, By: "me", At: now}
	case 5:
		c.Unnumbered = []lane.Unnumbered{rapid.SampledFrom([]lane.Unnumbered{{ID: 1, By: 2}, {ID: 3}}).Draw(r, "unnumbered"), {ID: 1 << 63, By: 1 << 31}}
	case 6:
		to := rapid.SampledFrom([]signal.ConnectionID{"a", "b"})
		u.Succession = &signal.Succession{From: rapid.SampledFrom([]signal.ConnectionID{"", "a", "b"}).Draw(r, "from"), To: to.Draw(r, "to")}
	case 7:
		c.Finished = lane.Digests{Last: rapid.Int64Range(-1, signal.MaxNumber).Draw(r, "last"), Sums: rapid.SliceOfN(rapid.Uint32(), 0, lane.MaxDigests).Draw(r, "finished")}
		c.Taking = lane.Digests{Last: rapid.Int64Range(-1, 9).Draw(r, "last taken"), Sums: rapid.SliceOfN(rapid.Uint32(), 0, 2).Draw(r, "taking")}
	}
	return u
}

func (s *suite) frames(t *testing.T) {
	c := s.open(t, s.create(t))
	data := []byte(`{"a":1.10,"b":"<é\u0000>"}` + "\u2028")
	frame := lane.Held{Frame: lane.Frame{To: "用户1", Data: data}, By: "me", At: now}
	for _, n := range []int64{3, signal.MaxNumber} {
		c, made := s.hold(t, c, n, frame)
		if !made {
			t.Fatalf("frame %d was not held", n)
		}
		if got := c.Lane.Held[n]; got.By != "me" || got.At != now || got.Len() != frame.Len() {
			t.Fatalf("held %+v, came back %+v", frame, got)
		}
		got := s.fetch(t, c.ID, heldBy(c)...)
		if last := got[len(got)-1]; !bytes.Equal(last.Data, data) || last.To != frame.To {
			t.Fatalf("held %+v, came back %+v", frame, last)
		}
	}
}

// runs: what was held is fetched by who has taken it, in order and byte for byte,
// as often as that takes until it is finished.
func (s *suite) runs(t *testing.T) {
	const frames = lane.MaxHeld // more than DynamoDB reads, and deletes, at once
	c := s.open(t, s.create(t))
	c, _ = s.move(t, c.ID, lane.Take([]lane.Numbered{{N: 1, Frame: lane.Frame{Data: []byte("1")}}}, "owner", now))
	for n := int64(frames) + 1; n > 1; n-- {
		f := lane.Frame{To: "bob", Data: fmt.Appendf(nil, "data %d", n)}
		if n%10 == 0 {
			f = lane.Frame{Asks: lane.AsksICE} // says nothing
		}
		c, _ = s.hold(t, c, n, lane.Held{Frame: f, By: s.unique(), At: now})
	}
	m := c.Lane.Finish(nil, true, "owner", now)
	c, made := s.move(t, c.ID, m)
	if !made || len(m.Run) != frames {
		t.Fatalf("made %v with %d of %d frames", made, len(m.Run), frames)
	}
	for range 2 {
		for i, f := range s.fetch(t, c.ID, m.Run...) {
			want := fmt.Sprintf("%d bob data %[1]d", i+2)
			if f.Asks == lane.AsksICE {
				want = fmt.Sprintf("%d  ", i+2)
			}
			if got := says([]lane.Numbered{f})[0]; got != want {
				t.Errorf("fetched %q, want %q", got, want)
			}
		}
	}
	u := signal.Update{Move: c.Lane.Finish(nil, true, "owner", now), Spent: m.Run}
	if c, made = s.update(t, c.ID, u); !made || c.Lane.Size != 0 {
		t.Errorf("finished %v, %d bytes are held", made, c.Lane.Size)
	}
}

// fetch fetches frames.
func (s *suite) fetch(t testing.TB, id signal.ConnectionID, frames ...lane.Numbered) []lane.Numbered {
	t.Helper()
	fetched, err := s.Fetch(ctx, id, frames)
	if err != nil || len(fetched) != len(frames) {
		t.Fatalf("%d of %d frames fetched, %v", len(fetched), len(frames), err)
	}
	return fetched
}

// heldBy is what a connection holds, in order.
func heldBy(c signal.Connection) (frames []lane.Numbered) {
	for _, n := range slices.Sorted(maps.Keys(c.Lane.Held)) {
		frames = append(frames, lane.Numbered{N: n, Frame: c.Lane.Held[n].Frame})
	}
	return frames
}

// says is what frames say.
func says(frames []lane.Numbered) (all []string) {
	for _, f := range frames {
		all = append(all, fmt.Sprintf("%d %s %s", f.N, f.To, f.Data))
	}
	return all
}

func (s *suite) hold(t testing.TB, c signal.Connection, n int64, h lane.Held) (signal.Connection, bool) {
	return s.move(t, c.ID, holding(n, h))
}

// holding is the move that holds a frame.
func holding(n int64, h lane.Held) lane.Move {
	return lane.Move{
		Kind:   lane.KindHold,
		Guard:  lane.Guard{TakenBelow: lane.Is(n), Vacant: []int64{n}},
		Change: lane.Change{Hold: []lane.HeldFrame{{N: n, Held: h}}},
	}
}

func (s *suite) bounds(t *testing.T) {
	c := s.open(t, s.create(t))
	for n := range int64(lane.MaxHeld) {
		if _, made := s.hold(t, c, n+2, lane.Held{At: now}); !made {
			t.Fatalf("frame %d of %d was not held", n+1, lane.MaxHeld)
		}
	}
	if _, made := s.hold(t, c, lane.MaxHeld+2, lane.Held{At: now}); made {
		t.Errorf("more than %d frames were held", lane.MaxHeld)
	}

	c = s.open(t, s.create(t))
	half := lane.Held{Frame: lane.Frame{Data: make([]byte, lane.MaxHeldBytes/2)}, At: now}
	for n := range int64(2) {
		if _, made := s.hold(t, c, n+2, half); !made {
			t.Fatalf("%d of %d bytes were not held", (n+1)*lane.MaxHeldBytes/2, lane.MaxHeldBytes)
		}
	}
	if _, made := s.hold(t, c, 4, lane.Held{Frame: lane.Frame{Data: []byte("x")}, At: now}); made {
		t.Errorf("more than %d bytes were held", lane.MaxHeldBytes)
	}

	early := func(c signal.Connection, n int64, size int) bool {
		m := holding(n, lane.Held{Frame: lane.Frame{Data: make([]byte, size)}, At: now})
		m.Guard.Early = true
		_, made := s.move(t, c.ID, m)
		return made
	}
	c = s.create(t)
	for n := range int64(lane.MaxEarly) {
		if !early(c, n+1, 1) {
			t.Fatalf("before the authentication, frame %d of %d was not held", n+1, lane.MaxEarly)
		}
	}
	if early(c, lane.MaxEarly+1, 1) {
		t.Errorf("before the authentication, more than %d frames were held", lane.MaxEarly)
	}
	c = s.create(t)
	if early(c, 1, lane.MaxEarlyBytes+1) || !early(c, 1, lane.MaxEarlyBytes) || early(c, 2, 1) {
		t.Errorf("before the authentication, not just %d bytes were held", lane.MaxEarlyBytes)
	}
}

// holdAgainstFinish lets frames be held while a lease is finished again and
// again. Every frame that was held must be taken along, or still be there.
func (s *suite) holdAgainstFinish(t *testing.T) {
	const frames = 40
	c := s.open(t, s.create(t))
	c, _ = s.move(t, c.ID, lane.Take([]lane.Numbered{{N: 1, Frame: lane.Frame{Data: []byte("1")}}}, "owner", now))

	var wg sync.WaitGroup
	for n := int64(2); n <= frames; n++ {
		wg.Go(func() {
			id := strconv.FormatInt(n, 10)
			frame := []lane.Numbered{{N: n, Frame: lane.Frame{Data: []byte(id)}}}
			l := c.Lane
			for {
				d := l.DecideArrival(frame, id, lane.Observed{}, now)
				if d.Move.Kind == "" {
					if len(d.Finished) > 0 {
						t.Errorf("frame %d: finished with %v before it was posted", n, d.Finished[0].Code)
					}
					return
				}
				after, made := s.move(t, c.ID, d.Move)
				if made && d.Move.Kind == lane.KindTake {
					t.Errorf("frame %d was taken while another invocation holds the lease", n)
				}
				if made {
					return
				}
				l = after.Lane
			}
		})
	}
	var taken []int64
	for l := c.Lane; len(taken) < frames-1; {
		m := finish(l)
		after, made := s.move(t, c.ID, m)
		if made {
			for _, f := range m.Run {
				taken = append(taken, f.N)
			}
		}
		l = after.Lane
	}
	wg.Wait()
	if !slices.IsSorted(taken) || len(slices.Compact(taken)) != frames-1 {
		t.Fatalf("taken along: %v", taken)
	}
}

// finish finishes a holder's numbers and takes the next frame, but never leaves
// the lane idle.
func finish(l lane.Lane) lane.Move {
	m := l.Finish(nil, false, "owner", now)
	m.Change.Done, m.Change.LeasedAt = l.Done, now
	if h, ok := l.Held[l.Taken+1]; ok {
		m.Run = []lane.Numbered{{N: l.Taken + 1, Frame: h.Frame}}
		m.Change.Unhold, m.Change.Done, m.Change.Taken = m.Run, l.Taken, l.Taken+1
	}
	return m
}

func (s *suite) clients(t *testing.T) {
	for _, client := range []signal.Client{
		{},
		{Type: "Android", Version: "4.3.1", Address: "2001:db8::1"},
		{Address: "192.0.2.1", Headers: map[string]string{"user-agent": "用户 \"1\"", "x-empty": ""}},
	} {
		c := signal.Connection{Peer: s.peer(), Client: client, JoinsLate: client.Type != "", Since: now, Expires: now.Add(time.Hour), Lane: lane.New()}
		if err := s.Create(ctx, c); err != nil {
			t.Fatal(err)
		}
		got, err := s.Get(ctx, c.ID, now)
		equal(t, got, c, err)
		opening := signal.Opening{User: "alice", Until: now + 1, Attributes: map[string]string{"role": "doctor", "empty": ""}}
		got, made := s.update(t, c.ID, signal.Update{Move: start(c), Opening: &opening})
		if !made || !reflect.DeepEqual(got.Client, client) || got.Until != opening.Until || !reflect.DeepEqual(got.Attributes, opening.Attributes) {
			t.Errorf("made %v, came back %+v", made, got)
		}
		got, err = s.End(ctx, c.ID, now)
		if err != nil || !reflect.DeepEqual(got.Client, client) || got.Until != opening.Until || !reflect.DeepEqual(got.Attributes, opening.Attributes) {
			t.Errorf("ended %+v, %v", got, err)
		}
	}
}

// spoken: an update may ask what the connection speaks, and that its client has asked
// to join is kept.
func (s *suite) spoken(t *testing.T) {
	c := s.create(t)
	for _, test := range []struct {
		speaks []signal.Protocol
		made   bool
	}{
		{nil, true},
		{[]signal.Protocol{c.Protocol}, true},
		{[]signal.Protocol{"x", c.Protocol, "y"}, true},
		{[]signal.Protocol{"x"}, false},
		{[]signal.Protocol{"x", "y"}, false},
	} {
		got, made := s.update(t, c.ID, signal.Update{Move: c.Lane.Stay(), Speaks: test.speaks, Joining: true})
		if made != test.made || got.Protocol != c.Protocol || !got.Joining {
			t.Errorf("who speaks %q asks for %q: made %v, came back %+v", c.Protocol, test.speaks, made, got)
		}
	}
	c.Joining = true
	got, err := s.Get(ctx, c.ID, now)
	equal(t, got, c, err)
}

// revoked: by the clock of who asks, and then by every clock.
func (s *suite) revoked(t *testing.T) {
	c := s.create(t)
	until := now.Add(time.Minute)
	c, _ = s.update(t, c.ID, signal.Update{Move: start(c), Opening: &signal.Opening{User: "alice", Until: until}})
	try := func(notRevoked bool, at lane.Instant, revocation *signal.Revocation) bool {
		t.Helper()
		u := signal.Update{
			Move:       lane.Move{Kind: "test", Change: lane.Change{Done: c.Lane.Done, Taken: c.Lane.Taken}},
			NotRevoked: notRevoked, Revocation: revocation,
		}
		got, made, err := s.Update(ctx, c.ID, u, at)
		if err != nil || !made && got.Until != c.Until {
			t.Fatalf("%+v, %v", got, err)
		}
		c = got
		return made
	}
	first := signal.Revocation{Code: lane.CodeWrongToken, By: "me", At: now}
	for _, x := range []struct {
		notRevoked bool
		at         lane.Instant
		revocation *signal.Revocation
		want       bool
	}{
		{true, until - 1, nil, true},
		{true, until, nil, false},
		{false, until, nil, true},
		{true, until - 1, &first, true},
		{true, now, nil, false}, // by every clock
		{false, now, nil, true},
		{false, now, &signal.Revocation{Code: lane.CodeUnknownUser, By: "you", At: now + 1}, false}, // one is given it
	} {
		if made := try(x.notRevoked, x.at, x.revocation); made != x.want {
			t.Errorf("asked not to be revoked %v at %d: made %v", x.notRevoked, x.at-until, made)
		}
	}
	got, err := s.Get(ctx, c.ID, until.Add(time.Minute))
	if err != nil || got.Until != until || got.Revocation != first || !got.Revoked(now) {
		t.Errorf("record of a connection that has ended: %+v, %v", got, err)
	}
}

func (s *suite) scans(t *testing.T) {
	const connections = 30
	until := now.Add(time.Hour)
	want := make(map[signal.ConnectionID]signal.Connection)
	for i := range connections {
		c := s.create(t)
		if i%2 == 0 { // the others have not authenticated
			c = s.open(t, c)
			c, _ = s.hold(t, c, 5, lane.Held{Frame: lane.Frame{To: "bob", Data: []byte("data")}, By: "me", At: now})
			s.claim(t, signal.UserName(s.unique()), c.Peer, now, until) // no connection
		}
		c.Lane = lane.Lane{}
		want[c.ID] = c
	}
	gone := make(map[signal.ConnectionID]lane.Instant)
	for i, session := range []string{"", "", "s", "s"} {
		c := signal.Connection{Peer: s.peer(), Client: signal.Client{Type: "Web"}, Expires: until, Session: session, Lane: lane.New()}
		if err := s.Create(ctx, c); err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			c, _ = s.update(t, c.ID, signal.Update{
				Move: start(c), Revocation: &signal.Revocation{Code: lane.CodeWrongToken, By: "me", At: now},
				Opening: &signal.Opening{User: "alice", Until: now, Attributes: map[string]string{"role": "doctor"}},
			})
			c.Lane, c.Client, c.Attributes = lane.Lane{}, signal.Client{}, nil
			want[c.ID] = c
			continue
		}
		gone[c.ID] = c.EndedAt(now).Expires
		if _, err := s.End(ctx, c.ID, now); err != nil {
			t.Fatal(err)
		}
	}
	for _, segments := range []int{1, 2, 7, signal.Segments, 200} {
		seen := make(map[signal.ConnectionID]int)
		s.scan(t, segments, now, func(c signal.Connection) {
			if seen[c.ID]++; seen[c.ID] > 1 {
				t.Errorf("of %d segments, several hold connection %s", segments, c.ID)
			}
			if gone[c.ID] > 0 {
				t.Errorf("connection %s was seen, which has ended", c.ID)
			}
			if w, ok := want[c.ID]; ok {
				equal(t, c, w, nil)
			}
		})
		for id := range want {
			if seen[id] == 0 {
				t.Errorf("of %d segments, none holds connection %s", segments, id)
			}
		}
	}
	s.scan(t, 3, until-1, func(c signal.Connection) { delete(want, c.ID) })
	if len(want) > 0 {
		t.Errorf("just before their end, %d connections were not seen", len(want))
	}
	s.scan(t, 3, now.Add(signal.EndedLife), func(c signal.Connection) {
		if gone[c.ID] == c.Expires { // has been for a while
			delete(gone, c.ID)
		}
	})
	if len(gone) != 1 {
		t.Errorf("of two ended connections, one of them a session's, %d were not seen in the end", len(gone))
	}
	s.scan(t, 3, until, func(c signal.Connection) {
		if c.Expires > until {
			return // of another test
		}
		delete(gone, c.ID)
		if err := s.Delete(ctx, c.ID, until); err != nil {
			t.Error(err)
		}
	})
	if len(gone) > 0 {
		t.Error("an expired connection was not seen")
	}
	s.scan(t, 3, until, func(c signal.Connection) {
		if c.Expires <= until {
			t.Errorf("connection %s was seen after it was deleted", c.ID)
		}
	})
}

// scan goes through all segments at a time.
func (s *suite) scan(t *testing.T, segments int, now lane.Instant, f func(signal.Connection)) {
	t.Helper()
	var wg sync.WaitGroup
	var mu sync.Mutex
	next := make(chan int)
	for range min(segments, 8) {
		wg.Go(func() {
			for i := range next {
				err := s.Store.Scan(ctx, signal.Segment{Index: i, Of: segments}, now, func(c signal.Connection) {
					mu.Lock()
					defer mu.Unlock()
					f(c)
				}, func(signal.UserName) {})
				if err != nil {
					t.Errorf("segment %d of %d: %v", i, segments, err)
				}
			}
		})
	}
	for i := range segments {
		next <- i
	}
	close(next)
	wg.Wait()
}

func (s *suite) scanEnds(t *testing.T) {
	s.create(t)
	ended, end := context.WithCancel(ctx)
	end()
	err := s.Scan(ended, signal.Segment{Of: 1}, now, func(signal.Connection) { t.Error("a connection was seen after the end") }, func(signal.UserName) {})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v", err)
	}
}

func equal(t *testing.T, got, want signal.Connection, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(normal(got), normal(want)) {
		t.Fatalf("record\n got %+v\nwant %+v", got, want)
	}
}

// normal returns a record in which nothing is told apart that means the same. What
// held frames say is not in it, since a store may keep that apart.
func normal(c signal.Connection) signal.Connection {
	var held map[int64]lane.Held
	for n, h := range c.Lane.Held {
		if held == nil {
			held = make(map[int64]lane.Held)
		}
		h.To, h.Data, h.Body = "", nil, lane.Body{Len: h.Len(), Digest: h.Digest()}
		held[n] = h
	}
	c.Lane.Held = held
	if len(c.Lane.Undelivered) == 0 {
		c.Lane.Undelivered = nil
	}
	return c
}

func byID(a, b signal.Peer) int { return cmp.Compare(a.ID, b.ID) }
