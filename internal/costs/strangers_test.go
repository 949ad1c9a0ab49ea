package costs

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/owt-signal/owt-signal/internal/apigw"
	"github.com/owt-signal/owt-signal/internal/app"
	"github.com/owt-signal/owt-signal/internal/limits"
	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// maxStrangerUnits is what a frame of somebody without a token may cost, in units
// of DynamoDB.
const maxStrangerUnits = 5

// What a connection without a token may have in the log, whatever it sends.
const (
	maxStrangerLines = 10
	maxStrangerBytes = 4 << 10
)

// stepped is a clock that the test moves.
type stepped struct{ now lane.Instant }

func (c *stepped) Now() lane.Instant { return c.now }

func (c *stepped) Sleep(_ context.Context, d time.Duration) error {
	c.now = c.now.Add(d)
	return nil
}

// stranger is a connection without a token, and what it has cost.
type stranger struct {
	*service
	id           string
	clock        *stepped
	units, lines int
	logged       int // bytes
}

// engine4 is the query of a handshake that brings no token, plainJSON that of one
// that needs none.
const engine4, plainJSON = "EIO=4&transport=websocket", "x=y"

func newStranger(t *testing.T, s *service, id, query string) *stranger {
	t.Helper()
	s.t = t
	st := &stranger{service: s, id: id, clock: &stepped{lane.At(time.Now())}}
	s.since, s.handler.Service.Clock = int64(st.clock.now), st.clock
	s.handler.Service.AuthenticateWithin = limits.DefaultAuthenticateWithin
	s.connect(id, query)
	s.closed = 0
	s.log.Reset()
	s.did()
	return st
}

// send sends a frame, notes what it costs, and returns what is said.
func (s *stranger) send(body string) string {
	s.frame(s.id, body)
	s.logged += s.log.Len()
	steps, said := s.did()
	s.units, s.lines = s.units+steps.Writes+steps.Reads, s.lines+steps.Lines
	if steps.Writes+steps.Reads > maxStrangerUnits {
		s.t.Errorf("%.40q costs %d units", body, steps.Writes+steps.Reads)
	}
	return said
}

// noRecord are frames that touch no record, by what they are.
var noRecord = map[string]string{
	"ping": "2", "long ping": "2" + strings.Repeat("x", 125), "pong": "3", "upgrade": "5", "probe": "2probe", "nothing": "6",
	"foreign namespace": "40/admin,", "long foreign namespace": "40/" + strings.Repeat("x", 900) + ",", "event of a namespace": `42/admin,["x"]`,
	"ack": "437[]", "error": `44{"message":"x"}`, "unknown event": `42["x",{}]`,
	"JSON ping": `{"type":"ping"}`, "no JSON": "x", "unknown type": "{}", "presence of nobody": `{"type":"presence"}`,
	"120 KB of nothing": strings.Repeat("x", 120<<10), "120 KB of JSON": `{"type":"` + strings.Repeat(`\u0001`, 20<<10) + `"}`,
}

// isEngine reports whether a frame has the form of Engine.IO's packets.
func isEngine(body string) bool { return body[0] >= '0' && body[0] <= '9' }

// upgrades reports whether the first frames of that kind read a record: it might
// be one that takes over from a lobby.
func upgrades(body string) bool { return body == "5" || body == "2probe" }

// TestFramesThatTouchNoRecord: they cost no units, and a connection that sends
// them without end is ended, with a bounded number of lines.
func TestFramesThatTouchNoRecord(t *testing.T) {
	s := newService(t)
	const perSecond = 1000
	for name, body := range noRecord {
		t.Run(name, func(t *testing.T) {
			frames := 10_000
			if len(body) > 1000 { // long to read
				frames = 500
			}
			query := engine4
			if !isEngine(body) { // there it would end the connection
				query = plainJSON
			}
			s := newStranger(t, s, strings.ReplaceAll(name, " ", "-"), query)
			end := 0
			for n := range frames {
				before := s.units
				said := s.send(body)
				switch {
				case end == 0 && s.closed > 0:
					end = n + 1
					if !strings.Contains(said, "2102") {
						t.Errorf("at its end it is told %q", said)
					}
				case s.units != before && s.closed < 2 && n > 0 && (n >= apigw.MaxUpgrades || !upgrades(body)): // the first may be looked up; it is ended again after seconds
					t.Fatalf("frame %d costs %d units", n+1, s.units-before)
				case end > 0 && s.closed < 2 && len(said) > len(`{"type":"nothing"}`):
					t.Fatalf("frame %d, after the end, is answered %.40q", n+1, said)
				}
				s.clock.now = s.clock.now.Add(time.Second / perSecond)
			}
			t.Logf("it ends at frame %d; %d frames cost %d units, %d lines and %d bytes of the log", end, frames, s.units, s.lines, s.logged)
			most := apigw.IdleRate.Burst + apigw.IdleRate.PerSecond + 1
			if upgrades(body) {
				most += apigw.MaxUpgrades
			}
			if end == 0 || end > most {
				t.Errorf("it ends at frame %d, want %d at most", end, most)
			}
			if s.lines > maxStrangerLines || s.logged > maxStrangerBytes {
				t.Errorf("%d lines of %d bytes in the log", s.lines, s.logged)
			}
		})
	}
}

