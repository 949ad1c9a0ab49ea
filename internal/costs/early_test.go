package costs

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/owt-signal/owt-signal/internal/apigw"
	"github.com/owt-signal/owt-signal/internal/capacity"
	"github.com/owt-signal/owt-signal/internal/limits"
	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// sized has the service's units counted by the size of the items, a refused write as
// any other, and returns what they are since the last call.
func (s *service) sized() func() float64 {
	units := 0.0
	limit := &capacity.Limit{Next: http.DefaultClient.Do, Charged: func(c capacity.Charge) {
		s.mu.Lock()
		defer s.mu.Unlock()
		units += c.Units
	}}
	s.meter.do = limit.Do
	return func() float64 {
		s.mu.Lock()
		defer s.mu.Unlock()
		defer func() { units = 0 }()
		return units
	}
}

// earlyFrames are those of a connection that has not authenticated, by what they are:
// the nth.
var earlyFrames = map[string]func(n int) string{
	"in order":  func(n int) string { return fmt.Sprintf(`42%d["owt-message",{"to":"b","data":1}]`, n) },
	"backwards": func(n int) string { return fmt.Sprintf(`42%d["owt-message",{"to":"b","data":1}]`, 5000-n) },
	"highest numbers": func(n int) string {
		return fmt.Sprintf(`42%d["owt-message",{"to":"b","data":1}]`, signal.MaxNumber-int64(5000-n))
	},
	"far apart": func(n int) string {
		return fmt.Sprintf(`42%d["owt-message",{"to":"b","data":1}]`, signal.MaxNumber/5000*int64(n+1))
	},
	"one number":       func(int) string { return `427["owt-message",{"to":"b","data":1}]` },
	"without a number": func(int) string { return `42["owt-message",{"to":"b","data":1}]` },
	"not understood":   func(n int) string { return fmt.Sprintf(`42%d["owt-message",7]`, n) },
	"another protocol": func(int) string { return `{"type":"presence","user":"b"}` },
	"joins":            func(int) string { return "40" },
	"1 KB of data": func(n int) string {
		return fmt.Sprintf(`42%d["owt-message",{"to":"b","data":"%s"}]`, n, strings.Repeat("x", 900))
	},
}

// TestBeforeAuthentication: whatever a stranger sends, each frame costs little by
// itself, all of them together no more, the end of the connection included, and the
// connection ends.
func TestBeforeAuthentication(t *testing.T) {
	svc := newService(t)
	used := svc.sized()
	for name, body := range earlyFrames {
		t.Run(name, func(t *testing.T) {
			s := newStranger(t, svc, strings.ReplaceAll(name, " ", "-")+"-AAAAAAAAAA=", engine4)
			s.before(t, used, body, maxStrangerUnits, name == "another protocol") // which takes its time to say farewell
		})
	}
}

// TestKeptHeadersBeforeAuthentication: where the authenticator asks for headers, which
// are in the record, a frame costs a unit more.
func TestKeptHeadersBeforeAuthentication(t *testing.T) {
	svc := newService(t)
	used := svc.sized()
	svc.handler.Service.Access.Authenticator = asksFor{"x"}
	svc.headers = map[string][]string{"X": {strings.Repeat("x", signal.MaxClient-len("x"))}}
	for _, name := range []string{"in order", "highest numbers"} {
		t.Run(name, func(t *testing.T) {
			s := newStranger(t, svc, strings.ReplaceAll(name, " ", "-")+"-AAAAAAAAAA=", engine4)
			if size := svc.size("conn#" + s.id); size < signal.MaxClient {
				t.Fatalf("the record has %.0f bytes", size)
			}
			s.before(t, used, earlyFrames[name], maxStrangerUnits+1, false)
		})
	}
}

