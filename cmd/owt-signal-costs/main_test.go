package main

import (
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the tables of the docs anew")

// block is a command in the docs, and the table that follows it.
var block = regexp.MustCompile(`(?m)^    go run \./cmd/owt-signal-costs(.*)\n\n(?:\|.*\n)*`)

// TestDocs: the tables in the docs are what the commands above them print.
func TestDocs(t *testing.T) {
	for name, want := range map[string]int{"../../docs/costs.md": 6, "../../docs/operations.md": 1} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		tables := 0
		now := block.ReplaceAllStringFunc(string(text), func(b string) string {
			tables++
			command, _, _ := strings.Cut(b, "\n")
			return command + "\n\n" + printed(t, strings.Fields(block.FindStringSubmatch(b)[1])...)
		})
		switch {
		case tables != want:
			t.Errorf("%s has %d tables below a command, want %d", name, tables, want)
		case now == string(text):
		case *update:
			if err := os.WriteFile(name, []byte(now), 0o644); err != nil {
				t.Fatal(err)
			}
		default:
			t.Errorf("%s is out of date: go test ./cmd/owt-signal-costs -update writes it anew; now it is\n%s", name, now)
		}
	}
}

func printed(t *testing.T, args ...string) string {
	t.Helper()
	var out strings.Builder
	if err := run(args, &out); err != nil {
		t.Fatalf("owt-signal-costs %v: %v", args, err)
	}
	return out.String()
}

func TestCommandLine(t *testing.T) {
	usual := printed(t)
	for _, args := range [][]string{
		{"-users", "2000"}, {"-calls", "5"}, {"-signals", "9"}, {"-burst", "3"}, {"-hours", "100"}, {"-heartbeat", "8"}, {"-bytes", "2000"}, {"-frames"}, {"-metered"},
	} {
		if printed(t, args...) == usual {
			t.Errorf("%v changes nothing", args)
		}
	}
	if help := printed(t, "-help"); !strings.Contains(help, "-heartbeat") {
		t.Errorf("help says %s", help)
	}
	for _, args := range [][]string{{"-burst", "0"}, {"-burst", "101"}, {"-heartbeat", "0"}, {"-x"}, {"x"}} {
		var out strings.Builder
		if err := run(args, &out); err == nil {
			t.Errorf("%v is accepted", args)
		}
	}
}
