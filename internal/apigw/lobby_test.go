package apigw_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/owt-signal/owt-signal/internal/apigw"
	"github.com/owt-signal/owt-signal/internal/app"
	"github.com/owt-signal/owt-signal/internal/limits"
	"github.com/owt-signal/owt-signal/internal/memory"
	"github.com/owt-signal/owt-signal/internal/signal"
)

// lobbyWorld is the handlers on the memory store, in virtual time.
type lobbyWorld struct {
	*testing.T
	*apigw.Handler
	sockets *sockets
	logs    logBuffer
}

// logBuffer collects what goroutines log.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newLobbyWorld(t *testing.T, origins ...string) *lobbyWorld {
	w := &lobbyWorld{T: t, sockets: &sockets{frames: make(map[signal.ConnectionID][]string)}}
	w.Handler = app.New(app.Config{
		Store: memory.New(), Connections: w.sockets, Endpoint: apigw.Endpoint("eu-west-1"), Access: signal.OpenAccess,
		Limits: limits.Config{Origins: origins}, Log: slog.New(slog.NewTextHandler(&w.logs, nil)),
	})
	return w
}

// inLobby runs a test in virtual time.
func inLobby(t *testing.T, test func(w *lobbyWorld)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(newLobbyWorld(t)) })
}

// ask makes a request for polling; body "" is a GET.
func (w *lobbyWorld) ask(query url.Values, body string, headers ...string) apigw.HTTPResponse {
	ev := &apigw.HTTPRequest{RawQueryString: query.Encode(), Body: body, Headers: make(map[string]string)}
	ev.RequestContext.HTTP.Method = http.MethodGet
	if body != "" {
		ev.RequestContext.HTTP.Method = http.MethodPost
		ev.Headers["content-type"] = "text/plain;charset=UTF-8"
	}
	for i := 0; i+1 < len(headers); i += 2 {
		ev.Headers[headers[i]] = headers[i+1]
	}
	if method, ok := ev.Headers["method"]; ok {
		ev.RequestContext.HTTP.Method = method
	}
	return w.Lobby(w.Context(), ev)
}

// lobby is one that a client has opened.
type lobby struct {
	*lobbyWorld
	query url.Values
}

func (w *lobbyWorld) open(engine string, more ...string) lobby {
	w.Helper()
	query := url.Values{"EIO": {engine}, "transport": {"polling"}}
	for i := 0; i+1 < len(more); i += 2 {
		query.Set(more[i], more[i+1])
	}
	r := w.ask(query, "")
	_, packet, _ := strings.Cut(r.Body, "0{")
	var open struct {
		SID      string
		Upgrades []string
	}
	if err := json.Unmarshal([]byte("{"+packet), &open); err != nil || r.StatusCode != http.StatusOK || len(open.SID) != 20 || !slices.Equal(open.Upgrades, []string{"websocket"}) {
		w.Fatalf("opened: %+v, %v", r, err)
	}
	query.Set("sid", open.SID)
	return lobby{w, query}
}

func (l lobby) post(body string) apigw.HTTPResponse { return l.ask(l.query, body) }
func (l lobby) poll() apigw.HTTPResponse            { return l.ask(l.query, "") }

// connect opens a WebSocket with the lobby's query, changed. What follows its
// answer goes on meanwhile.
func (l lobby) connect(id string, changes ...string) int {
	query := make(map[string]string)
	for name := range l.query {
		query[name] = l.query.Get(name)
	}
	query["transport"] = "websocket"
	for i := 0; i+1 < len(changes); i += 2 {
		query[changes[i]] = changes[i+1]
	}
	ev := event(id, "", query)
	ev.RequestContext.ConnectedAt = time.Now().UnixMilli()
	if origin, ok := query["Origin"]; ok {
		ev.Headers = map[string]string{"Origin": origin}
		delete(query, "Origin")
	}
	r, after := l.Connect(l.Context(), ev)
	if after != nil {
		go after(l.Context())
	}
	return r.StatusCode
}

// frame is one on a WebSocket; it returns the answer.
func (l lobby) frame(id, body string) string {
	r, after := l.Message(l.Context(), event(id, body, nil))
	if after != nil {
		after(l.Context())
	}
	return r.Body
}

