package costs

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/owt-signal/owt-signal/internal/apigw"
	"github.com/owt-signal/owt-signal/internal/app"
	"github.com/owt-signal/owt-signal/internal/awsenv"
	"github.com/owt-signal/owt-signal/internal/dynamo"
	"github.com/owt-signal/owt-signal/internal/emf"
	"github.com/owt-signal/owt-signal/internal/limits"
	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
	"github.com/owt-signal/owt-signal/internal/storetest"
)

// service is the handlers on an emulator of DynamoDB, and what they have done
// since the last look.
type service struct {
	t       *testing.T
	handler *apigw.Handler
	metrics *emf.Metrics
	meter   meter
	posting func()                                           // is called as a post begins; nil: nothing
	wire    func(r *http.Request, frame string) (status int) // is the client; nil: takes all
	log     bytes.Buffer
	told    bytes.Buffer // metrics
	mu      sync.Mutex   // of a round of keepalive, which visits many at once
	frames  []string     // to clients
	steps   Steps
	closed  int                 // connections, by @connections
	headers map[string][]string // of handshakes
	since   int64               // when connections were opened, as events say it; zero: they do not
	table   *dynamodb.Client
}

const tableName = "owt-signal"

func newService(t *testing.T) *service {
	endpoint := storetest.Engine(t)
	s := &service{t: t, meter: meter{do: http.DefaultClient.Do}}
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	s.metrics = emf.New(&s.told, "owt-signal", time.Now)
	config := awsenv.ConfigOr("us-east-1", "test")
	config.HTTPClient = s
	config.APIOptions = append(config.APIOptions, s.metrics.Measure)
	s.table = dynamodb.NewFromConfig(config, func(o *dynamodb.Options) {
		o.BaseEndpoint, o.HTTPClient = &endpoint, &s.meter
	})
	store := dynamo.New(s.table, tableName)
	if err := store.EnsureTable(t.Context()); err != nil {
		t.Fatal(err)
	}
	limited := limits.NewConfig()
	limited.Rate = lane.Rate{PerSecond: 100, Burst: 2000} // as template.yaml has it
	s.handler = app.New(app.Config{
		Limits: limited,
		Store:  store, Connections: apigw.NewManagement(config), Access: signal.OpenAccess, Meter: s.metrics, Log: slog.New(app.BoundLog(slog.NewJSONHandler(&s.log, nil))),
		Endpoint: func(events.APIGatewayWebsocketProxyRequestContext) string {
			return "https://abcdef1234.execute-api.us-east-1.amazonaws.com/prod"
		},
	})
	s.handler.Service.Clock = pauses{s: s}
	return s
}

// pauses is a clock that counts for how long it is waited.
type pauses struct {
	signal.SystemClock
	s *service
}

func (p pauses) Sleep(ctx context.Context, d time.Duration) error {
	p.s.mu.Lock()
	p.s.steps.Waits += int(d.Milliseconds())
	p.s.mu.Unlock()
	return p.SystemClock.Sleep(ctx, d)
}

