package apigw_test

import (
	"context"
	"encoding/base64"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"

	"github.com/owt-signal/owt-signal/internal/apigw"
	"github.com/owt-signal/owt-signal/internal/app"
	"github.com/owt-signal/owt-signal/internal/memory"
	"github.com/owt-signal/owt-signal/internal/signal"
)

// asker lets everybody in under the name that is the token, and remembers what
// it was asked.
type asker struct {
	needs signal.Needs
	asked []signal.Credentials
}

func (a *asker) Authenticate(_ context.Context, c signal.Credentials) (signal.Identity, error) {
	a.asked = append(a.asked, c)
	return signal.Identity{User: signal.UserName(c.Token)}, nil
}

func (a *asker) Needs() signal.Needs { return a.needs }

// connected is what a handshake comes to.
type connected struct {
	events.APIGatewayProxyResponse
	asked  []signal.Credentials
	frames []string
	logs   string
	store  *memory.Store
}

// connect has a handshake handled, whose headers are pairs of name and value.
func connect(t testing.TB, access signal.Access, query map[string]string, headers ...string) connected {
	t.Helper()
	var logs strings.Builder
	s := &sockets{frames: make(map[signal.ConnectionID][]string)}
	c := connected{store: memory.New()}
	h := app.New(app.Config{
		Store: c.store, Connections: s, Endpoint: apigw.Endpoint("eu-west-1"), Access: access, Log: slog.New(slog.NewTextHandler(&logs, nil)),
	})
	ev := event("id=", "", query)
	ev.RequestContext.Identity.SourceIP = "192.0.2.1"
	ev.MultiValueHeaders = make(map[string][]string)
	for i := 0; i+1 < len(headers); i += 2 {
		ev.MultiValueHeaders[headers[i]] = append(ev.MultiValueHeaders[headers[i]], headers[i+1])
	}
	r, after := h.Connect(t.Context(), ev)
	if after != nil {
		joining := joins(t, h, query)
		after(t.Context())
		<-joining
	}
	c.APIGatewayProxyResponse, c.frames, c.logs = r, s.frames["id="], logs.String()
	if a, ok := access.Authenticator.(*asker); ok {
		c.asked = a.asked
	}
	return c
}

// joins has a client of Engine.IO 4 ask for its CONNECT, while its handshake is
// handled.
func joins(t testing.TB, h *apigw.Handler, query map[string]string) <-chan struct{} {
	joined := make(chan struct{})
	go func() {
		defer close(joined)
		if query["EIO"] == "4" {
			h.Message(t.Context(), event("id=", "40", nil))
		}
	}()
	return joined
}

// bring is a subprotocol that brings a token.
func bring(token string) string {
	return "owt.token." + base64.RawURLEncoding.EncodeToString([]byte(token))
}

