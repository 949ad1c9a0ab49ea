package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/owt-signal/owt-signal/client"
)

// RecoverVariable, if it is set, has [TestRecovery] take as long as networks are out
// that people have.
const RecoverVariable = "OWT_TEST_RECOVER"

// ordeal is how much a run of TestRecovery goes through.
type ordeal struct {
	messages         int // of each sender
	blackouts, kills int
	least, most      time.Duration // that a blackout lasts
	rest             time.Duration // between two blackouts; all clients are back by then
	life             time.Duration // of a server, on average
	heartbeat        time.Duration // of the clients
	// wakes: the receivers' side learns of the end of a blackout, as where a router is
	// started anew. Otherwise its heartbeat must.
	wakes bool
}

var (
	shortOrdeal = ordeal{
		messages: 300, blackouts: 4, kills: 3, least: 200 * time.Millisecond, most: 1500 * time.Millisecond,
		rest: time.Second, life: time.Second, heartbeat: 5 * time.Second, wakes: true,
	}
	longOrdeal = ordeal{
		messages: 10_000, blackouts: 30, kills: 10, least: time.Second, most: 100 * time.Second,
		rest: 30 * time.Second, life: 30 * time.Second, heartbeat: 15 * time.Second,
	}
)

// TestRecovery has clients in Go and JavaScript send numbered messages to each other
// while the receivers' network dies without a close, or the server is killed. What was
// acked arrives once, in order, and without a gap; the rest is answered, too.
func TestRecovery(t *testing.T) {
	o := shortOrdeal
	if os.Getenv(RecoverVariable) != "" {
		o = longOrdeal
	}
	const badDay = "delay=40ms,duplicate=0.05,slow-store=10ms"
	for _, test := range []struct {
		name  string
		flags func(*testing.T) []string
		kills bool
	}{
		{name: "blackouts, in memory", flags: flags()},
		{name: "blackouts, on DynamoDB", flags: onEngine},
		{name: "blackouts, on functions", flags: onFunctions},
		{name: "blackouts, on a bad day", flags: flags("-faults", badDay)},
		{name: "kills, on DynamoDB", flags: onEngine, kills: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d := &disturbed{t: t, args: append(test.flags(t), "-log", "error")}
			d.server = serve(t, d.args...)
			d.senders, d.receivers = newProxy(t, d.server), newProxy(t, d.server)
			disturb, lasts := o.blackOut, time.Duration(o.blackouts)*(o.rest+(o.least+o.most)/2)
			if test.kills {
				disturb, lasts = o.killAll, time.Duration(o.kills)*o.life
			}
			calm := make(chan struct{})
			flows := o.begin(t, d, lasts, calm)
			disturb(d)
			close(calm)
			for _, f := range flows {
				f.end(t, d)
			}
		})
	}
}

func (o ordeal) blackOut(d *disturbed) {
	for range o.blackouts {
		time.Sleep(o.rest)
		d.receivers.blackout(o.least + rand.N(o.most-o.least))
		if o.wakes {
			d.receivers.wake()
		}
	}
}

func (o ordeal) killAll(d *disturbed) {
	for range o.kills {
		time.Sleep(o.life/2 + rand.N(o.life))
		d.restart()
	}
}

// flow is what one client sends to another.
type flow struct {
	*journal
	sender, receiver party
	answered         chan struct{} // closed when everything was
}

// party is a client, in whatever language.
type party interface {
	// send sends a label, and calls answered once.
	send(to string, label int, answered func(error))
	leave(t *testing.T)
}

// begin has each client send to one of the other language, for as long as that lasts,
// or faster once it is calm.
func (o ordeal) begin(t *testing.T, d *disturbed, lasts time.Duration, calm <-chan struct{}) []*flow {
	var flows []*flow
	for _, names := range [][2]string{{"alice", "carol"}, {"dave", "bob"}} {
		f := &flow{journal: &journal{from: names[0], came: make(map[int]int)}, answered: make(chan struct{})}
		if names[0] == "alice" {
			f.sender, f.receiver = o.goParty(t, d.senders, names[0], nil), o.jsParty(t, d.receivers, names[1], f.journal)
		} else {
			f.sender, f.receiver = o.jsParty(t, d.senders, names[0], nil), o.goParty(t, d.receivers, names[1], f.journal)
		}
		flows = append(flows, f)
	}
	for _, f := range flows {
		to := map[string]string{"alice": "carol", "dave": "bob"}[f.from]
		go f.sendAll(t.Context(), to, o.messages, lasts/time.Duration(o.messages), calm)
	}
	return flows
}

func (f *flow) sendAll(ctx context.Context, to string, n int, pause time.Duration, calm <-chan struct{}) {
	var answers sync.WaitGroup
	for range n {
		select {
		case <-ctx.Done():
			return
		case <-calm:
			time.Sleep(calmPause)
		case <-time.After(rand.N(2 * pause)):
		}
		label := f.begin()
		answers.Add(1)
		f.sender.send(to, label, func(err error) {
			f.journal.end(label, err)
			answers.Done()
		})
	}
	answers.Wait()
	close(f.answered)
}

