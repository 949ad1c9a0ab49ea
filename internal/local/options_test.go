package local

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"testing"
)

func TestHelpPrintsTheFlags(t *testing.T) {
	for _, help := range []string{"-help", "-h", "--help"} {
		var stdout, stderr lockedBuffer
		if err := Run(t.Context(), []string{help}, &stdout, &stderr); !errors.Is(err, flag.ErrHelp) {
			t.Errorf("%s: %v, want flag.ErrHelp", help, err)
		}
		for _, name := range []string{
			"plain address", "secure address", "cert file", "key file", "stage name", "dynamodb URL", "table name", "versions list",
			"functions folder", "concurrency number", "max-connections number", "max-per-address number", "trusted-proxies list", "lambda-endpoint URL", "management address",
			"ping-interval duration", "ping-timeout duration", "idle-timeout duration", "max-duration duration", "log level",
			"auth mode", "anonymous allow", "token-sources list", "jwt-secret-file file", "ice-servers list", "turn-secret-file file", "turn-lifetime duration", "jwks URL", "jwt-issuer URL", "jwt-audience list",
			"jwt-algorithms list", "jwt-claim name", "jwt-skew duration", "jwt-outlive true", "auth-function name", "auth-headers list", "auth-timeout duration",
		} {
			if !strings.Contains(stdout.String(), "\n  -"+name+"\n") {
				t.Errorf("%s says nothing of -%s:\n%s", help, name, &stdout)
			}
		}
		if stderr.Len() != 0 {
			t.Errorf("%s: stderr %q", help, &stderr)
		}
	}
}

func TestBadCommandLines(t *testing.T) {
	for _, test := range []struct {
		name string
		args []string
		want string // a part of the error
	}{
		{"unknown flag", []string{"-nonsense"}, "-nonsense"},
		{"flag without its value", []string{"-plain"}, "-plain"},
		{"duration", []string{"-idle-timeout", "soon"}, "-idle-timeout"},
		{"level", []string{"-log", "loud"}, "-log"},
		{"argument", []string{"-log", "warn", "serve"}, `"serve"`},
		{"argument before flags", []string{"serve", "-log", "warn"}, `"serve"`},
		{"both listeners off", []string{"-plain", "", "-secure", ""}, "-plain and -secure"},
		{"certificate without a key", []string{"-cert", "c.pem"}, "-key"},
		{"key without a certificate", []string{"-key", "k.pem"}, "-cert"},
		{"empty stage", []string{"-stage", ""}, "-stage"},
		{"stage with a slash", []string{"-stage", "a/b"}, "-stage"},
		{"stage with a line", []string{"-stage", "a\nb"}, "-stage"},
		{"stage with a line at its end", []string{"-stage", "prod\n"}, "-stage"},
		{"stage in Greek", []string{"-stage", "παραγωγή"}, "-stage"},
		{"stage too long", []string{"-stage", strings.Repeat("x", 129)}, "-stage"},
		{"no ping interval", []string{"-ping-interval", "0s"}, "-ping-interval"},
		{"negative ping timeout", []string{"-ping-timeout", "-1s"}, "-ping-timeout"},
		{"no idle timeout", []string{"-idle-timeout", "0s"}, "-idle-timeout"},
		{"no duration", []string{"-max-duration", "0s"}, "-max-duration"},
		{"functions in memory", []string{"-functions", "x"}, "-functions needs -dynamodb"},
		{"functions twice", []string{"-functions", "x", "-lambda-endpoint", "http://127.0.0.1:1"}, "only one of them"},
		{"concurrency of nothing", []string{"-concurrency", "9"}, "-concurrency goes with -functions"},
		{"no concurrency", []string{"-functions", "x", "-dynamodb", "http://127.0.0.1:1", "-concurrency", "0"}, "-concurrency must be more than zero"},
		{"connections of nobody", []string{"-management", "127.0.0.1:0"}, "-management goes with"},
		{"versions of functions elsewhere", []string{"-lambda-endpoint", "http://127.0.0.1:1", "-versions", "5.x"}, "ACCEPTED_VERSIONS"},
		{"heartbeat of functions elsewhere", []string{"-lambda-endpoint", "http://127.0.0.1:1", "-ping-timeout", "5s"}, "PING_TIMEOUT"},
		{"crashes elsewhere", []string{"-lambda-endpoint", "http://127.0.0.1:1", "-faults", "crash=0.1"}, "crash, slow-store and key-limit"},
		{"slow store elsewhere", []string{"-lambda-endpoint", "http://127.0.0.1:1", "-faults", "slow-store=1ms"}, "crash, slow-store and key-limit"},
		{"limit of keys elsewhere", []string{"-lambda-endpoint", "http://127.0.0.1:1", "-dynamodb", "http://127.0.0.1:1", "-faults", "key-limit=1"}, "crash, slow-store and key-limit"},
		{"limit of keys in memory", []string{"-faults", "key-limit=1000"}, "key-limit needs -dynamodb"},
		{"version", []string{"-versions", "4.x.1, any"}, `"any"`},
		{"range", []string{"-versions", ">=6.x"}, `">=6.x"`},
		{"mode", []string{"-auth", "oauth"}, "-auth"},
		{"keys missing", []string{"-auth", "jwt"}, "-jwks"},
		{"keys without their mode", []string{"-jwks", "https://issuer.example/keys"}, "-auth"},
		{"keys in the clear", []string{"-auth", "jwt", "-jwks", "http://issuer.example/keys"}, "https"},
		{"secret and keys", []string{"-auth", "jwt", "-jwks", "https://issuer.example/keys", "-jwt-secret-file", "s"}, "-jwt-secret-file"},
		{"TURN servers without a secret", []string{"-ice-servers", "stun:a,turn:b"}, "-turn-secret-file"},
		{"TURN secret without servers", []string{"-turn-secret-file", "s"}, "-ice-servers"},
		{"no TURN secret", []string{"-ice-servers", "turn:a", "-turn-secret-file", "nowhere"}, "nowhere"},
		{"no URL", []string{"-ice-servers", "turn.example.com"}, "turn.example.com"},
		{"no secret", []string{"-auth", "jwt", "-jwt-secret-file", "nowhere"}, "nowhere"},
		{"algorithm", []string{"-auth", "jwt", "-jwks", "https://issuer.example/keys", "-jwt-algorithms", "HS256"}, "-jwt-algorithms"},
		{"skew", []string{"-jwt-skew", "1h"}, "-jwt-skew"},
		{"source", []string{"-token-sources", "cookie"}, "-token-sources"},
		{"function missing", []string{"-auth", "lambda"}, "-auth-function"},
		{"connections", []string{"-max-connections", "0"}, "-max-connections"},
		{"too many connections", []string{"-max-connections", "1000001"}, "-max-connections"},
		{"connections of an address", []string{"-max-per-address", "x"}, "-max-per-address"},
		{"proxies", []string{"-trusted-proxies", "10.0.0.1, proxy.example"}, `"proxy.example"`},
		{"network of proxies", []string{"-trusted-proxies", "10.0.0.0/33"}, `"10.0.0.0/33"`},
		{"header with a token", []string{"-auth-headers", "Cookie"}, "-auth-headers"},
	} {
		t.Run(test.name, func(t *testing.T) {
			wantRefused(t, test.args, test.want)
		})
	}
}

