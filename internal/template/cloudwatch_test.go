package template

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A cloudwatch has the data points of metrics, and judges alarms by them as
// CloudWatch does. Its clock counts minutes.
//
// Sources, all of the Amazon CloudWatch User Guide: "Alarm evaluation",
// "Configuring how CloudWatch alarms treat missing data", "Using math expressions
// with CloudWatch metrics", "Percentile-based alarms and low data samples". Where
// they are silent, a reading says what is taken for granted, and an alarm must
// do right by each.
type cloudwatch struct {
	reading
	values map[string]map[int][]float64 // of a metric in a minute
}

// reading is what may be meant where the documentation is silent, or contradicts
// itself.
type reading struct {
	// more is how many data points beyond its evaluation periods an alarm looks
	// at: "a higher number", 2 in the tables' examples.
	more int
	// emptyStaysEmpty: FILL makes nothing of a metric without any data point in
	// the time that is looked at. Otherwise it fills that, too.
	emptyStaysEmpty bool
	// gapsStay: SUM of several series has no value where one of them has none.
	// Otherwise that one counts as 0, as operators have it.
	gapsStay bool
	// dynamoIgnores: alarms on AWS/DynamoDB ignore what is missing whatever they
	// say (PutMetricAlarm, TreatMissingData). Otherwise only if they do not say.
	dynamoIgnores bool
}

// readings are those that make a difference to an alarm.
func (a alarm) readings() (all []reading) {
	watched, expression := a.watched()
	different := 1
	if expression != "" || strings.HasPrefix(watched[0].metric, "AWS/DynamoDB ") {
		different = 8
	}
	for _, more := range []int{0, 2, 5} {
		for bits := range different {
			all = append(all, reading{more, bits&1 != 0, bits&2 != 0, bits&4 != 0})
		}
	}
	return all
}

// metric is the name of a metric with its namespace and dimensions.
func metric(namespace, name string, dimensions map[string]any) string {
	return namespace + " " + name + " " + text(dimensions)
}

// datum is one value of a metric.
type datum struct {
	metric string
	value  float64
}

// put has data come, in one minute, several times.
func (c *cloudwatch) put(minute, times int, data []datum) {
	if c.values == nil {
		c.values = make(map[string]map[int][]float64)
	}
	for _, d := range data {
		if c.values[d.metric] == nil {
			c.values[d.metric] = make(map[int][]float64)
		}
		for range times {
			c.values[d.metric][minute] = append(c.values[d.metric][minute], d.value)
		}
	}
}

// missing is a data point that is not there.
var missing = math.NaN()

// statistic computes a statistic over several minutes that end with one.
func (c *cloudwatch) statistic(metric, statistic string, minute, minutes int) float64 {
	var values []float64
	for m := minute - minutes + 1; m <= minute; m++ {
		values = append(values, c.values[metric][m]...)
	}
	if len(values) == 0 {
		return missing
	}
	slices.Sort(values)
	if percentile, ok := strings.CutPrefix(statistic, "p"); ok {
		p, err := strconv.ParseFloat(percentile, 64)
		if err != nil {
			panic(err)
		}
		return values[int(math.Ceil(p/100*float64(len(values))))-1]
	}
	switch statistic {
	case "Sum":
		sum := 0.0
		for _, v := range values {
			sum += v
		}
		return sum
	case "Maximum":
		return values[len(values)-1]
	default:
		panic("statistic " + statistic + " is not known here")
	}
}

// An alarm is one of template.yaml, deployed with its defaults.
type alarm struct {
	name       string
	properties map[string]any
}

func (tpl template) alarm(resource string) alarm {
	p, _ := tpl.evaluate(tpl.properties(resource), nil).(map[string]any)
	return alarm{resource, p}
}

// number is a property that is a number.
func (a alarm) number(property string) int {
	n, err := strconv.Atoi(fmt.Sprint(a.properties[property]))
	if err != nil {
		panic(fmt.Sprintf("%s: %s: %v", a.name, property, err))
	}
	return n
}

// series is a metric that an alarm looks at, or the only one.
type series struct {
	id, metric, statistic string
	minutes               int
}

