package e2e

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	signer "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/owt-signal/owt-signal/internal/need"
)

// apiKey is that of the backend local, which is also what the local signer is called.
const apiKey = "a-secret-word-of-a-backend"

var apiAt = regexp.MustCompile(`HTTP API for backends +(http://\S+)/v1/`)

// backendAPI is the API of a server, and how requests are let in.
type backendAPI struct {
	*server
	let func(r *http.Request, body []byte)
}

// serveAPI starts a server with an API for backends, for each kind there is.
func serveAPI(t *testing.T, test func(t *testing.T, a backendAPI)) {
	keys := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(keys, []byte("# who may\nother "+strings.Repeat("x", 20)+"\nlocal "+apiKey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	bearer := func(r *http.Request, _ []byte) { r.Header.Set("Authorization", "Bearer "+apiKey) }
	for _, kind := range []struct {
		name  string
		flags func(*testing.T) []string
		let   func(*http.Request, []byte)
	}{
		{"memory", func(*testing.T) []string { return []string{"-api-key-file", keys} }, bearer},
		{"functions", onFunctions, func(r *http.Request, body []byte) { sign(r, body, "lambda", "us-east-1", time.Now()) }},
	} {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			test(t, backendAPI{serve(t, append(kind.flags(t), "-api", "127.0.0.1:0", "-ice-servers", "stun:stun.example.com")...), kind.let})
		})
	}
}

// sign signs a request as AWS's SDK for Go does, with the credentials of the server.
func sign(r *http.Request, body []byte, service, region string, at time.Time) {
	sum := sha256.Sum256(body)
	err := signer.NewSigner().SignHTTP(context.Background(), aws.Credentials{AccessKeyID: "local", SecretAccessKey: "local"}, r, hex.EncodeToString(sum[:]), service, region, at)
	if err != nil {
		panic(err) // it is given all it needs
	}
}

func (a backendAPI) request(t *testing.T, method, path, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, a.API+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	return r
}

func do(t *testing.T, r *http.Request) (status int, body string) {
	t.Helper()
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(b)
}

// want calls, and wants an answer: its status, and, if it is not empty, its body.
func (a backendAPI) want(t *testing.T, method, path, body string, status int, answer string, headers ...string) {
	t.Helper()
	r := a.request(t, method, path, body)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	a.let(r, []byte(body))
	if gotStatus, got := do(t, r); gotStatus != status || answer != "" && got != answer {
		t.Errorf("%s %s %s: %d %s, want %d %s", method, path, body, gotStatus, got, status, answer)
	}
}

