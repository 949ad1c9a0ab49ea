package ice_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/owt-signal/owt-signal/internal/ice"
)

func environment(pairs ...string) func(string) string {
	env := make(map[string]string)
	for i := 0; i < len(pairs); i += 2 {
		env[pairs[i]] = pairs[i+1]
	}
	return func(name string) string { return env[name] }
}

func TestServersAreURLs(t *testing.T) {
	for list, ok := range map[string]bool{
		"stun:stun.example.com": true, "stuns:a:1": true, "turn:10.0.0.1:65535": true, "turns:[2001:db8::1]:5349?transport=tcp": true,
		"turn:a?transport=udp, stun:b": true, strings.Repeat("stun:a,", ice.MaxServers): true,
		strings.Repeat("stun:a,", ice.MaxServers+1): false, ",": false,
		"turn.example.com": false, "https://a": false, "stun:": false, "stun://a": false, "TURN:a": false, "turn:u:p@a": false,
		"stun:a?transport=udp": false, "turn:a?transport=tls": false, "turn:a?transport=udp&x": false, "turn:a:0": false, "turn:a:65536": false,
		"turn:a:": false, "turn:-a": false, "turn:a.": false, "turn:[a]": false, "turn:[10.0.0.1]": false, "turn:[::1": false, "turn:2001:db8::1": false, "turn:bücher": false,
	} {
		_, err := ice.ReadEnvironment(environment("ICE_SERVERS", list, "TURN_SECRET_ARN", "/owt/turn"))
		if (err == nil) != ok || !ok && !strings.Contains(err.Error(), "ICE_SERVERS") {
			t.Errorf("%s: %v", list, err)
		}
	}
}

func TestBadEnvironments(t *testing.T) {
	for _, c := range []struct {
		set  []string
		says string
	}{
		{[]string{"TURN_SECRET_ARN", "/owt/turn"}, "ICE_SERVERS"},
		{[]string{"ICE_SERVERS", "turn:a", "TURN_SECRET_ARN", "arn:aws:s3:::bucket/key"}, "TURN_SECRET_ARN"},
		{[]string{"ICE_SERVERS", "turn:a", "TURN_SECRET_ARN", "/owt/turn", "TURN_SECRET_FILE", "secret"}, "exclude"},
		{[]string{"TURN_LIFETIME", "59s"}, "TURN_LIFETIME"},
		{[]string{"TURN_LIFETIME", "24h1s"}, "TURN_LIFETIME"},
	} {
		if _, err := ice.ReadEnvironment(environment(c.set...)); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q: %v, want %s", c.set, err, c.says)
		}
	}
	for _, least := range []string{"1m", "24h"} {
		if _, err := ice.ReadEnvironment(environment("TURN_LIFETIME", least)); err != nil {
			t.Errorf("%s: %v", least, err)
		}
	}
}

// secretFile makes a file with a secret.
func secretFile(t *testing.T, secret string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(name, []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestSecrets(t *testing.T) {
	for secret, ok := range map[string]bool{
		strings.Repeat("s", ice.MinSecret): true, strings.Repeat("s", ice.MinSecret-1): false,
		strings.Repeat("s", ice.MaxSecret): true, strings.Repeat("s", ice.MaxSecret+1): false,
		strings.Repeat("s", ice.MinSecret) + "\r\n": true, // an editor's
		`{"secret":"ssssssssssssssssssss"}`:         false,
		"two words and some more of them":           false,
		strings.Repeat("s", ice.MinSecret) + "é":    false,
		"": false,
	} {
		c := ice.NewConfig()
		c.URLs, c.SecretFile = []string{"turn:a"}, secretFile(t, secret)
		_, err := ice.New(t.Context(), c, aws.Config{})
		if (err == nil) != ok {
			t.Errorf("%q: %v", secret, err)
		}
		if err != nil && secret != "" && strings.Contains(err.Error(), secret) {
			t.Errorf("the error quotes the secret: %v", err)
		}
	}
	c := ice.NewConfig()
	c.URLs, c.SecretFile = []string{"turn:a"}, "nowhere"
	if _, err := ice.New(t.Context(), c, aws.Config{}); err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("no file: %v", err)
	}
}

// A function reads its secret from AWS, and says which servers it leaves out.
func TestFromEnvironment(t *testing.T) {
	const secret = "from parameter store, it"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"Parameter":{"Value":%q}}`, strings.ReplaceAll(secret, " ", "-"))
	}))
	t.Cleanup(server.Close)
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL_SSM": server.URL, "AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b",
		"ICE_SERVERS": "stun:a,turn:b", "TURN_SECRET_ARN": "/owt/turn",
	} {
		t.Setenv(name, value)
	}
	var logs strings.Builder
	log := slog.New(slog.NewTextHandler(&logs, nil))
	servers, err := ice.FromEnvironment(t.Context(), log)
	if err != nil {
		t.Fatal(err)
	}
	if got := servers("alice", now); !strings.Contains(string(got.Servers), `"turn:b"`) || logs.Len() > 0 {
		t.Errorf("servers %s, logs %s", got.Servers, &logs)
	}
	t.Setenv("TURN_SECRET_ARN", "")
	if servers, err = ice.FromEnvironment(t.Context(), log); err != nil {
		t.Fatal(err)
	}
	if got := string(servers("alice", now).Servers); got != `[{"urls":["stun:a"]}]` || !strings.Contains(logs.String(), "TURN_SECRET_ARN") {
		t.Errorf("without a secret: servers %s, logs %s", got, &logs)
	}
	t.Setenv("ICE_SERVERS", "")
	if servers, err = ice.FromEnvironment(t.Context(), log); err != nil || servers != nil {
		t.Errorf("none: %v", err)
	}
}
