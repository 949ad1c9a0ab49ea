//go:build go1.25

package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
)

// scenario is a file of clients/scenarios, whose README.md says what it means.
type scenario struct {
	About   string
	Options map[string]int64 // milliseconds
	Random  *float64
	Tokens  []string
	Steps   []step
}

// step is one line of a scenario.
type step struct {
	Connect    bool
	Send       []string
	Sends      [][]string
	Presence   string
	Disconnect bool
	Network    string
	Pass       int64
	Welcome    json.RawMessage
	Says       []json.RawMessage
	Lost       int
	On         int

	Dials   map[string]string
	Sent    []any
	Dropped int
	Told    map[string]any
}

func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("../clients/scenarios/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var s scenario
			decoder := json.NewDecoder(bytes.NewReader(text))
			decoder.DisallowUnknownFields()
			if err := decoder.Decode(&s); err != nil {
				t.Fatal(err)
			}
			synctest.Test(t, s.play)
		})
	}
}

// stage is where a scenario is played: the client, its application, and the
// server.
type stage struct {
	t       *testing.T
	options Options
	backlog chan net.Conn
	network http.Transport

	mu    sync.Mutex
	down  bool
	dials []*dialled
	seen  int // dials that the scenario has seen
	told  map[string]any
	sends int
	c     *Client
}

// dialled is the server's end of a connection, or an attempt that failed.
type dialled struct {
	query  map[string]string
	ws     *websocket.Conn
	sent   []any
	closed bool
}

func (s scenario) play(t *testing.T) {
	g := s.stage(t)
	for i, step := range append(s.Steps, step{Told: map[string]any{}}) {
		g.do(step)
		synctest.Wait()
		g.expect(step, i == len(s.Steps))
		if t.Failed() {
			t.Fatalf("in step %d, of %d", i+1, len(s.Steps))
		}
	}
}

// stage is an empty stage, which is cleared when the test ends.
func (s scenario) stage(t *testing.T) *stage {
	g := &stage{t: t, backlog: make(chan net.Conn), told: map[string]any{}}
	g.network = http.Transport{DialContext: g.dial, DisableKeepAlives: true}
	ms := func(name string) time.Duration { return time.Duration(s.Options[name]) * time.Millisecond }
	g.options = Options{
		Token: "alice", AckTimeout: ms("ackTimeout"), Heartbeat: ms("heartbeat"), RenewAfter: ms("renewAfter"),
		GapWait: ms("gapWait"), MinBackoff: ms("reconnectFirst"), MaxBackoff: ms("reconnectMost"), Grace: ms("grace"),
		OnGap: func(gap Gap) {
			g.add("gaps", strings.TrimSuffix(fmt.Sprintf("%s %d-%d", gap.Epoch, gap.First, gap.Last), "0"))
		},
		HTTPClient: &http.Client{Transport: g},
		random:     func() float64 { return 1 },
	}
	if s.Random != nil {
		g.options.random = func() float64 { return *s.Random }
	}
	if s.Tokens != nil {
		g.options.TokenSource = func(context.Context) (string, error) {
			token := s.Tokens[0]
			s.Tokens = s.Tokens[1:]
			return token, nil
		}
	}
	server := http.Server{Handler: g}
	life, cancel := context.WithCancel(t.Context())
	go func() { _ = server.Serve(listener{g.backlog, life, cancel}) }()
	t.Cleanup(func() {
		if g.c != nil {
			_ = g.c.Close()
		}
		_ = server.Close()
		for _, d := range g.dials {
			if d.ws != nil {
				_ = d.ws.CloseNow()
			}
		}
	})
	return g
}

// do does what the application, the server, the network or the time does.
func (g *stage) do(s step) {
	switch {
	case s.Connect:
		go g.connect()
	case s.Send != nil:
		g.queue(s.Send)
	case s.Sends != nil:
		g.c.Together(func() {
			for _, message := range s.Sends {
				g.queue(message)
			}
		})
	case s.Presence != "":
		go func() {
			online, _ := g.c.Presence(context.Background(), s.Presence)
			g.answer("presence", s.Presence, online)
		}()
	case s.Disconnect:
		go func() { _ = g.c.Close() }()
	case s.Network != "":
		g.mu.Lock()
		g.down = s.Network == "down"
		g.mu.Unlock()
	case s.Pass > 0:
		time.Sleep(time.Duration(s.Pass) * time.Millisecond)
	case s.Welcome != nil:
		n := len(g.dials)
		welcome := map[string]any{"type": "welcome", "user": "alice", "epoch": "e", "seq": 0, "session": "s", "resumed": n > 1}
		open := map[string]any{"type": "open", "connection": fmt.Sprint("c", n), "protocol": subprotocol, "idle": 600, "maxPayload": 131072, "maxInFlight": 128}
		if err := errors.Join(json.Unmarshal(s.Welcome, &welcome), json.Unmarshal(s.Welcome, &open)); err != nil {
			g.t.Fatal(err)
		}
		open["type"], welcome["type"] = "open", "welcome"
		for _, frame := range []any{open, welcome} {
			text, err := json.Marshal(frame)
			if err != nil {
				g.t.Fatal(err)
			}
			g.say(g.on(s), text)
		}
	case s.Lost > 0:
		_ = g.dials[s.Lost-1].ws.CloseNow()
	default:
		for _, frame := range s.Says {
			g.say(g.on(s), frame)
		}
	}
}

// queue sends a message, its receiver and its data, and notes how it ends.
func (g *stage) queue(message []string) {
	g.sends++
	wait, name := g.c.Queue(message[0], message[1]), fmt.Sprint(g.sends)
	go func() { g.answer("answers", name, outcome(wait(context.Background()))) }()
}

