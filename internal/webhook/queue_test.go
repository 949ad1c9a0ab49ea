package webhook

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal"
)

// receiver is a server that is told of events, and what it has taken of each user.
type receiver struct {
	*httptest.Server
	mu    sync.Mutex
	taken map[signal.UserName][]string // ids
	news  chan struct{}                // one was taken
}

// newReceiver returns a receiver that takes what before does not answer otherwise: it
// is called with how often the event has come.
func newReceiver(t *testing.T, before func(w http.ResponseWriter, e Event, times int) bool) *receiver {
	t.Helper()
	r := &receiver{taken: make(map[signal.UserName][]string), news: make(chan struct{}, 1)}
	times := make(map[string]int)
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		var e Event
		if err := json.Unmarshal(body, &e); err != nil || req.Header.Get(Header) != sign([]byte(testKey), signedAt(req), body) {
			t.Errorf("told %s, %v", body, req.Header)
		}
		r.mu.Lock()
		times[e.ID]++
		n := times[e.ID]
		r.mu.Unlock()
		if before != nil && !before(w, e, n) {
			return
		}
		r.mu.Lock()
		r.taken[e.User] = append(r.taken[e.User], e.ID)
		r.mu.Unlock()
		select {
		case r.news <- struct{}{}:
		default:
		}
	}))
	t.Cleanup(r.Close)
	return r
}

func signedAt(r *http.Request) time.Time {
	var seconds int64
	_, _ = fmt.Sscanf(r.Header.Get(Header), "t=%d", &seconds)
	return time.Unix(seconds, 0)
}

const testKey = "a secret that has thirty-two bytes"

// counts is a [signal.Meter].
type counts struct {
	mu  sync.Mutex
	all map[signal.Metric]int
}

func (c *counts) Count(m signal.Metric, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all == nil {
		c.all = make(map[signal.Metric]int)
	}
	c.all[m] += n
}

func (c *counts) of(m signal.Metric) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.all[m]
}

func event(user string, n int) Event {
	return Event{ID: fmt.Sprint(user, n), Kind: Connected, User: signal.UserName(user), Connection: "c", At: time.Now(), Order: fmt.Sprintf("%041d", n)}
}

// wants waits until everything was taken, in the order of each user: what came twice
// may stand there twice.
func (r *receiver) wants(t *testing.T, users, each int) {
	t.Helper()
	want := make(map[signal.UserName][]string, users)
	for u := range users {
		user := fmt.Sprint("user", u)
		for n := range each {
			want[signal.UserName(user)] = append(want[signal.UserName(user)], event(user, n).ID)
		}
	}
	timeout := time.After(time.Minute) // a hang
	for {
		r.mu.Lock()
		whole := 0
		for user, ids := range want {
			if taken := r.taken[user]; len(taken) >= each && slices.Equal(slices.Compact(slices.Clone(taken)), ids) {
				whole++
			}
		}
		r.mu.Unlock()
		if whole == users {
			return
		}
		select {
		case <-r.news:
		case <-timeout:
			t.Fatalf("%d users of %d have it all: %v", whole, users, r.taken)
		}
	}
}

func (r *receiver) queue(t *testing.T, within time.Duration, meter *counts) *Queue {
	q := newQueue(NewClient(r.URL+"?key=of-the-url", []byte(testKey), within, time.Now), meter, slog.New(slog.DiscardHandler), time.Millisecond)
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		q.Close(ctx)
	})
	return q
}

// A server that fails, takes an event and fails to say so, is slow or gone for a while
// has each event in the end, and those of a user in their order.
func TestInOrderAndAtLeastOnce(t *testing.T) {
	const users, each = 16, 10
	over := make(chan struct{})
	for name, before := range map[string]func(http.ResponseWriter, Event, int) bool{
		"well": nil,
		"fails": func(w http.ResponseWriter, e Event, times int) bool {
			if strings.HasSuffix(e.ID, "3") && times < 3 {
				w.WriteHeader(http.StatusInternalServerError)
				return false
			}
			return true
		},
		"refuses, redirects": func(w http.ResponseWriter, e Event, times int) bool {
			if strings.HasSuffix(e.ID, "5") && times < 3 {
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader([]int{http.StatusTooManyRequests, http.StatusFound}[times-1])
				return false
			}
			return true
		},
		"takes it, and dies": func(w http.ResponseWriter, e Event, times int) bool {
			if strings.HasSuffix(e.ID, "7") && times == 1 {
				w.WriteHeader(http.StatusBadGateway)
			}
			return true
		},
		"cuts off": func(_ http.ResponseWriter, e Event, times int) bool {
			if strings.HasSuffix(e.ID, "1") && times == 1 {
				panic(http.ErrAbortHandler)
			}
			return true
		},
		"does not answer": func(_ http.ResponseWriter, e Event, times int) bool {
			if e.ID == "user74" && times == 1 {
				<-over
				return false
			}
			return true
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, meter := newReceiver(t, before), &counts{}
			within := PostWithin
			if name == "does not answer" {
				within = 500 * time.Millisecond
				t.Cleanup(sync.OnceFunc(func() { close(over) }))
			}
			q := r.queue(t, within, meter)
			for n := range each {
				for u := range users {
					q.Add(event(fmt.Sprint("user", u), n))
				}
			}
			r.wants(t, users, each)
			// One that is cut off, net/http may post again by itself.
			if name != "well" && name != "cuts off" && meter.of(signal.MetricEventsRetried) == 0 || meter.of(signal.MetricEventsDropped) > 0 {
				t.Errorf("counted %v", meter.all)
			}
		})
	}
}

