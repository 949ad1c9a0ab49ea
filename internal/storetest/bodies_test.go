package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/owt-signal/owt-signal/internal/dynamo"
	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// bodies is a store whose table can be looked at.
type bodies struct {
	suite
	t      *testing.T
	client *dynamodb.Client
	table  string
	conn   signal.Connection
}

// newBodies returns a store with a connection whose number 1 is being posted.
func newBodies(t *testing.T) *bodies {
	config, table := newTable(t)
	b := &bodies{t: t, client: dynamodb.NewFromConfig(config), table: table}
	b.Store = dynamo.New(b.client, table)
	b.conn = b.open(t, b.create(t))
	b.does(lane.Take(frames(1), "owner", now))
	return b
}

func frame(n int64) lane.Frame {
	return lane.Frame{To: "bob", Data: fmt.Appendf(nil, "data of %d", n)}
}

func frames(numbers ...int64) (all []lane.Numbered) {
	for _, n := range numbers {
		all = append(all, lane.Numbered{N: n, Frame: frame(n)})
	}
	return all
}

// does makes a move, or is refused, as the service would.
func (b *bodies) does(m lane.Move, more ...func(*signal.Update)) (made bool) {
	b.t.Helper()
	u := signal.Update{Move: m, Ended: b.conn.Ended}
	for _, f := range more {
		f(&u)
	}
	b.conn, made = b.update(b.t, b.conn.ID, u)
	return made
}

// holds holds a frame, as one invocation that submits it.
func (b *bodies) holds(n int64, f lane.Frame, by string) bool {
	b.t.Helper()
	return b.does(holding(n, lane.Held{Frame: f, By: by, At: now}))
}

func spent(run []lane.Numbered) func(*signal.Update) {
	return func(u *signal.Update) { u.Spent = run }
}

// finish finishes a run that was fetched, and takes the next.
func (b *bodies) finish(run []lane.Numbered) (next []lane.Numbered) {
	b.t.Helper()
	m := b.conn.Lane.Finish(nil, true, "owner", now)
	if !b.does(m, spent(run)) {
		b.t.Fatal("not finished")
	}
	return m.Run
}

