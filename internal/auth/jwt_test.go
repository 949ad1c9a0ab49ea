package auth_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/golang-jwt/jwt/v5"

	"github.com/owt-signal/owt-signal/internal/auth"
	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// clock is one that the test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) time() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// byIssuer is an authenticator that discovers the issuer's keys.
func byIssuer(t *testing.T, i *issuer, change func(*auth.Config)) (signal.Authenticator, *clock) {
	t.Helper()
	c := auth.NewConfig()
	c.Mode, c.Issuer, c.Audience = auth.ModeJWT, i.URL, []string{"owt", "other"}
	if change != nil {
		change(&c)
	}
	if err := c.Check(); err != nil {
		t.Fatal(err)
	}
	at := &clock{now: time.Now()}
	a, err := auth.NewAt(t.Context(), c, at.time, auth.NoJitter, quiet)
	if err != nil {
		t.Fatal(err)
	}
	return a, at
}

func authenticate(t *testing.T, a signal.Authenticator, token string) (signal.Identity, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	id, err := a.Authenticate(ctx, signal.Credentials{Token: token})
	if err != nil && !strings.HasPrefix(token, "raw:") && quotes(err.Error(), token) { // raw: words of ours
		t.Errorf("the error quotes the token: %v", err)
	}
	if err != nil && id.User != "" {
		t.Errorf("an error, and an identity: %+v", id)
	}
	return id, err
}

// quotes reports whether text has a part of the token, as it is or decoded.
func quotes(text, token string) bool {
	text = loopbackURL.ReplaceAllString(text, "") // that of the issuer, which we know from elsewhere
	parts := strings.Split(token, ".")
	for _, p := range parts {
		if b, err := base64.RawURLEncoding.DecodeString(p); err == nil {
			parts = append(parts, string(b))
		}
	}
	for _, p := range parts {
		for n := 0; n+8 <= len(p); n++ {
			if strings.Contains(text, p[n:n+8]) {
				return true
			}
		}
	}
	return false
}

var loopbackURL = regexp.MustCompile(`http://127\.0\.0\.1:\d+`)

// wantRefused sees that the client's token is at fault; wantUnavailable, that
// somebody else is.
func wantRefused(t *testing.T, a signal.Authenticator, token, says string) {
	t.Helper()
	if _, err := authenticate(t, a, token); !errors.Is(err, signal.ErrRefused) || !strings.Contains(err.Error(), says) {
		t.Errorf("%v, want refused, %s", err, says)
	}
}

func wantUnavailable(t *testing.T, a signal.Authenticator, token string) {
	t.Helper()
	if _, err := authenticate(t, a, token); err == nil || errors.Is(err, signal.ErrRefused) {
		t.Errorf("%v, want unavailable", err)
	}
}

func wantUser(t *testing.T, a signal.Authenticator, token string, user signal.UserName) {
	t.Helper()
	if id, err := authenticate(t, a, token); err != nil || id.User != user {
		t.Errorf("%+v, %v, want %s", id, err, user)
	}
}

