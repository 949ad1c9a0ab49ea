package auth_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/owt-signal/owt-signal/internal/auth"
	"github.com/owt-signal/owt-signal/internal/signal"
)

// shared is an authenticator by the secret in a file.
type shared struct {
	signal.Authenticator
	t    *testing.T
	file string
	log  bytes.Buffer
}

var oldSecret, newSecret = strings.Repeat("o", 32), strings.Repeat("n", 64)

func bySecret(t *testing.T) *shared {
	t.Helper()
	s := &shared{t: t, file: filepath.Join(t.TempDir(), "secret")}
	s.rotate(oldSecret)
	c := auth.NewConfig()
	c.Mode, c.SecretFile = auth.ModeJWT, s.file
	var err error
	if s.Authenticator, err = auth.NewAt(t.Context(), c, time.Now, auth.NoJitter, slog.New(slog.NewJSONHandler(&s.log, nil))); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *shared) rotate(secret string) {
	if err := os.WriteFile(s.file, []byte(secret), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// token is one that is signed with the secret, and lasts a day.
func (s *shared) token(algorithm, secret string) string {
	return sign(s.t, algorithm, []byte(secret), jwt.MapClaims{"sub": "alice", "exp": time.Now().Add(24 * time.Hour).Unix()}, nil)
}

// TestSecretIsTakenUpAtOnce: a token that a new secret has signed has it read, but
// not sooner than a while after the last reading.
func TestSecretIsTakenUpAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := bySecret(t)
		wantUser(t, s, s.token("HS256", oldSecret), "alice")
		s.rotate(newSecret)
		time.Sleep(auth.Cooldown - time.Nanosecond)
		wantRefused(t, s, s.token("HS256", newSecret), "signature")
		wantRefused(t, s, s.token("HS512", newSecret), "algorithm") // the old secret is too short for it
		wantUser(t, s, s.token("HS256", oldSecret), "alice")
		time.Sleep(time.Nanosecond)
		wantUser(t, s, s.token("HS256", newSecret), "alice")
		wantUser(t, s, s.token("HS512", newSecret), "alice")
		wantRefused(t, s, s.token("HS256", oldSecret), "signature")
		if s.log.Len() > 0 {
			t.Errorf("logged: %s", &s.log)
		}
	})
}

// TestSecretOfALongerAlgorithm: so does a token whose algorithm the old secret
// was too short for.
func TestSecretOfALongerAlgorithm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := bySecret(t)
		s.rotate(newSecret)
		time.Sleep(auth.Cooldown)
		wantUser(t, s, s.token("HS512", newSecret), "alice")
	})
}

// TestSecretIsReadOnSchedule: a withdrawn secret is accepted for a while only, though
// no token of the new one comes.
func TestSecretIsReadOnSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := bySecret(t)
		s.rotate(newSecret)
		time.Sleep(auth.SecretFresh - time.Nanosecond)
		wantUser(t, s, s.token("HS256", oldSecret), "alice")
		time.Sleep(time.Nanosecond)
		wantRefused(t, s, s.token("HS256", oldSecret), "signature")
	})
}

// TestSecretThatCannotBeUsed: what cannot be used, or is not there, leaves the
// secret before in place for however long, and is logged.
func TestSecretThatCannotBeUsed(t *testing.T) {
	for bad, says := range map[string]string{
		strings.Repeat("s", 31):                     "too short",
		`{"key":"` + strings.Repeat("s", 64) + `"}`: "JSON",
		"":        "0 bytes",
		"missing": "no such file",
	} {
		synctest.Test(t, func(t *testing.T) {
			s := bySecret(t)
			if s.rotate(bad); bad == "missing" {
				_ = os.Remove(s.file)
			}
			for range 3 {
				time.Sleep(24 * time.Hour)
				wantUser(t, s, s.token("HS256", oldSecret), "alice")
			}
			logged := s.log.String()
			if strings.Count(logged, "\n") != 3 || strings.Count(logged, `"level":"ERROR"`) != 3 || !strings.Contains(logged, says) || strings.Contains(logged, "sss") {
				t.Errorf("%q: logged %s", bad, logged)
			}
			s.rotate(newSecret)
			time.Sleep(auth.SecretFresh)
			wantUser(t, s, s.token("HS256", newSecret), "alice")
		})
	}
}

// TestFloodOfForgedTokens: however many tokens are forged, the secret is read once
// in a while, whether that succeeds or not.
func TestFloodOfForgedTokens(t *testing.T) {
	secrets := newSecrets(t, map[string]string{parameterARN: oldSecret})
	c := auth.NewConfig()
	c.Mode, c.Secret = auth.ModeJWT, parameterARN
	at := &clock{now: time.Now()}
	a, err := auth.NewAt(t.Context(), c, at.time, auth.NoJitter, quiet)
	if err != nil {
		t.Fatal(err)
	}
	s := &shared{t: t, Authenticator: a}
	for flood := range 3 {
		at.pass(auth.Cooldown)
		if flood == 1 {
			secrets.fail = append(secrets.fail, func(w http.ResponseWriter) { w.WriteHeader(http.StatusForbidden) })
		}
		var together sync.WaitGroup
		for n := range 100 {
			together.Go(func() { wantRefused(t, s, s.token("HS256", fmt.Sprintf("%032d", n)), "signature") })
		}
		together.Wait()
		if secrets.asked != flood+2 { // and at the start
			t.Errorf("after %d floods the secret was read %d times", flood+1, secrets.asked)
		}
		wantUser(t, s, s.token("HS256", oldSecret), "alice")
	}
}

// TestKeyRotatedUnderItsName: an issuer's key that was replaced without another
// name is found out by the first token that it signs.
func TestKeyRotatedUnderItsName(t *testing.T) {
	older, newer := &signingKey{id: "k", private: private("P-256", 1)}, &signingKey{id: "k", private: private("P-256", 2)}
	i := newIssuer(t, older)
	a, at := byIssuer(t, i, nil)
	for _, headers := range []map[string]any{nil, {"kid": "k"}} {
		wantUser(t, a, sign(t, "ES256", older.private, i.claims(nil), headers), "alice")
		i.rotate(newer)
		token := sign(t, "ES256", newer.private, i.claims(nil), headers)
		wantRefused(t, a, token, "signature")
		at.pass(auth.Cooldown)
		wantUser(t, a, token, "alice")
		i.rotate(older)
		at.pass(auth.Fresh)
	}
}

// TestIssuersConnectionsAreNotKept: no fetch can meet a connection that died in
// silence since the one before.
func TestIssuersConnectionsAreNotKept(t *testing.T) {
	key := &signingKey{id: "k", private: private("P-256", 1)}
	i := newIssuer(t, key)
	var mu sync.Mutex
	from := make(map[string]bool)
	i.answer(func(_ http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		if from[r.RemoteAddr] {
			t.Errorf("%s comes over a connection that was open before", r.URL)
		}
		from[r.RemoteAddr] = true
		return false
	})
	a, at := byIssuer(t, i, nil)
	for range 3 {
		wantUser(t, a, sign(t, "ES256", key.private, i.claims(nil), nil), "alice")
		at.pass(auth.Fresh)
	}
	if len(from) != 6 { // the configuration and the keys
		t.Errorf("%d connections", len(from))
	}
}
