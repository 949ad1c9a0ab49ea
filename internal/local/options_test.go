package local

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"github.com/owt-signal/owt-signal/internal/app"
	"github.com/owt-signal/owt-signal/internal/auth"
	"github.com/owt-signal/owt-signal/internal/ice"
	"github.com/owt-signal/owt-signal/internal/limits"
	"github.com/owt-signal/owt-signal/internal/setting"
)

// Help has each flag with its variable, by the one rule for their names: a
// function's, if functions have it, too, or else one of its own.
func TestHelpPrintsTheFlags(t *testing.T) {
	functions := []string{"TABLE_NAME", "LOG_LEVEL"} // of package app
	a, i, l, timers := auth.NewConfig(), ice.NewConfig(), limits.NewConfig(), app.NewTimers()
	for _, s := range slices.Concat(a.Settings(), i.Settings(), l.Settings(), timers.Settings()) {
		functions = append(functions, s.Variable)
	}
	for _, help := range []string{"-help", "-h", "--help"} {
		var stdout, stderr lockedBuffer
		if err := Run(t.Context(), []string{help}, &stdout, &stderr); err != nil {
			t.Errorf("%s: %v", help, err)
		}
		o, flags := newOptions(), 0
		for _, group := range o.groups() {
			for _, s := range group.Settings {
				if s.Flag == "" {
					continue
				}
				flags++
				if s.Variable != setting.Own(s.Flag, "", nil).Variable && !slices.Contains(functions, s.Variable) {
					t.Errorf("the variable of -%s is %s", s.Flag, s.Variable)
				}
				if !regexp.MustCompile("\n  -" + s.Flag + " [A-Za-z]+ +" + s.Variable + "\n    \t\\S").MatchString(stdout.String()) {
					t.Errorf("%s says nothing of -%s and %s:\n%s", help, s.Flag, s.Variable, &stdout)
				}
			}
		}
		if flags < 40 || stderr.Len() != 0 {
			t.Errorf("%s: %d flags, stderr %q", help, flags, &stderr)
		}
	}
}

func TestVersion(t *testing.T) {
	var stdout, stderr lockedBuffer
	if err := Run(t.Context(), []string{"-version"}, &stdout, &stderr); err != nil || stderr.Len() != 0 {
		t.Errorf("%v, stderr %q", err, &stderr)
	}
	if want := " " + runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH + "\n"; !strings.HasPrefix(stdout.String(), "owt-signal ") || !strings.HasSuffix(stdout.String(), want) {
		t.Errorf("says %q, want …%q", &stdout, want)
	}
	released := &debug.BuildInfo{GoVersion: "go1.26.0", Main: debug.Module{Version: "v0.1.0"}, Settings: []debug.BuildSetting{
		{Key: "GOOS", Value: "linux"}, {Key: "GOARCH", Value: "arm64"},
		{Key: "vcs.revision", Value: "51e4f8c"}, {Key: "vcs.time", Value: "2026-11-28T21:52:34Z"}, {Key: "vcs.modified", Value: "true"},
	}}
	const want = "owt-signal v0.1.0 revision 51e4f8c of 2026-11-28T21:52:34Z with changes go1.26.0 linux/arm64"
	if got := version(released); got != want {
		t.Errorf("says %q, want %q", got, want)
	}
}