func seriesOf(id string, m map[string]any, statistic, period any) series {
	dimensions := make(map[string]any)
	list, _ := m["Dimensions"].([]any)
	for _, d := range list {
		dimensions[at(d, "Name").(string)] = at(d, "Value")
	}
	seconds, err := strconv.Atoi(fmt.Sprint(period))
	if err != nil || seconds%60 != 0 {
		panic(fmt.Sprintf("period %v is no whole minutes", period))
	}
	return series{id, metric(m["Namespace"].(string), m["MetricName"].(string), dimensions), fmt.Sprint(statistic), seconds / 60}
}

// watched is the metrics that an alarm looks at, and its expression, if it has one.
func (a alarm) watched() (all []series, expression string) {
	list, ok := a.properties["Metrics"].([]any)
	if !ok {
		statistic := a.properties["Statistic"]
		if statistic == nil {
			statistic = a.properties["ExtendedStatistic"]
		}
		return []series{seriesOf("", a.properties, statistic, a.properties["Period"])}, ""
	}
	for _, m := range list {
		if e, ok := at(m, "Expression").(string); ok {
			expression = e
			continue
		}
		stat := at(m, "MetricStat").(map[string]any)
		all = append(all, seriesOf(at(m, "Id").(string), stat["Metric"].(map[string]any), stat["Stat"], stat["Period"]))
	}
	return all, expression
}

// points is the data points that an alarm is judged by in a minute, the newest
// first.
func (c *cloudwatch) points(a alarm, minute int) []float64 {
	watched, expression := a.watched()
	reach := a.number("EvaluationPeriods") + c.more
	columns := make(map[string][]float64)
	for _, s := range watched {
		column := make([]float64, reach)
		for i := range column {
			column[i] = c.statistic(s.metric, s.statistic, minute-i*s.minutes, s.minutes)
		}
		columns[s.id] = column
	}
	if expression == "" {
		return columns[""]
	}
	return c.compute(expression, columns, reach)
}

// compute computes an expression of metric math: sums, by operator or function,
// of metrics that may be filled.
func (c *cloudwatch) compute(expression string, columns map[string][]float64, reach int) []float64 {
	operands, gapsStay := strings.Split(expression, "+"), false
	if inner, ok := strings.CutPrefix(expression, "SUM("); ok {
		operands, gapsStay = []string{strings.TrimSuffix(inner, ")")}, c.gapsStay
	}
	var added [][]float64
	for _, operand := range operands {
		m := filled.FindStringSubmatch(strings.TrimSpace(operand))
		if m == nil {
			panic("metric math " + expression + " is not known here")
		}
		ids := []string{m[1] + m[3]}
		if ids[0] == "METRICS()" {
			ids = nil
			for id := range columns {
				ids = append(ids, id)
			}
		}
		for _, id := range ids {
			column, ok := columns[id]
			if !ok {
				panic("metric math " + expression + ": there is no " + id)
			}
			if m[2] != "" {
				column = c.fill(column, m[2])
			}
			added = append(added, column)
		}
	}
	sum := make([]float64, reach)
	for i := range sum {
		sum[i] = addUp(added, i, gapsStay)
	}
	return sum
}

// filled is a metric in an expression, with what it is filled with or as it is.
var filled = regexp.MustCompile(`^(?:FILL\((METRICS\(\)|\w+), *(\d+)\)|(METRICS\(\)|\w+))$`)

// fill fills the gaps of a series.
func (c *cloudwatch) fill(column []float64, with string) []float64 {
	value, err := strconv.ParseFloat(with, 64)
	if err != nil {
		panic(err)
	}
	if c.emptyStaysEmpty && !slices.ContainsFunc(column, func(v float64) bool { return !math.IsNaN(v) }) {
		return column
	}
	full := slices.Clone(column)
	for i, v := range full {
		if math.IsNaN(v) {
			full[i] = value
		}
	}
	return full
}

func addUp(columns [][]float64, i int, gapsStay bool) float64 {
	sum, there := 0.0, 0
	for _, column := range columns {
		if !math.IsNaN(column[i]) {
			sum += column[i]
			there++
		}
	}
	if there == 0 || gapsStay && there < len(columns) {
		return missing
	}
	return sum
}

// The states of an alarm.
const (
	ok      = "OK"
	fires   = "ALARM"
	unknown = "INSUFFICIENT_DATA"
)