// TestPastTheTimeToAuthenticate: whatever a connection without a token sends then
// ends it.
func TestPastTheTimeToAuthenticate(t *testing.T) {
	s := newService(t)
	frames := map[string]string{
		"message": `421["owt-message",{"to":"bob","data":"x"}]`, "message without a number": `42["owt-message",{"to":"bob","data":"x"}]`,
		"join": "40", "authentication": `420["authentication",{"token":"alice"}]`, "unreadable": "9", "presence": `{"type":"presence","user":"bob"}`,
	}
	maps.Copy(frames, noRecord)
	for name, body := range frames {
		t.Run(name, func(t *testing.T) {
			s := newStranger(t, s, "late-"+strings.ReplaceAll(name, " ", "-"), engine4)
			s.clock.now = s.clock.now.Add(limits.DefaultAuthenticateWithin)
			said := s.send(body)
			if s.closed != 1 || name != "unreadable" && isEngine(body) && !strings.Contains(said, "2120") {
				t.Errorf("it was closed %d times, and told %q", s.closed, said)
			}
			for range 200 { // that were on their way
				s.send(body)
				s.clock.now = s.clock.now.Add(time.Millisecond)
			}
			t.Logf("200 more frames: %d units in all, %d lines and %d bytes of the log", s.units, s.lines, s.logged)
			if s.lines > maxStrangerLines || s.logged > maxStrangerBytes {
				t.Errorf("%d lines of %d bytes in the log", s.lines, s.logged)
			}
		})
	}
}

// TestPingsOfAUser: one who has authenticated is looked at once, a minute after it
// has come, and again when its token ends.
func TestPingsOfAUser(t *testing.T) {
	svc := newService(t)
	const ends = 10 * time.Minute
	s := newStranger(t, svc, "alice", engine4)
	s.handler.Service.Access.Authenticator = endsAt{s.clock.now.Add(ends)}
	s.send("40")
	s.send(`420["authentication",{"token":"alice"}]`)
	s.units = 0
	for at := time.Duration(0); at < ends; at += time.Second {
		if s.send("3"); s.closed > 0 {
			t.Fatalf("closed after %v", at)
		}
		if want := 1; at >= limits.DefaultAuthenticateWithin && s.units != want || at < limits.DefaultAuthenticateWithin && s.units != 0 {
			t.Fatalf("%d units after %v", s.units, at)
		}
		s.clock.now = s.clock.now.Add(time.Second)
	}
	if said := s.send("3"); s.closed != 1 || !strings.Contains(said, "2121") {
		t.Errorf("at the end of its token it was closed %d times, and told %q", s.closed, said)
	}
}

// endsAt lets everybody in until then.
type endsAt struct{ until lane.Instant }

func (a endsAt) Authenticate(_ context.Context, c signal.Credentials) (signal.Identity, error) {
	return signal.Identity{User: signal.UserName(c.Token), Expires: a.until}, nil
}

func (endsAt) Needs() signal.Needs { return signal.Needs{} }

// TestHandshakesInTheLog: a handshake that is refused has a line of bounded length,
// whatever it brings.
func TestHandshakesInTheLog(t *testing.T) {
	long := strings.Repeat(`x"`, 450<<10)
	s := newService(t)
	s.handler.Service.Clock = &stepped{lane.At(time.Now())} // or they would wait for their clients to close
	for name, ev := range map[string]events.APIGatewayWebsocketProxyRequest{
		"origin":      {MultiValueHeaders: map[string][]string{"origin": {long}}},
		"engine":      {QueryStringParameters: map[string]string{"EIO": long}},
		"version":     {QueryStringParameters: map[string]string{"EIO": "4", "clientVersion": long, "clientType": long}},
		"subprotocol": {MultiValueHeaders: map[string][]string{"sec-websocket-protocol": {long}}},
		"session":     {QueryStringParameters: map[string]string{"session": long}},
		"token":       {QueryStringParameters: map[string]string{"token": long}},
	} {
		s.handler.Origins = nil
		if name == "origin" {
			s.handler.Origins = []string{"https://example.com"}
		}
		for n := range 100 {
			ev.RequestContext.ConnectionID = fmt.Sprint(name, n)
			if _, after := s.handler.Connect(t.Context(), &ev); after != nil {
				after(t.Context())
			}
		}
		length, lines := s.log.Len(), strings.Count(s.log.String(), "\n")
		t.Logf("%s: 100 handshakes have %d lines, %d bytes", name, lines, length)
		if lines < 100 || lines > 300 || length > 100*3*(logLine+2*2*app.MaxLogText) { // a quote is two bytes in JSON
			t.Errorf("%s: 100 handshakes have %d lines, %d bytes", name, lines, length)
		}
		s.log.Reset()
		s.did()
	}
}