// calmPause is between two messages, once it is calm.
const calmPause = 5 * time.Millisecond

// answeredWithin is when everything must be answered, once it is calm.
const answeredWithin = 2 * time.Minute

func (f *flow) end(t *testing.T, d *disturbed) {
	select {
	case <-f.answered:
	case <-time.After(answeredWithin):
		t.Fatalf("of what %s has sent, something was not answered", f.from)
	}
	f.await(t)
	f.sender.leave(t)
	f.receiver.leave(t)
	f.judge(t, d.kills, false)
	if acked := f.acked(); acked < len(f.sent)/2 {
		t.Errorf("of %d messages of %s only %d were acked", len(f.sent), f.from, acked)
	}
}

// goParty is the client in Go.
func (o ordeal) goParty(t *testing.T, p *proxy, name string, j *journal) party {
	t.Helper()
	options := client.Options{Token: name, Heartbeat: o.heartbeat}
	if o.wakes {
		options.MinBackoff, options.MaxBackoff = 50*time.Millisecond, 500*time.Millisecond
	}
	if j != nil {
		options.OnGap = j.gap
	}
	c, err := client.Dial(t.Context(), "http://"+p.Address, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	g := &goParty{c, make(chan struct{})}
	go func() {
		defer close(g.received)
		for m, err := range c.Messages(t.Context()) {
			if err != nil {
				return
			}
			j.receive(t, m.From, m.Data)
		}
	}()
	return g
}

type goParty struct {
	*client.Client
	received chan struct{}
}

func (g *goParty) send(to string, label int, answered func(error)) {
	wait := g.Queue(to, label)
	go func() { answered(wait(context.Background())) }() // the client's end answers all
}

func (g *goParty) leave(*testing.T) {
	_ = g.Close()
	<-g.received
}

// jsParty is the client in JavaScript, a process (jsclient/driver.mjs).
func (o ordeal) jsParty(t *testing.T, p *proxy, name string, j *journal) party {
	t.Helper()
	options := map[string]any{"heartbeat": o.heartbeat.Milliseconds()}
	if o.wakes {
		options["reconnectFirst"], options["reconnectMost"] = 50, 500
	}
	text, err := json.Marshal(options)
	if err != nil {
		t.Fatal(err)
	}
	s := &jsParty{answered: make(map[int]func(error)), ended: make(chan struct{}), logs: &lockedBuffer{}}
	s.cmd = exec.Command(nodePath(t), "jsclient/driver.mjs", "http://"+p.Address, name, string(text))
	s.cmd.Stderr = s.logs
	if s.in, err = s.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	user := make(chan string, 1)
	go func() {
		defer close(s.ended)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			s.hear(t, lines.Bytes(), j, user)
		}
	}()
	t.Cleanup(func() { s.leave(t) })
	select {
	case <-user:
	case <-s.ended:
		t.Fatalf("%s did not connect: %s", name, s.logs)
	}
	return s
}

type jsParty struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	logs  *lockedBuffer
	ended chan struct{} // closed when it says nothing more
	once  sync.Once

	mu       sync.Mutex
	answered map[int]func(error) // by label
}

// hear takes a line of what the program says.
func (s *jsParty) hear(t *testing.T, line []byte, j *journal, user chan<- string) {
	var said struct {
		User   string
		From   string
		Data   json.RawMessage
		Gap    *client.Gap
		Answer int
		Code   client.Code
		Error  string
	}
	if err := json.Unmarshal(line, &said); err != nil || said.Error != "" {
		t.Errorf("the client in JavaScript said %s", line)
		return
	}
	switch {
	case said.User != "":
		user <- said.User
	case said.From != "":
		j.receive(t, said.From, said.Data)
	case said.Gap != nil:
		j.gap(*said.Gap)
	case said.Answer != 0:
		s.mu.Lock()
		answered := s.answered[said.Answer]
		delete(s.answered, said.Answer)
		s.mu.Unlock()
		switch {
		case answered == nil:
			t.Errorf("message %d was answered twice", said.Answer)
		case said.Code == 0:
			answered(nil)
		default:
			answered(&client.Error{Code: said.Code})
		}
	}
}

func (s *jsParty) send(to string, label int, answered func(error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answered[label] = answered
	if json.NewEncoder(s.in).Encode(map[string]any{"send": label, "to": to, "data": label}) != nil {
		delete(s.answered, label)
		go answered(errors.New("the client in JavaScript has ended"))
	}
}

func (s *jsParty) leave(t *testing.T) {
	s.once.Do(func() {
		_ = s.in.Close()
		select {
		case <-s.ended:
		case <-time.After(soon):
			_ = s.cmd.Process.Kill()
		}
		if err := s.cmd.Wait(); err != nil {
			t.Errorf("the client in JavaScript ended: %v: %s", err, s.logs)
		}
	})
}