// state is an alarm's state in a minute, if it was in another before.
func (c *cloudwatch) state(a alarm, minute int, before string) string {
	treatment := fmt.Sprint(a.properties["TreatMissingData"])
	watched, _ := a.watched()
	if c.dynamoIgnores && strings.HasPrefix(watched[0].metric, "AWS/DynamoDB ") {
		treatment = "ignore"
	}
	breaches := func(v float64) bool {
		threshold := float64(a.number("Threshold"))
		switch operator := a.properties["ComparisonOperator"]; operator {
		case "GreaterThanThreshold":
			return v > threshold
		case "GreaterThanOrEqualToThreshold":
			return v >= threshold
		case "LessThanThreshold":
			return v < threshold
		default:
			panic(fmt.Sprintf("%s: operator %v", a.name, operator))
		}
	}
	return judge(c.points(a, minute), a.number("EvaluationPeriods"), a.number("DatapointsToAlarm"), treatment, breaches, before)
}

// judge is the state that follows from data points, the newest first, of which
// more may be there than are evaluated: those that exist come first, and what is
// missing of them is treated as the alarm says.
func judge(points []float64, evaluated, toAlarm int, treatment string, breaches func(float64) bool, before string) string {
	existing := slices.DeleteFunc(slices.Clone(points), math.IsNaN)
	existing = existing[:min(len(existing), evaluated)]
	breaching := 0
	for _, v := range existing {
		if breaches(v) {
			breaching++
		}
	}
	if treatment == "breaching" {
		breaching += evaluated - len(existing)
	}
	switch {
	case breaching >= toAlarm:
		return fires
	case treatment != "ignore", slices.ContainsFunc(existing, func(v float64) bool { return !breaches(v) }):
		return ok
	default:
		return before
	}
}

// TestJudge holds the judge of alarms against the tables of "How alarm state is
// evaluated when data is missing", in which the newest data point comes last.
func TestJudge(t *testing.T) {
	for _, test := range []struct {
		points                          string
		toAlarm                         int
		ignore, breaching, notBreaching string
	}{
		{"0-X-X", 3, ok, ok, ok},
		{"0----", 3, ok, ok, ok},
		{"-----", 3, unknown, fires, ok},
		{"0XX-X", 3, fires, fires, fires},
		{"----X", 3, unknown, fires, ok},
		{"0-X-X", 2, fires, fires, fires},
		{"00X0X", 2, fires, fires, fires},
		{"0-X--", 2, ok, fires, ok},
		{"----0", 2, ok, fires, ok},
		{"----X", 2, unknown, fires, ok},
	} {
		var points []float64
		for _, p := range test.points {
			points = append(points, map[rune]float64{'0': 0, 'X': 1, '-': missing}[p])
		}
		slices.Reverse(points)
		for treatment, want := range map[string]string{"ignore": test.ignore, "breaching": test.breaching, "notBreaching": test.notBreaching} {
			if got := judge(points, 3, test.toAlarm, treatment, func(v float64) bool { return v > 0 }, unknown); got != want {
				t.Errorf("%s, %d of 3, %s: %s, want %s", test.points, test.toAlarm, treatment, got, want)
			}
		}
	}
}

// embedded is the data that CloudWatch takes from a line of a function's log, if
// it is one of the Embedded Metric Format.
func embedded(t *testing.T, line []byte) (data []datum) {
	t.Helper()
	var document struct {
		AWS *struct {
			CloudWatchMetrics []struct {
				Namespace  string
				Dimensions [][]string
				Metrics    []struct{ Name, Unit string }
			}
		} `json:"_aws"`
	}
	var root map[string]any
	if json.Unmarshal(line, &document) != nil || document.AWS == nil {
		return nil
	}
	if err := json.Unmarshal(line, &root); err != nil {
		t.Fatal(err)
	}
	for _, d := range document.AWS.CloudWatchMetrics {
		for _, set := range d.Dimensions {
			dimensions := make(map[string]any)
			for _, name := range set {
				dimensions[name] = root[name]
			}
			for _, m := range d.Metrics {
				values, several := root[m.Name].([]any)
				if !several {
					values = []any{root[m.Name]}
				}
				for _, v := range values {
					data = append(data, datum{metric(d.Namespace, m.Name, dimensions), v.(float64)})
				}
			}
		}
	}
	return data
}
