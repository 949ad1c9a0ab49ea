package lambdaenv

import (
	"bytes"
	"fmt"
)

// maxLogLine is the most bytes of one log line; a longer one goes on in the next. CloudWatch Logs takes 256 KB.
const maxLogLine = 256 << 10

// environmentLogs is the logs of one environment.
type environmentLogs struct {
	function *Function
	number   int
}

// writeLine writes a line that ends with a newline.
func (l environmentLogs) writeLine(line []byte) {
	l.function.logging.Lock()
	defer l.function.logging.Unlock()
	l.function.config.Logs(l.number, line)
}

func (l environmentLogs) printf(format string, args ...any) {
	l.writeLine(fmt.Appendf(nil, format+"\n", args...))
}

// lineWriter passes on the output of one process, line by line.
type lineWriter struct {
	logs environmentLogs
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
			l.logs.writeLine(append(l.rest, '\n'))
			l.rest = l.rest[:0]
		}
	}
	return n, nil
}

// flush writes a last line without an end.
func (l *lineWriter) flush() {
	if len(l.rest) > 0 {
		l.logs.writeLine(append(l.rest, '\n'))
		l.rest = nil
	}
}
