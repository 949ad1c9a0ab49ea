package emf

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// What all metrics have in common: the namespace and the one dimension.
const (
	Namespace = "OWTSignal"
	Dimension = "Stack"
)

// Limits of a line.
const (
	// MaxValues is how many values of a metric a line may have. CloudWatch
	// refuses a line with more as a whole.
	MaxValues = 100
	// MaxLine is how long a line can get, in bytes: what a pipe takes in one
	// step (pipe(7), PIPE_BUF), so that nothing else gets into it.
	MaxLine = 4096
)

// line is a metric document: the member _aws names those that are metrics, and
// the dimension. Source: Amazon CloudWatch User Guide, "Specification: Embedded
// metric format". The zero value is empty.
type line struct {
	metrics []metric // by name; they stay when the line is reset
	buffer  []byte
}

// metric is a count or has values, or neither: then it is not told.
type metric struct {
	name   string
	count  int
	values values
}

// metric is the one of that name.
func (l *line) metric(name string) *metric {
	i, found := slices.BinarySearchFunc(l.metrics, name, func(m metric, name string) int { return strings.Compare(m.name, name) })
	if !found {
		l.metrics = slices.Insert(l.metrics, i, metric{name: name})
	}
	return &l.metrics[i]
}

// take returns the line, with its end, and empties it; nil if it is empty. The
// stack is its name as JSON. The text is valid until the next call.
func (l *line) take(stack []byte, now time.Time) []byte {
	b := l.buffer[:0]
	b = append(b, `{"_aws":{"Timestamp":`...)
	b = strconv.AppendInt(b, now.UnixMilli(), 10)
	b = append(b, `,"CloudWatchMetrics":[{"Namespace":"`+Namespace+`","Dimensions":[["`+Dimension+`"]],"Metrics":`...)
	head := len(b)
	for i := range l.metrics {
		if m := &l.metrics[i]; m.told() {
			b = append(b, separator(len(b) == head)...)
			b = m.appendDefinition(b)
		}
	}
	if len(b) == head {
		return nil
	}
	b = append(b, `]}]},"`+Dimension+`":`...)
	b = append(b, stack...)
	for i := range l.metrics {
		if m := &l.metrics[i]; m.told() {
			b = m.appendTo(b)
			m.count, m.values = 0, values{kept: m.values.kept[:0]}
		}
	}
	b = append(b, "}\n"...)
	l.buffer = b
	return b
}

// separator goes before an element of a list.
func separator(first bool) string {
	if first {
		return "["
	}
	return ","
}

func (m *metric) told() bool { return m.count > 0 || len(m.values.kept) > 0 }

// appendDefinition says what the member of the metric's name is.
func (m *metric) appendDefinition(b []byte) []byte {
	unit := "Count"
	if m.count == 0 {
		unit = "Milliseconds"
	}
	b = append(b, `{"Name":"`...)
	b = append(b, m.name...)
	b = append(b, `","Unit":"`...)
	b = append(b, unit...)
	return append(b, `"}`...)
}

// appendTo appends the member of the metric's name.
func (m *metric) appendTo(b []byte) []byte {
	b = append(b, `,"`...)
	b = append(b, m.name...)
	b = append(b, `":`...)
	if m.count > 0 {
		return strconv.AppendInt(b, int64(m.count), 10)
	}
	for i, v := range m.values.kept {
		b = append(b, separator(i == 0)...)
		b = strconv.AppendFloat(b, float64(v.Round(precision))/float64(time.Millisecond), 'f', -1, 64)
	}
	return append(b, ']')
}

// precision is how exactly values are told.
const precision = 10 * time.Microsecond

// values keeps at most MaxValues of the values that are added to it, evenly
// spread over them: when there is no room for another, every second one goes,
// and from then on only half as many are kept. The zero value is empty.
type values struct {
	kept  []time.Duration
	added int
	shift int // one of 1<<shift is kept
}

func (v *values) add(d time.Duration) {
	n := v.added
	v.added++
	if n&(1<<v.shift-1) != 0 {
		return
	}
	if len(v.kept) == MaxValues {
		for i := range MaxValues / 2 {
			v.kept[i] = v.kept[2*i]
		}
		v.kept = v.kept[:MaxValues/2]
		v.shift++
	}
	v.kept = append(v.kept, d)
}