var kinds = map[string][]string{
	"RSA":     {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"},
	"P-256":   {"ES256"},
	"P-384":   {"ES384"},
	"P-521":   {"ES512"},
	"Ed25519": {"EdDSA"},
}

func TestEveryAlgorithm(t *testing.T) {
	for kind, algorithms := range kinds {
		key := &signingKey{id: kind, private: private(kind, 1)}
		i := newIssuer(t, key)
		for _, how := range []func(*auth.Config){nil, func(c *auth.Config) { c.KeySet = i.URL + "/keys" }} {
			a, _ := byIssuer(t, i, how)
			for _, algorithm := range algorithms {
				wantUser(t, a, sign(t, algorithm, key.private, i.claims(nil), map[string]any{"kid": kind}), "alice")
				wantUser(t, a, sign(t, algorithm, key.private, i.claims(nil), nil), "alice") // without a key's name
				only, _ := byIssuer(t, i, func(c *auth.Config) { c.Algorithms = []string{algorithm} })
				for _, other := range algorithms {
					token := sign(t, other, key.private, i.claims(nil), nil)
					if other == algorithm {
						wantUser(t, only, token, "alice")
					} else {
						wantRefused(t, only, token, "algorithm")
					}
				}
			}
		}
	}
}

func TestAlgorithmIsPinnedByTheKey(t *testing.T) {
	key := &signingKey{id: "k", algorithm: "RS512", private: private("RSA", 1)}
	i := newIssuer(t, key)
	a, _ := byIssuer(t, i, nil)
	wantUser(t, a, sign(t, "RS512", key.private, i.claims(nil), nil), "alice")
	wantRefused(t, a, sign(t, "RS256", key.private, i.claims(nil), nil), "")
	wantRefused(t, a, sign(t, "PS512", key.private, i.claims(nil), nil), "")
}

// What an attacker may make of a token without the issuer's key.
func TestForgedTokens(t *testing.T) {
	key := &signingKey{id: "k", private: private("RSA", 1)}
	i := newIssuer(t, key)
	a, _ := byIssuer(t, i, nil)
	good := sign(t, "RS256", key.private, i.claims(nil), map[string]any{"kid": "k"})
	wantUser(t, a, good, "alice")
	parts := strings.Split(good, ".")
	none := func(alg string) string {
		return base64url([]byte(`{"alg":"`+alg+`","kid":"k"}`)) + "." + parts[1] + "."
	}
	mallory := sign(t, "RS256", private("RSA", 2), i.claims(jwt.MapClaims{"sub": "mallory"}), map[string]any{"kid": "k"})
	for name, token := range map[string]string{
		"no signature":             parts[0] + "." + parts[1] + ".",
		"alg none":                 none("none"),
		"alg None":                 none("None"),
		"alg NONE, signed":         none("NONE") + parts[2],
		"no alg":                   base64url([]byte(`{"kid":"k"}`)) + "." + parts[1] + "." + parts[2],
		"alg of no string":         base64url([]byte(`{"alg":1}`)) + "." + parts[1] + "." + parts[2],
		"another's key":            mallory,
		"another's claims":         parts[0] + "." + strings.Split(mallory, ".")[1] + "." + parts[2],
		"HMAC with the public key": sign(t, "HS256", []byte(key.public()["n"].(string)), i.claims(nil), map[string]any{"kid": "k"}),
		"HMAC with the key set":    sign(t, "HS256", i.set(), i.claims(nil), map[string]any{"kid": "k"}),
		"critical header":          sign(t, "RS256", key.private, i.claims(nil), map[string]any{"kid": "k", "crit": []string{"exp"}}),
		"embedded key":             sign(t, "RS256", private("RSA", 2), i.claims(nil), map[string]any{"jwk": (&signingKey{id: "k", private: private("RSA", 2)}).public()}),
		"key's address":            sign(t, "RS256", private("RSA", 2), i.claims(nil), map[string]any{"jku": i.URL + "/elsewhere", "kid": "x"}),
		"not a token":              "alice",
		"two parts":                parts[0] + "." + parts[1],
		"four parts":               good + "." + parts[2],
		"header of nonsense":       "!!!." + parts[1] + "." + parts[2],
		"header of no object":      base64url([]byte(`"alg"`)) + "." + parts[1] + "." + parts[2],
		"claims of no object":      parts[0] + "." + base64url([]byte(`["alice"]`)) + "." + parts[2],
		"with a line break":        good + "\n",
		"deeply nested":            base64url([]byte(strings.Repeat("[", 3000))) + "." + parts[1] + "." + parts[2],
	} {
		t.Run(name, func(t *testing.T) { wantRefused(t, a, token, "") })
	}
	if i.requests["/elsewhere"] > 0 {
		t.Error("keys were fetched from where a token said")
	}
}

func TestKeyNames(t *testing.T) {
	key := &signingKey{id: "../../etc/passwd", private: private("P-256", 1)}
	i := newIssuer(t, key)
	a, _ := byIssuer(t, i, nil)
	wantUser(t, a, sign(t, "ES256", key.private, i.claims(nil), map[string]any{"kid": "../../etc/passwd"}), "alice") // a name is a name
	for _, id := range []any{
		"", "/dev/null", "' OR '1'='1", "x' UNION SELECT 'key", "../../dev/null", "http://127.0.0.1/keys", "$(id)", "\x00", "%00",
		strings.Repeat("k", 256), strings.Repeat("k", 257), strings.Repeat("k", 4000), 7, nil, []string{"../../etc/passwd"}, map[string]string{"a": "b"},
	} {
		wantRefused(t, a, sign(t, "ES256", key.private, i.claims(nil), map[string]any{"kid": id}), "")
	}
	if n := i.asked(); n != 1 {
		t.Errorf("keys were fetched %d times", n)
	}
}

func TestClaims(t *testing.T) {
	key := &signingKey{id: "k", private: private("Ed25519", 1)}
	i := newIssuer(t, key)
	a, at := byIssuer(t, i, nil)
	now := at.time()
	ago := func(d time.Duration) int64 { return now.Add(-d).Unix() }
	for name, c := range map[string]struct {
		claims jwt.MapClaims
		says   string // empty: it is let in
	}{
		"good":                        {nil, ""},
		"expired":                     {jwt.MapClaims{"exp": ago(time.Hour)}, "expired"},
		"expired within the skew":     {jwt.MapClaims{"exp": ago(auth.DefaultSkew - 2*time.Second)}, ""},
		"expired past the skew":       {jwt.MapClaims{"exp": ago(auth.DefaultSkew + time.Second)}, "expired"},
		"no end":                      {jwt.MapClaims{"exp": nil}, "missing"},
		"end of a string":             {jwt.MapClaims{"exp": "never"}, "type"},
		"end at zero":                 {jwt.MapClaims{"exp": 0}, "missing"},
		"end with the calendar":       {jwt.MapClaims{"exp": 253_402_300_799}, ""}, // of RFC 3339
		"end after it":                {jwt.MapClaims{"exp": 253_402_300_800}, "out of range"},
		"end in milliseconds":         {jwt.MapClaims{"exp": now.Add(time.Hour).UnixMilli()}, "out of range"},
		"end beyond all time":         {jwt.MapClaims{"exp": 1e300}, "expired"},
		"negative end":                {jwt.MapClaims{"exp": -1}, "expired"},
		"not yet valid":               {jwt.MapClaims{"nbf": now.Add(time.Hour).Unix()}, "not valid yet"},
		"valid within the skew":       {jwt.MapClaims{"nbf": now.Add(auth.DefaultSkew - 2*time.Second).Unix()}, ""},
		"valid past the skew":         {jwt.MapClaims{"nbf": now.Add(auth.DefaultSkew + 2*time.Second).Unix()}, "not valid yet"},
		"begin of a string":           {jwt.MapClaims{"nbf": "now"}, "type"},
		"begin of a list":             {jwt.MapClaims{"nbf": []int{1}}, "type"},
		"begin with a fraction":       {jwt.MapClaims{"nbf": float64(now.UnixMilli()) / 1000}, ""},
		"begin at zero":               {jwt.MapClaims{"nbf": 0}, ""},
		"begin before 1970":           {jwt.MapClaims{"nbf": -1}, "out of range"},
		"begin beyond 64 bits":        {jwt.MapClaims{"nbf": 1e19}, "out of range"},
		"begin beyond all time":       {jwt.MapClaims{"nbf": 1e300}, "out of range"},
		"begin with the calendar":     {jwt.MapClaims{"nbf": 253_402_300_799}, "not valid yet"},
		"other issuer":                {jwt.MapClaims{"iss": i.URL + "/"}, "issuer"},
		"no issuer":                   {jwt.MapClaims{"iss": nil}, "missing"},
		"issuer of a number":          {jwt.MapClaims{"iss": 1}, "type"},
		"other audience":              {jwt.MapClaims{"aud": "bank"}, "audience"},
		"no audience":                 {jwt.MapClaims{"aud": nil}, "audience"},
		"empty audience":              {jwt.MapClaims{"aud": ""}, "audience"},
		"empty list of audiences":     {jwt.MapClaims{"aud": []string{}, "client_id": "owt"}, "audience"},
		"one of some audiences":       {jwt.MapClaims{"aud": []string{"bank", "other"}}, ""},
		"audience of a number":        {jwt.MapClaims{"aud": 1, "client_id": "owt"}, "audience"},
		"audience in part":            {jwt.MapClaims{"aud": "ow"}, "audience"},
		"Cognito's access token":      {jwt.MapClaims{"aud": nil, "client_id": "owt"}, ""},
		"of another client":           {jwt.MapClaims{"aud": nil, "client_id": "bank"}, "audience"},
		"other audience, good client": {jwt.MapClaims{"aud": "bank", "client_id": "owt"}, "audience"},
		"client of a number":          {jwt.MapClaims{"aud": nil, "client_id": 1}, "audience"},
		"no user":                     {jwt.MapClaims{"sub": nil}, "user's name"},
		"user of a number":            {jwt.MapClaims{"sub": 7}, "user's name"},
		"user of a list":              {jwt.MapClaims{"sub": []string{"alice"}}, "user's name"},
		"user of an object":           {jwt.MapClaims{"sub": map[string]string{"name": "alice"}}, "user's name"},
	} {
		t.Run(name, func(t *testing.T) {
			token := sign(t, "EdDSA", key.private, i.claims(c.claims), nil)
			if c.says == "" {
				wantUser(t, a, token, "alice")
				return
			}
			wantRefused(t, a, token, c.says)
		})
	}
}

// Who may watch is what the token says, and nobody if that cannot be understood.
func TestClaimOfWatching(t *testing.T) {
	key := &signingKey{id: "k", private: private("Ed25519", 1)}
	i := newIssuer(t, key)
	a, _ := byIssuer(t, i, nil)
	for _, c := range []struct{ says, want any }{
		{nil, ""}, {"any", "any"}, {"none", "none"}, {"", "none"}, {"ANY", "none"}, {7, "none"}, {[]string{"any"}, "none"}, {map[string]any{"any": "any"}, "none"},
	} {
		claims := jwt.MapClaims{}
		if c.says != nil {
			claims[signal.AttributeWatch] = c.says
		}
		id, err := authenticate(t, a, sign(t, "EdDSA", key.private, i.claims(claims), nil))
		if err != nil || id.Attributes[signal.AttributeWatch] != c.want {
			t.Errorf("claim %v: %+v, %v", c.says, id, err)
		}
	}
}

func TestClaimOfTheName(t *testing.T) {
	key := &signingKey{id: "k", private: private("Ed25519", 1)}
	i := newIssuer(t, key)
	a, _ := byIssuer(t, i, func(c *auth.Config) { c.Claim, c.Audience = "cognito:username", nil })
	wantUser(t, a, sign(t, "EdDSA", key.private, i.claims(jwt.MapClaims{"cognito:username": "用户1", "aud": nil}), nil), "用户1")
	wantRefused(t, a, sign(t, "EdDSA", key.private, i.claims(nil), nil), "user's name")
}

// A connection ends with its token, or with our clock's idea of that.
func TestEndOfTheToken(t *testing.T) {
	key := &signingKey{id: "k", private: private("Ed25519", 1)}
	i := newIssuer(t, key)
	ends, at := byIssuer(t, i, nil)
	outlives, _ := byIssuer(t, i, func(c *auth.Config) { c.Outlive = true })
	exp := at.time().Add(time.Hour).Truncate(time.Second)
	token := sign(t, "EdDSA", key.private, i.claims(jwt.MapClaims{"exp": exp.Unix()}), nil)
	if id, err := authenticate(t, ends, token); err != nil || id.Expires != lane.At(exp.Add(auth.DefaultSkew)) {
		t.Errorf("%+v, %v", id, err)
	}
	if id, err := authenticate(t, outlives, token); err != nil || id.Expires != 0 {
		t.Errorf("a token that may be outlived: %+v, %v", id, err)
	}
	later := sign(t, "EdDSA", key.private, i.claims(jwt.MapClaims{"exp": exp.Add(24 * time.Hour).Unix()}), nil)
	if id, err := authenticate(t, ends, later); err != nil || id.Expires != 0 {
		t.Errorf("a token that outlives any connection: %+v, %v", id, err)
	}
}

func TestRotation(t *testing.T) {
	older, newer := &signingKey{id: "1", private: private("P-256", 1)}, &signingKey{id: "2", private: private("P-256", 2)}
	i := newIssuer(t, older)
	a, at := byIssuer(t, i, nil)
	token := func(k *signingKey) string {
		return sign(t, "ES256", k.private, i.claims(jwt.MapClaims{"exp": time.Now().Add(24 * time.Hour).Unix()}), map[string]any{"kid": k.id})
	}
	wantUser(t, a, token(older), "alice")
	i.rotate(older, newer)
	wantRefused(t, a, token(newer), "by a key") // the keys have come just now
	at.pass(auth.Cooldown)
	wantUser(t, a, token(newer), "alice")
	wantUser(t, a, token(older), "alice")
	if n := i.asked(); n != 2 {
		t.Errorf("keys were fetched %d times", n)
	}
	i.rotate(newer) // the old key is gone
	at.pass(auth.Fresh - time.Second)
	wantUser(t, a, token(older), "alice")
	at.pass(time.Second)
	wantRefused(t, a, token(older), "by a key")
	wantUser(t, a, token(newer), "alice")
	if n := i.asked(); n != 3 {
		t.Errorf("keys were fetched %d times", n)
	}
}

// However many keys are made up, the issuer is asked once in a while.
func TestFloodOfUnknownKeys(t *testing.T) {
	key := &signingKey{id: "k", private: private("P-256", 1)}
	i := newIssuer(t, key)
	a, at := byIssuer(t, i, nil)
	const flood = 400
	for minute := range 3 {
		var wg sync.WaitGroup
		for n := range flood / 3 {
			wg.Go(func() {
				token := sign(t, "ES256", private("P-256", 2), i.claims(nil), map[string]any{"kid": fmt.Sprint("made-up-", minute, n)})
				if _, err := a.Authenticate(t.Context(), signal.Credentials{Token: token}); !errors.Is(err, signal.ErrRefused) {
					t.Errorf("made-up key: %v", err)
				}
			})
		}
		wg.Wait()
		wantUser(t, a, sign(t, "ES256", key.private, i.claims(nil), map[string]any{"kid": "k"}), "alice")
		if n := i.asked(); n != minute+1 {
			t.Errorf("after %d floods the keys were fetched %d times", minute+1, n)
		}
		at.pass(auth.Cooldown)
	}
}

func TestIssuerIsDown(t *testing.T) {
	key := &signingKey{id: "k", private: private("P-256", 1)}
	i := newIssuer(t, key)
	a, at := byIssuer(t, i, nil)
	down := func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	}
	token := sign(t, "ES256", key.private, i.claims(jwt.MapClaims{"exp": time.Now().Add(24 * time.Hour).Unix()}), map[string]any{"kid": "k"})
	unknown := sign(t, "ES256", private("P-256", 2), i.claims(nil), map[string]any{"kid": "x"})

	i.answer(down)
	for range 10 {
		wantUnavailable(t, a, token)
	}
	if n := i.requests["/.well-known/openid-configuration"]; n != 1 {
		t.Errorf("an issuer that is down was asked %d times at once", n)
	}
	at.pass(auth.AfterFailure)
	i.answer(nil)
	wantUser(t, a, token, "alice")

	i.answer(down)
	at.pass(auth.Cooldown)
	wantUnavailable(t, a, unknown) // it may have a new key by that name
	wantUser(t, a, token, "alice")
	at.pass(auth.Stale - auth.Cooldown - time.Second)
	wantUser(t, a, token, "alice")
	at.pass(time.Second)
	wantUnavailable(t, a, token) // nobody knows any more whether its key is good
	i.answer(nil)
	at.pass(auth.MaxUnknown)
	wantUser(t, a, token, "alice")
}

