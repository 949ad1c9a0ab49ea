package auth_test

import (
	"crypto/ed25519"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/owt-signal/owt-signal/internal/auth"
	"github.com/owt-signal/owt-signal/internal/setting"
	"github.com/owt-signal/owt-signal/internal/signal"
)

// FuzzToken: whatever the bytes, only the one token that is signed by the
// issuer lets somebody in, and no error quotes what it was given.
func FuzzToken(f *testing.F) {
	key := &signingKey{id: "k", private: private("Ed25519", 1)}
	i := newIssuer(f, key)
	c := auth.NewConfig()
	c.Mode, c.KeySet, c.Issuer = auth.ModeJWT, i.URL+"/keys", i.URL
	a, err := auth.NewAt(f.Context(), c, time.Now, auth.NoJitter, quiet)
	if err != nil {
		f.Fatal(err)
	}
	good := sign(f, "EdDSA", key.private, i.claims(nil), map[string]any{"kid": "k"})
	f.Add(good)
	f.Add(sign(f, "EdDSA", private("Ed25519", 2).(ed25519.PrivateKey), i.claims(nil), nil))
	f.Add(sign(f, "HS256", []byte(key.public()["x"].(string)), i.claims(nil), map[string]any{"kid": "k"}))
	f.Add(base64url([]byte(`{"alg":"none"}`)) + "." + strings.Split(good, ".")[1] + ".")
	f.Add(sign(f, "EdDSA", key.private, jwt.MapClaims{"exp": "x", "sub": 1}, map[string]any{"crit": 1}))
	f.Add("..")
	f.Fuzz(func(t *testing.T, token string) {
		id, err := a.Authenticate(t.Context(), signal.Credentials{Token: token})
		if (err == nil) != (token == good) || err == nil && id.User != "alice" {
			t.Fatalf("%q: %+v, %v", token, id, err)
		}
		if err != nil && (!errors.Is(err, signal.ErrRefused) || quotes(err.Error(), token)) {
			t.Errorf("%q: %v", token, err)
		}
	})
}

// FuzzKeySet: whatever the set, no key is ever good for a shared secret.
func FuzzKeySet(f *testing.F) {
	for kind := range kinds {
		f.Add((&issuer{keys: []*signingKey{{id: "k", private: private(kind, 1)}}}).set())
	}
	f.Add([]byte(`{"keys":[{"kty":"oct","k":"AAAA"},{"kty":"EC","crv":"P-256","x":"","y":""}]}`))
	f.Fuzz(func(t *testing.T, set []byte) {
		for _, algorithm := range auth.Fits(set) {
			if algorithm == "" || algorithm == "none" || algorithm[0] == 'H' {
				t.Fatalf("%s: a key goes with %q", set, algorithm)
			}
		}
		if n, err := auth.ParseKeys(set); n > auth.MaxKeys || (n == 0) == (err == nil) {
			t.Errorf("%d keys, %v", n, err)
		}
	})
}

func FuzzDiscovery(f *testing.F) {
	f.Add([]byte(`{"issuer":"https://issuer.example/","jwks_uri":"https://issuer.example/keys"}`))
	f.Fuzz(func(t *testing.T, document []byte) {
		if address, err := auth.ReadDiscovery(document, "https://issuer.example/"); (address == "") == (err == nil) {
			t.Errorf("%q, %v", address, err)
		}
		_ = setting.CheckSecureURL(string(document))
	})
}

// FuzzVerdict: whatever a function answers, it is an identity that holds, or an
// error.
func FuzzVerdict(f *testing.F) {
	f.Add([]byte(`{"user":"alice","attributes":{"role":"doctor"},"expires":1999999999}`))
	f.Add([]byte(`{"refused":true}`))
	f.Fuzz(func(t *testing.T, answer []byte) {
		id, err := auth.ReadVerdict(answer)
		if err == nil && (id.Check() != nil || id.Expires < 0) {
			t.Errorf("%+v", id)
		}
		if err != nil && id.User != "" {
			t.Errorf("%+v, %v", id, err)
		}
	})
}

// FuzzSettings: whatever their values, the settings are read or refused in one
// line.
func FuzzSettings(f *testing.F) {
	f.Add("event, header", "origin,user-agent", "RS256, ES256", "30s", "arn:aws:ssm:eu-west-1:1:parameter/x")
	f.Fuzz(func(t *testing.T, sources, headers, algorithms, skew, secret string) {
		for name, value := range map[string]string{
			"TOKEN_SOURCES": sources, "AUTH_HEADERS": headers, "JWT_ALGORITHMS": algorithms, "JWT_SKEW": skew, "JWT_SECRET_ARN": secret,
		} {
			c := auth.NewConfig()
			for _, s := range c.Settings() {
				if s.Variable != name || s.Set(value) != nil {
					continue
				}
				if c.Skew < 0 || c.Skew > auth.MaxSkew || len(c.Headers) > 16 {
					t.Errorf("%s=%q: %+v", name, value, c)
				}
				for _, h := range c.Headers {
					if strings.ToLower(h) != h || slices.Contains([]string{"authorization", "cookie", "proxy-authorization", "sec-websocket-protocol"}, h) {
						t.Errorf("header %q", h)
					}
				}
			}
		}
	})
}