// TestBackendAPI: a backend and real clients.
func TestBackendAPI(t *testing.T) {
	t.Parallel()
	serveAPI(t, func(t *testing.T, a backendAPI) {
		defer http.DefaultClient.CloseIdleConnections()
		a.want(t, "GET", "/v1/presence?user=bob", "", 200, `{"user":"bob","online":false}`)
		a.want(t, "POST", "/v1/messages", `{"to":"bob","data":"lost"}`, 404, "")
		bob, carol := join(t, a.server, plainJSON{}, "bob"), join(t, a.server, socketIO(4), "carol")
		a.want(t, "GET", "/v1/presence?user=bob", "", 200, `{"user":"bob","online":true}`)

		for i := range 3 {
			a.want(t, "POST", "/v1/messages", fmt.Sprintf(`{"to":"bob","data":{"n": %d}}`, i), 200, `{"from":"backend:local","to":"bob"}`)
		}
		for range 2 {
			a.want(t, "POST", "/v1/messages", `{"to":"bob","data":"once","from":"backend:local/eu"}`, 200, `{"from":"backend:local/eu","to":"bob"}`, "Idempotency-Key", "1")
		}
		a.want(t, "POST", "/v1/messages", `{"to":"bob","data":"other","from":"backend:local/eu"}`, 422, "", "Idempotency-Key", "1")
		a.want(t, "POST", "/v1/messages", `{"to":"bob","data":"stolen","from":"backend:other"}`, 403, "")
		a.want(t, "POST", "/v1/messages", `{"to":"bob","data":"last"}`, 200, "")
		for _, data := range []string{`{"n": 0}`, `{"n": 1}`, `{"n": 2}`, `"once"`, `"last"`} {
			if got, err := bob.next(); err != nil || !strings.Contains(got, `"from":"backend:local`) || !strings.HasSuffix(got, `"data":`+data+"}") {
				t.Errorf("bob got %s, %v, want %s", got, err, data)
			}
		}
		a.want(t, "POST", "/v1/messages", `{"to":"carol","data":"hello"}`, 200, "")
		if got, err := carol.next(); err != nil || !strings.Contains(got, `"hello"`) || !strings.Contains(got, "backend:local") {
			t.Errorf("carol got %s, %v", got, err)
		}

		a.wantOnline(t, "bob", "carol")
		a.want(t, "GET", "/v1/ice-servers?user=bob", "", 200, `{"iceServers":[{"urls":["stun:stun.example.com"]}]}`)

		a.want(t, "POST", "/v1/disconnections", `{"user":"bob","refuseFor":600}`, 200, "")
		want(t, bob, plainJSON{}.refused(2121)...)
		a.want(t, "GET", "/v1/presence?user=bob", "", 200, `{"user":"bob","online":false}`)
		refused := dialGood(t, a.Plain, plainJSON{}.path("bob"))
		if _, err := refused.next(); err != nil { // open
			t.Fatal(err)
		}
		want(t, refused, plainJSON{}.refused(2121)...)
		a.wantOnline(t, "carol")
		a.want(t, "DELETE", "/v1/refusals?user=bob", "", 204, "")
		join(t, a.server, plainJSON{}, "bob")
		a.wantOnline(t, "bob", "carol")
	})
}

// wantOnline lists who is online, one at a time and all together.
func (a backendAPI) wantOnline(t *testing.T, want ...string) {
	t.Helper()
	for _, limit := range []int{1, 1000} {
		var got []string
		for query := fmt.Sprintf("?limit=%d", limit); query != ""; {
			r := a.request(t, "GET", "/v1/users"+query, "")
			a.let(r, nil)
			status, body := do(t, r)
			var page struct {
				Users []string
				Next  string
			}
			if err := json.Unmarshal([]byte(body), &page); err != nil || status != 200 || len(got) > len(want) {
				t.Fatalf("%d %s, %v", status, body, err)
			}
			got, query = append(got, page.Users...), ""
			if page.Next != "" {
				query = fmt.Sprintf("?limit=%d&cursor=%s", limit, url.QueryEscape(page.Next))
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%d at a time: %v are online, want %v", limit, got, want)
		}
	}
}

// TestBackendAPIIsClosed: nobody gets in who is not meant to.
func TestBackendAPIIsClosed(t *testing.T) {
	t.Parallel()
	serveAPI(t, func(t *testing.T, a backendAPI) {
		defer http.DefaultClient.CloseIdleConnections()
		const path, body = "/v1/disconnections", `{"user":"bob"}`
		status, letIn := http.StatusUnauthorized, "Bearer "+apiKey
		if a.Management != "" {
			status, letIn = http.StatusForbidden, ""
		}
		signed := func(service, region string, at time.Time) func(*http.Request) {
			return func(r *http.Request) { sign(r, []byte(body), service, region, at) }
		}
		now := time.Now()
		for name, change := range map[string]func(*http.Request){
			"no signature":       func(*http.Request) {},
			"empty":              func(r *http.Request) { r.Header.Set("Authorization", "") },
			"another key":        func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+apiKey+"x") },
			"no key":             func(r *http.Request) { r.Header.Set("Authorization", "Bearer ") },
			"another scheme":     func(r *http.Request) { r.SetBasicAuth("local", apiKey) },
			"foreign region":     signed("lambda", "eu-west-1", now),
			"foreign service":    signed("execute-api", "us-east-1", now),
			"signed long ago":    signed("lambda", "us-east-1", now.Add(-6*time.Minute)),
			"signed for later":   signed("lambda", "us-east-1", now.Add(6*time.Minute)),
			"another credential": func(r *http.Request) { signed("lambda", "us-east-1", now)(r); replace(r, "local/", "locals/") },
			"another signature":  func(r *http.Request) { signed("lambda", "us-east-1", now)(r); replace(r, "Signature=", "Signature=0") },
			"of another body":    func(r *http.Request) { sign(r, []byte(`{"user":"eve"}`), "lambda", "us-east-1", now) },
			"of another path":    func(r *http.Request) { signed("lambda", "us-east-1", now)(r); r.URL.Path = "/v1/messages" },
			"of another query":   func(r *http.Request) { signed("lambda", "us-east-1", now)(r); r.URL.RawQuery = "a=b" },
			"of another method":  func(r *http.Request) { signed("lambda", "us-east-1", now)(r); r.Method = "PUT" },
			"of a header that is not there": func(r *http.Request) {
				r.Header.Set("Idempotency-Key", "1")
				signed("lambda", "us-east-1", now)(r)
				r.Header.Del("Idempotency-Key")
			},
		} {
			r := a.request(t, "POST", path, body)
			change(r)
			if got, answer := do(t, r); got != status {
				t.Errorf("%s: %d %s, want %d", name, got, answer, status)
			}
		}
		for _, public := range []string{a.Plain, a.Plain + "/prod", a.Plain + "/socket.io"} {
			r, err := http.NewRequestWithContext(t.Context(), "GET", public+"/v1/presence?user=bob", http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", letIn)
			if got, answer := do(t, r); got == 200 || strings.Contains(answer, "online") {
				t.Errorf("%s: %d %s", public, got, answer)
			}
		}
	})
}

