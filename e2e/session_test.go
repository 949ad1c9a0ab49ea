package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/owt-signal/owt-signal/client"
)

// sessionMessages is how many messages go from one client to another in a
// scenario, unless it says otherwise; MESSAGES in the environment overrules both.
const sessionMessages = 10_000

func (s scenario) count(t *testing.T) int {
	n := s.messages
	if n == 0 {
		n = sessionMessages
	}
	if text := os.Getenv("MESSAGES"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

// scenario is something that goes wrong while one client sends to another.
type scenario struct {
	name     string
	flags    func(t *testing.T) []string
	window   int                     // messages that wait for an answer; zero: more than the server lets be in flight
	messages int                     // zero: sessionMessages
	lasting  time.Duration           // how long to take for all at least
	options  func(o *client.Options) // of both clients
	times    int                     // how often it is disturbed, evenly
	disturb  func(d *disturbed)
	forgets  bool // the server's records end with its process
}

var scenarios = []scenario{
	{name: "undisturbed"},
	{name: "the sender's network is cut", times: 20, disturb: func(d *disturbed) { d.senders.cut() }},
	{
		name: "the sender's network goes deaf", times: 4, disturb: func(d *disturbed) { d.senders.deafen() },
		options: func(o *client.Options) { o.AckTimeout = 500 * time.Millisecond },
	},
	{name: "both networks are cut", times: 4, disturb: func(d *disturbed) { d.senders.cut(); d.receivers.cut() }},
	{name: "the server is killed", forgets: true, times: 4, disturb: (*disturbed).restart},
	// Its records outlive the server, and a dead owner counts as such after 3 s.
	{name: "the server is killed, on DynamoDB", flags: onEngine, messages: 2000, window: 32, times: 2, disturb: (*disturbed).restart},
	{
		name: "connections age", flags: flags("-max-duration", "3s"), lasting: 6 * time.Second,
		options: func(o *client.Options) { o.RenewAfter = time.Second },
	},
	// Each message waits for some of these delays after the one before.
	{
		name: "the service has a bad day", messages: 300, times: 4, disturb: func(d *disturbed) { d.senders.cut() },
		flags: flags("-faults", "delay=20ms,duplicate=0.05,slow-store=10ms,lost-disconnect=0.2"),
	},
}

func flags(f ...string) func(*testing.T) []string { return func(*testing.T) []string { return f } }

// disturbed is one run of a scenario.
type disturbed struct {
	t                  *testing.T
	args               []string
	server             *server
	senders, receivers *proxy
	kills              []time.Time
}

// restart kills the server and starts it anew.
func (d *disturbed) restart() {
	d.kills = append(d.kills, time.Now())
	d.server.kill()
	d.server = serve(d.t, d.args...)
	d.senders.leadTo(d.server)
	d.receivers.leadTo(d.server)
}

// TestSessions has one client send numbered messages to another while things go
// wrong. Each arrives once and in order, or its sender is told that it did not.
func TestSessions(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes some seconds; not in -short")
	}
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			s.run(t)
		})
	}
}

func (s scenario) run(t *testing.T) {
	d := &disturbed{t: t, args: []string{"-log", "error"}}
	if s.flags != nil {
		d.args = append(d.args, s.flags(t)...)
	}
	d.server = serve(t, d.args...)
	d.senders, d.receivers = newProxy(t, d.server), newProxy(t, d.server)

	j := &journal{from: "alice", came: make(map[int]int)}
	bob := s.dial(t, d.receivers, "bob", j.gap)
	alice := s.dial(t, d.senders, "alice", nil)
	received := make(chan struct{})
	go func() {
		defer close(received)
		for {
			m, err := bob.Receive(t.Context())
			if err != nil {
				return
			}
			j.receive(t, m.From, m.Data)
		}
	}()
	s.sendAll(t, d, alice, j)
	j.await(t)
	_ = alice.Close()
	_ = bob.Close()
	<-received
	j.judge(t, d.kills, s.forgets)
}