// What a function's environment has is an order here, too.
func TestEnvironment(t *testing.T) {
	t.Setenv("AUTH_MODE", "jwt")
	wantRefused(t, loopback(), "mode jwt needs keys")
	t.Setenv("JWT_ISSUER", "https://issuer.example")
	t.Setenv("OWT_STAGE", "beta")
	o, err := parse(nil, io.Discard)
	if err != nil || o.auth.Mode != "jwt" || o.stage != "beta" || o.environment["JWT_ISSUER"] != "https://issuer.example" {
		t.Errorf("read as %+v, %v", o, err)
	}
	t.Setenv("TABLE_NAME", "x")
	wantRefused(t, loopback(), "TABLE_NAME has no effect without -dynamodb")
	t.Setenv("TABLE_NAME", "")
	wantRefused(t, loopback(), "variable TABLE_NAME: the value is empty")
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
		{"duration without a unit", []string{"-ping-interval", "5"}, `-ping-interval: "5" is no duration of more than zero, such as 5m`},
		{"level", []string{"-log", "loud"}, `-log: "loud" is none of debug, info, warn, error`},
		{"argument", []string{"-log", "warn", "serve"}, `"serve"`},
		{"argument before flags", []string{"serve", "-log", "warn"}, `"serve"`},
		{"both listeners off", []string{"-plain", "off", "-secure", "off"}, "-plain and -secure are both off"},
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
		{"concurrency of nothing", []string{"-concurrency", "9"}, "-concurrency has no effect without -functions"},
		{"no concurrency", []string{"-functions", "x", "-dynamodb", "http://127.0.0.1:1", "-concurrency", "0"}, "0\" is not a whole number from 1 to 10000"},
		{"connections of nobody", []string{"-management", "127.0.0.1:0"}, "-management has no effect without -functions or -lambda-endpoint"},
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
		{"life of no credential", []string{"-ice-servers", "stun:a", "-turn-lifetime", "1h"}, "-turn-lifetime has no effect without -turn-secret-file"},
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
		{"proxies of nothing", []string{"-trusted-proxies", ","}, "the list is empty"},
		{"algorithms of nothing", []string{"-auth", "jwt", "-jwks", "https://issuer.example/keys", "-jwt-algorithms", ","}, "the list is empty"},
		{"no DynamoDB", []string{"-dynamodb", ""}, "-dynamodb: the value is empty"},
		{"DynamoDB of no URL", []string{"-dynamodb", "foo"}, `-dynamodb: "foo" is no URL such as http://127.0.0.1:8000`},
		{"Lambda of no URL", []string{"-lambda-endpoint", "127.0.0.1:3001"}, "-lambda-endpoint"},
		{"no file", []string{"-log-user-key-file", ""}, "-log-user-key-file: the value is empty"},
		{"no address", []string{"-secure", ""}, "-secure: the value is empty"},
		{"port alone", []string{"-plain", "8095"}, `"8095" is no address such as :8095 or 127.0.0.1:8095, nor off`},
		{"management off", []string{"-management", "off"}, `"off" is no address`},
		{"certificate of nothing", []string{"-secure", "off", "-cert", "c.pem", "-key", "k.pem"}, "-cert has no effect without -secure"},
		{"table in memory", []string{"-table", "x"}, "-table has no effect without -dynamodb"},
		{"burst of no rate", []string{"-message-burst", "5"}, "-message-burst has no effect without -message-rate"},
		{"burst of an endless rate", []string{"-message-burst", "5", "-message-rate", "0"}, "-message-burst has no effect without -message-rate"},
		{"claim without tokens", []string{"-jwt-claim", "x"}, "-jwt-claim has no effect without -auth jwt"},
		{"skew without tokens", []string{"-jwt-skew", "1s"}, "-jwt-skew has no effect without -auth jwt"},
		{"outlive without tokens", []string{"-jwt-outlive", "true"}, "-jwt-outlive has no effect without -auth jwt"},
		{"time of no function", []string{"-auth-timeout", "1s"}, "-auth-timeout has no effect without -auth lambda or http"},
		{"events without a secret", []string{"-events-url", "https://events.example"}, "-events-secret-file"},
		{"events to nobody", []string{"-events-secret-file", "s"}, "-events-url"},
		{"events in the clear", []string{"-events-url", "http://events.example", "-events-secret-file", "s"}, "https"},
		{"no secret for events", []string{"-events-url", "https://events.example", "-events-secret-file", "nowhere"}, "nowhere"},
		{"events of functions", []string{"-functions", "x", "-dynamodb", "http://127.0.0.1:1", "-events-url", "https://events.example", "-events-secret-file", "s"}, "-events-url has no effect with -functions"},
		{"server missing", []string{"-auth", "http"}, "-auth-url"},
		{"server without its mode", []string{"-auth-url", "https://accounts.example"}, "-auth"},
		{"server in the clear", []string{"-auth", "http", "-auth-url", "http://accounts.example"}, "https"},
		{"no secret for a server", []string{"-auth", "http", "-auth-url", "https://accounts.example", "-auth-secret-file", "nowhere"}, "nowhere"},
		{"idle for longer than there is", []string{"-idle-timeout", "3h"}, "-idle-timeout has no effect beyond -max-duration"},
		{"more of an address than of all", []string{"-max-connections", "5", "-max-per-address", "6"}, "-max-per-address has no effect above -max-connections"},
		{"faults of nothing", []string{"-faults", "seed=1"}, "-faults: none is turned on"},
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
