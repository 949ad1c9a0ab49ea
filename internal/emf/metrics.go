// Package emf tells CloudWatch of metrics in the Embedded Metric Format: a line
// of JSON in a function's log, from which CloudWatch takes them by itself.
package emf

import (
	"encoding/json"
	"io"
	"sync"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal"
)

// Metrics collects what happens in an invocation, and tells of it in one line
// at its end. A process, as on Lambda, runs one invocation at a time, but in it
// much may happen at once: Metrics is safe for concurrent use. A nil Metrics
// collects nothing.
type Metrics struct {
	out   io.Writer
	now   func() time.Time
	stack []byte // as JSON

	mu   sync.Mutex
	line line
}

var _ signal.Meter = (*Metrics)(nil)

// New is the metrics of a stack. Lines go to out, with the time that now says.
func New(out io.Writer, stack string, now func() time.Time) *Metrics {
	name, _ := json.Marshal(stack) // of a string it cannot fail
	return &Metrics{out: out, now: now, stack: name}
}

// Count implements [signal.Meter].
func (m *Metrics) Count(metric signal.Metric, n int) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.line.metric(string(metric)).count += n
}

// observe notes how long something took.
func (m *Metrics) observe(latency string, took time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.line.metric(latency).values.add(took)
}

// Watch does some of the work of an invocation. A panic passes through it, and
// ends the invocation as a failure.
func (m *Metrics) Watch(work func()) {
	panics := true
	defer func() {
		if panics {
			m.Count(signal.MetricFailures, 1)
			m.flush()
		}
	}()
	work()
	panics = false
}

// End does the last of the work of an invocation, and ends it.
func (m *Metrics) End(work func()) {
	m.Watch(work)
	m.flush()
}

// flush writes the line, if there is anything to tell, and begins another. A
// log that takes no line is no reason to fail.
func (m *Metrics) flush() {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if text := m.line.take(m.stack, m.now()); text != nil {
		_, _ = m.out.Write(text)
	}
}