func replace(r *http.Request, old, by string) {
	r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), old, by, 1))
}

// TestBackendAPIAsDescribed: the API does what openapi.yaml says, whatever it is asked:
// schemathesis makes requests from that, right ones and wrong ones.
func TestBackendAPIAsDescribed(t *testing.T) {
	t.Parallel()
	schemathesis, tools := need.Program(t, "schemathesis"), filepath.Join(need.Root(), "e2e", "api")
	serveAPI(t, func(t *testing.T, a backendAPI) {
		bob := dialGood(t, a.Plain, plainJSON{}.path("bob"))
		plainJSON{}.enter(t, bob, "bob")
		drained := make(chan struct{})
		go func() {
			defer close(drained)
			for err := error(nil); err == nil; {
				_, _, err = bob.Read(context.Background())
			}
		}()
		t.Cleanup(func() { _ = bob.CloseNow(); <-drained })
		const examples, least = "200", 1000
		var variables []string
		if a.Management == "" {
			variables = []string{"KEY=" + apiKey}
		}
		ctx, cancel := context.WithTimeout(t.Context(), clientsWithin)
		defer cancel()
		c := exec.CommandContext(ctx, schemathesis, "--config-file", filepath.Join(tools, "schemathesis.toml"),
			"run", filepath.Join(need.Root(), "internal", "httpapi", "openapi.yaml"), "--url", a.API, "--max-examples", examples, "--no-color")
		c.Dir = t.TempDir() // for what it remembers
		c.Env = append(append(os.Environ(), "SCHEMATHESIS_HOOKS=schemathesis_hooks", "PYTHONDONTWRITEBYTECODE=1", "PYTHONPATH="+tools, "SENDER=backend:local"), variables...)
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		answered := make(map[string]int) // by what was asked, and the status
		for _, m := range regexp.MustCompile(`"operation":"(\w+ /\S+?|unknown)","status":(\d+)`).FindAllStringSubmatch(a.logs.String(), -1) {
			answered[m[1]+" "+m[2]]++
			answered[""]++
		}
		t.Logf("%d calls were let in: %v", answered[""], answered)
		if answered[""] < least || answered["POST /v1/messages 200"] == 0 {
			t.Errorf("want %d calls at least, of all kinds\n%s", least, out)
		}
	})
}
