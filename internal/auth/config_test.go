package auth_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/owt-signal/owt-signal/internal/auth"
	"github.com/owt-signal/owt-signal/internal/signal"
)

// environment is variables, as pairs of a name and a value.
func environment(pairs ...string) func(string) string {
	all := make(map[string]string)
	for i := 0; i+1 < len(pairs); i += 2 {
		all[pairs[i]] = pairs[i+1]
	}
	return func(name string) string { return all[name] }
}

// What OWT's users know is what they get.
func TestDefaults(t *testing.T) {
	c, err := auth.ReadEnvironment(environment())
	if err != nil {
		t.Fatal(err)
	}
	access, err := auth.New(t.Context(), c, aws.Config{}, quiet)
	if err != nil || access.Authenticator != (signal.TokenIsName{}) || !access.Anonymous || access.Sources != nil || !strings.Contains(access.Caution, "anyone can be anyone") {
		t.Errorf("%+v, %v", access, err)
	}
	if !access.Versions.Accept("", "4.3.1") || access.Versions.Accept("", "4.1") {
		t.Error("other versions than the default ones")
	}
}

func TestEnvironment(t *testing.T) {
	c, err := auth.ReadEnvironment(environment(
		"AUTH_MODE", "jwt", "ANONYMOUS", "allow", "TOKEN_SOURCES", "event, header", "ACCEPTED_VERSIONS", "5.x",
		"JWT_JWKS_URL", "https://issuer.example/keys", "JWT_ISSUER", "issuer", "JWT_AUDIENCE", "a, b", "JWT_ALGORITHMS", "ES256,RS256",
		"JWT_CLAIM", "email", "JWT_SKEW", "5m", "JWT_OUTLIVE", "true",
	))
	if err != nil {
		t.Fatal(err)
	}
	if c.Mode != "jwt" || !*c.Anonymous || !reflect.DeepEqual(c.Sources, signal.Sources{"event", "header"}) || c.KeySet != "https://issuer.example/keys" ||
		c.Issuer != "issuer" || !reflect.DeepEqual(c.Audience, []string{"a", "b"}) || !reflect.DeepEqual(c.Algorithms, []string{"ES256", "RS256"}) ||
		c.Claim != "email" || c.Skew != 5*time.Minute || !c.Outlive || c.Versions.Accept("", "4.3") {
		t.Errorf("%+v", c)
	}
	c, err = auth.ReadEnvironment(environment(
		"AUTH_MODE", "lambda", "ANONYMOUS", "refuse", "AUTH_FUNCTION", "accounts", "AUTH_HEADERS", "User-Agent, origin,ORIGIN", "AUTH_TIMEOUT", "10s",
	))
	if err != nil || *c.Anonymous || c.Function != "accounts" || !reflect.DeepEqual(c.Headers, []string{"origin", "user-agent"}) || c.Timeout != 10*time.Second {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestBadEnvironments(t *testing.T) {
	jwt := []string{"AUTH_MODE", "jwt", "JWT_ISSUER", "https://issuer.example/"}
	lambda := []string{"AUTH_MODE", "lambda", "AUTH_FUNCTION", "accounts"}
	server := []string{"AUTH_MODE", "http", "AUTH_URL", "https://accounts.example/who", "AUTH_SECRET_FILE", "secret"}
	for _, c := range []struct {
		base []string
		set  []string
		says []string
	}{
		{nil, []string{"AUTH_MODE", "oauth"}, []string{"AUTH_MODE", `"oauth"`, "token, jwt, lambda, http"}},
		{nil, []string{"AUTH_MODE", "JWT"}, []string{"AUTH_MODE", `"JWT"`}},
		{nil, []string{"ANONYMOUS", "yes"}, []string{"ANONYMOUS", `"yes"`, "allow, refuse"}},
		{nil, []string{"TOKEN_SOURCES", "cookie"}, []string{"TOKEN_SOURCES", `"cookie"`}},
		{nil, []string{"TOKEN_SOURCES", ","}, []string{"TOKEN_SOURCES", "empty"}},
		{nil, []string{"ACCEPTED_VERSIONS", ">=x"}, []string{"ACCEPTED_VERSIONS", `">=x"`}},
		{nil, []string{"AUTH_MODE", "jwt"}, []string{"JWT_SECRET_ARN", "JWT_JWKS_URL", "JWT_ISSUER"}},
		{nil, []string{"AUTH_MODE", "jwt", "JWT_ISSUER", "accounts"}, []string{"JWT_ISSUER", "no URL"}},
		{nil, []string{"AUTH_MODE", "jwt", "JWT_ISSUER", "http://issuer.example"}, []string{"JWT_ISSUER", "https"}},
		{nil, []string{"AUTH_MODE", "jwt", "JWT_JWKS_URL", "http://issuer.example/keys"}, []string{"JWT_JWKS_URL", "https"}},
		{nil, []string{"AUTH_MODE", "jwt", "JWT_SECRET_ARN", "arn:aws:s3:::bucket/key"}, []string{"JWT_SECRET_ARN", "ARN"}},
		{nil, []string{"AUTH_MODE", "jwt", "JWT_SECRET_ARN", "arn:aws:ssm::1:parameter/x"}, []string{"JWT_SECRET_ARN", "ARN"}},
		{jwt, []string{"JWT_SECRET_ARN", "/owt/jwt", "JWT_JWKS_URL", "https://issuer.example/keys"}, []string{"JWT_SECRET_ARN", "JWT_JWKS_URL"}},
		{jwt, []string{"JWT_ALGORITHMS", "none"}, []string{"JWT_ALGORITHMS", `"none"`}},
		{jwt, []string{"JWT_ALGORITHMS", "RS256,HS256"}, []string{"JWT_ALGORITHMS", "HS256"}},
		{jwt, []string{"JWT_SECRET_ARN", "/owt/jwt", "JWT_ALGORITHMS", "RS256"}, []string{"JWT_ALGORITHMS", "RS256"}},
		{jwt, []string{"JWT_SKEW", "5m1ns"}, []string{"JWT_SKEW", "5m0s"}},
		{jwt, []string{"JWT_SKEW", "-1s"}, []string{"JWT_SKEW"}},
		{jwt, []string{"JWT_SKEW", "30"}, []string{"JWT_SKEW", `"30"`}},
		{jwt, []string{"JWT_OUTLIVE", "perhaps"}, []string{"JWT_OUTLIVE"}},
		{jwt, []string{"JWT_AUDIENCE", " , "}, []string{"JWT_AUDIENCE", "empty"}},
		{jwt, []string{"JWT_AUDIENCE", strings.Repeat("a,", 33)}, []string{"JWT_AUDIENCE", "33 entries"}},
		{nil, []string{"JWT_ISSUER", "https://issuer.example/"}, []string{"JWT_", "AUTH_MODE"}},
		{nil, []string{"JWT_SECRET_ARN", "/owt/jwt"}, []string{"JWT_", "AUTH_MODE"}},
		{nil, []string{"AUTH_MODE", "lambda"}, []string{"AUTH_FUNCTION"}},
		{nil, []string{"AUTH_FUNCTION", "accounts"}, []string{"AUTH_FUNCTION", "AUTH_MODE"}},
		{lambda, []string{"AUTH_HEADERS", "Authorization"}, []string{"AUTH_HEADERS", "authorization"}},
		{lambda, []string{"AUTH_HEADERS", "origin, Cookie"}, []string{"AUTH_HEADERS", "cookie"}},
		{lambda, []string{"AUTH_HEADERS", "x y:z"}, []string{"AUTH_HEADERS", `"y:z"`}},
		{lambda, []string{"AUTH_HEADERS", "a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q"}, []string{"AUTH_HEADERS", "17 entries"}},
		{lambda, []string{"AUTH_TIMEOUT", "11s"}, []string{"AUTH_TIMEOUT", "10s"}},
		{lambda, []string{"AUTH_TIMEOUT", "0s"}, []string{"AUTH_TIMEOUT"}},
		{nil, []string{"AUTH_MODE", "http", "AUTH_SECRET_FILE", "secret"}, []string{"AUTH_URL"}},
		{nil, []string{"AUTH_MODE", "http", "AUTH_URL", "https://accounts.example/who"}, []string{"AUTH_SECRET_ARN", "-auth-secret-file"}},
		{nil, []string{"AUTH_URL", "https://accounts.example/who"}, []string{"AUTH_URL", "mode http"}},
		{nil, []string{"AUTH_SECRET_FILE", "secret"}, []string{"AUTH_SECRET_ARN", "mode http"}},
		{nil, []string{"AUTH_HEADERS", "origin"}, []string{"AUTH_HEADERS", "mode lambda or http"}},
		{server, []string{"AUTH_URL", "http://accounts.example/who"}, []string{"AUTH_URL", "https"}},
		{server, []string{"AUTH_URL", "https://alice:secret@accounts.example/who"}, []string{"AUTH_URL", "user"}},
		{server, []string{"AUTH_SECRET_ARN", "arn:aws:ssm:eu-west-1:1:parameter/x"}, []string{"AUTH_SECRET_FILE", "exclude"}},
		{server, []string{"AUTH_FUNCTION", "accounts"}, []string{"AUTH_FUNCTION", "mode lambda"}},
		{lambda, []string{"AUTH_URL", "https://accounts.example/who"}, []string{"AUTH_URL", "mode http"}},
		{lambda, []string{"JWT_JWKS_URL", "https://issuer.example/keys"}, []string{"JWT_"}},
	} {
		_, err := auth.ReadEnvironment(environment(append(c.base, c.set...)...))
		if err == nil || strings.ContainsAny(err.Error(), "\r\n") || len(err.Error()) > 300 {
			t.Errorf("%q: %v, want one clear line", c.set, err)
			continue
		}
		for _, part := range c.says {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%q: %v, want %s", c.set, err, part)
			}
		}
	}
}

// A setting of the one place is one of the other, but for where the secret is.
func TestSettings(t *testing.T) {
	seen := make(map[string]bool)
	for _, s := range new(auth.Config).Settings() {
		for _, name := range []string{s.Variable, s.Flag} {
			if name != "" && seen[name] {
				t.Errorf("%s comes twice", name)
			}
			seen[name] = true
		}
		if (s.Variable == "" || s.Flag == "") && !strings.Contains(strings.ToLower(s.Variable+s.Flag), "secret") {
			t.Errorf("%s%s: in one place only", s.Variable, s.Flag)
		}
		if (s.Flag == "") != (s.Usage == "") || strings.Count(s.Usage, "`")%2 != 0 {
			t.Errorf("-%s: usage %q", s.Flag, s.Usage)
		}
	}
}