// before sends frames of a kind before the authentication, each of which may cost so
// much.
func (s *stranger) before(t *testing.T, used func() float64, body func(n int) string, may float64, slow bool) {
	t.Helper()
	const frames = 400
	used()
	most, all, end, told := 0.0, 0.0, 0, 0
	for n := range frames {
		s.frame(s.id, body(n))
		_, said := s.did()
		units := used()
		all += units
		told += strings.Count(said, "2102")
		switch {
		case end == 0 && s.closed > 0:
			if end = n + 1; all > may*float64(end) {
				t.Errorf("its %d frames and its end cost %.0f units", end, all)
			}
		case units > most:
			most = units
		}
		s.clock.now = s.clock.now.Add(time.Millisecond)
	}
	t.Logf("a frame costs %.1f units at most; it ends at frame %d; %d frames cost %.0f", most, end, frames, all)
	if most > may {
		t.Errorf("a frame costs %.1f units, at most %.0f are wanted", most, may)
	}
	if end == 0 || end > apigw.IdleRate.Burst+apigw.IdleRate.PerSecond+lane.MaxEarly {
		t.Errorf("it ends at frame %d", end)
	}
	if all > may*frames/3 && !slow {
		t.Errorf("all frames, most of which came after its end, cost %.0f units", all)
	}
	if told == 0 && !slow || told > 6 {
		t.Errorf("it was told %d times that it is too much", told)
	}
}

// asksFor keeps headers of the handshake.
type asksFor []string

// Authenticate implements [signal.Authenticator].
func (asksFor) Authenticate(ctx context.Context, c signal.Credentials) (signal.Identity, error) {
	return signal.TokenIsName{}.Authenticate(ctx, c)
}

// Needs implements [signal.Authenticator].
func (a asksFor) Needs() signal.Needs { return signal.Needs{Client: true, Headers: a} }

// TestBurstBeforeAuthentication: what clients buffer while they are offline is held
// and delivered, as ever.
func TestBurstBeforeAuthentication(t *testing.T) {
	svc := newService(t)
	svc.connect("bob-AAAAAAAAAAA=", "token=bob")
	s := newStranger(t, svc, "alice-AAAAAAAAA=", engine4)
	for n := 1; n <= lane.MaxEarly; n++ {
		s.frame(s.id, fmt.Sprintf(entrances["5"].send, n, "hello"))
	}
	s.frame(s.id, `420["authentication",{"token":"alice"}]`)
	steps, said := s.did()
	if n := strings.Count(said, `"data":"hello"`); n != lane.MaxEarly || s.closed != 0 {
		t.Errorf("%d of %d arrived: %+v", n, lane.MaxEarly, steps)
	}
}

// TestReadsOfAMessage: the lane of one whom the process knows to have authenticated is
// not looked at; of another, as long as it need not have, once.
func TestReadsOfAMessage(t *testing.T) {
	for name, c := range map[string]struct {
		known bool
		age   time.Duration
		reads int
	}{
		"known": {true, 0, 0}, "unknown": {false, 0, 1}, "almost old": {false, limits.DefaultAuthenticateWithin - 1, 1},
		"old": {false, limits.DefaultAuthenticateWithin, 0},
	} {
		t.Run(name, func(t *testing.T) {
			svc := newService(t)
			svc.connect("bob-AAAAAAAAAAA=", "token=bob")
			s := newStranger(t, svc, "alice-AAAAAAAAA=", engine4)
			s.frame(s.id, "40")
			s.frame(s.id, `420["authentication",{"token":"alice"}]`)
			if !c.known {
				s.handler = &apigw.Handler{Service: s.handler.Service, Protocols: s.handler.Protocols, Endpoint: s.handler.Endpoint, Idle: s.handler.Idle, Log: s.handler.Log}
			}
			s.since -= c.age.Milliseconds()
			s.did()
			want := message
			want.Reads = c.reads
			for n := 1; n < 4; n++ {
				s.frame(s.id, fmt.Sprintf(entrances["5"].send, n, "hello"))
				if steps, _ := s.did(); steps != want {
					t.Errorf("message %d: %+v, want %+v", n, steps, want)
				}
				want.Reads = 0
			}
		})
	}
}