func (l lobby) frames(id string) []string {
	l.sockets.mu.Lock()
	defer l.sockets.mu.Unlock()
	return slices.Clone(l.sockets.frames[signal.ConnectionID(id)])
}

// TestLobby is the life of a client that begins by long polling.
func TestLobby(t *testing.T) {
	for name, c := range map[string]struct {
		engine string
		query  []string
		post   string
		polled string
		answer string   // to the 5
		frames []string // besides, in the end
	}{
		"Engine.IO 4":                       {"4", nil, "40", "6", `40{"sid":"ws="}`, nil},
		"Engine.IO 4, a namespace, too":     {"4", nil, "40/x,\x1e40", "6", `40{"sid":"ws="}`, []string{`44/x,{"message":"Invalid namespace"}`}},
		"Engine.IO 3":                       {"3", nil, "", "1:6", "6", []string{"40"}},
		"Engine.IO 3, a namespace":          {"3", nil, "4:40/x", "1:6", `44/x,"Invalid namespace"`, []string{"40"}},
		"Engine.IO 4, by the query":         {"4", []string{"token", "a b+c", "clientType", "Web", "clientVersion", "4.3.1"}, "40", "6", "6", []string{`40{"sid":"ws="}`, `42["server-authenticated",{"uid":"a b+c"}]`}},
		"Engine.IO 3, by the query":         {"3", []string{"token", "用户1", "clientVersion", "4.3.1"}, "", "1:6", "6", []string{"40", `42["server-authenticated",{"uid":"用户1"}]`}},
		"Engine.IO 4, an unknown version":   {"4", []string{"clientVersion", "4.1"}, "40", "6", "6", []string{`44{"message":"2103","data":{"code":2103}}`, "41", "1", "close"}},
		"Engine.IO 3, an unknown version":   {"3", []string{"clientVersion", "4.1", "token", "a"}, "", "1:6", "6", []string{`44"2103"`, "41", "1", "close"}},
		"Engine.IO 4, an early event":       {"4", nil, `40` + "\x1e" + `420["authentication",{"token":"eve"}]`, "6", `6`, []string{`40{"sid":"ws="}`, `42["server-authenticated",{"uid":"eve"}]`, `430[{"uid":"eve"}]`}},
		"Engine.IO 4, a ping and no answer": {"4", nil, "2\x1e6\x1e40", "6", `40{"sid":"ws="}`, []string{"3"}},
	} {
		t.Run(name, func(t *testing.T) {
			inLobby(t, func(w *lobbyWorld) {
				l := w.open(c.engine, c.query...)
				if c.post != "" {
					if r := l.post(c.post); r.StatusCode != http.StatusOK || r.Body != "ok" {
						t.Fatalf("posted: %+v", r)
					}
				}
				polled := make(chan apigw.HTTPResponse, 1)
				go func() { polled <- l.poll() }()
				time.Sleep(300 * time.Millisecond)
				if status := l.connect("ws="); status != http.StatusOK {
					t.Fatalf("connected: %d", status)
				}
				time.Sleep(time.Second)
				if len(polled) > 0 || len(l.frames("ws=")) > 0 {
					t.Fatalf("before the probe: %d polls, %q", len(polled), l.frames("ws="))
				}
				if got := l.frame("ws=", "2probe"); got != "3probe" {
					t.Fatalf("probed: %q", got)
				}
				if r := <-polled; r.StatusCode != http.StatusOK || r.Body != c.polled {
					t.Fatalf("polled: %+v", r)
				}
				if r := l.poll(); r.Body != c.polled {
					t.Fatalf("polled again: %+v", r)
				}
				if len(l.frames("ws=")) > 0 {
					t.Fatalf("before the upgrade: %q", l.frames("ws="))
				}
				upgraded := make(chan string, 1)
				go func() { upgraded <- l.frame("ws=", "5") }()
				time.Sleep(2 * signal.UpgradeWithin)
				if got := <-upgraded; got != c.answer {
					t.Errorf("upgraded: %q", got)
				}
				if got := l.frames("ws="); !slices.Equal(got, c.frames) {
					t.Errorf("frames %q, want %q", got, c.frames)
				}
				if got := l.frame("ws=", "5"); got != "6" {
					t.Errorf("upgraded again: %q", got)
				}
				for what, r := range map[string]apigw.HTTPResponse{"post": l.post(map[string]string{"3": "2:40", "4": "40"}[c.engine]), "poll": l.poll()} {
					if r.StatusCode != http.StatusBadRequest || r.Body != `{"code":1,"message":"Session ID unknown"}` {
						t.Errorf("%s after the upgrade: %+v", what, r)
					}
				}
				if status := l.connect("again="); status != http.StatusBadRequest {
					t.Errorf("a second upgrade: %d", status)
				}
			})
		})
	}
}

