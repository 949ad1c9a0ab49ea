package httpapi

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"go.yaml.in/yaml/v3"

	"github.com/owt-signal/owt-signal/internal/memory"
	"github.com/owt-signal/owt-signal/internal/signal"
)

// newAPI is an API for backends on an empty store.
func newAPI() *API {
	store := memory.New()
	return &API{
		Service: &signal.Service{
			Store: store, Backends: store, Refusals: store, Clock: signal.SystemClock{}, Random: func([]byte) {}, Log: slog.New(slog.DiscardHandler),
		},
		Log: slog.New(slog.DiscardHandler),
	}
}

var calendar = Caller{Name: "backend:calendar", Principal: "calendar"}

// ask makes a request, whose body is JSON if there is one.
func (a *API) ask(method, path, query, body string) Response {
	return a.Do(context.Background(), calendar, Request{Method: method, Path: path, Query: query, ContentType: "application/json; charset=utf-8", Body: []byte(body)})
}

// Each path and method of the description is served, and no other.
func TestOperationsAreDescribed(t *testing.T) {
	var d struct {
		Paths map[string]map[string]any
	}
	if err := yaml.Unmarshal(Description, &d); err != nil {
		t.Fatal(err)
	}
	var described, served []string
	for path, methods := range d.Paths {
		for method := range methods {
			described = append(described, strings.ToUpper(method)+" "+path)
		}
	}
	for path, methods := range operations {
		for method := range methods {
			served = append(served, method+" "+path)
		}
	}
	slices.Sort(described)
	slices.Sort(served)
	if !slices.Equal(described, served) {
		t.Errorf("described are %q, served %q", described, served)
	}
	if r := newAPI().ask("GET", "/openapi.yaml", "", ""); r.Status != 200 || string(r.Body) != string(Description) {
		t.Errorf("the description: %d", r.Status)
	}
}

// Each problem is where its type says, in docs/api.md, with its status and code.
func TestProblemsAreDescribed(t *testing.T) {
	page, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []problem{
		errRequest, errKey, errPrincipal, errNoPath, errMethod, errBody, errType, errKeyInUse, errKeyReused, errOffline, errMessage, errBusy, errServer, errStore,
	} {
		code := " "
		if p.Code != 0 {
			code = fmt.Sprintf(" %d ", p.Code)
		}
		row := fmt.Sprintf("| <a id=%q></a>`#%s` | %d |%s|", p.Type.name(), p.Type.name(), p.Status, code)
		if !strings.Contains(string(page), row) {
			t.Errorf("docs/api.md lacks %s", row)
		}
		r := p.response()
		var told problem
		if err := json.Unmarshal(r.Body, &told); err != nil || told != p || r.Header["Content-Type"] != "application/problem+json" {
			t.Errorf("%s is told as %s", p.Type, r.Body)
		}
	}
}