// A user whose event is not taken is in nobody's way who has another lane, and what
// there is no room for is dropped, at once.
func TestFull(t *testing.T) {
	stuck := make(chan struct{})
	r := newReceiver(t, func(_ http.ResponseWriter, e Event, _ int) bool {
		if e.User == "user0" {
			<-stuck
		}
		return true
	})
	meter := &counts{}
	q := r.queue(t, time.Minute, meter)
	other := 1
	for q.lane(signal.UserName(fmt.Sprint("user", other))) == q.lane("user0") {
		other++
	}
	q.Add(event("user0", 0))
	for len(q.lanes[q.lane("user0")]) > 0 { // it is being posted
		time.Sleep(time.Millisecond)
	}
	for n := range MaxQueued {
		q.Add(event("user0", n+1))
	}
	if n := meter.of(signal.MetricEventsDropped); n != 0 {
		t.Fatalf("%d dropped while there is room", n)
	}
	q.Add(event("user0", MaxQueued+1))
	if n := meter.of(signal.MetricEventsDropped); n != 1 {
		t.Fatalf("%d dropped beyond that", n)
	}
	q.Add(event(fmt.Sprint("user", other), 0))
	<-r.news
	close(stuck)
	r.wants(t, 1, MaxQueued+1)
}

// A queue that ends posts what it has, and gives up what is not taken then; or all, if
// there is no time left.
func TestEnd(t *testing.T) {
	const users, each = 10, 5
	down := false
	var mu sync.Mutex
	r := newReceiver(t, func(w http.ResponseWriter, _ Event, _ int) bool {
		mu.Lock()
		defer mu.Unlock()
		if down {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		return !down
	})
	for _, test := range []struct {
		name  string
		down  bool
		after time.Duration // the context ends
		taken int
	}{{"well", false, time.Minute, users * each}, {"down", true, time.Minute, 0}, {"no time", false, -1, 0}} {
		t.Run(test.name, func(t *testing.T) {
			mu.Lock()
			down = test.down
			mu.Unlock()
			meter := &counts{}
			q := newQueue(NewClient(r.URL, []byte(testKey), PostWithin, time.Now), meter, slog.New(slog.DiscardHandler), time.Hour)
			if test.after < 0 {
				q.stop()
			}
			for n := range each {
				for u := range users {
					q.Add(event(fmt.Sprint("user", u), n))
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), max(test.after, 0))
			defer cancel()
			q.Close(ctx)
			if taken, dropped := meter.of(signal.MetricEvents), meter.of(signal.MetricEventsDropped); taken != test.taken || taken+dropped != users*each {
				t.Errorf("%d taken, %d dropped", taken, dropped)
			}
		})
	}
}

// An event is given up when it is old, and says nothing of the URL's query.
func TestTooOld(t *testing.T) {
	r := newReceiver(t, func(w http.ResponseWriter, e Event, _ int) bool {
		if e.User == "user1" {
			w.WriteHeader(http.StatusBadRequest)
		}
		return e.User != "user1"
	})
	meter := &counts{}
	q := r.queue(t, PostWithin, meter)
	old := event("user1", 0)
	old.At = time.Now().Add(-MaxAge)
	err := q.deliver(t.Context(), old)
	if err == nil || !strings.Contains(err.Error(), "400") || strings.Contains(err.Error(), "of-the-url") || strings.Contains(q.client.Name(), "of-the-url") {
		t.Errorf("%v", err)
	}
	if meter.of(signal.MetricEventsRetried) != 0 {
		t.Errorf("posted again: %v", meter.all)
	}
}
