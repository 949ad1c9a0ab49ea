package lambdaenv

import (
	"bytes"
	"fmt"
	"io"
	"sync"
)

// maxLogLine is the most bytes of one log line; a longer one goes on in the next. CloudWatch Logs takes 256 KB.
const maxLogLine = 256 << 10

// logSink is the writer of a function's logs, for all its environments.
type logSink struct {
	mu sync.Mutex
	w  io.Writer
}

// writeLine writes a line that ends with a newline. A sink that fails must not stop the process: its error is dropped.
func (s *logSink) writeLine(line []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, _ = s.w.Write(line)
}

func (s *logSink) printf(format string, args ...any) {
	s.writeLine(fmt.Appendf(nil, format+"\n", args...))
}

// lineWriter passes on the output of one process, line by line.
type lineWriter struct {
	sink *logSink
	rest []byte // of a line that has not ended yet
}

func (l *lineWriter) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		part, after, ended := bytes.Cut(p, []byte{'\n'})
		if room := maxLogLine - len(l.rest); len(part) > room {
			part, after, ended = p[:room], p[room:], true
		}
		l.rest = append(l.rest, part...)
		p = after
		if ended {
			l.sink.writeLine(append(l.rest, '\n'))
			l.rest = l.rest[:0]
		}
	}
	return n, nil
}

// flush writes a last line without an end.
func (l *lineWriter) flush() {
	if len(l.rest) > 0 {
		l.sink.writeLine(append(l.rest, '\n'))
		l.rest = nil
	}
}