func TestIssuerIsSlow(t *testing.T) {
	key := &signingKey{id: "k", private: private("P-256", 1)}
	i := newIssuer(t, key)
	a, at := byIssuer(t, i, nil)
	token := sign(t, "ES256", key.private, i.claims(nil), map[string]any{"kid": "k"})
	wantUser(t, a, token, "alice")
	release := make(chan struct{})
	defer close(release)
	asked := make(chan struct{}, 10)
	i.answer(func(http.ResponseWriter, *http.Request) bool { asked <- struct{}{}; <-release; return true })

	at.pass(auth.Cooldown)
	ended, end := context.WithCancel(t.Context())
	end()
	done := make(chan struct{})
	go func() {
		defer close(done)
		wantUnavailable(t, a, sign(t, "ES256", key.private, i.claims(nil), map[string]any{"kid": "x"}))
	}()
	<-asked
	for range 20 { // meanwhile all others are served: who has no time at all does not wait
		if id, err := a.Authenticate(ended, signal.Credentials{Token: token}); err != nil || id.User != "alice" {
			t.Errorf("a token by a known key: %+v, %v", id, err)
		}
	}
	<-done
}

func TestIssuersThatLie(t *testing.T) {
	key := &signingKey{id: "k", private: private("P-256", 1)}
	for name, answer := range map[string]func(i *issuer, w http.ResponseWriter, r *http.Request) bool{
		"status":  func(_ *issuer, w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(404); return true },
		"empty":   func(*issuer, http.ResponseWriter, *http.Request) bool { return true },
		"no JSON": func(_ *issuer, w http.ResponseWriter, _ *http.Request) bool { fmt.Fprint(w, "<html>"); return true },
		"other issuer": func(i *issuer, w http.ResponseWriter, _ *http.Request) bool {
			fmt.Fprintf(w, `{"issuer":"https://other.example","jwks_uri":%q}`, i.URL+"/keys")
			return true
		},
		"no keys' address": func(i *issuer, w http.ResponseWriter, _ *http.Request) bool {
			fmt.Fprintf(w, `{"issuer":%q}`, i.URL)
			return true
		},
		"keys in the clear": func(i *issuer, w http.ResponseWriter, _ *http.Request) bool {
			fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":"http://keys.example/"}`, i.URL)
			return true
		},
		"keys in a file": func(i *issuer, w http.ResponseWriter, _ *http.Request) bool {
			fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":"file:///etc/passwd"}`, i.URL)
			return true
		},
		"redirected": func(i *issuer, w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/there" {
				return false
			}
			http.Redirect(w, r, i.URL+"/there", http.StatusFound)
			return true
		},
		"endless": func(_ *issuer, w http.ResponseWriter, r *http.Request) bool {
			for range auth.MaxDocument/64 + 100 {
				if _, err := w.Write([]byte(strings.Repeat(" ", 64))); err != nil {
					break
				}
			}
			return true
		},
		"too many keys": func(i *issuer, w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != "/keys" {
				return false
			}
			fmt.Fprintf(w, `{"keys":[%s{}]}`, strings.Repeat("{},", auth.MaxKeys))
			return true
		},
		"no key for signatures": func(i *issuer, w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != "/keys" {
				return false
			}
			fmt.Fprint(w, `{"keys":[]}`)
			return true
		},
	} {
		t.Run(name, func(t *testing.T) {
			i := newIssuer(t, key)
			i.answer(func(w http.ResponseWriter, r *http.Request) bool { return answer(i, w, r) })
			a, _ := byIssuer(t, i, nil)
			wantUnavailable(t, a, sign(t, "ES256", key.private, i.claims(nil), nil))
		})
	}
}

