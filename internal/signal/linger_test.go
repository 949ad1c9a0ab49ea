package signal_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// places are where invocations linger, and how many have at once.
type places struct {
	mu    sync.Mutex
	by    map[int]string
	asked int
	most  int
	err   error
}

func (p *places) TakePlace(_ context.Context, place int, by string, _, _ lane.Instant) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked++
	if p.err != nil || p.by[place] != "" && p.by[place] != by {
		return false, p.err
	}
	p.by[place] = by
	p.most = max(p.most, len(p.by))
	return true, nil
}

// seen returns how often a place was asked for, how many were taken at most, and how
// many are.
func (p *places) seen() (asked, most, taken int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked, p.most, len(p.by)
}

func (p *places) LeavePlace(_ context.Context, place int, by string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.by[place] == by {
		delete(p.by, place)
	}
	return nil
}

// inCrowdedWorld runs a test in a world with so many places, and as many users with a
// connection each: u0, u1 and so on.
func inCrowdedWorld(t *testing.T, places *places, number, users int, test func(*world)) {
	inWorld(t, func(w *world) {
		w.PlaceStore, w.Places = places, number
		for n := range users {
			w.json(user(n), string(user(n)))
		}
		test(w)
	})
}

func user(n int) signal.ConnectionID { return signal.ConnectionID(fmt.Sprint("u", n)) }

func (w *world) acked(id signal.ConnectionID, n int64) bool {
	synctest.Wait()
	return slices.Contains(w.events(id), fmt.Sprintf("ack %d 0", n))
}

// TestPlaces: no more invocations linger than there are places; who has none goes, and
// the next frame of its connection, when it comes late enough, does what it would have done.
func TestPlaces(t *testing.T) {
	const number, users = 3, 40
	p := &places{by: make(map[int]string)}
	inCrowdedWorld(t, p, number, users, func(w *world) {
		for n := range users {
			w.send(user(n), 2, user0)
		}
		time.Sleep(lane.GapTimeout + time.Second)
		waited := 0
		for n := range users {
			if w.acked(user(n), 2) {
				waited++
			}
		}
		if _, most, taken := p.seen(); waited == 0 || waited > number || most > number || taken > 0 {
			t.Errorf("%d have waited, %d at once, and %d have not left", waited, most, taken)
		}
		time.Sleep(lane.ClockBound)
		for n := range users {
			w.send(user(n), 4, user0)
			time.Sleep(lane.GapTimeout + time.Second)
			if !w.acked(user(n), 2) || !w.acked(user(n), 4) {
				t.Errorf("%s: the next frame did not help: %q", user(n), w.events(user(n)))
			}
		}
	})
}

const user0 = "u0"

// TestPlacesOfStrangers: no more polls of lobbies wait than there are places, none of
// which a user's number needs; who finds none is to ask again.
func TestPlacesOfStrangers(t *testing.T) {
	const number, strangers = 3, 40
	p := &places{by: make(map[int]string)}
	inCrowdedWorld(t, p, number, 1, func(w *world) {
		var polls sync.WaitGroup
		var waiting atomic.Int64
		for range strangers {
			id, err := w.OpenLobby(w.t.Context(), "hello")
			if err != nil {
				t.Fatal(err)
			}
			waiting.Add(1)
			polls.Go(func() {
				defer waiting.Add(-1)
				if over, err := w.PollLobby(w.t.Context(), id); over || err != nil {
					t.Errorf("the time of a client is over: %v, %v", over, err)
				}
			})
		}
		time.Sleep(signal.PollWithin / 2)
		if n, taken := waiting.Load(), p.strangers(number); n == 0 || n > number || taken != int(n) {
			t.Errorf("%d polls wait, at %d places", n, taken)
		}
		w.send(user(0), 2, user0)
		time.Sleep(lane.GapTimeout + time.Second)
		if !w.acked(user(0), 2) {
			t.Errorf("a user's number found no place: %q", w.events(user(0)))
		}
		polls.Wait()
		if _, _, taken := p.seen(); taken > 0 {
			t.Errorf("%d have not left", taken)
		}
	})
}

// strangers returns how many places are taken above the users'.
func (p *places) strangers(users int) (taken int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for place := range p.by {
		if place >= users {
			taken++
		}
	}
	return taken
}

// TestShortLingering takes no place.
func TestShortLingering(t *testing.T) {
	for late, asked := range map[time.Duration]bool{signal.LingerFreely - 10*time.Millisecond: false, 3 * signal.LingerFreely: true} {
		p := &places{by: make(map[int]string)}
		inCrowdedWorld(t, p, 1, 1, func(w *world) {
			w.send(user(0), 2, user0)
			time.Sleep(late)
			w.send(user(0), 1, user0)
			time.Sleep(time.Minute)
			if n, _, _ := p.seen(); (n > 0) != asked || !w.acked(user(0), 2) {
				t.Errorf("late by %v: %d places were asked for; %q", late, n, w.events(user(0)))
			}
		})
	}
}