// A sid is of use to nobody but the client whose handshake opened it.
func TestStolenLobby(t *testing.T) {
	inLobby(t, func(w *lobbyWorld) {
		l := w.open("4", "token", "alice", "clientVersion", "5.0", "clientType", "Web")
		for name, changes := range map[string][]string{
			"another token":   {"token", "eve"},
			"no token":        {"token", ""},
			"another version": {"clientVersion", "4.3"},
			"another type":    {"clientType", "iOS"},
			"another engine":  {"EIO", "3"},
			"guessed":         {"sid", "AAAAAAAAAAAAAAAAAAAA"},
		} {
			if status := l.connect(name, changes...); status != http.StatusBadRequest {
				t.Errorf("%s: %d", name, status)
			}
		}
		if status := l.connect("ws="); status != http.StatusOK {
			t.Errorf("its own client: %d", status)
		}
		if status := l.connect("late="); status != http.StatusBadRequest {
			t.Errorf("the same again: %d", status)
		}
		if got := l.frame("late=", "2probe"); got == "3probe" {
			t.Error("who was refused may probe")
		}
		if strings.Contains(w.logs.String(), "alice") {
			t.Errorf("logs: %s", &w.logs)
		}
	})
}

// A page's requests have an origin, and its WebSocket has the same; from this
// server's own origin, its GET has none.
func TestOriginOfALobby(t *testing.T) {
	for name, c := range map[string]struct {
		polling, socket string
		status          int
	}{
		"a page":              {"https://a.example", "https://a.example", 200},
		"another page":        {"https://a.example", "https://b.example", 400},
		"no page":             {"https://a.example", "", 400},
		"the server's own":    {"", "https://a.example", 200},
		"a program":           {"", "", 200},
		"in another spelling": {"https://A.example", "https://a.example", 200},
	} {
		t.Run(name, func(t *testing.T) {
			inLobby(t, func(w *lobbyWorld) {
				query := url.Values{"EIO": {"4"}, "transport": {"polling"}}
				var headers []string
				if c.polling != "" {
					headers = []string{"origin", c.polling}
				}
				_, sid, _ := strings.Cut(w.ask(query, "", headers...).Body, `"sid":"`)
				query.Set("sid", sid[:20])
				var changes []string
				if c.socket != "" {
					changes = []string{"Origin", c.socket}
				}
				if status := (lobby{w, query}).connect("ws=", changes...); status != c.status {
					t.Errorf("connected: %d", status)
				}
			})
		})
	}
}

// Who does not get as far as the upgrade is closed when the time is over.
func TestLobbyEnds(t *testing.T) {
	for name, c := range map[string]struct {
		frames []string // nil: no WebSocket comes
		after  time.Duration
		reason string
	}{
		"no WebSocket":              {nil, signal.LobbyLife, "no WebSocket came in time"},
		"one that does not probe":   {[]string{}, signal.UpgradeWithin, "the WebSocket did not take over in time"},
		"one that does not upgrade": {[]string{"2probe"}, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			inLobby(t, func(w *lobbyWorld) {
				l := w.open("4", "token", "alice")
				began := time.Now()
				if c.frames != nil && l.connect("ws=") != http.StatusOK {
					t.Fatal("not let in")
				}
				for _, f := range c.frames {
					l.frame("ws=", f)
				}
				polls, last := 0, ""
				for last != "1" && polls < 10 {
					r := l.poll()
					last = r.Body
					polls++
				}
				waited := time.Since(began)
				if c.after > 0 && (last != "1" || waited < c.after || waited > c.after+time.Second) {
					t.Errorf("%q after %v and %d polls", last, waited, polls)
				}
				if c.after > 0 && polls > int(c.after/signal.PollWithin)+1 {
					t.Errorf("%d polls", polls)
				}
				if !strings.Contains(w.logs.String(), c.reason) {
					t.Errorf("logs: %s", &w.logs)
				}
				time.Sleep(signal.UpgradeWithin + time.Second)
				if len(c.frames) > 0 {
					if got := l.frames("ws="); len(got) > 0 {
						t.Errorf("before it upgrades: %q", got)
					}
					l.frame("ws=", "5")
				}
				if c.frames != nil && !slices.Equal(l.frames("ws="), []string{"close"}) {
					t.Errorf("frames %q", l.frames("ws="))
				}
				if r := l.poll(); c.frames == nil && r.StatusCode != http.StatusBadRequest {
					t.Errorf("a poll after the end: %+v", r)
				}
			})
		})
	}
}

