// Package storetest is the contract of a [signal.Store]: one suite that every
// store passes, and the emulator of DynamoDB that it runs on.
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
)

// now is the suite's time: whole seconds, as the time to live has them.
const now = signal.Instant(1_800_000_000_000)

// Run holds a store against the contract. The suite names its records so that
// it can run on a store that holds others.
func Run(t *testing.T, store signal.Store) {
	s := &suite{Store: store}
	for _, c := range []struct {
		name string
		test func(*testing.T)
	}{
		{"admit, inspect, drop", s.records},
		{"what is left of a session can be recalled", s.sessions},
		{"an expired record is absent", s.expiry},
		{"a move is made or hands back the lane", s.moves},
		{"any move does what the pure lane does", s.movesAsPure},
		{"held frames come back as they were", s.frames},
		{"what can be held is bounded", s.bounds},
		{"hold against finish loses no frame", s.holdAgainstFinish},
		{"what is known of a client comes back as it was", s.clients},
		{"a connection that is barred takes on nothing new", s.barred},
		{"the segments hold every connection once", s.each},
		{"each ends with its context", s.eachEnds},
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

func (s *suite) admit(t testing.TB) signal.Connection {
	t.Helper()
	c := signal.Connection{Peer: s.peer(), Since: now, Expires: now.Add(time.Hour), Lane: signal.NewLane()}
	if err := s.Admit(ctx, c); err != nil {
		t.Fatal(err)
	}
	return c
}

// open makes a move that opens the lane of c at number 0.
func (s *suite) open(t testing.TB, c signal.Connection) signal.Connection {
	t.Helper()
	c, made := s.move(t, c.ID, signal.Move{
		Kind:   signal.KindOpen,
		Guard:  signal.Guard{Done: c.Lane.Done, Turn: c.Lane.Turn, Held: 0},
		Change: signal.Change{Owner: "opener", Opening: &signal.Opening{User: "alice", At: 0}},
	})
	if !made {
		t.Fatal("lane did not open")
	}
	return c
}

func (s *suite) move(t testing.TB, id signal.ConnectionID, m signal.Move) (signal.Connection, bool) {
	t.Helper()
	c, made, err := s.Move(ctx, id, m, now)
	if err != nil {
		t.Fatalf("%s: %v", m.Kind, err)
	}
	return c, made || m.Made(c.Lane) // a request that was sent again after its answer was lost
}

func (s *suite) records(t *testing.T) {
	c := s.admit(t)
	got, err := s.Inspect(ctx, c.ID, now)
	equal(t, got, c, err)

	opened := s.open(t, c)
	if err := s.Admit(ctx, c); err != nil {
		t.Fatalf("admit again: %v", err)
	}
	got, err = s.Inspect(ctx, c.ID, now)
	equal(t, got, opened, err)
	if got.User != "alice" {
		t.Fatalf("user is %q", got.User)
	}

	got, err = s.Drop(ctx, c.ID)
	equal(t, got, opened, err)
	s.wantNobody(t, c.ID)
	if _, err := s.Recall(ctx, c.ID, now); !errors.Is(err, signal.ErrNoConnection) {
		t.Errorf("recall without a session: %v", err)
	}
}

// sessions: a connection that has one ends without a trace for all but those
// who ask for what is left.
func (s *suite) sessions(t *testing.T) {
	c := signal.Connection{Peer: s.peer(), Since: now, Expires: now.Add(time.Hour), Until: now.Add(time.Minute), Session: "s", Lane: signal.NewLane()}
	if err := s.Admit(ctx, c); err != nil {
		t.Fatal(err)
	}
	c = s.open(t, c)
	take := signal.Take(1, signal.Frame{To: "bob"}, "me", now)
	c, _ = s.move(t, c.ID, take)
	c, _ = s.hold(t, c, 3, signal.Held{Frame: signal.Frame{To: "bob", Data: []byte("x")}, At: now})
	got, err := s.Recall(ctx, c.ID, now)
	equal(t, got, c, err)

	finish := finish(c.Lane)
	finish.Guard.Owner, finish.Guard.Held, finish.Guard.Ended = "me", 0, true
	finish.Change = signal.Change{Done: 1, Turn: 1, Owner: "me"}
	if _, made := s.move(t, c.ID, finish); made {
		t.Error("a move for a connection that has ended was made on one that has not")
	}
	got, err = s.Drop(ctx, c.ID)
	equal(t, got, c, err)
	s.wantNobody(t, c.ID)

	c.Ended, c.Lane.Held, c.Lane.Size = true, nil, 0
	got, err = s.Recall(ctx, c.ID, now)
	equal(t, got, c, err)
	got, made := s.move(t, c.ID, finish)
	c = c.Applied(finish)
	if equal(t, got, c, nil); !made {
		t.Error("the owner at work could not finish")
	}
	if err := s.Admit(ctx, signal.Connection{Peer: c.Peer, Expires: c.Expires, Lane: signal.NewLane()}); err != nil {
		t.Fatal(err)
	}
	s.wantNobody(t, c.ID)
	if _, err := s.Recall(ctx, c.ID, c.Expires); !errors.Is(err, signal.ErrNoConnection) {
		t.Errorf("recall at the end: %v", err)
	}
	if _, err := s.Recall(ctx, s.peer().ID, now); !errors.Is(err, signal.ErrNoConnection) {
		t.Errorf("recall of a connection that never was: %v", err)
	}
}

// wantNobody sees that nothing is to be had of a connection.
func (s *suite) wantNobody(t *testing.T, id signal.ConnectionID) {
	t.Helper()
	for _, f := range []func() error{
		func() error { _, err := s.Drop(ctx, id); return err },
		func() error { _, err := s.Inspect(ctx, id, now); return err },
		func() error {
			_, _, err := s.Move(ctx, id, signal.Take(1, signal.Frame{}, "me", now), now)
			return err
		},
	} {
		if err := f(); !errors.Is(err, signal.ErrNoConnection) {
			t.Errorf("without a record: %v", err)
		}
	}
}

func (s *suite) expiry(t *testing.T) {
	c := s.open(t, s.admit(t))
	for _, at := range []struct {
		signal.Instant
		want error
	}{{c.Expires - 1, nil}, {c.Expires, signal.ErrNoConnection}} {
		take := signal.Take(c.Lane.Turn+1, signal.Frame{}, "me", now)
		take.Guard.Owner = "nobody" // does not hold: nothing changes
		if _, _, err := s.Move(ctx, c.ID, take, at.Instant); !errors.Is(err, at.want) {
			t.Errorf("move at %d: %v, want %v", at.Instant, err, at.want)
		}
		if _, err := s.Inspect(ctx, c.ID, at.Instant); !errors.Is(err, at.want) {
			t.Errorf("inspect at %d: %v, want %v", at.Instant, err, at.want)
		}
	}

	name, until := signal.UserName(s.unique()), now.Add(time.Hour)
	s.claim(t, name, s.peer(), now, until)
	if _, err := s.Route(ctx, name, until-1); err != nil {
		t.Errorf("route before the end: %v", err)
	}
	if _, err := s.Route(ctx, name, until); !errors.Is(err, signal.ErrOffline) {
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

func (s *suite) moves(t *testing.T) {
	c := s.open(t, s.admit(t))
	first := signal.Take(1, signal.Frame{To: "bob"}, "me", now)
	c, made := s.move(t, c.ID, first)
	if !made || c.Lane.Turn != 1 || c.Lane.Done != 0 || c.Lane.Owner != "me" || c.Lane.TurnAt != now || c.User != "alice" {
		t.Fatalf("take: made %v, %+v", made, c)
	}
	back, made := s.move(t, c.ID, signal.Take(1, signal.Frame{To: "bob"}, "you", now))
	if made {
		t.Fatal("the same number was taken twice")
	}
	equal(t, back, c, nil)
	if !first.Made(back.Lane) {
		t.Error("one's own move is not recognised")
	}
	if _, made = s.move(t, c.ID, signal.Take(2, signal.Frame{}, "you", now)); made {
		t.Error("a number was taken while an owner is at work")
	}
}

// movesAsPure makes random moves, most of which are refused for one guard or
// another, on the store and on a lane in memory.
func (s *suite) movesAsPure(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		want := s.admit(t)
		for range rapid.IntRange(1, 12).Draw(r, "moves") {
			m := drawMove(r, want.Lane)
			got, made, err := s.Move(ctx, want.ID, m, now)
			if err != nil {
				r.Fatalf("%+v: %v", m, err)
			}
			if made != want.Allows(m, now) {
				r.Fatalf("made %v, the pure lane says otherwise\nlane %+v\nmove %+v", made, want.Lane, m)
			}
			if made {
				want = want.Applied(m)
			}
			if !reflect.DeepEqual(normal(got), normal(want)) {
				r.Fatalf("after %+v\n got %+v\nwant %+v", m, got, want)
			}
		}
	})
}

func drawMove(r *rapid.T, l signal.Lane) signal.Move {
	near := func(label string, v int64) int64 {
		return v + rapid.SampledFrom([]int64{0, 0, 0, 0, 0, 1, -1}).Draw(r, label)
	}
	owner := rapid.SampledFrom([]string{"", "a", "b"})
	m := signal.Move{Kind: "random", Guard: signal.Guard{
		Done: near("done", l.Done), Turn: near("turn", l.Turn),
		Owner: owner.Draw(r, "owner"),
		Held:  rapid.SampledFrom([]int{signal.Any, signal.Any, len(l.Held), len(l.Held) + 1}).Draw(r, "held"),
	}}
	if rapid.IntRange(0, 2).Draw(r, "ask vacancy") == 0 {
		m.Guard.Vacant = rapid.SliceOfN(rapid.Int64Range(0, 9), 1, 2).Draw(r, "vacant")
	}
	if rapid.IntRange(0, 3).Draw(r, "ask time") == 0 {
		m.Guard.TurnAt = l.TurnAt
	}
	m.Guard.Valid = rapid.Bool().Draw(r, "ask validity")
	if rapid.IntRange(0, 3).Draw(r, "ask bucket") == 0 {
		full := signal.FullAt(near("full", int64(l.FullAt)))
		m.Guard.FullAt = &full
	}
	c := &m.Change
	c.Done, c.Turn = rapid.Int64Range(-2, 9).Draw(r, "done'"), rapid.Int64Range(-2, 9).Draw(r, "turn'")
	c.Owner = owner.Draw(r, "owner'")
	c.TurnAt = signal.Instant(rapid.Int64Range(0, 3).Draw(r, "turnAt'"))
	c.FullAt = signal.FullAt(rapid.Int64Range(0, 3).Draw(r, "fullAt'"))
	switch rapid.IntRange(0, 4).Draw(r, "what") {
	case 0:
		c.Opening = &signal.Opening{
			User: "alice", At: rapid.Int64Range(-1, 9).Draw(r, "open"),
			Until:      rapid.SampledFrom([]signal.Instant{0, now, now + 1}).Draw(r, "until"),
			Attributes: rapid.SampledFrom([]map[string]string{nil, {"role": "doctor", "empty": ""}}).Draw(r, "attributes"),
		}
	case 1:
		hold := signal.HeldFrame{N: rapid.Int64Range(0, 9).Draw(r, "hold"), Held: signal.Held{
			Frame: signal.Frame{
				To:      signal.UserName(rapid.String().Draw(r, "to")),
				Data:    rapid.SliceOfN(rapid.Byte(), 1, 20).Draw(r, "data"),
				Code:    signal.Code(rapid.IntRange(0, 1).Draw(r, "code")),
				Confirm: rapid.Bool().Draw(r, "confirm"),
			},
			By: owner.Draw(r, "by"), At: now,
		}}
		c.Hold, m.Guard.Vacant = &hold, append(m.Guard.Vacant, hold.N)
	case 2:
		for _, n := range slices.Sorted(maps.Keys(l.Held)) {
			if rapid.Bool().Draw(r, "unhold") {
				c.Unhold = append(c.Unhold, signal.Numbered{N: n, Frame: l.Held[n].Frame})
			}
		}
		m.Guard.Held = len(l.Held)
	case 3:
		c.Faults = &signal.Faults{Forgotten: 3, List: []signal.Fault{{From: 4, To: 5, Code: signal.CodeServer}}}
	case 4:
		c.Bar = &signal.Bar{Code: signal.CodeWrongToken, By: "me", At: now}
	}
	return m
}

func (s *suite) frames(t *testing.T) {
	c := s.open(t, s.admit(t))
	data := []byte(`{"a":1.10,"b":"<é\u0000>"}` + "\u2028")
	frame := signal.Held{Frame: signal.Frame{To: "用户1", Data: data}, By: "me", At: now}
	for _, n := range []int64{3, signal.MaxNumber} {
		c, made := s.hold(t, c, n, frame)
		if !made {
			t.Fatalf("frame %d was not held", n)
		}
		if got := c.Lane.Held[n]; !bytes.Equal(got.Data, data) || got.To != frame.To || got.By != "me" || got.At != now {
			t.Fatalf("held %+v, came back %+v", frame, got)
		}
	}
}

func (s *suite) hold(t testing.TB, c signal.Connection, n int64, h signal.Held) (signal.Connection, bool) {
	return s.move(t, c.ID, signal.Move{
		Kind:   signal.KindHold,
		Guard:  signal.Guard{Done: c.Lane.Done, Turn: c.Lane.Turn, Held: signal.Any, Vacant: []int64{n}},
		Change: signal.Change{Done: c.Lane.Done, Turn: c.Lane.Turn, Hold: &signal.HeldFrame{N: n, Held: h}},
	})
}

func (s *suite) bounds(t *testing.T) {
	c := s.open(t, s.admit(t))
	for n := range int64(signal.MaxHeld) {
		if _, made := s.hold(t, c, n+2, signal.Held{At: now}); !made {
			t.Fatalf("frame %d of %d was not held", n+1, signal.MaxHeld)
		}
	}
	if _, made := s.hold(t, c, signal.MaxHeld+2, signal.Held{At: now}); made {
		t.Errorf("more than %d frames were held", signal.MaxHeld)
	}

	c = s.open(t, s.admit(t))
	half := signal.Held{Frame: signal.Frame{Data: make([]byte, signal.MaxHeldBytes/2)}, At: now}
	for n := range int64(2) {
		if _, made := s.hold(t, c, n+2, half); !made {
			t.Fatalf("%d of %d bytes were not held", (n+1)*signal.MaxHeldBytes/2, signal.MaxHeldBytes)
		}
	}
	if _, made := s.hold(t, c, 4, signal.Held{Frame: signal.Frame{Data: []byte("x")}, At: now}); made {
		t.Errorf("more than %d bytes were held", signal.MaxHeldBytes)
	}
}

// holdAgainstFinish lets frames be held while an owner finishes again and
// again. Every frame that was held must be taken along, or still be there.
func (s *suite) holdAgainstFinish(t *testing.T) {
	const frames = 40
	c := s.open(t, s.admit(t))
	c, _ = s.move(t, c.ID, signal.Take(1, signal.Frame{Data: []byte("1")}, "owner", now))

	var wg sync.WaitGroup
	for n := int64(2); n <= frames; n++ {
		wg.Go(func() {
			me, f := strconv.FormatInt(n, 10), signal.Frame{Data: []byte(strconv.FormatInt(n, 10))}
			lane := c.Lane
			for {
				step := lane.Arrive(n, f, me, now)
				if step.Move == nil {
					if step.Settled {
						t.Errorf("frame %d: settled with %v before it was posted", n, step.Code)
					}
					return
				}
				after, made := s.move(t, c.ID, *step.Move)
				if made && step.Move.Kind == signal.KindTake {
					t.Errorf("frame %d was taken while the owner is at work", n)
				}
				if made {
					return
				}
				lane = after.Lane
			}
		})
	}
	var taken []int64
	for lane := c.Lane; len(taken) < frames-1; {
		m := finish(lane)
		after, made := s.move(t, c.ID, m)
		if made {
			for _, f := range m.Run {
				taken = append(taken, f.N)
			}
		}
		lane = after.Lane
	}
	wg.Wait()
	if !slices.IsSorted(taken) || len(slices.Compact(taken)) != frames-1 {
		t.Fatalf("taken along: %v", taken)
	}
}

// finish ends an owner's turn and takes the next frame, but never leaves the
// lane idle.
func finish(l signal.Lane) signal.Move {
	m := signal.Move{
		Kind:   signal.KindFinish,
		Guard:  signal.Guard{Done: l.Done, Turn: l.Turn, Owner: "owner", Held: len(l.Held)},
		Change: signal.Change{Done: l.Done, Turn: l.Turn, Owner: "owner", TurnAt: now},
	}
	if h, ok := l.Held[l.Turn+1]; ok {
		m.Run = []signal.Numbered{{N: l.Turn + 1, Frame: h.Frame}}
		m.Change.Unhold, m.Change.Done, m.Change.Turn = m.Run, l.Turn, l.Turn+1
	}
	return m
}

func (s *suite) clients(t *testing.T) {
	for _, client := range []signal.Client{
		{},
		{Type: "Android", Version: "4.3.1", Address: "2001:db8::1"},
		{Address: "192.0.2.1", Headers: map[string]string{"user-agent": "用户 \"1\"", "x-empty": ""}},
	} {
		c := signal.Connection{Peer: s.peer(), Client: client, Early: client.Type != "", Since: now, Expires: now.Add(time.Hour), Lane: signal.NewLane()}
		if err := s.Admit(ctx, c); err != nil {
			t.Fatal(err)
		}
		got, err := s.Inspect(ctx, c.ID, now)
		equal(t, got, c, err)
		opening := signal.Opening{User: "alice", Until: now + 1, Attributes: map[string]string{"role": "doctor", "empty": ""}}
		got, made := s.move(t, c.ID, signal.Move{
			Kind:   signal.KindOpen,
			Guard:  signal.Guard{Done: c.Lane.Done, Turn: c.Lane.Turn, Held: 0},
			Change: signal.Change{Owner: "opener", Opening: &opening},
		})
		if !made || !reflect.DeepEqual(got.Client, client) || got.Until != opening.Until || !reflect.DeepEqual(got.Attributes, opening.Attributes) {
			t.Errorf("made %v, came back %+v", made, got)
		}
		got, err = s.Drop(ctx, c.ID)
		if err != nil || !reflect.DeepEqual(got.Client, client) || got.Until != opening.Until || !reflect.DeepEqual(got.Attributes, opening.Attributes) {
			t.Errorf("dropped %+v, %v", got, err)
		}
	}
}

// barred: by the clock of who asks, and then by every clock.
func (s *suite) barred(t *testing.T) {
	c := s.admit(t)
	until := now.Add(time.Minute)
	c, _ = s.move(t, c.ID, signal.Move{
		Kind:   signal.KindOpen,
		Guard:  signal.Guard{Done: c.Lane.Done, Turn: c.Lane.Turn, Held: 0},
		Change: signal.Change{Owner: "opener", Opening: &signal.Opening{User: "alice", Until: until}},
	})
	try := func(valid bool, at signal.Instant, bar *signal.Bar) bool {
		t.Helper()
		m := signal.Move{
			Kind:   signal.KindRenew,
			Guard:  signal.Guard{Done: c.Lane.Done, Turn: c.Lane.Turn, Held: signal.Any, Valid: valid},
			Change: signal.Change{Done: c.Lane.Done, Turn: c.Lane.Turn, Bar: bar},
		}
		got, made, err := s.Move(ctx, c.ID, m, at)
		if err != nil || !made && got.Until != c.Until {
			t.Fatalf("%+v, %v", got, err)
		}
		c = got
		return made
	}
	last := signal.Bar{Code: signal.CodeUnknownUser, By: "you", At: now + 1}
	for _, x := range []struct {
		valid bool
		at    signal.Instant
		bar   *signal.Bar
		want  bool
	}{
		{true, until - 1, nil, true},
		{true, until, nil, false},
		{false, until, nil, true},
		{true, until - 1, &signal.Bar{Code: signal.CodeWrongToken, By: "me", At: now}, true},
		{true, now, nil, false}, // by every clock
		{false, now, &last, true},
	} {
		if made := try(x.valid, x.at, x.bar); made != x.want {
			t.Errorf("asked for validity %v at %d: made %v", x.valid, x.at-until, made)
		}
	}
	got, err := s.Inspect(ctx, c.ID, until.Add(time.Minute))
	if err != nil || got.Until != until || got.Bar != last || !got.Barred(now) {
		t.Errorf("record of a connection that has ended: %+v, %v", got, err)
	}
}

func (s *suite) each(t *testing.T) {
	const connections = 30
	until := now.Add(time.Hour)
	want := make(map[signal.ConnectionID]signal.Connection)
	for i := range connections {
		c := s.admit(t)
		if i%2 == 0 { // the others have not authenticated
			c = s.open(t, c)
			c, _ = s.hold(t, c, 5, signal.Held{Frame: signal.Frame{To: "bob", Data: []byte("data")}, By: "me", At: now})
			s.claim(t, signal.UserName(s.unique()), c.Peer, now, until) // no connection
		}
		c.Lane = signal.Lane{}
		want[c.ID] = c
	}
	gone := make(map[signal.ConnectionID]bool)
	for i, session := range []string{"", "", "s", "s"} {
		c := signal.Connection{Peer: s.peer(), Client: signal.Client{Type: "Web"}, Expires: until, Session: session, Lane: signal.NewLane()}
		if err := s.Admit(ctx, c); err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			c, _ = s.move(t, c.ID, signal.Move{Kind: "opens and bars", Guard: signal.Guard{Done: c.Lane.Done, Turn: c.Lane.Turn}, Change: signal.Change{
				Owner: "me", Bar: &signal.Bar{Code: signal.CodeWrongToken, By: "me", At: now},
				Opening: &signal.Opening{User: "alice", Until: now, Attributes: map[string]string{"role": "doctor"}},
			}})
			c.Lane, c.Client, c.Attributes = signal.Lane{}, signal.Client{}, nil
			want[c.ID] = c
			continue
		}
		gone[c.ID] = true
		if _, err := s.Drop(ctx, c.ID); err != nil {
			t.Fatal(err)
		}
	}
	for _, segments := range []int{1, 2, 7, signal.Segments, 200} {
		seen := make(map[signal.ConnectionID]int)
		s.scan(t, segments, now, func(c signal.Connection) {
			if seen[c.ID]++; seen[c.ID] > 1 {
				t.Errorf("of %d segments, several hold connection %s", segments, c.ID)
			}
			if gone[c.ID] {
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
	s.scan(t, 3, until, func(c signal.Connection) { t.Errorf("expired connection %s was seen", c.ID) })
}

// scan goes through all segments at a time.
func (s *suite) scan(t *testing.T, segments int, now signal.Instant, f func(signal.Connection)) {
	t.Helper()
	var wg sync.WaitGroup
	var mu sync.Mutex
	next := make(chan int)
	for range min(segments, 8) {
		wg.Go(func() {
			for i := range next {
				err := s.Each(ctx, signal.Segment{Index: i, Of: segments}, now, func(c signal.Connection) {
					mu.Lock()
					defer mu.Unlock()
					f(c)
				})
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

func (s *suite) eachEnds(t *testing.T) {
	s.admit(t)
	ended, end := context.WithCancel(ctx)
	end()
	err := s.Each(ended, signal.Segment{Of: 1}, now, func(signal.Connection) { t.Error("a connection was seen after the end") })
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

// normal is a record in which nothing is told apart that means the same.
func normal(c signal.Connection) signal.Connection {
	if len(c.Lane.Held) == 0 {
		c.Lane.Held = nil
	}
	if len(c.Lane.Faults) == 0 {
		c.Lane.Faults = nil
	}
	return c
}

func byID(a, b signal.Peer) int { return cmp.Compare(a.ID, b.ID) }
