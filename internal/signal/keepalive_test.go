package signal_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/owt-signal/owt-signal/internal/memory"
	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

func TestKeepalive(t *testing.T) {
	inWorld(t, func(w *world) {
		for id, protocol := range map[signal.ConnectionID]signal.Protocol{
			"3": signal.EIO3, "4": signal.EIO4, "json": signal.JSON, "gone 3": signal.EIO3, "gone 4": signal.EIO4, "gone json": signal.JSON,
		} {
			user := string(id)
			w.connect(id, protocol, &user)
			w.closed[id] = user[0] == 'g'
		}
		w.counted("Gone 3, Pinged 1", func() {
			if err := w.Keepalive(w.t.Context()); err != nil {
				t.Error(err)
			}
		})
		w.expect("4", "opened", "admitted", "welcome 4", "ping")
		w.expect("3", "opened", "admitted", "welcome 3")
		w.expect("json", "opened", "admitted", "welcome json")
		for _, user := range []signal.UserName{"3", "4", "json", "gone 3", "gone 4", "gone json"} {
			_, online := w.Store.Owner(w.t.Context(), user, w.Clock.Now())
			_, there := w.Store.Get(w.t.Context(), signal.ConnectionID(user), w.Clock.Now())
			if gone := user[0] == 'g'; errors.Is(online, signal.ErrOffline) != gone || errors.Is(there, signal.ErrNoConnection) != gone {
				t.Errorf("%s: owner %v, connection %v", user, online, there)
			}
		}
	})
}

// A connection may be in the making: before API Gateway has taken the answer to
// its handshake, it looks as if it were gone.
func TestKeepaliveLeavesHandshakesAlone(t *testing.T) {
	inWorld(t, func(w *world) {
		for _, id := range []signal.ConnectionID{"a", "b"} {
			if _, err := w.Connect(w.t.Context(), signal.Handshake{Peer: signal.Peer{ID: id, Protocol: signal.EIO4}}); err != nil {
				t.Fatal(err)
			}
		}
		w.closed["a"] = true
		for _, c := range []struct {
			after time.Duration
			want  string
		}{{signal.MaxHandshake - time.Millisecond, ""}, {time.Millisecond, "Gone 1, Pinged 1"}} {
			time.Sleep(c.after)
			m := &meter{counts: make(map[signal.Metric]int)}
			w.Meter = m
			if err := w.Keepalive(w.t.Context()); err != nil {
				t.Error(err)
			}
			if got := m.take(); got != c.want {
				t.Errorf("counted %q, want %q", got, c.want)
			}
		}
		w.expect("b", "ping")
	})
}

// What may not have worked is tried once more.
func TestKeepaliveTriesAgain(t *testing.T) {
	for _, c := range []struct {
		failures int
		want     string
	}{{1, "Pinged 1"}, {2, ""}} {
		for _, err := range []error{signal.ErrBusy, context.DeadlineExceeded} {
			inWorld(t, func(w *world) {
				w.json("a", "alice")
				w.connect("b", signal.EIO4, nil)
				w.receive("b", signal.Authenticate{Number: 0, Token: "bob"})
				failures := 0
				w.fail = func(_ signal.Peer, e signal.Event) error {
					if failures++; failures <= c.failures {
						return err
					}
					return nil
				}
				w.counted(c.want, func() {
					if err := w.Keepalive(w.t.Context()); err != nil { // the next round is near
						t.Error(err)
					}
				})
				if failures != 2 {
					t.Errorf("%d posts", failures)
				}
			})
		}
	}
}

// network is the sockets of a great many connections. A visit takes as long as
// takes says, unless it is given up before.
type network struct {
	mu     sync.Mutex
	takes  func() time.Duration
	gone   func(signal.ConnectionID) bool // nil: none
	pings  map[signal.ConnectionID]int
	probes map[signal.ConnectionID]int
	begun  []time.Time
	most   int // under way at a time
	now    int
}

func newNetwork(takes func() time.Duration) *network {
	return &network{takes: takes, pings: make(map[signal.ConnectionID]int), probes: make(map[signal.ConnectionID]int)}
}

