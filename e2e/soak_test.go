//go:build unix

package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/coder/websocket"

	"github.com/owt-signal/owt-signal/internal/awsenv"
	"github.com/owt-signal/owt-signal/internal/dynamo"
	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
	"github.com/owt-signal/owt-signal/internal/storetest"
)

// SoakVariable says for how long [TestSoak] runs, as in 20m, and holds the answers
// to promptly; without it the test is short, and the machine may be busy.
const SoakVariable = "OWT_TEST_SOAK"

const (
	soakUsers  = 3                      // of each dialect
	soakPause  = 400 * time.Millisecond // between two messages of a user, on average
	soakBurst  = 6                      // messages at once, now and then
	shortSoak  = 20 * time.Second
	promptly   = 4 * time.Second // an answer, though the store be out meanwhile
	outageMost = 2 * time.Second
	// outageLimit is how long the engine may be out on a machine so busy that it starts
	// slowly: past 5 s connections end. What is longer than outageMost answers may
	// take longer.
	outageLimit = 4500 * time.Millisecond
	outageRest  = 5 * time.Second // between two outages, so that they come one at a time
)

// TestSoak has clients send to each other while the DynamoDB engine is paused and
// killed at random. What each was told, and what each got, is held against each
// other: every message is answered once and soon, and the answer is true; what
// arrives arrives once, and in order.
func TestSoak(t *testing.T) {
	lasts, within := shortSoak, soon
	if v := os.Getenv(SoakVariable); v != "" {
		var err error
		if lasts, err = time.ParseDuration(v); err != nil {
			t.Fatal(err)
		}
		within = promptly
	}
	engine := storetest.StartEngine(t, "--db-path", filepath.Join(t.TempDir(), "engine.db"))
	s := serve(t, "-dynamodb", engine.Endpoint, "-log", "error")
	l := &ledger{sent: make(map[string]*entry)}
	var users []*user
	for i := range soakUsers {
		users = append(users, join(t, s, socketIO(4), fmt.Sprintf("sio%d", i)), join(t, s, plainJSON{}, fmt.Sprintf("json%d", i)))
	}
	ctx, cancel := context.WithTimeout(t.Context(), lasts)
	defer cancel()
	reading, stop := context.WithCancel(t.Context())
	defer stop()
	var senders, readers sync.WaitGroup
	for _, u := range users {
		readers.Go(func() { l.read(reading, t, u) })
		senders.Go(func() { l.sendUntil(ctx, t, u, users) })
	}
	probe := newStoreProbe(t, engine.Endpoint)
	go probe.run(reading)
	outages := disturb(ctx, t, engine)
	senders.Wait()
	for end := time.Now().Add(within); l.unanswered() > 0 && time.Now().Before(end); {
		time.Sleep(50 * time.Millisecond)
	}
	stop()
	readers.Wait()
	longest := time.Duration(probe.longest.Load())
	if longest > outageLimit {
		t.Skipf("the engine was out for %v, on a machine that is too busy", longest)
	}
	t.Logf("%d outages, the longest %v: %s", outages, longest.Round(time.Millisecond), l.judge(t, within+max(0, longest-outageMost)))
}

// storeProbe writes to the engine all the time, and notes for how long at most it
// did not answer: on a busy machine that is longer than it was paused.
type storeProbe struct {
	store   *dynamo.Store
	longest atomic.Int64
}

func newStoreProbe(t *testing.T, endpoint string) *storeProbe {
	t.Helper()
	client := dynamodb.NewFromConfig(awsenv.ConfigOr("us-east-1", "local"), func(o *dynamodb.Options) {
		o.BaseEndpoint, o.Retryer = &endpoint, aws.NopRetryer{}
	})
	p := &storeProbe{store: dynamo.New(client, "probe")}
	if err := p.store.EnsureTable(t.Context()); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *storeProbe) run(ctx context.Context) {
	const pause = 20 * time.Millisecond
	last := time.Now()
	for ; ctx.Err() == nil; time.Sleep(pause) {
		if _, _, err := p.store.Update(ctx, "nobody", signal.Update{}, lane.At(last)); !errors.Is(err, signal.ErrNoConnection) {
			continue
		}
		now := time.Now()
		p.longest.Store(max(p.longest.Load(), int64(now.Sub(last))))
		last = now
	}
}

// disturb pauses and kills the engine until ctx ends, and returns how often.
func disturb(ctx context.Context, t *testing.T, engine *storetest.EngineProcess) (outages int) {
	for {
		select {
		case <-ctx.Done():
			return outages
		case <-time.After(outageRest + rand.N(outageRest/2)):
		}
		lasts := 100*time.Millisecond + rand.N(outageMost-100*time.Millisecond)
		outages++
		if rand.N(2) == 0 {
			pause(t, engine, lasts)
		} else {
			restart(t, engine, lasts*3/4) // it takes a while to start
		}
	}
}

