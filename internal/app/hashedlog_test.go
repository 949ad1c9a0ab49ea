package app

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/owt-signal/owt-signal/internal/signal"
)

func TestUsersAreHashed(t *testing.T) {
	lines := func(key string) []string {
		var out bytes.Buffer
		log := slog.New(HashUsers(slog.NewTextHandler(&out, nil), key))
		log.Info("a", "user", signal.UserName("alice"), "connection", "alice=")
		log.With("user", "alice").WithGroup("g").Info("b", "user", "bob")
		return strings.Split(strings.TrimSpace(out.String()), "\n")
	}
	after := func(line, key string) string {
		_, rest, _ := strings.Cut(line, key+"=")
		value, _, _ := strings.Cut(rest, " ")
		return value
	}
	one, other, plain := lines("one key"), lines("another"), lines("")
	alice := after(one[0], "user")
	if len(alice) != 16 || strings.Contains(strings.Join(one, "\n"), "user=alice") || strings.Contains(one[1], "bob") {
		t.Errorf("%q", one)
	}
	if after(one[1], " user") != alice || after(one[1], "g.user") == alice || after(other[0], "user") == alice {
		t.Errorf("not one hash for one name and key: %q, %q", one, other)
	}
	if !strings.Contains(one[0], `connection="alice="`) {
		t.Errorf("what is no user's name was changed: %s", one[0])
	}
	if after(plain[0], "user") != "alice" {
		t.Errorf("without a key: %q", plain)
	}
}
