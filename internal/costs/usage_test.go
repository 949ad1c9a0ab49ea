package costs

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/owt-signal/owt-signal/internal/sim"
)

// TestArithmetic does by hand what the model does.
func TestArithmetic(t *testing.T) {
	u := Default
	alone, hour, month := u.message(1), u.hour(), u.month()
	for what, test := range map[string]struct{ got, want float64 }{
		"messages of a message":             {alone[messages], 3},                        // in, delivered, acked
		"write units of a message":          {alone[writes], 3},                          // take, route, finish
		"read units of a message":           {alone[reads], 0},                           //
		"API Gateway, a million messages":   {1e6 * alone.dollars("API Gateway"), 3.00},  // 3 × $1.00
		"DynamoDB, a million messages":      {1e6 * alone.dollars("DynamoDB"), 1.875},    // 3 × $0.625
		"CloudWatch, a million messages":    {1e6 * alone.dollars("CloudWatch"), 0.20},   // 400 bytes × $0.50/GB
		"messages of an hour":               {hour[messages], 36},                        // 12 × ping, pong, no-op
		"API Gateway, 1000 hours":           {1000 * hour.dollars("API Gateway"), 0.051}, // 36 × $1.00/M + 60 × $0.25/M
		"messages of a connection":          {connection[messages], 7},                   //
		"invocations of a connection":       {connection[invocations], 4},                //
		"minutes of a month":                {month[5].work[minutes], 1000 * 240 * 60},   //
		"rounds of a month":                 {month[3].times, 730 * 12},                  //
		"custom metrics and alarms":         {month[4].work.dollars(""), 23*0.30 + 22*0.10 + 3},
		"Lambda, a million of 1 s and 1 GB": {Work{invocations: 1e6, busy: 4e9}.dollars("Lambda"), 0.20 + 13.3334},
		"transfer, a GB":                    {Work{sent: 1e9}.dollars("transfer"), 0.09},
		"read units, a million":             {Work{reads: 1e6}.dollars("DynamoDB"), 0.125},
	} {
		if math.Abs(test.got-test.want) > 1e-9*max(1, test.want) {
			t.Errorf("%s: %v, want %v", what, test.got, test.want)
		}
	}
	var sum float64
	for _, r := range month[:5] {
		sum += r.times * r.work.dollars("")
	}
	if all := month[5].work.dollars(""); math.Abs(sum-all) > 1e-9 {
		t.Errorf("the month costs %v, what is done in it %v", all, sum)
	}
	if nobody := (Usage{Burst: 1, Heartbeat: 5}).month()[4].work; nobody[metrics] != 0 || nobody[alarms] != 22 {
		t.Errorf("without users: %v", nobody)
	}
}

// TestMessageIsItsSteps: the simulator and the handlers agree.
func TestMessageIsItsSteps(t *testing.T) {
	for _, frames := range []bool{false, true} {
		u := Default
		u.Frames = frames
		alone, steps := u.message(1), message.work()
		for _, m := range []int{messages, invocations, writes, reads, logged} {
			if alone[m] != steps[m] {
				t.Errorf("in frames %v: the simulator's message takes %v of meter %d, that of the handlers %v", frames, alone[m], m, steps[m])
			}
		}
		burst := u.message(20)
		if more := burst[writes] > alone[writes] && burst[busy] > alone[busy] && burst[messages] > alone[messages]; more == frames {
			t.Errorf("in frames %v: at once %+v, alone %+v", frames, burst, alone)
		}
	}
}

// TestBudget: what 10,000 calls of 30 signals may cost, in dollars.
func TestBudget(t *testing.T) {
	const signals = 10_000 * 30
	for frames, most := range map[bool]float64{false: 2.30, true: 0.40} {
		u := Default
		u.Frames = frames
		w := u.message(u.Burst)
		cost := signals * w.dollars("")
		t.Logf("in frames %v: %.2f, of that %.2f for API Gateway", frames, cost, signals*w.dollars("API Gateway"))
		if cost > most {
			t.Errorf("in frames %v: %.3f dollars, at most %.2f are wanted", frames, cost, most)
		}
	}
}

// TestIncrements: a message of 32 KB is one, and one byte more is two; the
// delivery has an envelope.
func TestIncrements(t *testing.T) {
	for data, want := range map[float64]float64{32<<10 - envelope: 3, 32<<10 - envelope + 1: 5, 64<<10 - envelope: 5, 64<<10 - envelope + 1: 7} {
		u := Default
		u.Bytes = data
		if got := u.message(1)[messages]; got != want {
			t.Errorf("%v bytes: %v messages, want %v", data, got, want)
		}
	}
}

// TestReadsOfARound: all records are read, in 64 segments, each by the 8 KB for a
// unit, half of them at least.
func TestReadsOfARound(t *testing.T) {
	for users, want := range map[float64]float64{0: 32, 500: 32, 1000: 64, 100_000: 5504} {
		if got := (Usage{Users: users, Hours: hours}).round()[reads]; got != want {
			t.Errorf("%v users: %v read units in a round, want %v", users, got, want)
		}
	}
}

// TestGrowth has the figures of docs/operations.md, "Grow": a user who connects
// once an hour, sends 40 messages in it, with a write in reserve for each, and is
// pinged 12 times, three times the average, invocations of 100 ms, and a round of
// keepalive that begins visits for 235 s.
func TestGrowth(t *testing.T) {
	doc := strings.ReplaceAll(document(t, "operations"), ",", "")
	in := connect.In + 40*message.In + 12*beat.In
	posts := connect.Posts + 40*message.Posts + 12*beat.Pings
	invoked := connect.Invocations + disconnect.Invocations + 40*message.Invocations + 12*beat.Invocations
	written := connect.Writes + disconnect.Writes + forget.Writes + 40*(message.Writes+1)
	rows := []string{fmt.Sprintf("| together | %d | %d | 2 | %d | %d |", in, posts, invoked, written)}
	for users := 1000; users <= 1_000_000; users *= 10 {
		second := func(n float64) float64 { return n * float64(users) * 3 / 3600 }
		rows = append(rows, fmt.Sprintf("| %d | %.0f | %.0f | %.0f | %.0f | %.0f | %.0f |", users, second(float64(in)), second(float64(in+posts+2)),
			math.Ceil(second(1)), math.Ceil(second(float64(invoked)*0.1)), second(float64(written)), math.Ceil(float64(users)/235)))
	}
	for _, row := range rows {
		t.Log(row)
		if !strings.Contains(doc, row) {
			t.Errorf("docs/operations.md, Grow, lacks %s", row)
		}
	}
}

// TestTimes: the simulator's times can be counted in milliseconds.
func TestTimes(t *testing.T) {
	if sim.StoreTime < time.Millisecond || sim.PostTime < time.Millisecond {
		t.Error("they cannot")
	}
}