// Do implements [aws.HTTPClient]: it is the @connections API.
func (s *service) Do(r *http.Request) (*http.Response, error) {
	frame, status := "", http.StatusOK
	if r.Method == http.MethodPost {
		if s.posting != nil {
			s.posting()
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		frame = string(body)
	}
	if s.wire != nil {
		status = s.wire(r, frame)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch r.Method {
	case http.MethodPost:
		s.steps.Posts++
		s.frames = append(s.frames, frame)
	case http.MethodDelete:
		s.closed++
	}
	return &http.Response{StatusCode: status, Body: http.NoBody}, nil
}

// invoke is an invocation of a route.
func (s *service) invoke(id, query, body string, route app.Route) {
	ev := &events.APIGatewayWebsocketProxyRequest{
		Body:                  body,
		RequestContext:        events.APIGatewayWebsocketProxyRequestContext{ConnectionID: id, ConnectedAt: s.since},
		QueryStringParameters: make(map[string]string), MultiValueHeaders: s.headers,
	}
	for pair := range strings.SplitSeq(query, "&") {
		if name, value, ok := strings.Cut(pair, "="); ok {
			ev.QueryStringParameters[name] = value
		}
	}
	s.steps.Invocations++
	s.metrics.End(func() {
		r, after := route(s.t.Context(), ev)
		if r.Body != "" {
			s.steps.Answers++
			s.frames = append(s.frames, r.Body)
		}
		if after != nil {
			after(s.t.Context())
		}
	})
}

func (s *service) connect(id, query string) { s.invoke(id, query, "", s.handler.Connect) }

func (s *service) frame(id, body string) {
	s.steps.In++
	s.invoke(id, "", body, s.handler.Message)
}

// hold is a frame that is held, without the watch that follows.
func (s *service) hold(id, body string) {
	s.steps.In++
	s.invoke(id, "", body, func(ctx context.Context, ev *events.APIGatewayWebsocketProxyRequest) (events.APIGatewayProxyResponse, signal.After) {
		r, _ := s.handler.Message(ctx, ev)
		return r, nil
	})
}

func (s *service) disconnect(id string) {
	s.invoke(id, "", "", func(ctx context.Context, ev *events.APIGatewayWebsocketProxyRequest) (events.APIGatewayProxyResponse, signal.After) {
		return s.handler.Disconnect(ctx, ev), nil
	})
}

// round is a round of keepalive.
func (s *service) round() {
	s.metrics.End(func() {
		if err := s.handler.Service.Keepalive(s.t.Context()); err != nil {
			s.t.Fatal(err)
		}
	})
}

// did is what was done since the last call, and what came of it.
func (s *service) did() (Steps, string) {
	steps := s.steps
	steps.Writes, steps.Reads = int(s.meter.writes), int(s.meter.reads)
	steps.Lines, steps.Metrics = strings.Count(s.log.String(), "\n"), strings.Count(s.told.String(), "\n")
	frames := strings.Join(s.frames, "\n")
	s.steps, s.frames, s.meter.writes, s.meter.reads = Steps{}, nil, 0, 0
	s.log.Reset()
	s.told.Reset()
	return steps, frames
}

// meter is a client of DynamoDB that asks with every request what it consumes.
type meter struct {
	do            func(*http.Request) (*http.Response, error)
	mu            sync.Mutex
	writes, reads float64
}

// Do implements [dynamodb.HTTPClient].
func (m *meter) Do(r *http.Request) (*http.Response, error) {
	var in map[string]json.RawMessage
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		return nil, err
	}
	in["ReturnConsumedCapacity"] = []byte(`"TOTAL"`)
	body, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	response, err := m.do(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	response.Body = io.NopCloser(bytes.NewReader(text))
	units, err := consumed(text)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch _, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), "."); operation {
	case "PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem":
		m.writes += units
	case "GetItem", "Scan", "BatchGetItem":
		m.reads += units
	}
	return response, nil
}

// consumed is the units that an answer tells of: one amount, or, of a batch, one for
// each table.
func consumed(answer []byte) (units float64, err error) {
	var out struct{ ConsumedCapacity json.RawMessage }
	if err := json.Unmarshal(answer, &out); err != nil || out.ConsumedCapacity == nil {
		return 0, err
	}
	type amount struct{ CapacityUnits float64 }
	if out.ConsumedCapacity[0] != '[' {
		var one amount
		err = json.Unmarshal(out.ConsumedCapacity, &one)
		return one.CapacityUnits, err
	}
	var tables []amount
	err = json.Unmarshal(out.ConsumedCapacity, &tables)
	for _, t := range tables {
		units += t.CapacityUnits
	}
	return units, err
}

// entrances is how the kinds of clients become the user alice, who is online
// once this is said, and what they may cost.
var entrances = map[string]struct {
	connect, heartbeat Steps
	first              int // the number of the first message
	enter              func(s *service, id string)
	said               string
	beat               func(s *service, id string)
	send               string // a message to bob, the number to be filled in
}{
	"5": {
		connect: connect, heartbeat: beat, first: 1,
		enter: func(s *service, id string) {
			s.connect(id, "EIO=4&transport=websocket")
			s.frame(id, "40")
			s.frame(id, `420["authentication",{"token":"alice"}]`)
		},
		said: `430[{"uid":"alice"}]`,
		beat: func(s *service, id string) {
			s.round()
			if steps, frames := s.did(); steps.Posts != 1 || frames != "2" { // what else a round does, it does for all
				s.t.Errorf("a round: %+v, %s", steps, frames)
			}
			s.steps.Pings = 1
			s.frame(id, "3")
		},
		send: `42%d["owt-message",{"to":"bob","data":"%s"}]`,
	},
	"4": {
		connect:   Steps{Invocations: 1, Posts: 3, Writes: 3, Reads: 1, Lines: 1, Metrics: 1},
		heartbeat: Steps{Invocations: 1, In: 1, Answers: 1},
		enter: func(s *service, id string) {
			s.connect(id, "EIO=3&transport=websocket&clientVersion=4.3.1&token=alice")
		},
		said: `42["server-authenticated",{"uid":"alice"}]`,
		beat: func(s *service, id string) { s.frame(id, "2") },
		send: `42%d["owt-message",{"to":"bob","data":"%s"}]`,
	},
	"json": {
		connect:   Steps{Invocations: 1, Posts: 2, Writes: 3, Reads: 1, Lines: 1, Metrics: 1},
		heartbeat: Steps{Invocations: 1, In: 1, Answers: 1},
		first:     1,
		enter:     func(s *service, id string) { s.connect(id, "token=alice") },
		said:      `{"type":"welcome","user":"alice"`,
		beat:      func(s *service, id string) { s.frame(id, `{"type":"ping"}`) },
		send:      `{"type":"message","id":%d,"to":"bob","data":"%s"}`,
	},
}