func TestGivingUpOnAnIssuer(t *testing.T) {
	i := newIssuer(t, &signingKey{id: "k", private: private("P-256", 1)})
	release := make(chan struct{})
	defer close(release)
	i.answer(func(http.ResponseWriter, *http.Request) bool { <-release; return true })
	a, _ := byIssuer(t, i, nil)
	token := sign(t, "ES256", private("P-256", 1), i.claims(nil), nil)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if _, err := a.Authenticate(ctx, signal.Credentials{Token: token}); err == nil || errors.Is(err, signal.ErrRefused) {
				t.Errorf("%v, want unavailable", err)
			}
		})
	}
	wg.Wait()
}

func TestSharedSecret(t *testing.T) {
	secret := strings.Repeat("s", 48)
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := auth.NewConfig()
	c.Mode, c.SecretFile, c.Issuer = auth.ModeJWT, file, "accounts"
	access, err := auth.New(t.Context(), c, aws.Config{}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	if access.Anonymous || !strings.Contains(access.Caution, "audience") {
		t.Errorf("access %+v", access)
	}
	claims := jwt.MapClaims{"sub": "alice", "iss": "accounts", "exp": time.Now().Add(time.Hour).Unix()}
	for _, algorithm := range []string{"HS256", "HS384"} {
		wantUser(t, access.Authenticator, sign(t, algorithm, []byte(secret), claims, nil), "alice")
		wantUser(t, access.Authenticator, sign(t, algorithm, []byte(secret), claims, map[string]any{"kid": "any"}), "alice")
		wantRefused(t, access.Authenticator, sign(t, algorithm, []byte(secret+"\n"), claims, nil), "signature")
	}
	wantRefused(t, access.Authenticator, sign(t, "HS512", []byte(secret), claims, nil), "algorithm") // the secret is too short for it
	wantRefused(t, access.Authenticator, sign(t, "RS256", private("RSA", 1), claims, nil), "algorithm")

	c.Audience, c.Algorithms = []string{"owt"}, []string{"HS256"}
	if access, err = auth.New(t.Context(), c, aws.Config{}, quiet); err != nil || access.Caution != "" {
		t.Fatalf("access %+v, %v", access, err)
	}
	claims["aud"] = "owt"
	wantUser(t, access.Authenticator, sign(t, "HS256", []byte(secret), claims, nil), "alice")
	wantRefused(t, access.Authenticator, sign(t, "HS384", []byte(secret), claims, nil), "algorithm")
}

func TestSecretsThatAreRefused(t *testing.T) {
	for _, test := range []struct {
		secret     string
		algorithms []string
		says       string
	}{
		{strings.Repeat("s", 31), nil, "31 bytes are too short"},
		{strings.Repeat("s", 47), []string{"HS256", "HS384"}, "47 bytes are too short for HS384"},
		{"", nil, "0 bytes"},
		{`{"secret":"` + strings.Repeat("s", 64) + `"}`, nil, "JSON"},
		{strings.Repeat("s", 64<<10+1), nil, "more than"},
	} {
		file := filepath.Join(t.TempDir(), "secret")
		if err := os.WriteFile(file, []byte(test.secret), 0o600); err != nil {
			t.Fatal(err)
		}
		c := auth.NewConfig()
		c.Mode, c.SecretFile, c.Algorithms = auth.ModeJWT, file, test.algorithms
		_, err := auth.New(t.Context(), c, aws.Config{}, quiet)
		if err == nil || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "sss") {
			t.Errorf("secret of %d bytes for %v: %v, want %s", len(test.secret), test.algorithms, err, test.says)
		}
	}
	c := auth.NewConfig()
	c.Mode, c.SecretFile = auth.ModeJWT, filepath.Join(t.TempDir(), "missing")
	if _, err := auth.New(t.Context(), c, aws.Config{}, quiet); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
}