func (n *network) visit(ctx context.Context, p signal.Peer, visits map[signal.ConnectionID]int) error {
	n.mu.Lock()
	took := n.takes()
	visits[p.ID]++
	n.begun = append(n.begun, time.Now())
	n.now++
	n.most = max(n.most, n.now)
	n.mu.Unlock()
	defer func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.now--
	}()
	if err := (signal.SystemClock{}).Sleep(ctx, took); err != nil {
		return err
	}
	switch {
	case n.gone != nil && n.gone(p.ID):
		return signal.ErrGone
	case took >= lane.PostWithin:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

func (n *network) Post(ctx context.Context, p signal.Peer, e signal.Event) error {
	if e != (signal.Ping{}) {
		return fmt.Errorf("unexpected %T", e)
	}
	return n.visit(ctx, p, n.pings)
}

func (n *network) Probe(ctx context.Context, p signal.Peer) error { return n.visit(ctx, p, n.probes) }

func (n *network) Close(context.Context, signal.Peer) error { return errors.New("unexpected close") }

// crowd is a store with so many connections, each with its user. Of ten
// connections six are Engine.IO 4, three Engine.IO 3 and one JSON; one in
// twenty has not authenticated.
func crowd(t *testing.T, connections int) signal.Store {
	t.Helper()
	store, ctx := memory.New(), t.Context()
	now := lane.At(time.Now())
	for i := range connections {
		c := signal.Connection{Peer: signal.Peer{ID: numbered(i), Protocol: protocolOf(i)}, Since: now, Expires: now.Add(signal.ConnectionLife), Lane: lane.New()}
		err := store.Create(ctx, c)
		if err == nil && i%20 != 0 {
			user := signal.UserName(c.ID)
			_, err = store.Claim(ctx, signal.Claim{User: user, Peer: c.Peer, At: now, Until: c.Expires, Epoch: "e"})
			_, _, opened := store.Update(ctx, c.ID, signal.Update{
				Move:    c.Lane.Start(lane.StartAfter(0).Lane(), "opener", now),
				Opening: &signal.Opening{User: user},
			}, now)
			err = errors.Join(err, opened)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return store
}

func numbered(i int) signal.ConnectionID { return signal.ConnectionID(fmt.Sprintf("%014d=", i)) }

func protocolOf(i int) signal.Protocol {
	switch i % 10 {
	case 0, 1, 2:
		return signal.EIO3
	case 3:
		return signal.JSON
	default:
		return signal.EIO4
	}
}

// keeper is the service over a store and a network, and what it logs.
func keeper(store signal.Store, n *network, random func([]byte)) (*signal.Service, *bytes.Buffer) {
	logs := &bytes.Buffer{}
	return &signal.Service{
		Store: store, Pusher: n, Prober: n, Pings: pings, Clock: signal.SystemClock{}, Random: random,
		Log: slog.New(slog.NewJSONHandler(logs, nil)),
	}, logs
}

// roundLog is the line that a round logs.
type roundLog struct {
	Level, Msg, Took, Error                                string
	Scanned, Pinged, Probed, Gone, Failed, First, Segments int
}

func readRound(t *testing.T, logs *bytes.Buffer) (l roundLog) {
	t.Helper()
	for line := range bytes.Lines(logs.Bytes()) {
		if err := json.Unmarshal(line, &l); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
	}
	if l.Msg != "keepalive" {
		t.Fatalf("logged %s", logs)
	}
	logs.Reset()
	return l
}

// TestKeepaliveOf100000 is a round of 100,000 connections over a network that
// is as slow as API Gateway may be: half of the requests take 10 ms or less, one
// in a hundred up to half a second, and one in a thousand hangs until it is
// given up. One connection in a hundred is gone.
func TestKeepaliveOf100000(t *testing.T) {
	const (
		connections = 100_000
		fits        = 200 * time.Second
		timeout     = 240 * time.Second // template.yaml
	)
	synctest.Test(t, func(t *testing.T) {
		store := crowd(t, connections)
		random := rand.New(rand.NewPCG(1, 2))
		n := newNetwork(func() time.Duration {
			switch p := random.Float64(); {
			case p < 0.001:
				return lane.PostWithin
			case p < 0.01:
				return 50*time.Millisecond + time.Duration(random.Float64()*float64(450*time.Millisecond))
			default:
				return 5*time.Millisecond + time.Duration(random.ExpFloat64()*float64(8*time.Millisecond))
			}
		})
		isGone := func(i int) bool { return i%100 == 7 }
		gone := make(map[signal.ConnectionID]bool)
		for i := range connections {
			gone[numbered(i)] = isGone(i)
		}
		n.gone = func(id signal.ConnectionID) bool { return gone[id] }
		time.Sleep(signal.MaxHandshake)

		s, logs := keeper(store, n, counter())
		ctx, cancel := context.WithTimeout(t.Context(), timeout)
		defer cancel()
		began := time.Now()
		if err := s.Keepalive(ctx); err != nil {
			t.Fatal(err)
		}
		took := time.Since(began)
		l := readRound(t, logs)
		t.Logf("%d connections in %v: %+v", connections, took, l)
		if took > fits {
			t.Errorf("the round took %v, more than %v", took, fits)
		}

		dropped := 0
		for i := range connections {
			id := numbered(i)
			pings, probes := n.pings[id], n.probes[id]
			if protocolOf(i) != signal.EIO4 {
				pings, probes = probes, pings
			}
			if pings < 1 || pings > 2 || probes != 0 {
				t.Fatalf("connection %d, %s, was pinged %d times and probed %d times", i, protocolOf(i), n.pings[id], n.probes[id])
			}
			_, err := store.Get(ctx, id, s.Clock.Now())
			if errors.Is(err, signal.ErrNoConnection) {
				dropped++
			}
			if err == nil == isGone(i) {
				t.Fatalf("connection %d, gone %v: %v", i, isGone(i), err)
			}
			if _, err = store.Owner(ctx, signal.UserName(id), s.Clock.Now()); i%20 != 0 && errors.Is(err, signal.ErrOffline) != isGone(i) {
				t.Fatalf("user %d, gone %v: %v", i, isGone(i), err)
			}
		}
		if l.Level != "INFO" || l.Scanned != connections || l.Gone != dropped || l.Segments != signal.Segments ||
			l.Pinged+l.Probed+l.Gone+l.Failed != connections {
			t.Errorf("logged %+v, %d dropped", l, dropped)
		}
		if n.most > signal.PingsAtOnce {
			t.Errorf("%d visits were under way at a time, more than %d", n.most, signal.PingsAtOnce)
		}
		for i := range len(n.begun) - signal.PingRate*11/10 {
			if d := n.begun[i+signal.PingRate*11/10].Sub(n.begun[i]); d < time.Second {
				t.Fatalf("%d visits began within %v", signal.PingRate*11/10, d)
			}
		}
	})
}

// TestKeepaliveIsCutShort: a round ends before its deadline, says how far it
// got, and the next one begins elsewhere.
func TestKeepaliveIsCutShort(t *testing.T) {
	const connections = 20_000
	const timeout = 10 * time.Second
	synctest.Test(t, func(t *testing.T) {
		store := crowd(t, connections)
		time.Sleep(signal.MaxHandshake)
		var visited []map[signal.ConnectionID]bool
		for first, rate := range map[int]int{0: signal.PingRate, signal.Segments / 2: signal.PingRate / 2} {
			n := newNetwork(func() time.Duration { return 10 * time.Millisecond })
			s, logs := keeper(store, n, func(b []byte) { clear(b); b[len(b)-1] = byte(first) })
			s.PingRate = rate
			ctx, cancel := context.WithTimeout(t.Context(), timeout)
			began := time.Now()
			err := s.Keepalive(ctx)
			took := time.Since(began)
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("a round that was cut short: %v", err)
			}
			if ctx.Err() != context.Canceled || took > timeout-signal.RoundMargin+time.Second {
				t.Errorf("it ended after %v", took)
			}
			if latest := slices.MaxFunc(n.begun, time.Time.Compare).Sub(began); latest > timeout-signal.RoundMargin {
				t.Errorf("a visit began after %v", latest)
			}
			l := readRound(t, logs)
			want := int((timeout - signal.RoundMargin).Seconds()) * rate
			if l.Level != "WARN" || l.First != first || l.Scanned < want*9/10 || l.Scanned > want*11/10 || l.Segments == 0 || l.Segments >= signal.Segments/2 || l.Error == "" {
				t.Errorf("logged %+v", l)
			}
			seen := make(map[signal.ConnectionID]bool)
			for id := range n.pings {
				seen[id] = true
			}
			for id := range n.probes {
				seen[id] = true
			}
			if len(seen) != l.Scanned {
				t.Errorf("%d visited, %d logged", len(seen), l.Scanned)
			}
			visited = append(visited, seen)
		}
		for id := range visited[1] {
			if visited[0][id] {
				t.Fatalf("both rounds visited %s", id)
			}
		}
	})
}

// Whatever hangs, a round ends before its deadline.
func TestKeepaliveEnds(t *testing.T) {
	const timeout = 10 * time.Second
	forever := func() time.Duration { return time.Hour }
	for name, c := range map[string]struct {
		store func(signal.Store) signal.Store
		takes func() time.Duration
	}{
		"visits hang":    {func(s signal.Store) signal.Store { return s }, forever},
		"reads hang":     {func(s signal.Store) signal.Store { return hangingStore{s} }, func() time.Duration { return 0 }},
		"deletions hang": {func(s signal.Store) signal.Store { return undroppableStore{s} }, func() time.Duration { return 0 }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := crowd(t, 1000)
				time.Sleep(signal.MaxHandshake)
				n := newNetwork(c.takes)
				n.gone = func(signal.ConnectionID) bool { return true }
				s, logs := keeper(c.store(store), n, counter())
				ctx, cancel := context.WithTimeout(t.Context(), timeout)
				defer cancel()
				err := s.Keepalive(ctx)
				if ctx.Err() != nil {
					t.Errorf("it took too long: %v", err)
				}
				if l := bytes.Count(logs.Bytes(), []byte(`"msg":"keepalive"`)); l != 1 || err == nil {
					t.Errorf("logged %d lines; %v", l, err)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) { // without a deadline, an end is heeded as well
		store := crowd(t, 1000)
		time.Sleep(signal.MaxHandshake)
		s, logs := keeper(store, newNetwork(forever), counter())
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if err := s.Keepalive(ctx); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if l := readRound(t, logs); l.Level != "INFO" {
			t.Errorf("logged %+v", l)
		}
	})
}

type hangingStore struct{ signal.Store }

func (hangingStore) Scan(ctx context.Context, _ signal.Segment, _ lane.Instant, _ func(signal.Connection), _ func(signal.UserName)) error {
	<-ctx.Done()
	return ctx.Err()
}

type undroppableStore struct{ signal.Store }

func (undroppableStore) End(ctx context.Context, _ signal.ConnectionID, _ lane.Instant) (signal.Connection, error) {
	<-ctx.Done()
	return signal.Connection{}, ctx.Err()
}

// The other segments are read although one cannot be.
func TestKeepaliveOfAnUnreadableSegment(t *testing.T) {
	const connections = 1000
	synctest.Test(t, func(t *testing.T) {
		store := crowd(t, connections)
		time.Sleep(signal.MaxHandshake)
		unread := 0
		err := store.Scan(t.Context(), signal.Segment{Index: 5, Of: signal.Segments}, lane.At(time.Now()), func(signal.Connection) { unread++ }, func(signal.UserName) {})
		if err != nil || unread == 0 {
			t.Fatalf("%d connections in the segment: %v", unread, err)
		}
		s, logs := keeper(brokenSegment{store}, newNetwork(func() time.Duration { return 0 }), counter())
		err = s.Keepalive(t.Context())
		if l := readRound(t, logs); !errors.Is(err, errSegment) || l.Level != "WARN" || l.Segments != signal.Segments-1 || l.Scanned != connections-unread {
			t.Errorf("logged %+v; %v", l, err)
		}
	})
}

var errSegment = errors.New("unreadable")

type brokenSegment struct{ signal.Store }

func (b brokenSegment) Scan(ctx context.Context, s signal.Segment, now lane.Instant, f func(signal.Connection), owed func(signal.UserName)) error {
	if s.Index == 5 {
		return errSegment
	}
	return b.Store.Scan(ctx, s, now, f, owed)
}

// Without a prober, what is not pinged is left alone.
func TestKeepaliveWithoutAProber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := crowd(t, 100)
		time.Sleep(signal.MaxHandshake)
		n := newNetwork(func() time.Duration { return 0 })
		s, logs := keeper(store, n, counter())
		s.Prober = nil
		if err := s.Keepalive(t.Context()); err != nil {
			t.Error(err)
		}
		if l := readRound(t, logs); l.Scanned != 100 || l.Pinged != 60 || l.Probed != 0 {
			t.Errorf("logged %+v", l)
		}
	})
}
