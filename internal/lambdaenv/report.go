package lambdaenv

import "time"

// Report is what Lambda says of an invocation in the line REPORT of a function's log, for one that came to its end: not
// of one that timed out, or whose process exited. Source: Lambda Developer Guide, "Lambda Telemetry API Event schema
// reference", platform.report and platform.runtimeDone.
type Report struct {
	Environment int // its number, counted from 1
	RequestID   string
	// Init is how long the environment took to become ready, from the start of the process until the runtime and every
	// extension asked for their first invocation. Zero unless this was the first.
	Init time.Duration
	// Answered is how long it took from then until the runtime posted its response.
	Answered time.Duration
	// Duration is how long it took until the runtime and every extension asked for what comes next. It is what is billed,
	// with Init, in whole milliseconds.
	Duration time.Duration
	// MaxMemory is the most memory in bytes that the process has had resident since its start. Zero where the system does
	// not tell. What Lambda reports is that of the whole environment, which is a little more.
	MaxMemory int64
}

// stopwatch takes the times of an environment's invocation.
type stopwatch struct {
	started, given, answered time.Time
	reported                 bool
}

// report reports the invocation that has come to its end. e.mu is held.
func (e *environment) report() {
	if e.function.config.Reports == nil {
		return
	}
	w := &e.watched
	r := Report{
		Environment: e.number,
		RequestID:   e.current.requestID,
		Answered:    w.answered.Sub(w.given),
		Duration:    time.Since(w.given),
		MaxMemory:   maxMemory(e.process.cmd.Process.Pid),
	}
	if !w.reported {
		r.Init = w.given.Sub(w.started)
	}
	w.reported = true
	e.function.config.Reports(r)
}
