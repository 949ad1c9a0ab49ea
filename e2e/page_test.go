package e2e

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/owt-signal/owt-signal/internal/need"
)

// pageWithin bounds the tests of the page, in a browser that makes pictures.
const pageWithin = 4 * time.Minute

// TestPage has people call each other in a real browser, on a good and on a
// bad day.
func TestPage(t *testing.T) {
	chromium := need.Browser(t)
	for _, day := range []struct{ name, faults string }{
		{"good", ""},
		{"bad", "delay=200ms,duplicate=0.05"},
	} {
		t.Run(day.name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, withFaults(day.faults, "-log", "warn")...)
			strict := serve(t, "-log", "warn", "-origins", "https://example.com")
			const secret = "a-secret-that-is-as-long-as-the-hash-of-its-algorithm"
			file := filepath.Join(t.TempDir(), "secret")
			if err := os.WriteFile(file, []byte(secret), 0o600); err != nil {
				t.Fatal(err)
			}
			tokens := serve(t, "-log", "warn", "-auth", "jwt", "-jwt-secret-file", file, "-jwt-audience", "owt")
			ctx, cancel := context.WithTimeout(context.Background(), pageWithin)
			defer cancel()
			node(ctx, t, []string{
				"CHROMIUM=" + chromium, "SERVER=" + s.Plain, "SECURE=" + s.Secure, "STRICT=" + strict.Plain,
				"TOKENS=" + tokens.Plain, "SECRET=" + secret, "FAULTS=" + day.faults,
			}, "page/page.test.mjs")
		})
	}
}

// TestFirstCall follows docs/first-call.md to the letter.
func TestFirstCall(t *testing.T) {
	t.Parallel()
	chromium := need.Browser(t)
	s := serve(t, "-log", "warn")
	ctx, cancel := context.WithTimeout(t.Context(), pageWithin)
	defer cancel()
	node(ctx, t, []string{"CHROMIUM=" + chromium, "SERVER=" + s.Plain}, "tutorial/tutorial.test.mjs")
}