// ledger is what was sent, answered and delivered.
type ledger struct {
	mu       sync.Mutex
	sent     map[string]*entry // by sender and number
	order    []*entry          // as it was sent
	received []*entry          // as it arrived
	wrong    []string
}

// entry is a message.
type entry struct {
	from, to string
	id       int
	at, took time.Duration // when it was sent, and how long its answer took
	answers  []int
	arrived  int
}

// began is what times are told from.
var began = time.Now()

func (l *ledger) sendUntil(ctx context.Context, t *testing.T, u *user, users []*user) {
	for ctx.Err() == nil {
		messages := 1
		if rand.N(10) == 0 {
			messages = soakBurst
		}
		for range messages {
			to := users[rand.N(len(users))]
			u.sent++
			e := &entry{from: u.name, to: to.name, id: u.sent, at: time.Since(began)}
			l.mu.Lock()
			l.sent[key(u.name, u.sent)] = e
			l.order = append(l.order, e)
			l.mu.Unlock()
			_ = u.socket.(goodSocket).Write(t.Context(), websocket.MessageText, []byte(u.message(u.sent, to.name, strconv.Itoa(u.sent)))) // that it fails its reader sees
		}
		time.Sleep(rand.N(2 * soakPause))
	}
}

func key(from string, id int) string { return fmt.Sprintf("%s %d", from, id) }

// read notes what a user gets.
func (l *ledger) read(ctx context.Context, t *testing.T, u *user) {
	for {
		_, b, err := u.socket.(goodSocket).Read(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			l.mu.Lock()
			l.wrong = append(l.wrong, fmt.Sprintf("the connection of %s ended at %v: %v", u.name, time.Since(began), err))
			l.mu.Unlock()
			return
		}
		message := string(b)
		if message == "2" { // Engine.IO 4's ping
			u.send(t, "3")
			continue
		}
		l.note(u, message)
	}
}

func (l *ledger) note(u *user, message string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if id, code, ok := u.answered(message); ok {
		e := l.sent[key(u.name, id)]
		if e == nil {
			l.wrong = append(l.wrong, fmt.Sprintf("%s was answered what it did not send: %s", u.name, message))
			return
		}
		if e.answers = append(e.answers, code); len(e.answers) == 1 {
			e.took = time.Since(began) - e.at
		}
		return
	}
	if from, data := u.delivered(message); from != "" {
		id, _ := strconv.Atoi(data)
		e := l.sent[key(from, id)]
		if e == nil || e.to != u.name {
			l.wrong = append(l.wrong, fmt.Sprintf("%s got what was not sent to it: %s", u.name, message))
			return
		}
		e.arrived++
		l.received = append(l.received, e)
		return
	}
	if message != "6" && !strings.HasPrefix(message, `{"type":"stored"`) && !strings.HasPrefix(message, `{"type":"nothing"`) {
		l.wrong = append(l.wrong, fmt.Sprintf("%s got %.200q", u.name, message))
	}
}

func (l *ledger) unanswered() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.order {
		if len(e.answers) == 0 {
			n++
		}
	}
	return n
}

// notPosted are the codes that say that a message was certainly not posted.
var notPosted = map[int]bool{2102: true, 2110: true, 2120: true, 2121: true, 2201: true}

// judge fails the test for whatever broke a promise, and returns the figures.
func (l *ledger) judge(t *testing.T, within time.Duration) string {
	for _, w := range l.wrong {
		t.Error(w)
	}
	codes, slowest := make(map[int]int), time.Duration(0)
	for _, e := range l.order {
		what := fmt.Sprintf("number %d of %s to %s, sent at %v", e.id, e.from, e.to, e.at)
		if len(e.answers) == 0 {
			t.Errorf("%s was never answered, and arrived %d times", what, e.arrived)
			continue
		}
		code := e.answers[0]
		codes[code]++
		slowest = max(slowest, e.took)
		switch {
		case len(e.answers) > 1:
			t.Errorf("%s was answered twice: %v", what, e.answers)
		case e.took > within:
			t.Errorf("%s was answered %d after %v", what, code, e.took)
		case e.arrived > 1:
			t.Errorf("%s arrived %d times", what, e.arrived)
		case code == 0 && e.arrived == 0:
			t.Errorf("%s was acknowledged, and did not arrive", what)
		case notPosted[code] && e.arrived > 0:
			t.Errorf("%s was answered %d, and arrived", what, code)
		}
	}
	last := make(map[[2]string]int)
	for _, e := range l.received {
		pair := [2]string{e.from, e.to}
		if e.id <= last[pair] {
			t.Errorf("%s got number %d of %s after %d", e.to, e.id, e.from, last[pair])
		}
		last[pair] = e.id
	}
	return fmt.Sprintf("%d messages, %d arrived; answers by code %v, the slowest after %v", len(l.order), len(l.received), codes, slowest.Round(time.Millisecond))
}
