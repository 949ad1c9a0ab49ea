package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/owt-signal/owt-signal/internal/lambdaenv"
	"github.com/owt-signal/owt-signal/internal/need"
)

// issuer is an OpenID Connect issuer: its configuration, its keys, and tokens
// for whoever asks at /token, of the life and with the faults that are asked
// for.
type issuer struct {
	*httptest.Server
	key, other *ecdsa.PrivateKey
}

func startIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{}
	for _, key := range []**ecdsa.PrivateKey{&i.key, &i.other} {
		var err error
		if *key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": i.URL, "jwks_uri": i.URL + "/keys"})
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, `{"keys":[%s]}`, i.publicKey(t)) })
	mux.HandleFunc("/token", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, i.token(t, r.FormValue)) })
	i.Server = httptest.NewUnstartedServer(mux)
	i.Start()
	t.Cleanup(i.Close)
	return i
}

func (i *issuer) publicKey(t *testing.T) string {
	point, err := i.key.PublicKey.Bytes()
	if err != nil {
		t.Error(err)
	}
	x, y := base64.RawURLEncoding.EncodeToString(point[1:33]), base64.RawURLEncoding.EncodeToString(point[33:])
	return fmt.Sprintf(`{"kty":"EC","crv":"P-256","kid":"1","use":"sig","x":%q,"y":%q}`, x, y)
}

// token makes a token for sub, which lasts so many seconds, for that audience;
// forged: signed by somebody else.
func (i *issuer) token(t *testing.T, asked func(string) string) string {
	seconds, err := strconv.Atoi(asked("seconds"))
	if err != nil {
		seconds = 3600
	}
	key := i.key
	if asked("forged") != "" {
		key = i.other
	}
	audience := asked("aud")
	if audience == "" {
		audience = "owt"
	}
	token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
		"iss": i.URL, "aud": audience, "sub": asked("sub"), "exp": time.Now().Add(time.Duration(seconds) * time.Second).Unix(),
	})
	token.Header["kid"] = "1"
	text, err := token.SignedString(key)
	if err != nil {
		t.Error(err)
	}
	return text
}

// TestAuthentication has real clients bring tokens of a real issuer in every
// way, to the server and to the binaries that are deployed.
func TestAuthentication(t *testing.T) {
	t.Parallel()
	i := startIssuer(t)
	t.Run("server", func(t *testing.T) {
		t.Parallel()
		s := serve(t, "-auth", "jwt", "-jwt-issuer", i.URL, "-jwt-audience", "owt", "-jwt-skew", "0s", "-ping-interval", "1s", "-log", "info")
		closed := httptest.NewServer(http.NotFoundHandler())
		closed.Close()
		down := serve(t, "-auth", "jwt", "-jwks", closed.URL+"/keys")
		only := serve(t, "-auth", "jwt", "-jwt-issuer", i.URL, "-token-sources", "header, subprotocol", "-anonymous", "allow", "-versions", "5.x; Android: required, >=4.3")
		runClients(t, s, "ISSUER="+i.URL, "ENDPOINT="+s.Plain+"/socket.io/", "DOWN_ENDPOINT="+down.Plain+"/socket.io/", "ONLY_ENDPOINT="+only.Plain+"/socket.io/", "PINGED=1")
	})
	t.Run("functions", func(t *testing.T) {
		t.Parallel()
		s := serve(t, append(onFunctions(t), "-auth", "jwt", "-jwt-issuer", i.URL, "-jwt-audience", "owt", "-jwt-skew", "0s", "-ping-interval", "1s")...)
		runClients(t, s, "ISSUER="+i.URL, "ENDPOINT="+s.Plain+"/socket.io/", "PINGED=1")
	})
}

func runClients(t *testing.T, s *server, env ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), clientsWithin)
	defer cancel()
	node(ctx, t, env, "auth/jwt.test.mjs")
	wantNoTokens(t, s.logs)
}