func TestWaysOfAToken(t *testing.T) {
	json := signal.JSON
	for name, c := range map[string]struct {
		sources signal.Sources
		query   map[string]string
		headers []string
		token   string // that the authenticator is asked about; empty: none
		code    string // of the refusal; empty: none
		chosen  string
	}{
		"query":                        {query: map[string]string{"token": "q"}, token: "q"},
		"header":                       {headers: []string{"Authorization", "Bearer h"}, token: "h"},
		"header, other case":           {headers: []string{"authorization", "bEARER  h "}, token: "h"},
		"subprotocol":                  {headers: []string{"Sec-WebSocket-Protocol", "owt.signal.v1, " + bring("用户1")}, token: "用户1", chosen: string(json)},
		"subprotocol before":           {headers: []string{"sec-websocket-protocol", bring("s") + ",owt.signal.v1"}, token: "s", chosen: string(json)},
		"subprotocol, two lines":       {headers: []string{"Sec-WebSocket-Protocol", bring("s"), "Sec-WebSocket-Protocol", "owt.signal.v1"}, token: "s", chosen: string(json)},
		"subprotocol, padded":          {headers: []string{"Sec-WebSocket-Protocol", "owt.signal.v1," + bring("s") + "=="}, token: "s", chosen: string(json)},
		"header before others":         {query: map[string]string{"token": "q"}, headers: []string{"Authorization", "Bearer h", "Sec-WebSocket-Protocol", "owt.signal.v1, " + bring("s")}, token: "h", chosen: string(json)},
		"subprotocol before the query": {query: map[string]string{"token": "q"}, headers: []string{"Sec-WebSocket-Protocol", "owt.signal.v1, " + bring("s")}, token: "s", chosen: string(json)},
		"none":                         {code: "2120"},
		"empty in the query":           {query: map[string]string{"token": ""}, code: "2120"},
		"empty in the header":          {headers: []string{"Authorization", "Bearer "}, code: "2120"},
		"empty subprotocol":            {headers: []string{"Sec-WebSocket-Protocol", "owt.signal.v1, owt.token."}, code: "2120", chosen: string(json)},
		"another scheme":               {headers: []string{"Authorization", "Basic dXNlcjpwYXNz"}, code: "2120"},
		"another scheme and ours":      {headers: []string{"Authorization", "Basic dXNlcjpwYXNz", "Authorization", "Bearer h"}, token: "h"},
		"two headers":                  {headers: []string{"Authorization", "Bearer a", "Authorization", "Bearer b"}, code: "2121"},
		"two subprotocols":             {headers: []string{"Sec-WebSocket-Protocol", "owt.signal.v1, " + bring("a") + ", " + bring("b")}, code: "2121", chosen: string(json)},
		"no base64":                    {headers: []string{"Sec-WebSocket-Protocol", "owt.signal.v1, owt.token.!!"}, code: "2121", chosen: string(json)},
		"not UTF-8":                    {headers: []string{"Sec-WebSocket-Protocol", "owt.signal.v1, " + bring("\xff")}, code: "2121", chosen: string(json)},
		"too long":                     {headers: []string{"Sec-WebSocket-Protocol", "owt.signal.v1, " + bring(strings.Repeat("x", signal.MaxToken+1))}, code: "2121", chosen: string(json)},

		"query is not accepted":                {sources: signal.Sources{"header", "subprotocol"}, query: map[string]string{"token": "q"}, code: "2120"},
		"header is not accepted":               {sources: signal.Sources{"query"}, headers: []string{"Authorization", "Bearer h"}, code: "2120"},
		"subprotocol is not accepted":          {sources: signal.Sources{"query"}, headers: []string{"Sec-WebSocket-Protocol", "owt.signal.v1, " + bring("s")}, code: "2120", chosen: string(json)},
		"malformed where it is not accepted":   {sources: signal.Sources{"query"}, headers: []string{"Sec-WebSocket-Protocol", "owt.signal.v1, owt.token.!!"}, code: "2120", chosen: string(json)},
		"header is not accepted, the query is": {sources: signal.Sources{"query"}, query: map[string]string{"token": "q"}, headers: []string{"Authorization", "Bearer h"}, token: "q"},
		"nothing is accepted":                  {sources: signal.Sources{}, query: map[string]string{"token": "q"}, headers: []string{"Authorization", "Bearer h"}, code: "2120"},
	} {
		t.Run(name, func(t *testing.T) {
			got := connect(t, signal.Access{Authenticator: &asker{}, Sources: c.sources}, c.query, c.headers...)
			if got.StatusCode != 200 || got.Headers["Sec-WebSocket-Protocol"] != c.chosen || len(got.MultiValueHeaders) > 0 {
				t.Errorf("response %+v", got.APIGatewayProxyResponse)
			}
			var asked []signal.Credentials
			if c.token != "" {
				asked = []signal.Credentials{{Token: c.token}}
			}
			if !reflect.DeepEqual(got.asked, asked) {
				t.Errorf("asked %+v, want %+v", got.asked, asked)
			}
			refusals := slices.DeleteFunc(got.frames, func(f string) bool { return !strings.Contains(f, `"closing":true`) })
			if c.code == "" && len(refusals) > 0 || c.code != "" && (len(refusals) != 1 || !strings.Contains(refusals[0], `"code":`+c.code)) {
				t.Errorf("refusals %q, want %q", refusals, c.code)
			}
		})
	}
}