// TestPlacesUnknown: where it is not known whether there is a place, nobody lingers.
func TestPlacesUnknown(t *testing.T) {
	p := &places{by: make(map[int]string), err: errors.New("out")}
	inCrowdedWorld(t, p, 1, 1, func(w *world) {
		w.send(user(0), 2, user0)
		time.Sleep(time.Minute)
		if n, _, _ := p.seen(); n != 1 || w.acked(user(0), 2) {
			t.Errorf("%d places were asked for; %q", n, w.events(user(0)))
		}
		w.send(user(0), 1, user0) // is in its order, and needs no place
		if !w.acked(user(0), 2) {
			t.Errorf("%q", w.events(user(0)))
		}
	})
}

// TestStrangersDoNotLinger: before the authentication an invocation that holds a frame
// ends at once.
func TestStrangersDoNotLinger(t *testing.T) {
	p := &places{by: make(map[int]string)}
	inCrowdedWorld(t, p, 1, 0, func(w *world) {
		w.connect("s", signal.EIO4, nil)
		began := w.Clock.Now()
		for n := range int64(lane.MaxEarly) {
			r := w.Receive(w.t.Context(), signal.Peer{ID: "s"}, signal.Send{Number: 2 * n, Frame: lane.Frame{To: "bob"}, Look: true})
			if r.After != nil {
				r.After(w.t.Context())
			}
		}
		if took := w.Clock.Now().Sub(began); took != 0 || p.asked != 0 {
			t.Errorf("they have lingered for %v, and asked for %d places", took, p.asked)
		}
	})
}

// TestFullLane: when nobody lingers, and a lane is full, a frame that is refused helps.
func TestFullLane(t *testing.T) {
	p := &places{by: make(map[int]string), err: errors.New("out")}
	inCrowdedWorld(t, p, 1, 1, func(w *world) {
		for n := range int64(lane.MaxHeld) {
			w.send(user(0), n+2, user0)
		}
		time.Sleep(lane.GapTimeout + lane.ClockBound + time.Second)
		w.send(user(0), lane.MaxHeld+2, user0)
		if !w.acked(user(0), 2) || !w.acked(user(0), lane.MaxHeld+1) {
			t.Error("what was held is not posted")
		}
	})
}

// TestNumberOfPlaces: a share of the invocations that may run, and one at least.
func TestNumberOfPlaces(t *testing.T) {
	for concurrency, want := range map[int]int{-1: signal.DefaultPlaces, 0: 1, 1: 1, 7: 1, 8: 2, 12: 3, 1000: 250} {
		if got := signal.Places(concurrency); got != want {
			t.Errorf("of %d invocations %d may linger, want %d", concurrency, got, want)
		}
	}
}

// TestBatchBeforeTheAuthentication: of several messages in a frame none is held, and
// the connection goes on; one with a lane that is open is served.
func TestBatchBeforeTheAuthentication(t *testing.T) {
	batch := func() signal.Sends {
		return signal.Sends{{Number: 1, Look: true, Frame: lane.Frame{To: "alice"}}, {Number: 2, Frame: lane.Frame{To: "alice"}}}
	}
	inWorld(t, func(w *world) {
		w.connect("s", signal.JSON, nil)
		w.json("a", "alice")
		r := w.Receive(t.Context(), signal.Peer{ID: "s"}, batch())
		c, err := w.Store.Get(t.Context(), "s", w.Clock.Now())
		if err != nil || len(c.Lane.Held) > 0 || !r.Refused || len(r.Events) != 2 {
			t.Errorf("%v; %+v; %+v", err, c.Lane.Held, r)
		}
		for _, e := range r.Events {
			if !strings.HasSuffix(line(e), " 2102") {
				t.Errorf("answered %s", line(e))
			}
		}
		w.receive("a", batch())
		if !w.acked("a", 1) || !w.acked("a", 2) {
			t.Errorf("%q", w.events("a"))
		}
	})
}

// TestNoPlaceToTakeOver: where a WebSocket that takes over from a lobby finds no place to
// wait for that, it is closed, but not between a client's probe and its upgrade: it would not see it.
func TestNoPlaceToTakeOver(t *testing.T) {
	for name, probed := range map[string]bool{"not probed": false, "probed": true} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				p := &places{by: map[int]string{1: "another"}} // strangers' only one
				w.PlaceStore, w.Places = p, 1
				id, err := w.OpenLobby(w.t.Context(), "hello")
				if err != nil {
					t.Fatal(err)
				}
				token := "alice"
				h := signal.Handshake{Peer: signal.Peer{ID: "a"}, Token: &token, Lobby: &signal.LobbyHandshake{ID: id, Handshakes: []string{"hello"}}}
				after, err := w.Connect(w.t.Context(), h)
				if err != nil {
					t.Fatal(err)
				}
				if probed {
					w.receive("a", signal.Probe{})
				}
				after(w.t.Context())
				w.expectClosed("a", !probed)
				w.receive("a", signal.Upgrade{})
				w.expectClosed("a", true)
			})
		})
	}
}