// Both sides of each limit, and what is not as described.
func TestRequests(t *testing.T) {
	a := newAPI()
	name := strings.Repeat("n", signal.MaxUserName)
	for _, c := range []struct {
		method, path, query, body string
		status                    int
	}{
		{"GET", "/v1/presence", "user=" + name, "", 200},
		{"GET", "/v1/presence", "user=" + name + "n", "", 400},
		{"GET", "/v1/presence", "user=%F0%9F%98%80", "", 200},
		{"GET", "/v1/presence", "user=%FF", "", 400},
		{"GET", "/v1/presence", "user=", "", 400},
		{"GET", "/v1/presence", "", "", 400},
		{"GET", "/v1/presence", "user=a&user=a", "", 400},
		{"GET", "/v1/presence", "user=a&other=b", "", 400},
		{"GET", "/v1/presence", "user=%zz", "", 400},
		{"POST", "/v1/presence", "user=a", "", 405},
		{"GET", "/v1/presence/", "user=a", "", 404},
		{"GET", "/v1/users", "limit=1", "", 200},
		{"GET", "/v1/users", fmt.Sprint("limit=", signal.MaxOnline), "", 200},
		{"GET", "/v1/users", fmt.Sprint("limit=", signal.MaxOnline+1), "", 400},
		{"GET", "/v1/users", "limit=0", "", 400},
		{"GET", "/v1/users", "limit=", "", 400},
		{"GET", "/v1/users", "limit=1e1", "", 400},
		{"GET", "/v1/users", "limit=Inf", "", 400},
		{"GET", "/v1/users", "cursor=" + base64.RawURLEncoding.EncodeToString(make([]byte, maxCursor)), "", 200},
		{"GET", "/v1/users", "cursor=" + base64.RawURLEncoding.EncodeToString(make([]byte, maxCursor+1)), "", 400},
		{"GET", "/v1/users", "cursor=", "", 400},
		{"GET", "/v1/users", "cursor=%20", "", 400},
		{"GET", "/v1/users", "cursor=__8", "", 200}, // no UTF-8
		{"POST", "/v1/messages", "", `{"to":"bob","data":null}`, 404},
		{"POST", "/v1/messages", "", ` {"to":"bob","data":null} `, 404},
		{"POST", "/v1/messages", "a=b", `{"to":"bob","data":null}`, 400},
		{"POST", "/v1/messages", "", `{"to":"bob"}`, 400},
		{"POST", "/v1/messages", "", `{"data":1}`, 400},
		{"POST", "/v1/messages", "", `{"to":"bob","data":1,"data":2}`, 400},
		{"POST", "/v1/messages", "", `{"to":"bob","data":1,"other":2}`, 400},
		{"POST", "/v1/messages", "", `{"to":["bob"],"data":1}`, 400},
		{"POST", "/v1/messages", "", `{"to":"bob","data":}`, 400},
		{"POST", "/v1/messages", "", "{\"to\":\"bob\",\"data\":\"\xff\"}", 400},
		{"POST", "/v1/messages", "", `[]`, 400},
		{"POST", "/v1/messages", "", ``, 400},
		{"POST", "/v1/messages", "", `{"to":"bob","data":` + strings.Repeat("[", 127) + strings.Repeat("]", 127) + `}`, 404},
		{"POST", "/v1/messages", "", `{"to":"bob","data":` + strings.Repeat("[", 128) + strings.Repeat("]", 128) + `}`, 400},
		{"POST", "/v1/messages", "", `{"to":"bob","data":1,"from":"backend:calendar/a"}`, 404},
		{"POST", "/v1/messages", "", `{"to":"bob","data":1,"from":"backend:calendars"}`, 403},
		{"POST", "/v1/messages", "", `{"to":"bob","data":1,"from":"backend:"}`, 400},
		{"POST", "/v1/messages", "", `{"to":"bob","data":1,"from":7}`, 400},
		{"POST", "/v1/messages", "", `{"to":"bob","data":"` + strings.Repeat("x", signal.MaxPost) + `"}`, 413},
		{"POST", "/v1/disconnections", "", `{"user":"bob","refuseFor":2592000}`, 200},
		{"POST", "/v1/disconnections", "", `{"user":"bob","refuseFor":2592001}`, 400},
		{"POST", "/v1/disconnections", "", `{"user":"bob","refuseFor":-1}`, 400},
		{"POST", "/v1/disconnections", "", `{"user":"bob","refuseFor":1.5}`, 400},
		{"POST", "/v1/disconnections", "", `{"user":"bob","refuseFor":1.0}`, 200},
		{"POST", "/v1/disconnections", "", `{"user":"bob","refuseFor":"1"}`, 400},
		{"DELETE", "/v1/refusals", "user=bob", "", 204},
		{"GET", "/v1/ice-servers", "user=bob", "", 200},
	} {
		if r := a.ask(c.method, c.path, c.query, c.body); r.Status != c.status {
			t.Errorf("%s %s?%s %.80s: %d %s, want %d", c.method, c.path, c.query, c.body, r.Status, r.Body, c.status)
		}
	}
	for key, status := range map[string]int{"": 404, "!~": 404, strings.Repeat("k", signal.MaxKey): 404, strings.Repeat("k", signal.MaxKey+1): 400, "a b": 400, "é": 400} {
		r := a.Do(t.Context(), calendar, Request{Method: "POST", Path: "/v1/messages", ContentType: "application/json", Key: key, Body: []byte(`{"to":"bob","data":1}`)})
		if r.Status != status {
			t.Errorf("key %.10q: %d, want %d", key, r.Status, status)
		}
	}
	for kind, status := range map[string]int{"application/json": 404, "Application/JSON; a=b": 404, "text/plain": 415, "": 415, "application/json; ;": 415} {
		r := a.Do(t.Context(), calendar, Request{Method: "POST", Path: "/v1/messages", ContentType: kind, Body: []byte(`{"to":"bob","data":1}`)})
		if r.Status != status {
			t.Errorf("of type %q: %d, want %d", kind, r.Status, status)
		}
	}
	if r := a.ask("PUT", "/v1/users", "", ""); r.Header["Allow"] != "GET" {
		t.Errorf("PUT: %v", r.Header)
	}
}

// A panic is a problem like any other, and counted.
func TestPanic(t *testing.T) {
	a := newAPI()
	a.Service.Store = nil
	if r := a.ask("GET", "/v1/presence", "user=a", ""); r.Status != http.StatusInternalServerError || !strings.Contains(string(r.Body), "2100") {
		t.Errorf("%d %s", r.Status, r.Body)
	}
}

// Who goes before the answer has not undone what was asked for.
func TestCallerGoes(t *testing.T) {
	a := newAPI()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := a.Do(ctx, calendar, Request{Method: "POST", Path: "/v1/disconnections", ContentType: "application/json", Body: []byte(`{"user":"bob","refuseFor":60}`)})
	if until, err := a.Service.Refusals.RefusedUntil(t.Context(), "bob", a.Service.Clock.Now()); r.Status != 200 || until == 0 || err != nil {
		t.Errorf("%d; refused until %d, %v", r.Status, until, err)
	}
}