// Of two values of one parameter nobody knows which counts.
func TestParameterTwice(t *testing.T) {
	h, s := newHandler(memory.New())
	for _, name := range []string{"token", "EIO", "clientVersion", "session", "x"} {
		for values, want := range map[*[]string]int{{"4"}: 200, {"3", "4"}: 400, {"4", "4"}: 400} {
			ev := event("id=", "", map[string]string{name: "4"})
			ev.MultiValueQueryStringParameters = map[string][]string{name: *values}
			r, after := h.Connect(t.Context(), ev)
			if r.StatusCode != want || (after != nil) != (want == 200) {
				t.Errorf("%s=%q: %+v", name, *values, r)
			}
		}
	}
	if len(s.frames) != 0 {
		t.Errorf("frames %q", s.frames)
	}
}

// Socket.IO clients may bring their token the same ways, and then authenticate
// by it.
func TestTokenOfASocketIOHandshake(t *testing.T) {
	for _, engine := range []string{"3", "4"} {
		for _, headers := range [][]string{
			{"Authorization", "Bearer alice"}, {"Sec-WebSocket-Protocol", "owt.signal.v1, " + bring("alice")},
		} {
			got := connect(t, signal.Access{Authenticator: &asker{}}, map[string]string{"EIO": engine}, headers...)
			chosen := ""
			if headers[0] != "Authorization" {
				chosen = "owt.signal.v1" // a browser that is not answered one that it offered gives up
			}
			if got.Headers["Sec-WebSocket-Protocol"] != chosen || !slices.Contains(got.frames, `42["server-authenticated",{"uid":"alice"}]`) {
				t.Errorf("EIO %s by %s: %+v, %q", engine, headers[0], got.APIGatewayProxyResponse, got.frames)
			}
		}
		refused := connect(t, signal.Access{Authenticator: &asker{}}, map[string]string{"EIO": engine, "clientVersion": "4.3.1"})
		if want := map[string]string{"3": `44"2120"`, "4": `44{"message":"2120","data":{"code":2120}}`}[engine]; !slices.Contains(refused.frames, want) {
			t.Errorf("EIO %s without a token: %q", engine, refused.frames)
		}
		only := connect(t, signal.Access{Authenticator: &asker{}}, map[string]string{"EIO": engine}, "Sec-WebSocket-Protocol", bring("alice"))
		if only.StatusCode != 400 || strings.Contains(only.Body, "owt.token") || only.asked != nil {
			t.Errorf("EIO %s, nothing to choose but the token: %+v", engine, only.APIGatewayProxyResponse)
		}
	}
	if got := connect(t, signal.OpenAccess, map[string]string{"EIO": "4"}, "Sec-WebSocket-Protocol", "mqtt"); got.StatusCode != 200 || got.Headers != nil {
		t.Errorf("a foreign subprotocol: %+v", got.APIGatewayProxyResponse)
	}
}

// The token of the event is not looked at where events are not accepted.
func TestEventIsNotAccepted(t *testing.T) {
	for _, test := range []struct {
		sources signal.Sources
		want    []string
	}{
		{nil, []string{`42["server-authenticated",{"uid":"alice"}]`, `430[{"uid":"alice"}]`}},
		{signal.Sources{"header"}, []string{`430[{"error":2120}]`, "41", "1", "close"}},
	} {
		for _, token := range []string{`"alice"`, `7`} {
			s := &sockets{frames: make(map[signal.ConnectionID][]string)}
			h := app.New(app.Config{
				Store: memory.New(), Connections: s, Endpoint: apigw.Endpoint("eu-west-1"),
				Access: signal.Access{Authenticator: &asker{}, Sources: test.sources}, Log: slog.New(slog.DiscardHandler),
			})
			_, after := h.Connect(t.Context(), event("id=", "", map[string]string{"EIO": "3"}))
			after(t.Context())
			s.frames = make(map[signal.ConnectionID][]string)
			r, _ := h.Message(t.Context(), event("id=", `420["authentication",{"token":`+token+`}]`, nil))
			if got := append(slices.Clone(s.frames["id="]), r.Body); token == `"alice"` || test.sources != nil {
				for _, want := range test.want {
					if !slices.Contains(got, want) {
						t.Errorf("sources %v, token %s: %q", test.sources, token, got)
					}
				}
			}
		}
	}
}