func (s scenario) dial(t *testing.T, p *proxy, user string, onGap func(client.Gap)) *client.Client {
	t.Helper()
	o := client.Options{
		Token: user, OnGap: onGap,
		MinBackoff: 20 * time.Millisecond, MaxBackoff: 200 * time.Millisecond,
	}
	if s.options != nil {
		s.options(&o)
	}
	c, err := client.Dial(t.Context(), "ws://"+p.Address+"/prod", o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// sendAll sends all messages, and those again, as new ones, of which it is told
// that their receiver was not online.
func (s scenario) sendAll(t *testing.T, d *disturbed, alice *client.Client, j *journal) {
	n := s.count(t)
	todo := make(chan struct{}, n) // an element for each message to be sent
	for range n {
		todo <- struct{}{}
	}
	window := s.window
	if window == 0 {
		window = 200
	}
	room := make(chan struct{}, window)
	var answers sync.WaitGroup
	var left sync.WaitGroup
	left.Add(n)
	go func() { left.Wait(); close(todo) }()
	sent, start := 0, time.Now()
	for range todo {
		if sent++; sent < n && sent%(n/(s.times+1)) == 0 && s.disturb != nil {
			s.disturb(d)
		}
		time.Sleep(time.Until(start.Add(s.lasting * time.Duration(sent) / time.Duration(n))))
		room <- struct{}{}
		label := j.begin()
		wait := alice.Queue("bob", label)
		answers.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			err := wait(ctx)
			<-room
			j.end(label, err)
			if e, ok := errors.AsType[*client.Error](err); ok && e.Code == client.CodeUnreachable {
				time.Sleep(50 * time.Millisecond)
				todo <- struct{}{}
				return
			}
			left.Done()
		})
	}
	answers.Wait()
}

// journal is what was sent and what came.
type journal struct {
	from string // the sender's name
	mu   sync.Mutex
	sent []attempt   // by label, from 1
	came map[int]int // how often, by label
	last int
	gaps int64 // messages in gaps that bob was told of
}

type attempt struct {
	from, to time.Time
	err      error
}

// begin is the label of the next message.
func (j *journal) begin() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.sent = append(j.sent, attempt{from: time.Now()})
	return len(j.sent)
}

func (j *journal) end(label int, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	a := &j.sent[label-1]
	a.to, a.err = time.Now(), err
}

func (j *journal) gap(g client.Gap) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if g.Last == 0 { // nobody knows how many
		g.Last = g.First + int64(len(j.sent))
	}
	j.gaps += g.Last - g.First + 1
}

func (j *journal) receive(t *testing.T, from string, data json.RawMessage) {
	var label int
	if err := json.Unmarshal(data, &label); err != nil || from != j.from {
		t.Errorf("received %s from %s", data, from)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if label <= j.last {
		t.Errorf("received %d after %d", label, j.last)
	}
	j.last = label
	j.came[label]++
}

// await waits until everything that was acked has come; what has not by then
// does not.
func (j *journal) await(t *testing.T) {
	for deadline := time.Now().Add(soon); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if j.missing(func(attempt) bool { return true }) == 0 {
			return
		}
	}
}

// missing counts the messages that were acked, have not come, and count.
func (j *journal) missing(counts func(attempt) bool) (n int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for i, a := range j.sent {
		if a.err == nil && j.came[i+1] == 0 && counts(a) {
			n++
		}
	}
	return n
}

// acked counts the messages that were.
func (j *journal) acked() (n int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, a := range j.sent {
		if a.err == nil && !a.to.IsZero() {
			n++
		}
	}
	return n
}

// around is how long before the server's end a message may have been acked that
// the server has not written to its receiver's socket.
const around = time.Second

// inFlight reports whether the message was under way when the server was killed.
func (a attempt) inFlight(kills []time.Time) bool {
	for _, k := range kills {
		if a.from.Before(k) && a.to.Add(around).After(k) {
			return true
		}
	}
	return false
}

// judge says what promise was broken. What was acked has come, unless it was under way
// when the server was killed, and that forgets.
func (j *journal) judge(t *testing.T, kills []time.Time, forgets bool) {
	unknown, failed, unreachable := 0, 0, 0
	for i, a := range j.sent {
		e, answered := errors.AsType[*client.Error](a.err)
		switch {
		case j.came[i+1] > 1:
			t.Errorf("message %d came %d times", i+1, j.came[i+1])
		case a.err == nil:
		case errors.Is(a.err, client.ErrUnknown) && a.inFlight(kills):
			unknown++
		case answered && e.Code == client.CodeUnreachable:
			unreachable++
			if j.came[i+1] > 0 {
				t.Errorf("message %d came, and its sender was told otherwise", i+1)
			}
		default:
			failed++
			t.Errorf("message %d: %v", i+1, a.err)
		}
	}
	missing := j.missing(func(a attempt) bool { return !forgets || !a.inFlight(kills) })
	t.Logf("%s: %d sent, %d came, %d missing, %d not reachable, %d unknown, gaps of %d", j.from, len(j.sent), len(j.came), missing, unreachable, unknown, j.gaps)
	if missing > 0 || j.gaps > 0 && !forgets {
		t.Errorf("%d messages were acked and have not come; gaps tell of %d", missing, j.gaps)
	}
}
