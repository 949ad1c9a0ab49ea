package template

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/owt-signal/owt-signal/internal/faults"
)

// A day is what happens in its minutes. Keepalive runs in every fifth, unless
// the day says otherwise.
type day struct {
	name   string
	events []happening
	// silent: from this minute to that, keepalive is not invoked.
	silent [2]int
}

// happening is data that come in a minute, and so many times in it.
type happening struct {
	minute, times int
	data          []datum
}

// The bad part of a day, in minutes, and when the day is judged for the last
// time: longer after than any alarm looks back.
const (
	badFrom = 60
	badTo   = 90
	evening = 240
)

// metrics is what CloudWatch has of a day whose rounds of keepalive are these.
func (d day) metrics(rounds []datum) *cloudwatch {
	c := &cloudwatch{}
	for _, e := range d.events {
		c.put(e.minute, e.times, e.data)
	}
	for m := 0; m <= evening; m += 5 {
		if m < d.silent[0] || d.silent[1] <= m {
			c.put(m, 1, rounds)
		}
	}
	return c
}

// states is an alarm's state in each minute of a day.
func (c *cloudwatch) states(r reading, a alarm) (states []string) {
	c.reading = r
	state := unknown
	for minute := range evening + 1 {
		state = c.state(a, minute, state)
		states = append(states, state)
	}
	return states
}

// each has data come in every so manieth minute of a part of the day.
func each(from, to, every, times int, data []datum) (all []happening) {
	for m := from; m < to; m += every {
		all = append(all, happening{m, times, data})
	}
	return all
}

