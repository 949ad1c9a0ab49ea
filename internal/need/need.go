// Package need skips tests that lack something which Go does not bring along:
// Node.js, Chromium, a DynamoDB emulator, the SAM CLI. Where [RequireVariable]
// is 1, as `make test` sets it, they fail instead, so that nothing is skipped in
// silence.
package need

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

// RequireVariable names the environment variable that turns a skip into a
// failure, if it is 1.
const RequireVariable = "OWT_REQUIRE"

// Clients is the folder, from the root of the repository, into which npm
// installs the JavaScript clients.
const Clients = "e2e/node_modules"

// installed lists where `make test` installs programs, from the root of the
// repository. They are the versions that the repository pins, so they come before
// those on the PATH.
var installed = []string{".venv/bin"}

// Program returns the path of a program: the one that `make test` has installed
// in the repository, or the first on the PATH. Without one it skips the test.
func Program(t testing.TB, name string) (path string) {
	t.Helper()
	for _, dir := range installed {
		if path, err := exec.LookPath(filepath.Join(Root(), dir, name)); err == nil {
			return path
		}
	}
	path, err := exec.LookPath(name)
	if err != nil { // where Debian has servers, which is not on everybody's PATH
		path, err = exec.LookPath("/usr/sbin/" + name)
	}
	if err != nil {
		Missing(t, name, "`make test` installs it on Debian as root")
	}
	return path
}

// Node returns the path of Node.js, and skips the test without it or without the
// JavaScript clients in [Clients].
func Node(t testing.TB) (path string) {
	t.Helper()
	path = Program(t, "node")
	File(t, Clients+"/.package-lock.json", "`make test` or `cd e2e && npm ci` installs the JavaScript clients")
	return path
}

// Browser returns the path of Chromium: the one that the environment variable
// CHROMIUM names, or the first on the PATH. Without one it skips the test.
func Browser(t testing.TB) (path string) {
	t.Helper()
	if path := os.Getenv("CHROMIUM"); path != "" {
		return path
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	Missing(t, "Chromium", "`make test` installs it on Debian as root, or set CHROMIUM to its path")
	return ""
}

// File returns the whole path of a file or folder of the repository that is not
// checked in, and skips the test without it. get says how to get it.
func File(t testing.TB, name, get string) (path string) {
	t.Helper()
	path = filepath.Join(Root(), filepath.FromSlash(name))
	if _, err := os.Stat(path); err != nil {
		Missing(t, name, get)
	}
	return path
}

// Missing skips the test, or fails it where [RequireVariable] is 1. what is
// lacking and how to get it are in its last line.
func Missing(t testing.TB, what, get string) {
	t.Helper()
	if os.Getenv(RequireVariable) == "1" {
		t.Fatalf("lacks %s: %s", what, get)
	}
	t.Skipf("lacks %s: %s", what, get)
}

// Root returns the path of the repository.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..")
}
