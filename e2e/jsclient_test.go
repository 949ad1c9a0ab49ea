package e2e

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/owt-signal/owt-signal/internal/storetest"
)

// jsClientWithin bounds one suite of the JavaScript client.
const jsClientWithin = 2 * time.Minute

// TestJSClient runs the tests of clients/js: what is pure of it, and the whole
// of it against servers on good and bad days.
func TestJSClient(t *testing.T) {
	t.Parallel()
	const secret = "a-secret-that-is-as-long-as-the-hash-of-its-algorithm"
	const turn = "turn:turn.example.com"
	secretFile := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secretFile, []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, suite := range []struct {
		name  string
		flags []string // of the server; nil: the suite has its own
		env   []string
		files []string
	}{
		{name: "pure", files: []string{"../clients/js/test/"}},
		{name: "network", flags: []string{}, files: []string{"jsclient/burst.test.mjs", "jsclient/watch.test.mjs"}},
		{
			name: "use", flags: []string{"-idle-timeout", "4s", "-ice-servers", turn, "-turn-secret-file", secretFile},
			env: []string{"IDLE=4000", "TURN=" + turn}, files: []string{"jsclient/channel.test.mjs"},
		},
		{
			name: "tokens", flags: []string{"-auth", "jwt", "-jwt-secret-file", secretFile, "-jwt-audience", "owt", "-jwt-skew", "0s"},
			env: []string{"SECRET=" + secret}, files: []string{"jsclient/token.test.mjs"},
		},
		{
			name: "refusals", flags: []string{"-origins", "https://here.test"},
			env: []string{"NODE_OPTIONS=--experimental-websocket"}, files: []string{"jsclient/refusals.test.mjs"}, // Node 20 has it by this
		},
		{name: "recovery", flags: []string{}, env: []string{"MESSAGES=2000"}, files: []string{"jsclient/recovery.test.mjs"}},
		{name: "package", flags: []string{}, files: []string{"jsclient/package.test.mjs"}},
		{name: "age", flags: []string{"-max-duration", "30s"}, env: []string{"RENEW=2000"}, files: []string{"jsclient/renewal.test.mjs"}},
		// Each message costs some 15 ms of delays, one after the other.
		{
			name: "faults", flags: []string{"-faults", "delay=20ms,duplicate=0.05,slow-store=10ms,lost-disconnect=0.2"},
			env: []string{"MESSAGES=400"}, files: []string{"jsclient/faults.test.mjs"},
		},
		{name: "restart", files: []string{"jsclient/restart.test.mjs"}},
	} {
		t.Run(suite.name, func(t *testing.T) {
			t.Parallel()
			env := suite.env
			switch {
			case suite.flags != nil:
				s := serve(t, append(suite.flags, "-log", "warn")...)
				env = append(env, "SERVER="+s.Plain, "SECURE="+s.Secure)
			case suite.name == "restart":
				env = append(env, "OWT_SIGNAL="+binary, "DYNAMODB="+storetest.Engine(t))
			}
			ctx, cancel := context.WithTimeout(context.Background(), jsClientWithin)
			defer cancel()
			node(ctx, t, env, suite.files...)
		})
	}
}