// A client that gives up ends its lobby: the poll under way, and the WebSocket
// that would take over.
func TestLobbyEndsByItsClient(t *testing.T) {
	inLobby(t, func(w *lobbyWorld) {
		l := w.open("4", "token", "alice")
		polled := make(chan string, 1)
		go func() { polled <- l.poll().Body }()
		l.connect("ws=")
		time.Sleep(time.Second)
		if r := l.post("40\x1e1"); r.Body != "ok" {
			t.Fatalf("%+v", r)
		}
		if got := <-polled; got != "1" {
			t.Errorf("polled: %q", got)
		}
		time.Sleep(time.Second)
		if got := l.frames("ws="); !slices.Equal(got, []string{"close"}) {
			t.Errorf("frames %q", got)
		}
	})
}

// Of two polls the later one waits, and there is an end to them.
func TestPollsOfALobby(t *testing.T) {
	inLobby(t, func(w *lobbyWorld) {
		l := w.open("4")
		first := make(chan string, 1)
		go func() { first <- l.poll().Body }()
		time.Sleep(time.Second)
		began := time.Now()
		if got := l.poll(); got.Body != "6" || time.Since(began).Round(time.Second) != signal.PollWithin {
			t.Errorf("the later: %+v after %v", got, time.Since(began))
		}
		if got := <-first; got != "6" {
			t.Errorf("the earlier: %q", got)
		}
		l = w.open("4")
		l.connect("ws=")
		l.frame("ws=", "2probe")
		answered := 0
		for l.poll().Body == "6" {
			answered++
		}
		if answered != signal.MaxPolls {
			t.Errorf("%d polls were answered", answered)
		}
	})
}

func TestBoundsOfALobby(t *testing.T) {
	packets := func(n, size int) string {
		return strings.TrimSuffix(strings.Repeat("4"+strings.Repeat("x", size-1)+"\x1e", n), "\x1e")
	}
	for name, c := range map[string]struct {
		posts  []string
		status int
	}{
		"as many packets":  {[]string{packets(signal.MaxLobbyPackets-1, 1), packets(1, 1)}, 200},
		"too many packets": {[]string{packets(signal.MaxLobbyPackets-1, 1), packets(2, 1)}, 413},
		"as many bytes":    {[]string{packets(2, signal.MaxLobbyBytes/4), packets(1, signal.MaxLobbyBytes/2)}, 200},
		"too many bytes":   {[]string{packets(2, signal.MaxLobbyBytes/4), packets(1, signal.MaxLobbyBytes/2+1)}, 413},
		"a long body":      {[]string{packets(1, apigw.MaxPayload+1)}, 413},
	} {
		t.Run(name, func(t *testing.T) {
			inLobby(t, func(w *lobbyWorld) {
				l := w.open("4")
				var r apigw.HTTPResponse
				for _, p := range c.posts {
					r = l.post(p)
				}
				if r.StatusCode != c.status {
					t.Errorf("%+v", r)
				}
			})
		})
	}
}