func TestKeys(t *testing.T) {
	key := strings.Repeat("k", MinKey)
	read := func(text string) (Keys, error) {
		file := filepath.Join(t.TempDir(), "keys")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return ReadKeys(file)
	}
	keys, err := read("# ours\n\n a  " + key + "1 \r\na\t" + key + "2\nb_1@c " + key + "3")
	if err != nil {
		t.Fatal(err)
	}
	for given, want := range map[string]string{key + "1": "a", key + "2": "a", key + "3": "b_1@c", key: "", "": "", key + "1 ": ""} {
		c, ok := keys.caller(given)
		if ok != (want != "") || c.Principal != want || ok && c.Name != signal.UserName("backend:"+want) {
			t.Errorf("%s is %+v", given, c)
		}
	}
	for text, want := range map[string]string{
		"": "there is none", "# none": "there is none", "a": "line 1", "a " + key[1:]: "shorter than 20", "\na b " + key: "line 2",
		"a/b " + key: "line 1", "a#b " + key: "line 1", strings.Repeat("a "+key+"\n", MaxKeys+1): "more than 64",
	} {
		if _, err := read(text); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "kkk") {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
	if _, err := read(strings.Repeat("a "+key+"\n", MaxKeys)); err != nil {
		t.Error(err)
	}
	if _, err := ReadKeys("nowhere"); err == nil {
		t.Error("a file that is not there")
	}
}

// A body is read only of who has a key, and not beyond its limit.
func TestHandler(t *testing.T) {
	keys, err := parseKeys([]byte("a " + strings.Repeat("k", MinKey)))
	if err != nil {
		t.Fatal(err)
	}
	serve := func(authorization string, body io.Reader) *httptest.ResponseRecorder {
		r := httptest.NewRequest("POST", "/v1/messages", body)
		r.Header.Set("Authorization", authorization)
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		newAPI().Handler(keys).ServeHTTP(w, r)
		return w
	}
	if w := serve("Bearer x", unreadable{t}); w.Code != 401 || w.Header().Get("WWW-Authenticate") != "Bearer" {
		t.Errorf("without a key: %d %v", w.Code, w.Header())
	}
	bearer := "bearer " + strings.Repeat("k", MinKey)
	for size, status := range map[int]int{MaxBody: 413, MaxBody + 1: 413, 100: 404} {
		body := `{"to":"bob","data":"` + strings.Repeat("x", size-22) + `"}`
		w := serve(bearer, strings.NewReader(body))
		if w.Code != status || size > MaxBody != strings.Contains(w.Body.String(), "#too-large") {
			t.Errorf("%d bytes: %d %s", len(body), w.Code, w.Body)
		}
	}
}

type unreadable struct{ t *testing.T }

func (u unreadable) Read([]byte) (int, error) {
	u.t.Error("the body is read")
	return 0, io.EOF
}

// By a URL comes who IAM says.
func TestInvoke(t *testing.T) {
	for arn, name := range map[string]string{
		"arn:aws:iam::123456789012:user/calendar":                     "calendar",
		"arn:aws:iam::123456789012:user/division/x/calendar":          "calendar",
		"arn:aws:sts::123456789012:assumed-role/calendar/session":     "calendar",
		"arn:aws-cn:sts::123456789012:assumed-role/a+b=c,d.e@f-_/s@x": "a+b=c,d.e@f-_",
		"arn:aws:sts::123456789012:federated-user/calendar":           "calendar",
		"arn:aws:iam::123456789012:root":                              "root",
		"arn:aws:sts::123456789012:assumed-role/calendar":             "",
		"arn:aws:iam::123456789012:user/":                             "",
		"arn:aws:s3:::bucket/key":                                     "",
		"calendar":                                                    "",
		"":                                                            "",
	} {
		ev := &events.LambdaFunctionURLRequest{RawPath: "/v1/messages", Headers: map[string]string{"content-type": "application/json"}}
		ev.Body, ev.IsBase64Encoded = base64.StdEncoding.EncodeToString([]byte(`{"to":"bob","data":1}`)), true
		ev.RequestContext.HTTP.Method = "POST"
		ev.RequestContext.Authorizer = &events.LambdaFunctionURLRequestContextAuthorizerDescription{IAM: &events.LambdaFunctionURLRequestContextAuthorizerIAMDescription{UserARN: arn}}
		c, ok := principal(ev)
		if ok != (name != "") || ok && c.Name != signal.UserName("backend:"+name) {
			t.Errorf("%s is %+v", arn, c)
		}
		want := http.StatusNotFound // bob is not online
		if name == "" {
			want = http.StatusForbidden
		}
		if r := newAPI().Invoke(t.Context(), ev); r.StatusCode != want {
			t.Errorf("%s: %d %s, want %d", arn, r.StatusCode, r.Body, want)
		}
	}
	ev := &events.LambdaFunctionURLRequest{RawPath: "/openapi.yaml"}
	ev.RequestContext.HTTP.Method = "GET"
	if r := newAPI().Invoke(t.Context(), ev); r.StatusCode != http.StatusForbidden {
		t.Errorf("without an authorizer: %d", r.StatusCode)
	}
}
