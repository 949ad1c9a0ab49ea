package emf_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/owt-signal/owt-signal/internal/emf"
	"github.com/owt-signal/owt-signal/internal/signal"
)

// clock is a time that tests move.
type clock struct{ time.Time }

func (c *clock) now() time.Time { return c.Time }

func (c *clock) pass(d time.Duration) { c.Time = c.Add(d) }

func newMetrics(stack string) (*emf.Metrics, *bytes.Buffer, *clock) {
	out, c := &bytes.Buffer{}, &clock{time.UnixMilli(1_800_000_000_123)}
	return emf.New(out, stack, c.now), out, c
}

func nothing() {}

func TestLine(t *testing.T) {
	m, out, c := newMetrics("owt-signal")
	post, read := posts(t, m, c), reads(t, m, c)
	m.End(func() {
		m.Count(signal.MetricMessages, 1)
		m.Count(signal.MetricSkipped, 2)
		m.Count(signal.MetricMessages, 1)
		m.Count("Acks2201", 1)
		for range 2 {
			post.call()
			read.call()
		}
	})
	want := `{"_aws":{"Timestamp":1800000000129,"CloudWatchMetrics":[{"Namespace":"OWTSignal","Dimensions":[["Stack"]],"Metrics":[` +
		`{"Name":"Acks2201","Unit":"Count"},{"Name":"Messages","Unit":"Count"},{"Name":"PostLatency","Unit":"Milliseconds"},` +
		`{"Name":"Skipped","Unit":"Count"},{"Name":"StoreLatency","Unit":"Milliseconds"}]}]},"Stack":"owt-signal",` +
		`"Acks2201":1,"Messages":2,"PostLatency":[1,2],"Skipped":2,"StoreLatency":[1,2]}` + "\n"
	if out.String() != want {
		t.Errorf("line\n got %s\nwant %s", out, want)
	}
	check(t, out.Bytes())

	out.Reset()
	m.End(func() { m.Count(signal.MetricPinged, 100_000) }) // nothing is left of the one before
	want = `{"_aws":{"Timestamp":1800000000129,"CloudWatchMetrics":[{"Namespace":"OWTSignal","Dimensions":[["Stack"]],"Metrics":[` +
		`{"Name":"Pinged","Unit":"Count"}]}]},"Stack":"owt-signal","Pinged":100000}` + "\n"
	if out.String() != want {
		t.Errorf("line\n got %s\nwant %s", out, want)
	}
}

func TestNothingToTell(t *testing.T) {
	m, out, _ := newMetrics("s")
	m.End(nothing)
	m.End(func() { m.Count(signal.MetricGone, 0) })
	if out.Len() != 0 {
		t.Errorf("told %s", out)
	}
	var none *emf.Metrics
	none.Count(signal.MetricGone, 1)
	none.End(nothing)
}

// A panic is a failure, ends the invocation and goes on.
func TestPanics(t *testing.T) {
	m, out, _ := newMetrics("s")
	for name, run := range map[string]func(func()){"watched": m.Watch, "the last": m.End} {
		out.Reset()
		func() {
			defer func() {
				if v := recover(); v != "told" {
					t.Errorf("%s: recovered %v", name, v)
				}
			}()
			run(func() {
				m.Count(signal.MetricMessages, 1)
				panic("told")
			})
		}()
		if got := counts(t, out.String()); got != "Failures 1, Messages 1" {
			t.Errorf("%s: %s", name, got)
		}
	}
	var none *emf.Metrics
	defer func() {
		if v := recover(); v != "told" {
			t.Errorf("without metrics: recovered %v", v)
		}
	}()
	none.End(func() { panic("told") })
}

// All values are told up to 100 of them, and 51 to 100 of more, which lie
// evenly among all.
func TestValues(t *testing.T) {
	for _, n := range []int{1, 99, 100, 101, 149, 150, 151, 200, 201, 100_000} {
		m, out, c := newMetrics("s")
		posts := posts(t, m, c)
		m.End(func() {
			for range n {
				posts.call()
			}
		})
		var told struct{ PostLatency []float64 }
		if err := json.Unmarshal(out.Bytes(), &told); err != nil {
			t.Fatal(err)
		}
		got := told.PostLatency
		if n <= emf.MaxValues && len(got) != n || n > emf.MaxValues && (len(got) <= emf.MaxValues/2 || len(got) > emf.MaxValues) {
			t.Fatalf("%d values of %d", len(got), n)
		}
		stride := got[min(1, len(got)-1)] - got[0]
		for i := range got {
			if got[i] != 1+float64(i)*stride { // the nth call takes n ms
				t.Fatalf("of %d values, told %v", n, got)
			}
		}
		if last := got[len(got)-1]; last+max(1, stride) <= float64(n) {
			t.Errorf("of %d values, the last one told is %v", n, last)
		}
		check(t, out.Bytes())
	}
}

func TestPrecision(t *testing.T) {
	m, out, c := newMetrics("s")
	posts := posts(t, m, c, 1234*time.Microsecond, 4*time.Microsecond, 61*time.Second+500*time.Microsecond)
	m.End(func() {
		for range 3 {
			posts.call()
		}
	})
	if !strings.HasSuffix(out.String(), `"PostLatency":[1.23,0,61000.5]}`+"\n") {
		t.Errorf("told %s", out)
	}
}

