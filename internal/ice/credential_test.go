package ice_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/owt-signal/owt-signal/internal/ice"
	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

var (
	secret = []byte("01234567890123456789")
	now    = lane.At(time.Unix(1_700_000_000, 999_000_000))
)

// What OpenSSL makes of it:
//
//	printf %s alice | openssl dgst -sha256 -hmac 01234567890123456789 | grep -o '[0-9a-f]\{32\}' | head -n 1
//	printf %s 1700000060:PSEUDONYM | openssl dgst -sha1 -hmac 01234567890123456789 -binary | base64
func TestCredential(t *testing.T) {
	const (
		pseudonym = "5aa713f3c117e8389159b13b5cd59f74"
		password  = "RnqMdIKiRapwhnmBLfZWB1iie94="
	)
	username, got := ice.Credential(secret, "alice", now, time.Minute)
	if want := "1700000060:" + pseudonym; username != want || got != password {
		t.Errorf("%s and %s, want %s and %s", username, got, want, password)
	}
}

// Whatever a user's name has, that by which TURN servers know it is one that they
// take, and no other user's.
func TestPseudonym(t *testing.T) {
	seen := make(map[string]signal.UserName)
	for _, user := range []signal.UserName{
		"a", "A", "1700000060:a", "a:b", ":", "用户1", "e\u0301", "é", "'; drop table turnusers_lt; --", signal.UserName(strings.Repeat("x", signal.MaxUserName)),
	} {
		p := ice.Pseudonym(secret, user)
		if other, ok := seen[p]; ok || len(p) != 32 || strings.Trim(p, "0123456789abcdef") != "" || p != ice.Pseudonym(secret, user) {
			t.Errorf("%q is known as %q, like %q", user, p, other)
		}
		seen[p] = user
		if p == ice.Pseudonym([]byte("another, as long as that"), user) {
			t.Errorf("%q is known by any secret as %q", user, p)
		}
	}
}

func TestServers(t *testing.T) {
	for _, c := range []struct {
		urls    string
		shared  bool
		want    string
		expires time.Duration
	}{
		{"stun:a,stuns:b", false, `[{"urls":["stun:a","stuns:b"]}]`, 0},
		{"stun:a", true, `[{"urls":["stun:a"]}]`, 0},
		{"turn:b?transport=udp,stun:a", true, `[{"urls":["stun:a"]},{"urls":["turn:b?transport=udp"],"username":"USER","credential":"PASSWORD"}]`, time.Minute},
		{"turn:b,turns:c", true, `[{"urls":["turn:b","turns:c"],"username":"USER","credential":"PASSWORD"}]`, time.Minute},
	} {
		config := ice.NewConfig()
		config.URLs, config.Lifetime = strings.Split(c.urls, ","), time.Minute
		if c.shared {
			config.SecretFile = secretFile(t, string(secret))
		}
		servers, err := ice.New(t.Context(), config, aws.Config{})
		if err != nil {
			t.Fatal(err)
		}
		username, password := ice.Credential(secret, "alice", now, time.Minute)
		want := strings.NewReplacer("USER", username, "PASSWORD", password).Replace(c.want)
		if got := servers("alice", now); string(got.Servers) != want || got.Expires != c.expires {
			t.Errorf("%s\n got %s %v\nwant %s %v", c.urls, got.Servers, got.Expires, want, c.expires)
		}
	}
}
