package auth_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/owt-signal/owt-signal/internal/auth"
	"github.com/owt-signal/owt-signal/internal/awsenv"
	"github.com/owt-signal/owt-signal/internal/signal"
)

var sharedKey = strings.Repeat("k", 32)

// asked is a server of the user's own, which verifies signatures as
// docs/webhooks.md says, and how often it was asked.
type asked struct {
	*httptest.Server
	times atomic.Int64
}

func newAsked(t *testing.T, answer func(w http.ResponseWriter, question string)) *asked {
	t.Helper()
	a := &asked{}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.times.Add(1)
		body, _ := io.ReadAll(r.Body)
		if r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" || !signed(r.Header.Get("Owt-Signature"), body) {
			t.Errorf("asked by %s %s with %v", r.Method, body, r.Header)
			w.WriteHeader(http.StatusForbidden)
			return
		}
		answer(w, string(body))
	}))
	t.Cleanup(a.Close)
	return a
}

func signed(header string, body []byte) bool {
	at, signature, _ := strings.Cut(header, ",v1=")
	seconds, err := strconv.ParseInt(strings.TrimPrefix(at, "t="), 10, 64)
	got, errHex := hex.DecodeString(signature)
	mac := hmac.New(sha256.New, []byte(sharedKey))
	fmt.Fprintf(mac, "%d.%s", seconds, body)
	return err == nil && errHex == nil && time.Since(time.Unix(seconds, 0)).Abs() < 5*time.Minute && hmac.Equal(got, mac.Sum(nil))
}

func (a *asked) access(t *testing.T, change func(*auth.Config)) signal.Access {
	t.Helper()
	c := auth.NewConfig()
	c.Mode, c.URL, c.Timeout, c.ServerSecretFile = auth.ModeHTTP, a.URL+"/who?key=of-the-url", auth.MaxTimeout, filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(c.ServerSecretFile, []byte(sharedKey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(&c)
	}
	access, err := auth.New(t.Context(), c, awsenv.ConfigOr("us-east-1", "test"), quiet)
	if err != nil {
		t.Fatal(err)
	}
	return access
}

func TestServerSays(t *testing.T) {
	var question string
	answer := `{"user":"alice","expires":1999999999,"attributes":{"role":"doctor"}}`
	a := newAsked(t, func(w http.ResponseWriter, q string) { question = q; fmt.Fprint(w, answer) })
	access := a.access(t, func(c *auth.Config) { c.Headers = []string{"origin"} })
	if needs := access.Needs(); access.Anonymous || access.Caution != "" || !needs.Client || !reflect.DeepEqual(needs.Headers, []string{"origin"}) {
		t.Errorf("access %+v", access)
	}
	client := signal.Client{Type: "Web", Version: "5.0", Address: "192.0.2.1", Headers: map[string]string{"origin": "https://a.example"}}
	id, err := access.Authenticator.Authenticate(t.Context(), signal.Credentials{Token: "t", Client: client})
	if want := (signal.Identity{User: "alice", Expires: 1999999999000, Attributes: map[string]string{"role": "doctor"}}); err != nil || !reflect.DeepEqual(id, want) {
		t.Errorf("%+v, %v", id, err)
	}
	if want := `{"token":"t","clientType":"Web","clientVersion":"5.0","sourceIp":"192.0.2.1","headers":{"origin":"https://a.example"}}`; question != want {
		t.Errorf("asked %s", question)
	}
	answer = `{"refused":true}`
	wantRefused(t, access.Authenticator, "stranger", "")
	if n := a.times.Load(); n != 2 {
		t.Errorf("asked %d times", n)
	}
}

// A server that fails, sends the question elsewhere, or whose answer is not what it
// may be, lets nobody in.
func TestServerFails(t *testing.T) {
	elsewhere := newAsked(t, func(w http.ResponseWriter, _ string) { fmt.Fprint(w, `{"user":"alice"}`) })
	user := func(size int) string {
		const frame = `{"user":"alice","x":""}`
		return `{"user":"alice","x":"` + strings.Repeat("x", size-len(frame)) + `"}`
	}
	for name, answer := range map[string]http.HandlerFunc{
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		},
		"refusal": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) },
		"error": func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, `{"user":"alice"}`, http.StatusInternalServerError)
		},
		"not there": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"cut off": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "99")
			fmt.Fprint(w, `{"user":"alice"}`)
		},
		"too long":    func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, user(16<<10+1)) },
		"nothing":     func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		"no object":   func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `"alice"`) },
		"nobody":      func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"user":""}`) },
		"other words": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"name":"alice"}`) },
	} {
		t.Run(name, func(t *testing.T) {
			a := newAsked(t, func(w http.ResponseWriter, _ string) {
				answer(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", nil))
			})
			access := a.access(t, nil)
			wantUnavailable(t, access.Authenticator, "a secret of the client's")
			_, err := authenticate(t, access.Authenticator, "t")
			if err == nil || strings.Contains(err.Error(), "of-the-url") || strings.Contains(err.Error(), "alice") || !strings.Contains(err.Error(), a.URL+"/who") {
				t.Errorf("says %v", err)
			}
		})
	}
	if n := elsewhere.times.Load(); n != 0 {
		t.Errorf("another server was asked %d times", n)
	}
	most := newAsked(t, func(w http.ResponseWriter, _ string) { fmt.Fprint(w, user(16<<10)) })
	wantUser(t, most.access(t, nil).Authenticator, "t", "alice")
}

func TestServerIsSlow(t *testing.T) {
	for name, before := range map[string]string{"silent": "", "halfway": `{"user":`} {
		t.Run(name, func(t *testing.T) {
			over := make(chan struct{})
			a := newAsked(t, func(w http.ResponseWriter, _ string) {
				fmt.Fprint(w, before)
				w.(http.Flusher).Flush()
				<-over
			})
			defer close(over)
			access := a.access(t, func(c *auth.Config) { c.Timeout = 100 * time.Millisecond })
			wantUnavailable(t, access.Authenticator, "t") // it would wait for ever
			if n := a.times.Load(); n != 1 {
				t.Errorf("asked %d times", n)
			}
		})
	}
	down := newAsked(t, nil)
	down.Close()
	wantUnavailable(t, down.access(t, nil).Authenticator, "t")
}

func TestSecretOfTheServer(t *testing.T) {
	for _, text := range []string{strings.Repeat("k", 31), "{" + sharedKey, ""} {
		file := filepath.Join(t.TempDir(), "secret")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c := auth.Config{Mode: auth.ModeHTTP, URL: "https://accounts.example", ServerSecretFile: file}
		if _, err := auth.New(t.Context(), c, awsenv.ConfigOr("us-east-1", "test"), quiet); err == nil || strings.Contains(err.Error(), "kkk") {
			t.Errorf("%q: %v", text, err)
		}
	}
}