// wantNoTokens sees that no JSON Web Token is in the logs: they begin alike.
func wantNoTokens(t *testing.T, logs *lockedBuffer) {
	t.Helper()
	said := logs.String()
	for _, header := range []string{`{"alg":`, `{"typ":`} {
		if begin := base64.RawURLEncoding.EncodeToString([]byte(header)); strings.Contains(said, begin[:8]) {
			t.Errorf("a token is in the logs:\n%s", said)
		}
	}
	if !strings.Contains(said, "authenti") { // authenticated, authentication failed
		t.Error("the logs say nothing of authentication")
	}
}

// TestFunctionAuthenticates has a real function, behind Lambda's Invoke operation,
// and behind an HTTP server, say who real clients are.
func TestFunctionAuthenticates(t *testing.T) {
	path := filepath.Join(t.TempDir(), "accounts", "bootstrap")
	build := exec.Command("go", "build", "-tags", "lambda.norpc", "-o", path, "./internal/auth/testdata/accounts")
	build.Dir = need.Root()
	build.Env = append(build.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the function: %v\n%s", err, out)
	}
	f, err := lambdaenv.New(lambdaenv.Config{Name: "accounts", Bootstrap: path, Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	api := httptest.NewServer(invokeAPI(func(string) *lambdaenv.Function { return f }))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), soon)
		defer cancel()
		if err := f.Close(ctx); err != nil {
			t.Errorf("close the function: %v", err)
		}
		api.Close()
	})
	t.Setenv("AWS_ENDPOINT_URL_LAMBDA", api.URL)
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(strings.Repeat("k", 32)), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{
		"function": {"-auth", "lambda", "-auth-function", "accounts"},
		"server":   {"-auth", "http", "-auth-url", answering(t, f).URL, "-auth-secret-file", file},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, append(args, "-auth-headers", "X-Device", "-auth-timeout", "5s", "-ping-interval", "1s")...)
			ctx, cancel := context.WithTimeout(t.Context(), clientsWithin)
			defer cancel()
			node(ctx, t, []string{"ENDPOINT=" + s.Plain + "/socket.io/"}, "auth/lambda.test.mjs")
			if strings.Contains(s.logs.String(), "a-secret-word") {
				t.Errorf("a token is in the logs:\n%s", s.logs)
			}
		})
	}
}

// answering answers by HTTP what a function answers to the same question.
func answering(t *testing.T, f *lambdaenv.Function) *httptest.Server {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			body, err = f.Invoke(r.Context(), body)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		_, _ = w.Write(body)
	}))
	t.Cleanup(server.Close)
	return server
}

// TestSecretIsRotated has the binaries that are deployed take up a new secret
// while they run.
func TestSecretIsRotated(t *testing.T) {
	t.Parallel()
	old, next := strings.Repeat("o", 32), strings.Repeat("n", 32)
	file := filepath.Join(t.TempDir(), "secret")
	write := func(secret string) {
		if err := os.WriteFile(file, []byte(secret), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(old)
	s := serve(t, append(onFunctions(t), "-auth", "jwt", "-jwt-secret-file", file)...)
	entered := func(secret string) bool {
		token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"sub": "alice", "exp": time.Now().Add(time.Hour).Unix()}).SignedString([]byte(secret))
		if err != nil {
			t.Fatal(err)
		}
		c := dialRaw(t, s.Plain, plainJSON{}.path(token))
		defer func() { _ = c.Close() }()
		for {
			switch message, err := c.next(); {
			case strings.HasPrefix(message, `{"type":"welcome","user":"alice"`):
				return true
			case message == (plainJSON{}).refused(2121)[0]:
				return false
			case err != nil:
				t.Fatal(err)
			}
		}
	}
	if !entered(old) || entered(next) {
		t.Fatal("the secret is not the first one")
	}
	write(next)
	for range 120 { // it is read again half a minute after the last time
		if entered(next) {
			wantNoTokens(t, s.logs)
			return
		}
		time.Sleep(time.Second)
	}
	t.Error("the new secret is not taken up")
}