// wantRefused sees that run does not begin, and says why in one line.
func wantRefused(t *testing.T, args []string, parts ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	var stdout, stderr lockedBuffer
	err := Run(ctx, args, &stdout, &stderr)
	if err == nil {
		t.Fatalf("%q: served, want an error", args)
	}
	wantLine(t, err, parts...)
	if stdout.Len() != 0 || stderr.Len() != 0 {
		t.Errorf("%q: stdout %q, stderr %q, want nothing but the error", args, &stdout, &stderr)
	}
}

// wantLine sees that an error is one line, of a length that is read, and has
// all parts.
func wantLine(t *testing.T, err error, parts ...string) {
	t.Helper()
	if text := err.Error(); strings.ContainsAny(text, "\r\n") || len(text) > 400 {
		t.Errorf("error is not one clear line: %q", text)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not say %s", err, part)
		}
	}
}

func TestDefaults(t *testing.T) {
	o, err := parse(nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if o.plain != ":8095" || o.secure != ":8096" || o.stage != "prod" || o.dynamodb != "" {
		t.Errorf("defaults are %+v", o)
	}
	if _, err := parse([]string{"-stage", strings.Repeat("x", 128)}, io.Discard); err != nil {
		t.Errorf("longest stage: %v", err)
	}
}

func TestTrustedProxies(t *testing.T) {
	o, err := parse([]string{"-trusted-proxies", "10.1.2.3/8, 192.0.2.1 2001:db8::1", "-max-connections", "1000000", "-max-per-address", "1"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(o.admission.Proxies); got != "[10.0.0.0/8 192.0.2.1/32 2001:db8::1/128]" {
		t.Errorf("proxies %s", got)
	}
	if o.admission.Connections != 1_000_000 || o.admission.PerAddress != 1 {
		t.Errorf("%+v", o.admission)
	}
}
