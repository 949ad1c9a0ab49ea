package app

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal"
)

// boundedLog is a log, and what is in it.
type boundedLog struct {
	*slog.Logger
	out *bytes.Buffer
}

func newBoundedLog() boundedLog {
	out := new(bytes.Buffer)
	return boundedLog{slog.New(BoundLog(slog.NewTextHandler(out, nil))), out}
}

// lines returns what was logged since the last call.
func (l boundedLog) lines() []string {
	defer l.out.Reset()
	return strings.Split(strings.TrimSuffix(l.out.String(), "\n"), "\n")
}

// TestTextsAreShortened: whatever a text is logged as, both sides of its limit.
func TestTextsAreShortened(t *testing.T) {
	for most, attr := range map[int]func(string) slog.Attr{
		MaxLogText:      func(s string) slog.Attr { return slog.String("origin", s) },
		MaxLogText + 1:  func(s string) slog.Attr { return slog.Any("user", signal.UserName(s)) },
		MaxLogText + 2:  func(s string) slog.Attr { return slog.Group("g", "origin", s) },
		MaxLogText + 3:  func(s string) slog.Attr { return slog.Any("a", valuer(s)) },
		MaxLogError:     func(s string) slog.Attr { return slog.Any("error", errors.New(s)) },
		MaxLogStack:     func(s string) slog.Attr { return slog.String("stack", s) },
		MaxLogStack + 1: func(s string) slog.Attr { return slog.Any("stack", signal.UserName(s)) },
	} {
		limit := most
		for _, known := range []int{MaxLogText, MaxLogStack} {
			if most > known && most < known+9 {
				limit = known
			}
		}
		l := newBoundedLog()
		l.Info("a", attr(strings.Repeat("x", limit)))
		l.With(attr(strings.Repeat("x", limit))).Info("b")
		l.Info("c", attr(strings.Repeat("x", limit+1)))
		l.With(attr(strings.Repeat("x", limit+1))).WithGroup("h").Info("d")
		for n, line := range l.lines() {
			if strings.Count(line, "x") != limit || strings.Contains(line, "…") != (n > 1) {
				t.Errorf("line %d has %d of %d bytes: %.60s", n, strings.Count(line, "x"), limit, line)
			}
		}
	}
	l := newBoundedLog()
	l.Info("a", "text", strings.Repeat("ä", MaxLogText), "number", 7)
	if line := l.lines()[0]; strings.Count(line, "ä") != MaxLogText/2 || !strings.Contains(line, "number=7") {
		t.Errorf("half a character, or another number: %s", line)
	}
}

type valuer string

func (v valuer) LogValue() slog.Value { return slog.StringValue(string(v)) }

// TestRepeatedLines: of lines about the same connection the 1st, 10th, 100th are
// logged; those about another, of another kind, or about none are others.
func TestRepeatedLines(t *testing.T) {
	l := newBoundedLog()
	for range 123 {
		l.Info("bad frame", "connection", signal.ConnectionID("a="), "error", errors.New("no JSON"))
	}
	got := l.lines()
	if len(got) != 3 || strings.Contains(got[0], "times") || !strings.HasSuffix(got[1], " times=10") || !strings.HasSuffix(got[2], " times=100") {
		t.Errorf("%q", got)
	}
	for _, other := range []string{"b=", "c="} {
		l.Info("bad frame", "connection", other)
		l.Info("another", "connection", other)
		l.Info("user", "user", other)
		l.Info("both", "user", "u", "connection", other)
	}
	for range 5 {
		l.Info("about none")
	}
	if got := l.lines(); len(got) != 2*4+5 {
		t.Errorf("%q", got)
	}
}

// TestLogRate: lines about none, or about as many connections, are as many as the
// rate says, and the next one says how many were left out.
func TestLogRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newBoundedLog()
		for n, want := range []int{LogRate.Burst, LogRate.PerSecond} {
			for range LogRate.Burst + 50 {
				l.Info("keepalive")
			}
			got := l.lines()
			if len(got) != want {
				t.Errorf("%d lines, want %d", len(got), want)
			}
			if strings.HasSuffix(got[0], " suppressed=50") != (n == 1) || strings.Contains(got[1], "suppressed") {
				t.Errorf("%q, %q", got[0], got[1])
			}
			time.Sleep(time.Second)
		}
		l.Info("another kind")
		if got := l.lines(); len(got) != 1 || !strings.Contains(got[0], "another kind") {
			t.Errorf("%q", got)
		}
	})
}

// TestMemoryOfTheLog: it knows a bounded number of connections.
func TestMemoryOfTheLog(t *testing.T) {
	h, ok := BoundLog(slog.DiscardHandler).(bounded)
	if !ok {
		t.Fatal("no bounded log")
	}
	for n := range 3 * maxLogSubjects {
		r := slog.NewRecord(time.Unix(int64(n), 0), slog.LevelInfo, "a", 0)
		r.Add("connection", strings.Repeat("x", 100)+string(rune(n)))
		if err := h.Handle(context.Background(), r); err != nil {
			t.Fatal(err)
		}
	}
	if n := h.lines.of.Len(); n > 2*maxLogSubjects {
		t.Errorf("%d are known", n)
	}
}

// What a principal does is logged each time, also about the same user.
func TestPrincipalsAreLoggedEachTime(t *testing.T) {
	l := newBoundedLog()
	const times = 2000 // beyond the burst
	for range times {
		l.Info("asked", "user", "alice", "principal", "calendar")
	}
	if got := len(l.lines()); got != times {
		t.Errorf("%d lines, want %d", got, times)
	}
}
