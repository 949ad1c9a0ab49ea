package need_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/owt-signal/owt-signal/internal/need"
)

// lacking is a test that asks for something.
type lacking struct {
	testing.TB
	skipped, failed string
}

// stop ends what asks, as the methods of a real test do.
type stop struct{}

func (l *lacking) Helper() {}

func (l *lacking) Skipf(format string, args ...any) {
	l.skipped = text(format, args)
	panic(stop{})
}

func (l *lacking) Fatalf(format string, args ...any) {
	l.failed = text(format, args)
	panic(stop{})
}

func text(format string, args []any) string {
	var b strings.Builder
	for _, arg := range append([]any{format}, args...) {
		b.WriteString(arg.(string) + " ")
	}
	return b.String()
}

// ask runs what a test would call.
func ask(call func(testing.TB)) (l *lacking) {
	l = &lacking{}
	defer func() {
		if r := recover(); r != nil && r != (stop{}) {
			panic(r)
		}
	}()
	call(l)
	return l
}

func TestMissing(t *testing.T) {
	calls := map[string]func(testing.TB){
		"unheard-of-program": func(t testing.TB) { need.Program(t, "unheard-of-program") },
		"no/such/file":       func(t testing.TB) { need.File(t, "no/such/file", "write it") },
		"Chromium":           func(t testing.TB) { need.Browser(t) },
		"node":               func(t testing.TB) { need.Node(t) },
	}
	t.Setenv("PATH", t.TempDir())
	t.Setenv("CHROMIUM", "")
	for what, call := range calls {
		t.Setenv(need.RequireVariable, "")
		if l := ask(call); !strings.Contains(l.skipped, what) || l.failed != "" {
			t.Errorf("without %s: skipped %q, failed %q", what, l.skipped, l.failed)
		}
		t.Setenv(need.RequireVariable, "1")
		if l := ask(call); !strings.Contains(l.failed, what) || l.skipped != "" {
			t.Errorf("without %s, required: skipped %q, failed %q", what, l.skipped, l.failed)
		}
	}
}

func TestFound(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"some-program", "chromium"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir)
	t.Setenv("CHROMIUM", "")
	if path := need.Program(t, "some-program"); path != filepath.Join(dir, "some-program") {
		t.Errorf("found the program at %s", path)
	}
	if path := need.Browser(t); path != filepath.Join(dir, "chromium") {
		t.Errorf("found the browser at %s", path)
	}
	t.Setenv("CHROMIUM", "/elsewhere/chromium")
	if path := need.Browser(t); path != "/elsewhere/chromium" {
		t.Errorf("found the browser at %s, want the one of the environment", path)
	}
	if path := need.File(t, "go.mod", "check it out"); filepath.Base(path) != "go.mod" {
		t.Errorf("found the file at %s", path)
	}
}