// message is what an undisturbed one takes.
var message = Steps{Invocations: 1, In: 1, Answers: 1, Posts: 1, Writes: 3, Metrics: 1}

// TestSteps is the budget: what each kind of client may cost.
func TestSteps(t *testing.T) {
	s := newService(t)
	s.connect("bob-AAAAAAAAAAA=", "token=bob")
	s.did()
	for kind, e := range entrances {
		t.Run(kind, func(t *testing.T) {
			s.t = t
			id := kind + "-AAAAAAAAAAAAAA="
			check := func(what string, want Steps, said string) {
				t.Helper()
				steps, frames := s.did()
				if steps != want {
					t.Errorf("%s: %+v\nwant %+v", what, steps, want)
				}
				if !strings.Contains(frames, said) {
					t.Errorf("%s: nobody said %s but %s", what, said, frames)
				}
			}
			e.enter(s, id)
			check("connect", e.connect, e.said)
			for n := e.first; n < e.first+2; n++ {
				s.frame(id, fmt.Sprintf(e.send, n, "hello"))
				check("message", message, `"data":"hello"`)
			}
			e.beat(s, id)
			check("beat", e.heartbeat, "")
			s.since = time.Now().Add(-limits.DefaultAuthenticateWithin).UnixMilli()
			e.beat(s, id)
			verified := e.heartbeat
			verified.Reads, verified.Metrics = verify.Reads, verify.Metrics
			check("beat after the time to authenticate", verified, "")
			e.beat(s, id)
			check("the next one", e.heartbeat, "")
			s.since = 0
			s.disconnect(id)
			check("disconnect", disconnect, "")
			s.handler.Service.Clock = ahead{}
			s.round()
			s.handler.Service.Clock = pauses{s: s}
			last := forget
			last.Reads, last.Lines, last.Metrics = last.Reads+signal.Segments/2, 1, 1 // of the round
			check("forget", last, "")
		})
	}
}

// TestFrame: several messages in a frame, to a client that takes that, cost what one
// does.
func TestFrame(t *testing.T) {
	s := newService(t)
	s.connect("bob-AAAAAAAAAAA=", "token=bob&batch=1")
	s.connect("alice-AAAAAAAAA=", "token=alice&batch=1")
	for first := 1; first < 100; first += 20 {
		var frames []string
		for n := range 20 {
			frames = append(frames, fmt.Sprintf(entrances["json"].send, first+n, strings.Repeat("x", 600)))
		}
		s.did()
		s.frame("alice-AAAAAAAAA=", "["+strings.Join(frames, ",")+"]")
		if steps, said := s.did(); steps != message || strings.Count(said, `"type":"ack"`) != 20 {
			t.Errorf("%+v, want %+v; said %s", steps, message, said)
		}
	}
}

// ahead is the time at which what has just ended has been kept long enough.
type ahead struct{ signal.SystemClock }

func (a ahead) Now() lane.Instant { return a.SystemClock.Now().Add(2 * signal.EndedLife) }

// TestRound: keepalive pings whoever waits for it, and writes nothing.
func TestRound(t *testing.T) {
	s := newService(t)
	for kind, e := range entrances {
		e.enter(s, kind+"-AAAAAAAAAAAAAA=")
		s.did()
		s.round()
		steps, _ := s.did()
		pings := e.heartbeat.Pings // of which the metrics tell
		if want := (Steps{Posts: pings, Reads: signal.Segments / 2, Lines: 1, Metrics: pings}); steps != want {
			t.Errorf("%s: %+v, want %+v", kind, steps, want)
		}
		s.disconnect(kind + "-AAAAAAAAAAAAAA=")
	}
}