// TestAlarmsFire gives each alarm its bad day, in the metrics of a stack to which it
// really happened: it fires then, not before, and is over in the evening. On no
// other day does any of them fire.
func TestAlarmsFire(t *testing.T) {
	s := observe(t)
	rounds := s.during(t, func(ctx context.Context) { s.keepalive(ctx, t) }, ofFunction("Invocations", "KeepaliveFunction"))
	ordinary := slices.Concat(
		s.during(t, s.ordinary(t), ofStack("Connects"), ofStack("Acks")),
		talk(t, faults.Spec{SlowStore: 20 * time.Millisecond, Seed: 1}, 2, 3, time.Second),
	)
	// The start of an environment takes some 100 ms (docs/performance.md), and the
	// first call of each service as long. This is more.
	cold := talk(t, faults.Spec{SlowStore: time.Second, Seed: 1}, 1, 0, 0)

	minutely := func(data []datum) []happening { return each(badFrom, badTo, 1, 1, data) }
	inEachPeriod := func(times int, data []datum) []happening { return each(badFrom, badTo, 5, times, data) }
	bad := map[string][]happening{
		"KeepaliveMissing":     nil, // nothing happens
		"ConnectErrors":        minutely(s.during(t, s.dies(t, "connect"), ofFunction("Errors", "ConnectFunction"))),
		"MessageErrors":        minutely(s.during(t, s.dies(t, "message"), ofFunction("Errors", "MessageFunction"))),
		"DisconnectErrors":     minutely(s.during(t, s.dies(t, "disconnect"), ofFunction("Errors", "DisconnectFunction"))),
		"LobbyErrors":          minutely(s.during(t, s.dies(t, "lobby"), ofFunction("Errors", "LobbyFunction"))),
		"KeepaliveErrors":      inEachPeriod(1, s.during(t, s.failing(down, func(ctx context.Context) { s.keepalive(ctx, t) }), ofFunction("Errors", "KeepaliveFunction"))),
		"FunctionThrottles":    minutely(s.during(t, s.busy(t), ofFunction("Throttles", "MessageFunction"))),
		"ApiIntegrationErrors": inEachPeriod(10, s.during(t, s.refused(t, "EIO=5"), ofAPI("IntegrationError"))),
		"EventsLate":           minutely([]datum{{ofFunction("IteratorAge", "EventsFunction"), 660_000}}), // ms
		"StalledLanes":         inEachPeriod(1, s.during(t, s.gap(t), ofStack("Skipped"))),
		"ServiceFailures":      minutely(s.during(t, s.failing(down, s.refused(t, "token=alice")), ofStack("Failures"))),
		"TableThrottles":       minutely(s.during(t, s.failing(s.throttled, s.refused(t, "token=alice")), ofTable("WriteThrottleEvents"))),
		"SlowAnswers":          minutely(talk(t, faults.Spec{SlowStore: 4 * time.Second, Seed: 1}, 20, 0, 0)),
		"ConnectDuration":      minutely(talk(t, faults.Spec{SlowStore: 6 * time.Second, Seed: 1}, 20, 0, 0)), // three tries of 2 s
		"MessageDuration":      minutely(talk(t, faults.Spec{Delay: 900 * time.Millisecond, SlowStore: time.Second, Seed: 1}, 2, 400, 400*time.Millisecond)),
		"KeepaliveDuration":    inEachPeriod(1, round(t, 100_000)),
	}
	bad["ApiExecutionErrors"] = bad["FunctionThrottles"] // the gateway gets no answer
	dead := overtaken(t)
	tpl := load(t)
	if have, want := slices.Sorted(maps.Keys(bad)), tpl.of("AWS::CloudWatch::Alarm"); !slices.Equal(have, want) {
		t.Fatalf("there are bad days for %q, and alarms %q", have, want)
	}

	traffic := each(0, evening, 1, 1, ordinary)
	quiet := []day{
		{name: "nobody"},
		{name: "traffic", events: traffic},
		{name: "a client now and then", events: each(0, evening, 17, 1, ordinary)},
		{name: "a client now and then, each time a new environment", events: each(0, evening, 6, 1, cold)},
		{name: "a client that misbehaves", events: slices.Concat(traffic, each(0, evening, 1, 1, s.during(t, s.misbehave(t), ofStack("Refusals"), ofStack("Acks2201"))))},
		{name: "a round is left out", silent: [2]int{60, 65}},
	}
	for resource, events := range bad {
		if resource == "StalledLanes" || resource == "ApiIntegrationErrors" || len(events) == 0 { // of many in one period
			continue
		}
		quiet = append(quiet, day{name: "once " + resource, events: slices.Concat(traffic, events[:1])})
	}
	for resource, events := range bad {
		a := tpl.alarm(resource)
		days := []day{{name: "bad", events: events}, {name: "bad, with traffic", events: slices.Concat(events, traffic)}}
		switch resource {
		case "KeepaliveMissing":
			days = []day{{name: "no schedule"}, {name: "no schedule, with traffic", events: traffic}}
			for i := range days { // the last round is 5 minutes before, and 15 without one are enough
				days[i].silent = [2]int{badFrom, badFrom + 15}
			}
		case "StalledLanes":
			days = append(days, day{name: "dead owners", events: each(badFrom, badTo, 5, 10, dead)})
		case "KeepaliveErrors", "KeepaliveDuration": // instead of the good rounds
			for i := range days {
				days[i].silent = [2]int{badFrom, badTo}
			}
		}
		for _, d := range days {
			c := d.metrics(rounds)
			for _, r := range a.readings() {
				states := c.states(r, a)
				if slices.Contains(states[:badFrom], fires) || !slices.Contains(states[badFrom:badTo], fires) || states[evening] == fires {
					t.Errorf("%s, %s, %+v: %s", resource, d.name, r, short(states))
				}
			}
		}
		for _, d := range quiet {
			c := d.metrics(rounds)
			for _, r := range a.readings() {
				if states := c.states(r, a); slices.Contains(states, fires) {
					t.Errorf("%s fires: %s, %+v: %s", resource, d.name, r, short(states))
				}
			}
		}
	}
	// The first deployment: there was no round yet.
	a, c := tpl.alarm("KeepaliveMissing"), day{silent: [2]int{0, 10}}.metrics(rounds)
	for _, r := range a.readings() {
		if states := c.states(r, a); states[0] != fires || slices.Contains(states[11:], fires) {
			t.Errorf("KeepaliveMissing after the first deployment, %+v: %s", r, short(states))
		}
	}
}

// short is the states of a day, and from which minute on.
func short(states []string) string {
	var all []string
	for minute, state := range states {
		if minute == 0 || states[minute-1] != state {
			all = append(all, fmt.Sprintf("%d: %s", minute, state))
		}
	}
	return strings.Join(all, ", ")
}

// --- What happens -------------------------------------------------------------

// keepalive is a round.
func (s *observed) keepalive(ctx context.Context, t *testing.T) {
	t.Helper()
	_, _ = s.invoke(ctx, "keepalive", []byte("{}"))
}

// as connects somebody.
func (s *observed) as(ctx context.Context, t *testing.T, user string) *websocket.Conn {
	t.Helper()
	c := dial(ctx, t, s.url+"?token="+user)
	await(ctx, t, c, `{"type":"welcome"`)
	return c
}