func TestWhatIsKeptOfAHandshake(t *testing.T) {
	query := map[string]string{"token": "secret-token", "clientType": "Web", "clientVersion": "5.0"}
	headers := []string{"Origin", "https://a.example", "X-Many", "1", "X-Many", "2", "Cookie", "session=1", "User-Agent", "x"}
	needs := signal.Needs{Client: true, Headers: []string{"origin", "x-many", "x-none"}}
	client := signal.Client{Type: "Web", Version: "5.0", Address: "192.0.2.1", Headers: map[string]string{"origin": "https://a.example", "x-many": "1, 2"}}
	got := connect(t, signal.Access{Authenticator: &asker{needs: needs}}, query, headers...)
	if want := []signal.Credentials{{Token: "secret-token", Client: client}}; !reflect.DeepEqual(got.asked, want) {
		t.Errorf("asked %+v, want %+v", got.asked, want)
	}
	record, err := got.store.Get(t.Context(), "id=", 0)
	if err != nil || !reflect.DeepEqual(record.Client, client) {
		t.Errorf("record %+v, %v", record, err)
	}

	long := func(n int) []string { return []string{"X-Many", strings.Repeat("x", n-len("x-many192.0.2.1"))} }
	needs.Headers = []string{"x-many"}
	if got := connect(t, signal.Access{Authenticator: &asker{needs: needs}}, map[string]string{"token": "t"}, long(signal.MaxClient)...); got.StatusCode != 200 {
		t.Errorf("as much as may be kept: %+v", got.APIGatewayProxyResponse)
	}
	if got := connect(t, signal.Access{Authenticator: &asker{needs: needs}}, map[string]string{"token": "t"}, long(signal.MaxClient+1)...); got.StatusCode != 400 || strings.Contains(got.Body, "xxx") {
		t.Errorf("more than may be kept: %+v", got.APIGatewayProxyResponse)
	}
	if got := connect(t, signal.Access{Authenticator: &asker{}}, map[string]string{"token": "t"}, long(signal.MaxClient+1)...); got.StatusCode != 200 || got.asked[0].Client.Len() > 0 {
		t.Errorf("nothing is to be kept: %+v, asked %+v", got.APIGatewayProxyResponse, got.asked)
	}
}

func TestTokensAreNotLogged(t *testing.T) {
	const token = "secret-token"
	for _, headers := range [][]string{{"Authorization", "Bearer " + token}, {"Sec-WebSocket-Protocol", "owt.signal.v1, " + bring(token)}, {"Sec-WebSocket-Protocol", bring(token)}} {
		got := connect(t, signal.Access{}, nil, headers...)
		if said := got.logs + got.Body + strings.Join(got.frames, ""); strings.Contains(said, token) || strings.Contains(said, bring(token)) {
			t.Errorf("%s", said)
		}
	}
	got := connect(t, signal.Access{}, map[string]string{"token": token, "clientVersion": "4.1"})
	if strings.Contains(got.logs, token) || !strings.Contains(got.logs, "4.1") {
		t.Errorf("%s", got.logs)
	}
}

// FuzzHandshakeToken: whatever the headers, what is chosen never has a token in
// it, and nobody is asked about one that cannot be read.
func FuzzHandshakeToken(f *testing.F) {
	f.Add("Bearer x", "owt.signal.v1, owt.token.YQ", "q", "4")
	f.Add("Basic x", "owt.token.YQ,owt.token.Yg", "", "")
	f.Fuzz(func(t *testing.T, authorization, subprotocol, query, engine string) {
		q := map[string]string{"token": query}
		if engine != "" {
			q["EIO"] = engine
		}
		got := connect(t, signal.Access{Authenticator: &asker{}, Anonymous: true}, q, "Authorization", authorization, "Sec-WebSocket-Protocol", subprotocol)
		if chosen := got.Headers["Sec-WebSocket-Protocol"]; chosen != "" && chosen != "owt.signal.v1" {
			t.Errorf("chose %q", chosen)
		}
		for _, c := range got.asked {
			if c.Token == "" || len(c.Token) > signal.MaxToken {
				t.Errorf("asked about %q", c.Token)
			}
		}
	})
}