// TestCustomMetrics: each name is one metric to pay, since it has one set of
// dimensions. docs/metrics.md has all names that the code has.
func TestCustomMetrics(t *testing.T) {
	documented := make(map[string]bool)
	for line := range strings.Lines(document(t, "metrics")) {
		if cells := strings.Split(line, "|"); len(cells) == 4 {
			for _, name := range regexp.MustCompile("`([A-Z]\\w+)`").FindAllStringSubmatch(cells[1], -1) {
				documented[name[1]] = true
			}
		}
	}
	if len(documented) != customMetrics {
		t.Errorf("docs/metrics.md has %d metrics, %d are paid for", len(documented), customMetrics)
	}
	s := newService(t)
	for kind, e := range entrances {
		e.enter(s, kind+"-AAAAAAAAAAAAAA=")
		s.frame(kind+"-AAAAAAAAAAAAAA=", fmt.Sprintf(e.send, e.first, "hello"))
	}
	s.round()
	written := make(map[string]bool)
	for line := range strings.Lines(s.told.String()) {
		var told struct {
			AWS struct {
				CloudWatchMetrics []struct {
					Namespace  string
					Dimensions [][]string
					Metrics    []struct{ Name string }
				}
			} `json:"_aws"`
		}
		if err := json.Unmarshal([]byte(line), &told); err != nil {
			t.Fatal(err)
		}
		for _, d := range told.AWS.CloudWatchMetrics {
			if d.Namespace != "OWTSignal" || len(d.Dimensions) != 1 || !slices.Equal(d.Dimensions[0], []string{"Stack"}) {
				t.Errorf("told in %s, %v", d.Namespace, d.Dimensions)
			}
			for _, m := range d.Metrics {
				if written[m.Name] = true; !documented[m.Name] {
					t.Errorf("metric %s is in no document", m.Name)
				}
			}
		}
	}
	t.Logf("written: %v", slices.Sorted(maps.Keys(written)))
	if len(written) < 7 {
		t.Error("messages, posts or calls of the store are in no metric")
	}
}

// document is a page of docs.
func document(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/" + name + ".md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// near sees that a size of the model is not far from what was seen.
func near(t *testing.T, what string, model, seen float64) {
	t.Helper()
	t.Logf("%s: %.0f bytes, %.0f in the model", what, seen, model)
	if math.Abs(model-seen) > 0.25*seen {
		t.Errorf("%s: %.0f bytes, %.0f in the model", what, seen, model)
	}
}

// TestStepsOfRecovery: a message to a client that recovers is one write more, and one
// to delete it. Coming back costs what it does anyway, if nothing was missed.
func TestStepsOfRecovery(t *testing.T) {
	s := newService(t)
	s.connect("alice-AAAAAAAAA=", "token=alice")
	s.connect("bob-AAAAAAAAAAA=", "token=bob&recover=1&batch=1")
	_, frames := s.did()
	epoch := regexp.MustCompile(`"user":"bob","epoch":"(\w+)"`).FindStringSubmatch(frames)[1]
	kept := message
	kept.Writes++
	if want := 2 * float64(kept.Writes-message.Writes); Default.kept()[writes] != want { // and one to delete it
		t.Errorf("%v writes in the model, want %v", Default.kept()[writes], want)
	}
	for n := range 2 {
		s.frame("alice-AAAAAAAAA=", fmt.Sprintf(`{"type":"message","id":%d,"to":"bob","data":"hello"}`, n+1))
		if steps, frames := s.did(); steps != kept || !strings.Contains(frames, `"data":"hello"`) {
			t.Errorf("message: %+v, %s\nwant %+v", steps, frames, kept)
		}
	}
	near(t, "item of history", keptItem, s.size("kept#1#"+epoch+"#bob")-float64(len(`"hello"`)))
	back := entrances["json"].connect
	for since, want := range map[int]string{2: `"recovered":true,"from":3}`, 1: `"seq":2,"data":"hello"}`} {
		s.disconnect("bob-AAAAAAAAAAA=")
		s.did()
		s.connect("bob-AAAAAAAAAAA="+fmt.Sprint(since), fmt.Sprintf("token=bob&recover=1&batch=1&epoch=%s&since=%d", epoch, since))
		steps, frames := s.did()
		if since == 2 && steps != back || since == 1 && (steps.Writes != back.Writes || steps.Posts != back.Posts+1) || !strings.Contains(frames, want) {
			t.Errorf("since %d: %+v, %s\nwant %+v", since, steps, frames, back)
		}
		s.disconnect("bob-AAAAAAAAAAA=" + fmt.Sprint(since))
		s.did()
	}
}
