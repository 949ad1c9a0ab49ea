package costs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/owt-signal/owt-signal/internal/capacity"
	"github.com/owt-signal/owt-signal/internal/dynamo"
	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
	"github.com/owt-signal/owt-signal/internal/sim"
)

// TestBursts is the budget of write units for a message of a burst, by the size of
// the items that are really written.
func TestBursts(t *testing.T) {
	const alone, full = 3, lane.MaxDigests + 1 // messages after which a lane remembers as much as ever
	for _, x := range []struct {
		messages, bytes, times int
		most                   float64
	}{{1, 600, full, alone}, {10, 600, 30, 4.5}, {30, 3000, 10, 12}} {
		t.Run(fmt.Sprintf("%d of %d bytes", x.messages, x.bytes), func(t *testing.T) {
			b := newBursts(t)
			lost := b.run(x.messages, x.bytes, x.times)
			units := b.units / float64(x.messages*x.times)
			t.Logf("%.2f write units a message, %.2f without those of bodies", units, (b.units-b.ofBodies)/float64(x.messages*x.times))
			if units > x.most || lost != "" {
				t.Errorf("at most %v are wanted; %s", x.most, lost)
			}
		})
	}
}

// TestBodyDeletedTooEarly: who deletes what held frames say when they are taken, and
// not when they are finished, loses them.
func TestBodyDeletedTooEarly(t *testing.T) {
	b := newBursts(t)
	b.handler.Service.Store = early{b.handler.Service.Store}
	if lost := b.run(10, 600, 3); lost == "" {
		t.Error("not found")
	}
}

type early struct{ signal.Store }

func (e early) Update(ctx context.Context, id signal.ConnectionID, u signal.Update, now lane.Instant) (signal.Connection, bool, error) {
	u.Spent = append(u.Spent, u.Run...)
	return e.Store.Update(ctx, id, u, now)
}

// TestFetchFails: what held frames say is tried for until it is there; if it is not to
// be had, each of them is answered so, and none is posted.
func TestFetchFails(t *testing.T) {
	for outage, want := range map[time.Duration]string{2 * time.Second: "", time.Hour: "of 5 messages 1 came in order"} {
		b := newBursts(t)
		var began time.Time
		b.out = func(r *http.Request) bool {
			if !strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".BatchGetItem") {
				return false
			}
			if began.IsZero() {
				began = time.Now()
			}
			return time.Since(began) < outage
		}
		if wrong := b.run(5, 600, 1); wrong != want {
			t.Errorf("out for %v: %q, want %q", outage, wrong, want)
		}
		told := strings.Join(b.frames, "\n")
		for n := 2; n <= 5 && want != ""; n++ {
			if strings.Count(told, fmt.Sprintf(`{"type":"error","id":%d,`, n)) != 1 {
				t.Errorf("out for %v: %d is not answered once: %s", outage, n, told)
			}
		}
	}
}

// bursts are the handlers in virtual time, in which everything takes as long as in
// [sim.Bursts.Measure]. The engine is real, and outside of that time.
type bursts struct {
	*service
	random          *rand.Rand
	workers         chan *worker
	out             func(*http.Request) bool // requests that fail; nil: none
	units, ofBodies float64
	limit           *capacity.Limit
	charged         func(capacity.Charge) // nil: nothing
}

// worker makes requests outside of virtual time. Its channels are from there: who
// waits for them keeps the time from passing.
type worker struct {
	ask    chan *http.Request
	answer chan any
}

func newBursts(t *testing.T) *bursts {
	b := &bursts{service: newService(t), random: rand.New(rand.NewPCG(1, 2)), workers: make(chan *worker, 64)}
	for range cap(b.workers) {
		w := &worker{make(chan *http.Request), make(chan any)}
		go w.work()
		t.Cleanup(func() { close(w.ask) })
		b.workers <- w
	}
	b.limit = &capacity.Limit{Next: b.outside, Charged: b.charge}
	client := dynamodb.New(b.table.Options(), func(o *dynamodb.Options) {
		o.HTTPClient = clientFunc(func(r *http.Request) (*http.Response, error) {
			took := b.takes(sim.StoreTime)
			time.Sleep(took / 2)
			defer time.Sleep(took / 2)
			if b.out != nil && b.out(r) {
				return nil, errors.New("out")
			}
			return b.limit.Do(r)
		})
	})
	b.handler.Service.Store = dynamo.New(client, tableName)
	b.posting = func() { time.Sleep(b.takes(sim.PostTime)) }
	return b
}

type clientFunc func(*http.Request) (*http.Response, error)

// Do implements [dynamodb.HTTPClient].
func (f clientFunc) Do(r *http.Request) (*http.Response, error) { return f(r) }

func (w *worker) work() {
	for r := range w.ask {
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			w.answer <- err
			continue
		}
		text, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil {
			w.answer <- err
			continue
		}
		response.Body = io.NopCloser(bytes.NewReader(text))
		w.answer <- response
	}
}

// outside makes a request, in no time.
func (b *bursts) outside(r *http.Request) (*http.Response, error) {
	w := <-b.workers
	defer func() { b.workers <- w }()
	w.ask <- r.Clone(context.Background())
	switch answer := (<-w.answer).(type) {
	case *http.Response:
		return answer, nil
	case error:
		return nil, answer
	default:
		return nil, fmt.Errorf("answered %T", answer)
	}
}

// takes is how long something takes: one in fifty up to twenty times as long as is
// typical.
func (b *bursts) takes(typical time.Duration) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	most := typical
	if b.random.IntN(50) == 0 {
		most *= 20
	}
	return typical/2 + time.Duration(b.random.Int64N(int64(most)))
}

func (b *bursts) charge(c capacity.Charge) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.charged != nil {
		b.charged(c)
	}
	if !c.Write {
		return
	}
	b.units += c.Units
	if strings.HasPrefix(c.Key, "held#") {
		b.ofBodies += c.Units
	}
}

// run has alice send bursts to bob, and returns what is wrong with what he got.
func (b *bursts) run(messages, size, times int) (wrong string) {
	synctest.Test(b.t, func(t *testing.T) {
		b.t = t
		const alice, bob = "L0SM9cOFvHcCIhw=", "M1TN0dPGwIdDJix="
		e := entrances["json"]
		b.connect(bob, "token=bob")
		e.enter(b.service, alice)
		b.did()
		b.units, b.ofBodies = 0, 0
		var sent []string
		for n := range messages * times {
			data := fmt.Sprintf("%d %s", n, strings.Repeat("x", size-len(`"" `)-len(fmt.Sprint(n))))
			sent = append(sent, `"data":"`+data+`"`)
			go b.comes(alice, fmt.Sprintf(e.send, n+1, data))
			if (n+1)%messages == 0 {
				time.Sleep(time.Minute)
			}
		}
		synctest.Wait()
		came := 0
		for _, frame := range b.frames {
			if came < len(sent) && strings.Contains(frame, sent[came]) {
				came++
			}
		}
		if came < len(sent) {
			wrong = fmt.Sprintf("of %d messages %d came in order", len(sent), came)
		}
	})
	return wrong
}

// comes is an invocation for a frame.
func (b *bursts) comes(id, body string) {
	time.Sleep(b.takes(sim.InvokeTime))
	ctx := context.Background()
	_, after := b.handler.Message(ctx, &events.APIGatewayWebsocketProxyRequest{
		Body: body, RequestContext: events.APIGatewayWebsocketProxyRequestContext{ConnectionID: id},
	})
	if after != nil {
		after(ctx)
	}
}
