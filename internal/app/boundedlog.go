package app

import (
	"context"
	"log/slog"
	"reflect"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/owt-signal/owt-signal/internal/recent"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// Limits of the log, because strangers are in it: what they say, and how often.
const (
	// MaxLogText is how long a text in the log may be, MaxLogError an error, and
	// MaxLogStack a stack, in bytes. A user's name fits.
	MaxLogText  = 256
	MaxLogError = 1 << 10
	MaxLogStack = 8 << 10
	// maxLogSubjects is of how many connections and kinds of lines, the last ones, it
	// is known how often they were logged.
	maxLogSubjects = 1 << 14
	// connectionKey, stackKey and principalKey are keys in logs, as userKey is.
	connectionKey = "connection"
	stackKey      = "stack"
	principalKey  = "principal"
)

// LogRate is how many lines of a kind, which is a place in the code, a process
// writes. The next line says how many were left out.
var LogRate = lane.Rate{PerSecond: 100, Burst: 1000}

// BoundLog is h with every text shortened, at most [LogRate] lines of a kind, and of
// those about the same connection the 1st, 10th, 100th and so on, which say which
// they are. But all lines that have a principal: what backends do, who are no strangers.
func BoundLog(h slog.Handler) slog.Handler {
	return bounded{h, &lineCount{of: recent.Map[subject, int]{Size: maxLogSubjects}, kinds: make(map[uintptr]kind)}}
}

// bounded is a handler that bounds the log.
type bounded struct {
	slog.Handler
	lines *lineCount
}

// Handle implements [slog.Handler].
func (b bounded) Handle(ctx context.Context, r slog.Record) error {
	var times, suppressed int
	if !audits(r) {
		var ok bool
		if times, suppressed, ok = b.lines.add(r.PC, about(r), lane.At(r.Time)); !ok {
			return nil
		}
	}
	out := slog.NewRecord(r.Time, r.Level, cut(r.Message, MaxLogText), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		out.AddAttrs(shortened(a))
		return true
	})
	if times > 1 {
		out.AddAttrs(slog.Int("times", times))
	}
	if suppressed > 0 {
		out.AddAttrs(slog.Int("suppressed", suppressed))
	}
	return b.Handler.Handle(ctx, out)
}

// WithAttrs implements [slog.Handler].
func (b bounded) WithAttrs(attrs []slog.Attr) slog.Handler {
	short := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		short[i] = shortened(a)
	}
	return bounded{b.Handler.WithAttrs(short), b.lines}
}

// WithGroup implements [slog.Handler].
func (b bounded) WithGroup(name string) slog.Handler {
	return bounded{b.Handler.WithGroup(name), b.lines}
}

// audits reports whether a line says what a principal does.
func audits(r slog.Record) (principal bool) {
	r.Attrs(func(a slog.Attr) bool {
		principal = principal || a.Key == principalKey
		return !principal
	})
	return principal
}

// about returns which connection a line is about, or else which user; empty: none.
func about(r slog.Record) (who string) {
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == connectionKey || a.Key == userKey && who == "" {
			who = cut(a.Value.String(), MaxLogText)
		}
		return a.Key != connectionKey
	})
	return who
}

// subject is a kind of line, and whom it is about.
type subject struct {
	kind uintptr
	who  string
}

// kind is what was logged of a kind of line.
type kind struct {
	tat        lane.TAT
	suppressed int // since the last line
}

// lineCount counts lines. There are as many kinds as the code has places.
type lineCount struct {
	mu    sync.Mutex
	of    recent.Map[subject, int]
	kinds map[uintptr]kind
}

// add counts a line. If it is to be written, times is how often it has come, and
// suppressed how many of its kind were left out for the rate since the last one.
func (c *lineCount) add(pc uintptr, who string, now lane.Instant) (times, suppressed int, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if who != "" {
		times = c.of.Get(subject{pc, who}) + 1
		c.of.Put(subject{pc, who}, times)
		if !powerOfTen(times) {
			return 0, 0, false
		}
	}
	k := c.kinds[pc]
	if k.tat, ok = LogRate.Spend(k.tat, now); ok {
		suppressed, k.suppressed = k.suppressed, 0
	} else {
		k.suppressed++
	}
	c.kinds[pc] = k
	return times, suppressed, ok
}

func powerOfTen(n int) bool {
	for n%10 == 0 {
		n /= 10
	}
	return n == 1
}

// shortened returns the attribute with its texts cut.
func shortened(a slog.Attr) slog.Attr {
	most := MaxLogText
	if a.Key == stackKey {
		most = MaxLogStack
	}
	switch v := a.Value.Resolve(); v.Kind() {
	case slog.KindString:
		a.Value = slog.StringValue(cut(v.String(), most))
	case slog.KindGroup:
		var members []slog.Attr
		for _, m := range v.Group() {
			members = append(members, shortened(m))
		}
		a.Value = slog.GroupValue(members...)
	case slog.KindAny:
		if err, ok := v.Any().(error); ok {
			a.Value = slog.StringValue(cut(err.Error(), MaxLogError))
		} else if reflect.ValueOf(v.Any()).Kind() == reflect.String {
			a.Value = slog.StringValue(cut(v.String(), most))
		}
	default:
	}
	return a
}

// cut returns the beginning of a text that is too long, by whole characters.
func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return strings.Clone(s[:most]) + "…"
}