// want sees that there are the bodies of those frames, and no others.
func (b *bodies) want(names ...string) {
	b.t.Helper()
	got := []string{}
	for pages := dynamodb.NewScanPaginator(b.client, &dynamodb.ScanInput{TableName: &b.table}); pages.HasMorePages(); {
		page, err := pages.NextPage(b.t.Context())
		if err != nil {
			b.t.Fatal(err)
		}
		for _, it := range page.Items {
			pk := it["pk"].(*types.AttributeValueMemberS).Value //nolint:forcetypeassert // the key of the table
			if name, ok := strings.CutPrefix(pk, "held#"+string(b.conn.ID)+"#"); ok {
				got = append(got, name)
			} else if strings.HasPrefix(pk, "held#") {
				got = append(got, pk)
			}
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, names) {
		b.t.Errorf("the table has the bodies %q, want %q", got, names)
	}
}

// TestBodiesEnd: what held frames say is gone with the run, with the connection, and
// with what it may do.
func TestBodiesEnd(t *testing.T) {
	for name, end := range map[string]func(b *bodies){
		"finished": func(b *bodies) {
			run := b.finish(nil)
			b.want("2#i2", "3#i3") // until they were fetched
			b.finish(run)
		},
		"finished after the connection": func(b *bodies) {
			run := b.finish(nil)
			b.fetch(t, b.conn.ID, run...)
			if _, err := b.End(ctx, b.conn.ID, now); err != nil {
				t.Fatal(err)
			}
			b.want("2#i2", "3#i3")
			b.conn.Ended = true
			b.finish(run)
		},
		"ended": func(b *bodies) {
			if c, err := b.End(ctx, b.conn.ID, now); err != nil || len(c.Lane.Held) != 2 {
				t.Errorf("ended with %d held, %v", len(c.Lane.Held), err)
			}
		},
		"revoked": func(b *bodies) {
			m := b.conn.Lane.Revoke()
			if !b.does(m, func(u *signal.Update) {
				u.Revocation = &signal.Revocation{Code: lane.CodeWrongToken, By: "me", At: now}
			}) {
				t.Error("not revoked")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBodies(t)
			for n := range int64(2) {
				if !b.holds(n+2, frame(n+2), fmt.Sprintf("i%d", n+2)) {
					t.Fatal("not held")
				}
			}
			b.want("2#i2", "3#i3")
			end(b)
			b.want()
		})
	}
}

// TestBodyOfEachTry: a frame that was not held leaves nothing, and what another try
// has written is never taken for it.
func TestBodyOfEachTry(t *testing.T) {
	b := newBodies(t)
	if !b.holds(3, frame(3), "first") {
		t.Fatal("not held")
	}
	b.want("3#first")
	if b.holds(3, frame(99), "repeated") {
		t.Error("held twice")
	}
	b.want("3#first")
	if !b.holds(3, frame(3), "first") { // the answer was lost
		t.Error("one's own hold is not known again")
	}
	b.want("3#first")
	if b.holds(4, lane.Frame{Data: make([]byte, lane.MaxHeldBytes)}, "large") {
		t.Error("more was held than there is room for")
	}
	b.want("3#first")

	b.finish(nil)
	m := b.conn.Lane.DecideArrival(frames(2), "second", lane.Observed{}, now).Move
	if !b.does(m) {
		t.Fatal("not taken")
	}
	if run := b.fetch(t, b.conn.ID, m.Run...); !slices.Equal(says(run), []string{"2 bob data of 2", "3 bob data of 3"}) {
		t.Errorf("the run says %q", says(run))
	}
	b.does(b.conn.Lane.Finish(nil, true, "second", now), spent(m.Run))
	b.want()

	if _, err := b.End(ctx, b.conn.ID, now); err != nil {
		t.Fatal(err)
	}
	after := holding(9, lane.Held{Frame: frame(9), By: "after", At: now})
	if _, _, err := b.Update(ctx, b.conn.ID, signal.Update{Move: after}, now); !errors.Is(err, signal.ErrNoConnection) {
		t.Errorf("held after the end: %v", err)
	}
	b.want()
}

// TestBodiesOfSeveral: of several frames that an invocation brings together each has
// its own body, more than DynamoDB takes at once.
func TestBodiesOfSeveral(t *testing.T) {
	b := newBodies(t)
	b.holds(60, frame(60), "before")
	var come []int64
	for n := int64(2); n <= signal.MaxBatch; n++ {
		come = append(come, n)
	}
	several := b.conn.Lane.DecideArrival(frames(come...), "several", lane.Observed{}, now).Move
	if !b.does(several) || len(several.Change.Hold) != len(come) {
		t.Fatalf("%d are held", len(several.Change.Hold))
	}
	if b.does(several, func(u *signal.Update) { // another that brings the same
		u.Change.Hold = slices.Clone(u.Change.Hold)
		for i := range u.Change.Hold {
			u.Change.Hold[i].By = "repeated"
		}
	}) {
		t.Error("held twice")
	}
	want := []string{"60#before"}
	for _, f := range several.Change.Hold {
		want = append(want, fmt.Sprintf("%d#several", f.N))
	}
	slices.Sort(want)
	b.want(want...)
	run := b.finish(nil)
	if got := says(b.fetch(t, b.conn.ID, run...)); !slices.Equal(got, says(frames(come...))) {
		t.Errorf("the run says %q", got)
	}
	b.finish(run)
	b.want("60#before")
}

// TestHeldUnseen: a hold whose answer was lost is refused when it is tried again, once
// the frame was taken; whoever has taken it can still fetch it.
func TestHeldUnseen(t *testing.T) {
	b := newBodies(t)
	b.holds(2, frame(2), "first")
	run := b.finish(nil)
	if b.holds(2, frame(2), "first") {
		t.Error("what is being posted was held")
	}
	if got := says(b.fetch(t, b.conn.ID, run...)); !slices.Equal(got, []string{"2 bob data of 2"}) {
		t.Errorf("the run says %q", got)
	}
	b.finish(run)
	b.want()
}

// TestStrayBodies: a round deletes what crashes have left, and nothing else.
func TestStrayBodies(t *testing.T) {
	b := newBodies(t)
	alive := b.conn
	b.holds(4, frame(4), "holder")
	b.stray(alive.ID, 4, "crashed")
	b.stray("gone", 1, "crashed")
	round := func(at lane.Instant) {
		t.Helper()
		b.scan(t, 3, at, func(signal.Connection) {})
	}
	round(now.Add(time.Minute - time.Second))
	b.want("4#crashed", "4#holder", "held#gone#1#crashed")
	round(now.Add(time.Minute)) // whose lease has expired by then
	b.want("4#holder")

	b.stray(alive.ID, 5, "to be fetched")
	later := now.Add(time.Hour - time.Minute)
	c := b.conn
	c, _ = b.move(t, c.ID, c.Lane.Renew("owner", later.Add(-lane.LeaseTimeout-lane.ClockBound)))
	round(later)
	b.want("4#holder", "5#to be fetched")
	round(later + 1)
	b.want("4#holder")

	b.stray(alive.ID, 5, "of an idle lane")
	b.conn = c
	b.finish(nil)
	round(later)
	b.want("4#holder")

	b.stray(alive.ID, 5, "of one that has ended")
	if _, err := b.End(ctx, alive.ID, later); err != nil {
		t.Fatal(err)
	}
	b.want("5#of one that has ended")
	round(later)
	b.want()
}

// stray writes a body whose frame is not held: its invocation has crashed.
func (b *bodies) stray(id signal.ConnectionID, n int64, by string) {
	b.t.Helper()
	_, err := b.client.PutItem(b.t.Context(), &dynamodb.PutItemInput{TableName: &b.table, Item: map[string]types.AttributeValue{
		"pk":      &types.AttributeValueMemberS{Value: fmt.Sprintf("held#%s#%d#%s", id, n, by)},
		"to":      &types.AttributeValueMemberS{Value: "bob"},
		"expires": &types.AttributeValueMemberN{Value: fmt.Sprint(int64(now.Add(signal.ConnectionLife)) / 1000)},
	}})
	if err != nil {
		b.t.Fatal(err)
	}
}

// TestBodyIsNotThere: a frame whose body is not there is not posted, and answered as
// it was before.
func TestBodyIsNotThere(t *testing.T) {
	b := newBodies(t)
	b.holds(2, frame(2), "i2")
	b.holds(3, frame(3), "i3")
	run := b.finish(nil)
	b.does(b.conn.Lane.Renew("owner", now), spent(run[1:]))
	got := b.fetch(t, b.conn.ID, run...)
	if got[0].Code != lane.OK || string(got[0].Data) != "data of 2" || got[1].Code != lane.CodeBusy {
		t.Errorf("fetched %+v", got)
	}
}