func TestPollingIsRefused(t *testing.T) {
	base := url.Values{"EIO": {"4"}, "transport": {"polling"}}
	with := func(pairs ...string) url.Values {
		q := maps.Clone(base)
		for i := 0; i+1 < len(pairs); i += 2 {
			q[pairs[i]] = []string{pairs[i+1]}
		}
		return q
	}
	for name, c := range map[string]struct {
		query   url.Values
		body    string
		headers []string
		status  int
		code    int
	}{
		"no version":            {url.Values{"transport": {"polling"}}, "", nil, 400, 5},
		"another version":       {with("EIO", "2"), "", nil, 400, 5},
		"no transport":          {url.Values{"EIO": {"4"}}, "", nil, 400, 0},
		"another transport":     {with("transport", "websocket"), "", nil, 400, 0},
		"JSONP":                 {with("j", "0", "EIO", "3"), "", nil, 400, 3},
		"two versions":          {url.Values{"EIO": {"4", "3"}, "transport": {"polling"}}, "", nil, 400, 3},
		"two tokens":            {url.Values{"EIO": {"4"}, "transport": {"polling"}, "token": {"a", "b"}}, "", nil, 400, 3},
		"a guessed sid, polled": {with("sid", "AAAAAAAAAAAAAAAAAAAA"), "", nil, 400, 1},
		"a guessed sid, posted": {with("sid", "AAAAAAAAAAAAAAAAAAAA"), "40", nil, 400, 1},
		"a post without a sid":  {base, "40", nil, 400, 2},
		"another method":        {base, "", []string{"method", "PUT"}, 400, 2},
		"another method, a sid": {with("sid", "AAAAAAAAAAAAAAAAAAAA"), "", []string{"method", "DELETE"}, 400, 2},
		"no packets":            {with("sid", "x"), "\x1e", nil, 400, 3},
		"half a payload":        {with("sid", "x", "EIO", "3"), "5:40", nil, 400, 3},
		"base64 in a payload":   {with("sid", "x"), "bAQID", nil, 400, 3},
		"a binary payload":      {with("sid", "x"), "\x00\x02\xff40", []string{"content-type", "application/octet-stream"}, 415, 3},
	} {
		t.Run(name, func(t *testing.T) {
			inLobby(t, func(w *lobbyWorld) {
				r := w.ask(c.query, c.body, c.headers...)
				var said struct{ Code int }
				if err := json.Unmarshal([]byte(r.Body), &said); err != nil || r.StatusCode != c.status || said.Code != c.code || r.Headers["Content-Type"] != "application/json" {
					t.Errorf("%+v, %v", r, err)
				}
			})
		})
	}
	inLobby(t, func(w *lobbyWorld) {
		for query, status := range map[string]int{"EIO=4;transport=polling": 400, "EIO=4&transport=polling&token=100%": 400, "EIO=4&transport=polling&token=100%25": 200} {
			ev := &apigw.HTTPRequest{RawQueryString: query}
			ev.RequestContext.HTTP.Method = http.MethodGet
			if r := w.Lobby(t.Context(), ev); r.StatusCode != status {
				t.Errorf("%s: %+v", query, r)
			}
		}
	})
}

// A body whose type is no text comes in base64.
func TestPayloadInBase64(t *testing.T) {
	inLobby(t, func(w *lobbyWorld) {
		l := w.open("4")
		ev := &apigw.HTTPRequest{RawQueryString: l.query.Encode(), Body: base64.StdEncoding.EncodeToString([]byte("40")), IsBase64Encoded: true}
		ev.RequestContext.HTTP.Method = http.MethodPost
		if r := w.Lobby(t.Context(), ev); r.Body != "ok" {
			t.Errorf("%+v", r)
		}
		ev.Body = "!"
		if r := w.Lobby(t.Context(), ev); r.StatusCode != http.StatusBadRequest {
			t.Errorf("%+v", r)
		}
	})
}

