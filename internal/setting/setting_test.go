package setting_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/owt-signal/owt-signal/internal/setting"
)

func TestValues(t *testing.T) {
	var c struct {
		text        string
		number      int
		took, every time.Duration
		on          bool
	}
	for name, test := range map[string]struct {
		set         func(string) error
		takes, bars []string
	}{
		"text":     {setting.Text(&c.text), []string{"", "x"}, nil},
		"one of":   {setting.Text(&c.text, setting.OneOf("a", "b")), []string{"a", "b"}, []string{"", "c", "a,b"}},
		"number":   {setting.Number(&c.number, 1, 3), []string{"1", "3"}, []string{"0", "4", "", "x", "1.5"}},
		"duration": {setting.Duration(&c.took, time.Second, time.Minute), []string{"1s", "1m"}, []string{"999ms", "61s", "1", ""}},
		"positive": {setting.Positive(&c.every), []string{"1ns", "9000h"}, []string{"0s", "-1s", "5", ""}},
		"URL":      {setting.URL(&c.text), []string{"http://127.0.0.1:8000", "https://dynamodb.eu-west-1.amazonaws.com"}, []string{"", "foo", "127.0.0.1:8000", "ftp://127.0.0.1", "http://", "http://:80", "http://a/%zz"}},
		"bool":     {setting.Bool(&c.on), []string{"false", "true", "1"}, []string{"", "yes"}},
	} {
		for _, v := range test.takes {
			if err := test.set(v); err != nil {
				t.Errorf("%s %q: %v", name, v, err)
			}
		}
		for _, v := range test.bars {
			if err := test.set(v); err == nil || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s %q: %v, want an error of one line", name, v, err)
			}
		}
	}
	if err := errors.Join(setting.Number(&c.number, 0, 9)("7"), setting.Positive(&c.every)("2m"), setting.Bool(&c.on)("true")); err != nil {
		t.Error(err)
	}
	if c.number != 7 || c.every != 2*time.Minute || !c.on {
		t.Errorf("set to %+v", c)
	}
}

func TestEnvironment(t *testing.T) {
	one, two := "before", 1
	settings := []setting.Setting{
		setting.New("ONE", "one", "", setting.Text(&one)),
		setting.New("TWO", "two", "", setting.Number(&two, 0, 9)),
	}
	env := map[string]string{"ONE": "", "TWO": "2"}
	getenv := func(name string) string { return env[name] }
	if err := setting.FromEnvironment(getenv, settings); err != nil || one != "before" || two != 2 {
		t.Errorf("%q, %d, %v", one, two, err)
	}
	env["TWO"] = "ten"
	if err := setting.FromEnvironment(getenv, settings); err == nil || !strings.Contains(err.Error(), "TWO") || !strings.Contains(err.Error(), "ten") {
		t.Errorf("a bad value: %v", err)
	}
}

func TestSecureURLs(t *testing.T) {
	for address, ok := range map[string]bool{
		"https://issuer.example/keys":  true,
		"http://127.0.0.1:8080/keys":   true,
		"http://localhost/keys":        true,
		"http://[::1]:1/":              true,
		"http://issuer.example/keys":   false,
		"http://127.0.0.1.example/":    false,
		"http://localhost.example/":    false,
		"https://user@issuer.example/": false,
		"https://issuer.example/#x":    false,
		"ftp://127.0.0.1/":             false,
		"file:///etc/passwd":           false,
		"issuer.example":               false,
		"https://":                     false,
		"":                             false,
		"https://[::1":                 false,
	} {
		if err := setting.CheckSecureURL(address); (err == nil) != ok {
			t.Errorf("%q: %v", address, err)
		}
	}
}