func (g *stage) connect() {
	c, err := Dial(context.Background(), "ws://server/prod", g.options)
	if err != nil {
		g.answer("ended", "", ending(err))
		return
	}
	g.answer("user", "", c.User())
	g.mu.Lock()
	g.c = c
	g.mu.Unlock()
	for {
		m, err := c.Receive(context.Background())
		if err != nil {
			g.answer("ended", "", ending(err))
			return
		}
		var data string
		_ = json.Unmarshal(m.Data, &data)
		g.add("received", m.From+": "+data)
	}
}

// on is the connection that a step is about: the newest, unless it says.
func (g *stage) on(s step) *dialled {
	if s.On > 0 {
		return g.dials[s.On-1]
	}
	return g.dials[len(g.dials)-1]
}

func (g *stage) say(d *dialled, frame []byte) {
	if err := d.ws.Write(g.t.Context(), websocket.MessageText, frame); err != nil {
		g.t.Errorf("say %s: %v", frame, err)
	}
}

// expect compares what a step says with what has come of it; last: with nothing.
func (g *stage) expect(s step, last bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case s.Dials != nil:
		if g.seen++; g.seen != len(g.dials) {
			g.t.Fatalf("%d connections were tried, want %d", len(g.dials), g.seen)
		}
		for name, want := range s.Dials {
			if got := g.dials[g.seen-1].query[name]; got != want {
				g.t.Errorf("dialled with %s %q, want %q", name, got, want)
			}
		}
	case s.Sent != nil:
		d := g.on(s)
		if len(d.sent)+len(s.Sent) > 0 && !reflect.DeepEqual(d.sent, s.Sent) {
			g.t.Errorf("sent %v, want %v", d.sent, s.Sent)
		}
		d.sent = nil
	case s.Dropped > 0:
		if !g.dials[s.Dropped-1].closed {
			g.t.Errorf("connection %d was not given up", s.Dropped)
		}
	case s.Told != nil:
		if !reflect.DeepEqual(g.told, s.Told) {
			g.t.Errorf("the application was told %v, want %v", g.told, s.Told)
		}
		g.told = map[string]any{}
	}
	if !last {
		return
	}
	if g.seen != len(g.dials) {
		g.t.Errorf("%d connections were tried, want %d", len(g.dials), g.seen)
	}
	for i, d := range g.dials {
		if len(d.sent) > 0 {
			g.t.Errorf("sent on connection %d, too: %v", i+1, d.sent)
		}
	}
}

// answer notes what the application is told of something, add the next of several.
func (g *stage) answer(kind, of string, what any) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if of == "" {
		g.told[kind] = what
		return
	}
	all, _ := g.told[kind].(map[string]any)
	if all == nil {
		all = map[string]any{}
	}
	all[of] = what
	g.told[kind] = all
}

func (g *stage) add(kind string, what any) {
	g.mu.Lock()
	defer g.mu.Unlock()
	all, _ := g.told[kind].([]any)
	g.told[kind] = append(all, what)
}

// outcome is how a message has ended, by OWT's codes.
func outcome(err error) any {
	var e *Error
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &e):
		return float64(e.Code)
	case errors.Is(err, ErrUnknown):
		return float64(CodeServer)
	default:
		return 2111.0 // not sent
	}
}

func ending(err error) any {
	switch {
	case errors.Is(err, ErrSuperseded):
		return "superseded"
	case errors.Is(err, ErrClosed):
		return "left"
	default:
		return outcome(err)
	}
}

// ServeHTTP is the server: it takes each connection, and notes what is sent.
func (g *stage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d := &dialled{query: queryOf(r)}
	var err error
	if d.ws, err = websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{subprotocol}}); err != nil {
		g.t.Error(err)
		return
	}
	g.mu.Lock()
	if len(g.dials) > 0 && g.dials[0].query["session"] != d.query["session"] || d.query["session"] == "" {
		g.t.Errorf("session %q", d.query["session"])
	}
	g.dials = append(g.dials, d)
	g.mu.Unlock()
	for {
		_, text, err := d.ws.Read(context.Background())
		var frame any
		g.mu.Lock()
		if d.closed = err != nil; !d.closed && json.Unmarshal(text, &frame) == nil {
			d.sent = append(d.sent, frame)
		}
		g.mu.Unlock()
		if err != nil {
			_ = d.ws.CloseNow()
			return
		}
	}
}

// queryOf is what a scenario knows of an attempt to connect.
func queryOf(r *http.Request) map[string]string {
	query := map[string]string{"token": strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")}
	for _, name := range []string{"session", "resume", "first", "batch", "recover", "epoch", "since"} {
		query[name] = r.URL.Query().Get(name)
	}
	return query
}

// RoundTrip is the network, which may be down.
func (g *stage) RoundTrip(r *http.Request) (*http.Response, error) {
	g.mu.Lock()
	down := g.down
	if down {
		g.dials = append(g.dials, &dialled{query: queryOf(r)})
	}
	g.mu.Unlock()
	if down {
		return nil, errors.New("no network")
	}
	return g.network.RoundTrip(r)
}

func (g *stage) dial(context.Context, string, string) (net.Conn, error) {
	here, there := net.Pipe()
	g.backlog <- there
	return here, nil
}

// listener accepts what the stage's clients dial.
type listener struct {
	backlog <-chan net.Conn
	life    context.Context
	cancel  context.CancelFunc
}

func (l listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.backlog:
		return c, nil
	case <-l.life.Done():
		return nil, net.ErrClosed
	}
}

func (l listener) Close() error {
	l.cancel()
	return nil
}

func (l listener) Addr() net.Addr { return &net.TCPAddr{} }
