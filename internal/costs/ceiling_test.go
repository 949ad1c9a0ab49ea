package costs

import (
	"fmt"
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/owt-signal/owt-signal/internal/app"
	"github.com/owt-signal/owt-signal/internal/gateway"
	"github.com/owt-signal/owt-signal/internal/signal"
)

// Quotas of an account, as docs/operations.md has them ("Amazon API Gateway
// quotas", "Lambda quotas"), which bound what the template leaves open.
const (
	quotaRequests    = 10_000 // of API Gateway a second: frames, handshakes, posts
	quotaConnections = 500    // new ones a second
	quotaConcurrency = 1_000  // of Lambda
)

// In bytes: what API Gateway charges as one message, the most that there is in a
// post beside a message's data, and what an invocation logs at most: its metrics,
// and two lines with a long error each.
const (
	increment   = 32 << 10
	maxEnvelope = 1 << 10
	maxLogged   = metricLine + 2*(logLine+app.MaxLogError)
)

const hour = 3600 // seconds

// limit is a parameter's default in template.yaml.
func limit(t *testing.T, parameter string) float64 {
	t.Helper()
	text, err := os.ReadFile("../../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^  ` + parameter + `:\n(?:    .*\n)*?    Default: "?([0-9.]+)"?$`).FindSubmatch(text)
	if found == nil {
		t.Fatalf("template.yaml has no parameter %s with a number", parameter)
	}
	n, err := strconv.ParseFloat(string(found[1]), 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// ceiling is what an hour may cost at the most with the template's defaults, by
// what it is for: every limit is reached at once, by the dearest that fits
// through it. A message is posted once, and by one frame; what else is posted
// is small.
func ceiling(t *testing.T) []row {
	frames, memory := limit(t, "ThrottlingRate"), limit(t, "MemorySize")/256
	const increments = gateway.MaxMessage / increment
	small := quotaRequests - quotaConnections - 2*frames // posts
	invoked := frames + 2*quotaConnections
	rows := []row{
		{"frames from clients, of 128 KiB, which are 4 messages each", Work{messages: increments * frames}, hour},
		{"their answers", Work{messages: frames}, hour},
		{"as many messages delivered, of 128 KiB", Work{messages: increments * frames}, hour},
		{"all other posts that the account's quota allows", Work{messages: small}, hour},
		{"data to clients", Work{sent: frames*gateway.MaxMessage + small*maxEnvelope}, hour},
		{"connections, 500 new ones a second that stay for 2 hours", Work{minutes: quotaConnections * session * hour * 60}, 1},
		{"invocations", Work{invocations: invoked}, hour},
		{"their time, 1,000 at once", Work{busy: quotaConcurrency * 1000 * memory}, hour},
		{"write units", Work{writes: limit(t, "TableWriteUnits")}, hour},
		{"read units", Work{reads: limit(t, "TableReadUnits")}, hour},
		{"logs and metrics", Work{logged: invoked * maxLogged}, hour},
	}
	all := row{"together", Work{}, 1}
	for _, r := range rows {
		all.work = all.work.plus(r.times, r.work)
	}
	return append(rows, all)
}

// TestCeiling: the docs have the table of what an hour may cost.
func TestCeiling(t *testing.T) {
	rows := ceiling(t)
	table := markdown([]string{"in an hour", "dollars"}, rows, func(r row) []float64 { return []float64{r.times * r.work.dollars("")} })
	t.Log("\n" + table)
	if !strings.Contains(document(t, "costs"), table) {
		t.Error("docs/costs.md has another table")
	}
	wantSays(t, "operations", fmt.Sprintf("some %.0f dollars an hour", rows[len(rows)-1].work.dollars("")))
	wantSays(t, "operations", fmt.Sprintf("Half a day at the ceiling is %.0f dollars", 12*rows[len(rows)-1].work.dollars("")))
	wantSays(t, "costs", fmt.Sprintf("some %.0f dollars a day", 24*rows[len(rows)-1].work.dollars("")))
}

// TestThousandDollars: the docs say what it takes to cost an owner a thousand
// dollars a day.
func TestThousandDollars(t *testing.T) {
	const perHour = 1000.0 / 24
	frames, written, read := limit(t, "ThrottlingRate"), limit(t, "TableWriteUnits"), limit(t, "TableReadUnits")

	// Large messages to themselves.
	w := message.work()
	w[messages], w[sent] = 2*gateway.MaxMessage/increment+1, gateway.MaxMessage
	rate := perHour / w.dollars("") / hour
	wantSays(t, "costs", fmt.Sprintf("are messages of 128 KiB to each other: %.0f a second, %.0f MB, by %.0f users", rate, rate*gateway.MaxMessage/1e6, math.Ceil(rate/limit(t, "MessageRate"))))

	// The table's limits, by what is held and deleted again, and the invocations that
	// may linger, by gaps; and any frames with their answers.
	table := Work{writes: written * hour, reads: read * hour}.dollars("")
	waiting := Work{busy: signal.DefaultPlaces * 1000 * hour}.dollars("")
	anything := Work{messages: 2, invocations: 1}.dollars("") * frames * hour
	wantSays(t, "costs", fmt.Sprintf("%.1f MB a second out of their order, each KiB of which is written and deleted, fill the table's limits: %.2f an hour. "+
		"Gaps that keep as many invocations waiting as may are %.2f, and %.0f frames a second of any kind %.2f: %.2f together",
		written/2*1024/1e6, table, waiting, frames, anything, table+waiting+anything))

	// Strangers, who connect, and send large frames that nobody wants, some of which are
	// kept: together they use up the table's limit.
	stranger := Work{messages: gateway.MaxMessage/increment + 1, invocations: 1, busy: 100, writes: max(maxStrangerUnits, written/frames)}
	stay := Work{minutes: 6}.plus(1, connection)
	both := Work{}.plus(frames*hour, stranger).plus(quotaConnections*hour, stay)
	wantSays(t, "costs", fmt.Sprintf("Without a token: %.0f dollars an hour at most, for which it takes %.0f frames of 128 KiB and %d new connections a second, %.0f MB",
		both.dollars(""), frames, quotaConnections, frames*gateway.MaxMessage/1e6))
}

// TestCutOff: the docs say what is left once the budget has cut the functions off:
// what API Gateway and Lambda charge although nothing is done.
func TestCutOff(t *testing.T) {
	rows := ceiling(t)
	left := Work{}
	for _, r := range append(rows[:2:2], rows[6], rows[7], rows[10]) {
		left = left.plus(r.times, r.work)
	}
	wantSays(t, "operations", fmt.Sprintf("some %.0f dollars an hour are left", left.dollars("")))
}

// wantSays sees that a page of docs has a sentence, however its lines break.
func wantSays(t *testing.T, page, says string) {
	t.Helper()
	t.Log(says)
	if !strings.Contains(strings.ReplaceAll(strings.Join(strings.Fields(document(t, page)), " "), ",000", "000"), strings.ReplaceAll(says, ",000", "000")) {
		t.Errorf("docs/%s.md does not say: %s", page, says)
	}
}
