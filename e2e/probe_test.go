package e2e

import (
	"bytes"
	"context"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// What the probe's answers look like.
const (
	aTime     = `\d+(\.\d)? ms`
	aSpread   = "p50 " + aTime + ", p99 " + aTime + ` of \d+`
	someOrder = `\d+ of 400 messages \(\d+\.\d %\), in \d+ of 20 bursts`
	disorder  = `[1-9]\d* of 400 messages \(\d+\.\d %\), in [1-9]\d* of 20 bursts`
	inOrder   = `0 of 400 messages \(0\.0 %\), in 0 of 20 bursts`
	goingAway = `closed, 1001 "Going away", after ([2-9]|\d\d)\.\d s`
)

// answers are patterns of what the probe says of the local server.
var answers = map[string]string{
	"path as given":                                       "101",
	"path with a slash at the end":                        "101",
	"path with a further segment":                         "403",
	"GET without an upgrade":                              "426",
	"URL of 4096 characters, path and query":              "101",
	"URL of 4097 characters":                              "414",
	"permessage-deflate, when offered":                    "not negotiated",
	"handshake, until the 101":                            aSpread,
	"from the 101 to the first frame":                     aSpread + ", at most " + aTime,
	"ping control frame":                                  "answered after " + aTime + ", with its data",
	"binary message":                                      "closed, 1003 .*",
	"message of 32768 bytes in one frame":                 "answered",
	"message of 32769 bytes in one frame":                 "closed, 1009 .*",
	"message of 131072 bytes in frames of 32768":          "answered",
	"message of 131073 bytes in frames of 32768 and less": "closed, 1009 .*",
	"delivery of the largest message":                     `delivered, 13\d{4} bytes in 4 frames`,
	"delivery of one byte more":                           "refused, 2110",
	"one after the other: ack":                            aSpread,
	"one after the other: delivery":                       aSpread,
	"bursts of 20 without numbers: overtaken":             someOrder,
	"bursts of 20 with numbers: overtaken":                inOrder,
	"bursts of 20: ack":                                   aSpread,
	"bursts of 20: delivery":                              aSpread,
	"bursts of 20: until the last delivery":               "p50 " + aTime + ", at most " + aTime,
	"closed by its client: offline after":                 aTime,
	"cut without a close frame: offline after":            aTime,
	"idle connections":                                    "not asked: .* LONG=1 asks",
}

// TestProbe holds the probe to what is known of the local server.
func TestProbe(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		path    string
		flags   []string
		env     []string
		without string
		and     map[string]string
	}{
		"plain": {path: "/prod"},
		"late": {path: "/prod", flags: []string{"-faults", "delay=40ms"}, and: map[string]string{
			"bursts of 20 without numbers: overtaken": disorder,
		}},
		"mapping": {path: "/socket.io/", without: "path with a slash at the end", and: map[string]string{
			"path without the slash at the end": "101",
		}},
		"long": {path: "/prod", flags: []string{"-idle-timeout", "3s"}, env: []string{"LONG=1"}, without: "idle connections", and: map[string]string{
			"silent connection (told: 3 s)":                 goingAway,
			"the same with ping control frames every 0.3 s": goingAway,
			"ping control frames from the server meanwhile": "0",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, append(test.flags, "-log", "warn")...)
			want := maps.Clone(answers)
			delete(want, test.without)
			maps.Copy(want, test.and)
			rows := probe(t, append(test.env, "ENDPOINT="+s.Plain+test.path))
			check(t, rows, want)
		})
	}
}

// TestProbeInTheDocs: the table in the docs is one of "late".
func TestProbeInTheDocs(t *testing.T) {
	text, err := os.ReadFile("../docs/endpoints.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "\n| question | answer |\n")
	rows := read(t, table)
	delete(rows, "---")
	want := maps.Clone(answers)
	want["bursts of 20 without numbers: overtaken"] = disorder
	check(t, rows, want)
}

// check sees that there are the rows that are wanted, and no others.
func check(t *testing.T, rows, want map[string]string) {
	t.Helper()
	for question, pattern := range want {
		answer, ok := rows[question]
		if !ok || !regexp.MustCompile("^"+pattern+"$").MatchString(answer) {
			t.Errorf("%s: %q, want %q", question, answer, pattern)
		}
		delete(rows, question)
	}
	for question, answer := range rows {
		t.Errorf("nobody expects %s: %s", question, answer)
	}
}

// probe runs the probe and returns the rows of its table.
func probe(t *testing.T, env []string) map[string]string {
	t.Helper()
	node := nodePath(t)
	ctx, cancel := context.WithTimeout(context.Background(), clientsWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, node, "probe/probe.mjs")
	cmd.Env = append(os.Environ(), env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	table, err := cmd.Output()
	t.Logf("%s", table)
	if err != nil {
		t.Fatalf("probe: %v\n%s", err, stderr.Bytes())
	}
	rows := read(t, string(table))
	if rows["question"] != "answer" || rows["---"] != "---" {
		t.Errorf("no head in the table")
	}
	delete(rows, "question")
	delete(rows, "---")
	return rows
}

// read reads a table of two columns.
func read(t *testing.T, table string) map[string]string {
	t.Helper()
	rows := make(map[string]string)
	for line := range strings.Lines(table) {
		question, answer, ok := strings.Cut(strings.Trim(line, "| \n"), " | ")
		if !ok {
			t.Fatalf("not a row: %s", line)
		}
		rows[question] = answer
	}
	return rows
}
