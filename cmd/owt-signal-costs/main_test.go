package main

import (
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the tables of docs/costs.md anew")

const doc = "../../docs/costs.md"

// block is a command in the docs, and the table that follows it.
var block = regexp.MustCompile(`(?m)^    go run \./cmd/owt-signal-costs(.*)\n\n(?:\|.*\n)*`)

// TestDocs: the tables in docs/costs.md are what the commands above them print.
func TestDocs(t *testing.T) {
	text, err := os.ReadFile(doc)
	if err != nil {
		t.Fatal(err)
	}
	tables := 0
	now := block.ReplaceAllStringFunc(string(text), func(b string) string {
		tables++
		command, _, _ := strings.Cut(b, "\n")
		return command + "\n\n" + printed(t, strings.Fields(block.FindStringSubmatch(b)[1])...)
	})
	if rows := strings.Count(now, "\n|---"); tables != rows {
		t.Errorf("%d tables, of which %d are below a command", rows, tables)
	}
	if now == string(text) {
		return
	}
	if *update {
		if err := os.WriteFile(doc, []byte(now), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Errorf("docs/costs.md is out of date: go test ./cmd/owt-signal-costs -update writes it anew; now it is\n%s", now)
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
	all := printed(t)
	if n := strings.Count(all, "\n|---"); n != 4 {
		t.Errorf("%d tables:\n%s", n, all)
	}
	for _, name := range []string{"metered", "priced", "month", "elsewhere"} {
		if one := printed(t, "-table", name); strings.Count(one, "\n|---") != 1 || !strings.Contains(all, one) {
			t.Errorf("-table %s: %s", name, one)
		}
	}
	if usual, other := printed(t, "-table", "month"), printed(t, "-table", "month", "-users", "2000", "-calls", "5", "-signals", "9",
		"-burst", "3", "-hours", "100", "-client", "json", "-session", "30m", "-heartbeat", "8m", "-bytes", "2000", "-memory", "128",
		"-invocation", "1ms"); usual == other {
		t.Error("the flags change nothing")
	}
	if help := printed(t, "-help"); !strings.Contains(help, "-heartbeat") {
		t.Errorf("help says %s", help)
	}
	for _, args := range [][]string{{"-users", "-1"}, {"-client", "6"}, {"-table", "x"}, {"-x"}, {"x"}} {
		var out strings.Builder
		if err := run(args, &out); err == nil {
			t.Errorf("%v is accepted", args)
		}
	}
}