// The longest line has every metric that there is, as high as it gets in an
// invocation, and 100 of each latency, of a stack with the longest name that
// CloudFormation allows.
func TestLongestLine(t *testing.T) {
	m, out, c := newMetrics(strings.Repeat("s", 128))
	takes := slices.Repeat([]time.Duration{9999*time.Millisecond + 990*time.Microsecond}, emf.MaxValues)
	posts, store := posts(t, m, c, takes...), reads(t, m, c, takes...)
	m.End(func() {
		for _, metric := range metrics {
			m.Count(metric, 1_000_000)
		}
		for range emf.MaxValues {
			posts.call()
			store.call()
		}
	})
	check(t, out.Bytes())
	t.Logf("the longest line has %d bytes", out.Len())
}

// metrics are all that the domain counts.
var metrics = []signal.Metric{
	signal.MetricConnects, signal.MetricRefusals, signal.MetricClaims, signal.MetricTakeovers, signal.MetricMessages,
	"Acks", "Acks2100", "Acks2101", "Acks2102", "Acks2103", "Acks2110", "Acks2120", "Acks2121", "Acks2201",
	signal.MetricHeld, signal.MetricLingered, signal.MetricSkipped, signal.MetricExpired, signal.MetricGone,
	signal.MetricFailures, signal.MetricPinged,
}

// Whatever the stack is called, the line is valid.
func TestOddStackNames(t *testing.T) {
	for _, stack := range []string{`a"b\c`, "用户1", "<&>\n", "\xff"} {
		m, out, _ := newMetrics(stack)
		m.End(func() { m.Count(signal.MetricClaims, 1) })
		check(t, out.Bytes())
	}
}

func TestConcurrentUse(t *testing.T) {
	m, out, _ := newMetrics("s")
	m.End(func() {
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 100 {
					m.Count(signal.MetricMessages, 1)
					m.Count(signal.MetricHeld, 2)
				}
			})
		}
		wg.Wait()
	})
	if got := counts(t, out.String()); got != "Held 1600, Messages 800" {
		t.Error(got)
	}
}

// Once a process is warm, metrics cost no memory but for the step in each
// operation of the SDK.
func TestAllocations(t *testing.T) {
	c := &clock{time.UnixMilli(1)}
	m := emf.New(discard{}, "owt-signal", c.now)
	read, unmeasured := reads(t, m, nil), newCalls(t, m, "Scan", nil)
	without := testing.AllocsPerRun(100, unmeasured.call)
	n := testing.AllocsPerRun(100, func() {
		m.Count(signal.MetricMessages, 1)
		read.call()
		m.Count("Acks", 1)
		m.End(nothing)
	})
	if n > without {
		t.Errorf("%v allocations, %v without metrics", n, without)
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

// check holds a line against the specification's rules.
func check(t *testing.T, line []byte) {
	t.Helper()
	if len(line) > emf.MaxLine {
		t.Errorf("the line has %d bytes, more than %d", len(line), emf.MaxLine)
	}
	text, ok := bytes.CutSuffix(line, []byte("\n"))
	if !ok || bytes.ContainsAny(text, "\r\n") {
		t.Fatalf("not one line: %q", line)
	}
	var root map[string]any
	if err := json.Unmarshal(text, &root); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	var document struct {
		AWS struct {
			Timestamp         int64
			CloudWatchMetrics []struct {
				Namespace  string
				Dimensions [][]string
				Metrics    []struct{ Name, Unit string }
			}
		} `json:"_aws"`
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	if err := decoder.Decode(&document); err != nil {
		t.Fatal(err)
	}
	if document.AWS.Timestamp < 1_000_000_000_000 { // milliseconds, and not seconds
		t.Errorf("time stamp %d", document.AWS.Timestamp)
	}
	for _, d := range document.AWS.CloudWatchMetrics {
		if d.Namespace == "" || len(d.Metrics) == 0 || len(d.Metrics) > 100 || len(d.Dimensions) != 1 || len(d.Dimensions[0]) > 30 {
			t.Errorf("directive %+v", d)
		}
		for _, name := range slices.Concat(d.Dimensions...) {
			if v, ok := root[name].(string); !ok || v == "" || len(v) > 1024 {
				t.Errorf("dimension %s is %v", name, root[name])
			}
			delete(root, name)
		}
		for _, m := range d.Metrics {
			if !regexp.MustCompile(`^[A-Za-z0-9]{1,255}$`).MatchString(m.Name) || m.Unit != "Count" && m.Unit != "Milliseconds" {
				t.Errorf("metric %+v", m)
			}
			values, ok := root[m.Name].([]any)
			if !ok {
				values = []any{root[m.Name]}
			}
			if len(values) == 0 || len(values) > 100 {
				t.Errorf("metric %s has %d values", m.Name, len(values))
			}
			for _, v := range values {
				if f, ok := v.(float64); !ok || f < 0 || math.IsInf(f, 0) {
					t.Errorf("metric %s is %v", m.Name, v)
				}
			}
			delete(root, m.Name)
		}
	}
	delete(root, "_aws")
	if len(root) > 0 {
		t.Errorf("members that nobody asked for: %v", root)
	}
}

// counts is the counts of a line, by name.
func counts(t *testing.T, line string) string {
	t.Helper()
	check(t, []byte(line))
	var root map[string]any
	if err := json.Unmarshal([]byte(line), &root); err != nil {
		t.Fatal(err)
	}
	var all []string
	for name, v := range root {
		if n, ok := v.(float64); ok {
			all = append(all, fmt.Sprintf("%s %v", name, n))
		}
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}
