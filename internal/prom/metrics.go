// Package prom tells Prometheus of the metrics of one machine.
package prom

import (
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/owt-signal/owt-signal/internal/signal"
)

// Metrics counts what happens. It is safe for concurrent use; a nil Metrics counts
// nothing.
type Metrics struct {
	registry  *prometheus.Registry
	counters  map[signal.Metric]prometheus.Counter
	latencies map[string]prometheus.Histogram
}

var _ signal.Meter = (*Metrics)(nil)

// buckets are the upper bounds of latencies, in seconds: from a post in this
// process to what the store waits for a record that is written too much.
var buckets = []float64{.0001, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5}

// New returns metrics of the process, and the counts and latencies of those names:
// all begin at zero. What tells CloudWatch calls them the same.
func New(counted []signal.Metric, latencies ...string) *Metrics {
	m := &Metrics{prometheus.NewRegistry(), make(map[signal.Metric]prometheus.Counter), make(map[string]prometheus.Histogram)}
	m.registry.MustRegister(
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collectors.NewBuildInfoCollector(),
	)
	for _, name := range counted {
		m.counters[name] = prometheus.NewCounter(prometheus.CounterOpts{Name: Name(string(name)) + "_total", Help: about(string(name))})
		m.registry.MustRegister(m.counters[name])
	}
	for _, name := range latencies {
		m.latencies[name] = prometheus.NewHistogram(prometheus.HistogramOpts{Name: Name(name) + "_seconds", Help: about(name), Buckets: buckets})
		m.registry.MustRegister(m.latencies[name])
	}
	return m
}

// word is what begins with a capital or a number.
var word = regexp.MustCompile(`[A-Z][a-z]*|\d+`)

// Name returns how Prometheus calls a metric of CloudWatch's, without its unit:
// owt_signal, and its words in small letters.
func Name(metric string) string {
	return strings.ToLower("owt_signal" + word.ReplaceAllString(metric, "_$0"))
}

// about says where a metric is described.
func about(metric string) string { return metric + ", see docs/metrics.md." }

// Count implements [signal.Meter].
func (m *Metrics) Count(metric signal.Metric, n int) {
	if m == nil {
		return
	}
	if c, ok := m.counters[metric]; ok {
		c.Add(float64(n))
	}
}

// Observe notes how long something took.
func (m *Metrics) Observe(latency string, took time.Duration) {
	if m == nil {
		return
	}
	if h, ok := m.latencies[latency]; ok {
		h.Observe(took.Seconds())
	}
}

// Gauge adds what is read when it is asked for.
func (m *Metrics) Gauge(name, help string, read func() float64) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: Name(name), Help: help}, read))
}

// Counts adds counts that are read when they are asked for, each under its value
// of the label.
func (m *Metrics) Counts(name, help, label string, read map[string]func() int64) {
	for value, read := range read {
		m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: Name(name) + "_total", Help: help, ConstLabels: prometheus.Labels{label: value},
		}, func() float64 { return float64(read()) }))
	}
}

// ServeHTTP serves the metrics to Prometheus.
func (m *Metrics) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}).ServeHTTP(w, r)
}
