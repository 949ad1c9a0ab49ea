package e2e

import (
	"context"
	"strings"
	"testing"
)

// late is faults that change when things happen, and how often, but neither
// lose anything nor break a connection.
const late = "delay=40ms,duplicate=0.05,slow-store=20ms"

const crashing = "crash=0.05,delay=20ms"

// killing is crashing for processes, of which some die when their work is done.
const killing = "crash=0.1,delay=20ms"

// TestFaults runs real clients against a server that misbehaves as AWS may.
func TestFaults(t *testing.T) {
	for _, test := range []struct {
		name, faults string
		flags        func(t *testing.T) []string
		env          []string
		file         string
	}{
		{name: "late", faults: late, file: "order"},
		{name: "late, on DynamoDB", faults: late, file: "order", env: []string{"MESSAGES=60"}, flags: onEngine},
		{name: "late, 50 pairs on DynamoDB", faults: "delay=40ms,duplicate=0.05,slow-store=10ms", file: "pairs", flags: onEngine},
		{name: "late, on functions", faults: late, file: "order", env: []string{"MESSAGES=40"}, flags: onFunctions},
		{name: "late, without numbers", faults: late, file: "unordered"},
		{name: "leaving", faults: "delay=40ms", file: "leave"},
		{name: "leaving, on functions", file: "leave", flags: onFunctions},
		{name: "leaving, late, on functions", faults: "delay=40ms", file: "leave", flags: onFunctions},
		{name: "crashing", faults: crashing, file: "crash"},
		{name: "crashing, on functions", faults: killing, file: "crash", env: []string{"MESSAGES=100"}, flags: onFunctions},
		{name: "crashing, polling first", faults: crashing, file: "crash", env: []string{"MESSAGES=100", "POLLING_FIRST=1"}},
		{name: "crashing, polling first, on functions", faults: killing, file: "crash", env: []string{"MESSAGES=40", "POLLING_FIRST=1"}, flags: onFunctions},
		{name: "crashing, on one connection", faults: crashing, file: "lane"},
		{name: "crashing, on one connection, on functions", faults: killing, file: "lane", env: []string{"MESSAGES=100"}, flags: onFunctions},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var flags []string
			if test.flags != nil {
				flags = test.flags(t)
			}
			s := serve(t, withFaults(test.faults, append(flags, "-log", "warn")...)...)
			ctx, cancel := context.WithTimeout(context.Background(), clientsWithin)
			defer cancel()
			node(ctx, t, append(test.env, "SERVER="+s.Plain), "faults/"+test.file+".test.mjs")
			if test.faults == killing && !strings.Contains(s.logs.String(), "signal: killed") {
				t.Error("no process was killed")
			}
		})
	}
}
