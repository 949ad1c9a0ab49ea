package limits_test

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/owt-signal/owt-signal/internal/limits"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

func TestEnvironment(t *testing.T) {
	read := func(env map[string]string) (limits.Config, error) {
		return limits.FromEnvironment(func(name string) string { return env[name] })
	}
	if c, err := read(nil); err != nil || c.Rate.Limited() || c.AuthenticateWithin != time.Minute || c.RecoverFor != 2*time.Minute || c.Origins != nil || c.LogKey != "" {
		t.Errorf("nothing set: %+v, %v", c, err)
	}
	c, err := read(map[string]string{
		"MESSAGE_RATE": "10", "MESSAGE_BURST": "30", "AUTHENTICATE_WITHIN": "10s",
		"ALLOWED_ORIGINS": "https://B.example, http://a.example:8080 https://b.example", "LOG_USER_KEY": "k",
	})
	if err != nil || c.Rate != (lane.Rate{PerSecond: 10, Burst: 30}) || c.AuthenticateWithin != 10*time.Second || c.LogKey != "k" ||
		!slices.Equal(c.Origins, []string{"http://a.example:8080", "https://b.example"}) {
		t.Errorf("all set: %+v, %v", c, err)
	}
	for name, values := range map[string]map[string]bool{
		"MESSAGE_RATE": {"0": true, "1": true, strconv.Itoa(lane.MaxPerSecond): true, strconv.Itoa(lane.MaxPerSecond + 1): false, "-1": false, "x": false},
		"MESSAGE_BURST": {
			"1": true, strconv.Itoa(limits.MaxBurst): true, strconv.Itoa(limits.MaxBurst + 1): false, "0": false,
		},
		"AUTHENTICATE_WITHIN": {"1s": true, "1h": true, "999ms": false, "1h1s": false, "60": false},
		"RECOVER_FOR":         {"0": true, "30": true, "3600": true, "29": false, "1": false, "-1": false, "3601": false, "2m": false},
		"LOG_USER_KEY_ARN":    {"arn:aws:ssm:eu-west-1:123456789012:parameter/k": true, "arn:aws:s3:::k": false},
		"ALLOWED_ORIGINS": {
			"https://a.example": true, "app://local": true, "a.example": false, "https://a.example/": false, "https://a.example/x": false,
			",": false, "https://u@a.example": false, strings.Repeat("https://a.example,", 65): false,
		},
	} {
		for value, ok := range values {
			if _, err := read(map[string]string{name: value}); (err == nil) != ok || !ok && !strings.Contains(err.Error(), name) {
				t.Errorf("%s=%s: %v", name, value, err)
			}
		}
	}
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte("k\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if c, err := read(map[string]string{"LOG_USER_KEY_FILE": file}); err != nil || c.LogKey != "k" || c.LogKeyFile != file {
		t.Errorf("key in a file: %+v, %v", c, err)
	}
	for _, two := range [][2]string{{"LOG_USER_KEY", "LOG_USER_KEY_ARN"}, {"LOG_USER_KEY", "LOG_USER_KEY_FILE"}, {"LOG_USER_KEY_FILE", "LOG_USER_KEY_ARN"}} {
		if _, err := read(map[string]string{two[0]: file, two[1]: file}); err == nil || !strings.Contains(err.Error(), "LOG_USER_KEY") {
			t.Errorf("%v: %v", two, err)
		}
	}
}