func say(ctx context.Context, t *testing.T, c *websocket.Conn, frames ...string) {
	t.Helper()
	for _, f := range frames {
		if err := c.Write(ctx, websocket.MessageText, []byte(f)); err != nil {
			t.Fatal(err)
		}
	}
}

// ordinary is two people who talk and leave.
func (s *observed) ordinary(t *testing.T) func(context.Context) {
	return func(ctx context.Context) {
		alice, bob := s.as(ctx, t, "alice"), s.as(ctx, t, "bob")
		for n := range 3 {
			say(ctx, t, alice, message(n+1, "bob"))
			await(ctx, t, alice, fmt.Sprintf(`{"type":"ack","id":%d`, n+1))
		}
		s.drain(ctx, t)
		leave(alice)
		s.drain(ctx, t)
		leave(bob)
	}
}

// refused is a handshake that fails.
func (s *observed) refused(t *testing.T, query string) func(context.Context) {
	return func(ctx context.Context) {
		c, _, err := websocket.Dial(ctx, s.url+"?"+query, nil)
		if err == nil {
			_ = c.CloseNow()
			t.Fatal("a handshake was not refused")
		}
	}
}

// gap is a client that leaves ten numbers out.
func (s *observed) gap(t *testing.T) func(context.Context) {
	return func(ctx context.Context) {
		alice, bob := s.as(ctx, t, "alice"), s.as(ctx, t, "bob")
		say(ctx, t, alice, message(1, "bob"))
		await(ctx, t, alice, `{"type":"ack","id":1`)
		s.drain(ctx, t)
		say(ctx, t, alice, message(12, "bob"))
		await(ctx, t, alice, `{"type":"ack","id":12`)
		leave(alice)
		leave(bob)
	}
}

// dies is a function that is killed at work.
func (s *observed) dies(t *testing.T, function string) func(context.Context) {
	return func(ctx context.Context) {
		if function == "connect" {
			s.kill.Store(function)
			s.refused(t, "token=alice")(ctx)
			return
		}
		if function == "lobby" {
			s.kill.Store(function)
			_, _ = s.invoke(ctx, function, []byte(`{"rawQueryString":"EIO=4&transport=polling","requestContext":{"http":{"method":"GET"}}}`))
			return
		}
		alice := s.as(ctx, t, "alice")
		s.drain(ctx, t)
		s.kill.Store(function)
		if function == "message" {
			say(ctx, t, alice, `{"type":"ping"}`)
			await(ctx, t, alice, `{"message": "Internal server error"`)
		}
		leave(alice)
		for s.kill.Load() != "" && ctx.Err() == nil {
			time.Sleep(10 * time.Millisecond)
		}
	}
}

// busy is as many frames as there may be environments, which wait for the table,
// and one more.
func (s *observed) busy(t *testing.T) func(context.Context) {
	return func(ctx context.Context) {
		alice := s.as(ctx, t, "alice")
		s.drain(ctx, t)
		waiting, release := make(chan struct{}, 100), make(chan struct{})
		s.failing(func(http.ResponseWriter, *http.Request) bool {
			waiting <- struct{}{}
			<-release
			return false
		}, func(ctx context.Context) {
			defer close(release)
			for n := range environments {
				say(ctx, t, alice, message(n+1, "bob"))
				<-waiting
			}
			say(ctx, t, alice, message(environments+1, "bob"))
			await(ctx, t, alice, `{"message": "Internal server error"`)
		})(ctx)
		leave(alice)
	}
}

// misbehave is a client that does what it should not.
func (s *observed) misbehave(t *testing.T) func(context.Context) {
	return func(ctx context.Context) {
		s.refused(t, "EIO=5")(ctx)
		mallory, victim := s.as(ctx, t, "mallory"), s.as(ctx, t, "victim")
		say(ctx, t, mallory, message(1, "nobody"))
		await(ctx, t, mallory, `{"type":"error","id":1`)
		s.drain(ctx, t)
		_ = victim.CloseNow()
		say(ctx, t, mallory, message(2, "victim"), message(2, "victim"))
		await(ctx, t, mallory, `{"type":"error","id":2`)
		say(ctx, t, mallory, `{"type":"what"}`, message(-1, "victim"), "{{{", strings.Repeat("4", 30_000))
		await(ctx, t, mallory, `{"type":"error","code":2103`)
		s.drain(ctx, t)
		_ = mallory.CloseNow()
	}
}