func TestKeySets(t *testing.T) {
	rsa := func(change map[string]any) map[string]any {
		return (&signingKey{id: "k", private: private("RSA", 1), members: change}).public()
	}
	ec := func(change map[string]any) map[string]any {
		return (&signingKey{id: "k", private: private("P-256", 1), members: change}).public()
	}
	ed := func(change map[string]any) map[string]any {
		return (&signingKey{id: "k", private: private("Ed25519", 1), members: change}).public()
	}
	modulus := func(bits int) string {
		b := make([]byte, bits/8)
		b[0], b[len(b)-1] = 0x80, 1
		return base64url(b)
	}
	x521, _ := (&signingKey{private: private("P-521", 1)}).public()["x"].(string)
	for name, c := range map[string]struct {
		key  map[string]any
		fits []string
	}{
		"RSA":                  {rsa(nil), kinds["RSA"]},
		"RSA for one":          {rsa(map[string]any{"alg": "PS256"}), []string{"PS256"}},
		"RSA for encryption":   {rsa(map[string]any{"alg": "RSA-OAEP", "use": "enc"}), nil},
		"RSA of 2048 bits":     {rsa(map[string]any{"n": modulus(2048)}), kinds["RSA"]},
		"RSA of 2040 bits":     {rsa(map[string]any{"n": modulus(2040)}), nil},
		"RSA of 1024 bits":     {rsa(map[string]any{"n": modulus(1024)}), nil},
		"RSA of 8192 bits":     {rsa(map[string]any{"n": modulus(8192)}), kinds["RSA"]},
		"RSA of 8200 bits":     {rsa(map[string]any{"n": modulus(8200)}), nil},
		"RSA of a million":     {rsa(map[string]any{"n": modulus(1 << 20)}), nil},
		"RSA, exponent 1":      {rsa(map[string]any{"e": base64url([]byte{1})}), nil},
		"RSA, exponent 2":      {rsa(map[string]any{"e": base64url([]byte{2})}), nil},
		"RSA, exponent 3":      {rsa(map[string]any{"e": base64url([]byte{3})}), kinds["RSA"]},
		"RSA, large exponent":  {rsa(map[string]any{"e": base64url([]byte{0x80, 0, 0, 1})}), nil},
		"RSA, larger exponent": {rsa(map[string]any{"e": base64url([]byte{1, 0, 0, 0, 1})}), nil},
		"RSA without modulus":  {rsa(map[string]any{"n": nil}), nil},
		"RSA, padded":          {rsa(map[string]any{"e": "AQAB="}), nil},
		"RSA, wrong type":      {rsa(map[string]any{"n": 5}), nil},
		"EC":                   {ec(nil), []string{"ES256"}},
		"EC for another":       {ec(map[string]any{"alg": "ES384"}), nil},
		"EC, off the curve":    {ec(map[string]any{"x": base64url(make([]byte, 32))}), nil},
		"EC, at infinity":      {ec(map[string]any{"x": base64url(make([]byte, 32)), "y": base64url(make([]byte, 32))}), nil},
		"EC, short":            {ec(map[string]any{"x": base64url(make([]byte, 31))}), nil},
		"EC, of another curve": {ec(map[string]any{"x": x521}), nil},
		"EC, unknown curve":    {ec(map[string]any{"crv": "secp256k1"}), nil},
		"Ed25519":              {ed(nil), []string{"EdDSA"}},
		"Ed25519, short":       {ed(map[string]any{"x": base64url(make([]byte, 31))}), nil},
		"Ed448":                {ed(map[string]any{"crv": "Ed448"}), nil},
		"symmetric":            {map[string]any{"kty": "oct", "k": base64url(make([]byte, 64)), "kid": "k"}, nil},
		"for signing only":     {ec(map[string]any{"key_ops": []string{"sign"}}), nil},
		"for verifying":        {ec(map[string]any{"use": nil, "key_ops": []string{"verify"}}), []string{"ES256"}},
		"for nothing":          {ec(map[string]any{"key_ops": []string{}}), nil},
		"name of 257 bytes":    {ec(map[string]any{"kid": strings.Repeat("k", 257)}), nil},
		"empty":                {map[string]any{}, nil},
	} {
		i := &issuer{keys: []*signingKey{{private: private("P-256", 1), members: c.key}}}
		if name == "empty" || name == "symmetric" {
			i.keys[0].members = map[string]any{"crv": nil, "x": nil, "y": nil, "use": nil}
			maps.Copy(i.keys[0].members, c.key)
			if name == "empty" {
				i.keys[0].members["kty"] = nil
			}
		}
		for n := range (&signingKey{private: private("P-256", 1)}).public() {
			if _, ok := c.key[n]; !ok {
				i.keys[0].members[n] = nil
			}
		}
		if fits := auth.Fits(i.set()); !slices.Equal(fits, c.fits) {
			t.Errorf("%s: goes with %v, want %v", name, fits, c.fits)
		}
	}
	good := &signingKey{id: "k", private: private("P-256", 1)}
	set := (&issuer{keys: []*signingKey{{id: "x", private: private("RSA", 1), members: map[string]any{"kty": "new"}}, good}}).set()
	if n, err := auth.ParseKeys(set); n != 1 || err != nil {
		t.Errorf("a set with a key that is not understood: %d, %v", n, err)
	}
}