func TestCORS(t *testing.T) {
	const page = "https://a.example"
	query := url.Values{"EIO": {"3"}, "transport": {"polling"}}
	allowed := map[string]string{"Access-Control-Allow-Origin": page, "Access-Control-Allow-Credentials": "true", "Vary": "Origin"}
	for name, c := range map[string]struct {
		origins []string
		headers []string
		status  int
		want    map[string]string // the headers for pages
	}{
		"a page":                    {nil, []string{"origin", page}, 200, allowed},
		"a page that may":           {[]string{page}, []string{"Origin", page}, 200, allowed},
		"a page that may not":       {[]string{page}, []string{"origin", "https://b.example"}, 403, nil},
		"a preflight that may not":  {[]string{page}, []string{"origin", "https://b.example", "method", "OPTIONS"}, 403, nil},
		"no page":                   {[]string{page}, nil, 200, nil},
		"a request that is refused": {nil, []string{"origin", page, "method", "PUT"}, 400, allowed},
		"a preflight": {[]string{page}, []string{"origin", page, "method", "OPTIONS", "access-control-request-headers", "authorization,x-y"}, 204, map[string]string{
			"Access-Control-Allow-Origin": page, "Access-Control-Allow-Credentials": "true", "Vary": "Origin",
			"Access-Control-Allow-Methods": "GET, POST", "Access-Control-Allow-Headers": "authorization,x-y", "Access-Control-Max-Age": "7200",
		}},
		"a preflight for nonsense": {nil, []string{"origin", page, "method", "OPTIONS", "access-control-request-headers", "a\r\nSet-Cookie: b"}, 204, map[string]string{
			"Access-Control-Allow-Origin": page, "Access-Control-Allow-Credentials": "true", "Vary": "Origin",
			"Access-Control-Allow-Methods": "GET, POST", "Access-Control-Max-Age": "7200",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newLobbyWorld(t, c.origins...)
			r := w.ask(query, "", c.headers...)
			got := maps.Clone(r.Headers)
			maps.DeleteFunc(got, func(name, _ string) bool { return name == "Content-Type" || name == "Cache-Control" })
			if r.StatusCode != c.status || !maps.Equal(got, c.want) || r.Headers["Cache-Control"] != "no-store" {
				t.Errorf("%+v, want %v", r, c.want)
			}
		})
	}
}

// brokenLobbies fail every call.
type brokenLobbies struct{ signal.Store }

func (brokenLobbies) CreateLobby(context.Context, signal.Lobby) error { return errBroken }

func TestLobbyFails(t *testing.T) {
	h, _ := newHandler(brokenLobbies{memory.New()})
	ev := &events.APIGatewayV2HTTPRequest{RawQueryString: "EIO=4&transport=polling", Headers: map[string]string{"origin": "https://a.example"}}
	ev.RequestContext.HTTP.Method = http.MethodGet
	if r := h.Lobby(t.Context(), ev); r.StatusCode != http.StatusServiceUnavailable || strings.Contains(r.Body, "broken") || r.Headers["Access-Control-Allow-Origin"] == "" {
		t.Errorf("%+v", r)
	}
	h.Protocols = nil // any way to panic
	if r := h.Lobby(t.Context(), ev); r.StatusCode != http.StatusBadRequest {
		t.Errorf("%+v", r)
	}
	h.Service.Store = nil
	h, _ = newHandler(nil)
	if r := h.Lobby(t.Context(), ev); r.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("%+v", r)
	}
}

// A connection's pings cost no call of the store.
func TestPingsReadNothing(t *testing.T) {
	h, _ := newHandler(nil) // which any read would make panic
	for frame, want := range map[string]string{"2": "3", "2x": "3x", "3": "6", "6": "6"} {
		if r, _ := h.Message(t.Context(), event("ws=", frame, nil)); r.Body != want {
			t.Errorf("%q is answered %q", frame, r.Body)
		}
	}
}

// FuzzLobby posts anything, in a lobby and by the WebSocket that takes over from
// it: every request is answered, and nothing fails.
func FuzzLobby(f *testing.F) {
	f.Add("4", "40\x1e2\x1e42[\"x\"]", "5")
	f.Add("3", "2:402:40", "2probe")
	f.Add("4", "1", "1")
	f.Fuzz(func(t *testing.T, engine, body, frame string) {
		w := newLobbyWorld(t)
		query := url.Values{"EIO": {"4"}, "transport": {"polling"}}
		if engine == "3" {
			query.Set("EIO", "3")
		}
		_, sid, _ := strings.Cut(w.ask(query, "").Body, `"sid":"`)
		query.Set("sid", sid[:20])
		l := lobby{w, query}
		ev := &apigw.HTTPRequest{RawQueryString: query.Encode(), Body: body}
		ev.RequestContext.HTTP.Method = http.MethodPost
		r := w.Lobby(t.Context(), ev)
		if r.StatusCode != http.StatusOK && r.StatusCode != http.StatusBadRequest && r.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("%q: %+v", body, r)
		}
		l.connect("ws=")
		for _, f := range []string{"2probe", "5", frame} {
			m, _ := w.Message(noTime(), event("ws=", f, nil))
			if m.StatusCode != http.StatusOK || m.Body == "" {
				t.Errorf("%q: %+v", f, m)
			}
		}
		if strings.Contains(w.logs.String(), "level=ERROR") {
			t.Errorf("%q, %q: %s", body, frame, &w.logs)
		}
	})
}
