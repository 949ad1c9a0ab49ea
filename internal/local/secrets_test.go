package local

import (
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// secretFile makes a file with a secret, of that mode.
func secretFile(t *testing.T, content string, mode os.FileMode) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(name, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(name, mode); err != nil { // whatever the umask
		t.Fatal(err)
	}
	return name
}

func TestLogUserKey(t *testing.T) {
	file := secretFile(t, "from a file\n", 0o600)
	relative, err := filepath.Rel(must(t, os.Getwd), file)
	if err != nil {
		t.Fatal(err)
	}
	o, err := parse([]string{"-log-user-key-file", relative}, io.Discard)
	if err != nil || o.limits.LogKey != "from a file" || o.environment["LOG_USER_KEY_FILE"] != file {
		t.Errorf("by file: key %q, environment %v, %v", o.limits.LogKey, o.environment, err)
	}
	wantRefused(t, []string{"-log-user-key", "k"}, "-log-user-key")
	wantRefused(t, []string{"-log-user-key-file", "nowhere"}, "-log-user-key-file", "nowhere")
	wantRefused(t, []string{"-log-user-key-file", secretFile(t, "\n", 0o600)}, "is empty")

	t.Setenv("LOG_USER_KEY", "from a variable")
	o, err = parse(nil, io.Discard)
	if err != nil || o.limits.LogKey != "from a variable" || o.environment["LOG_USER_KEY"] != "from a variable" {
		t.Errorf("by variable: key %q, environment %v, %v", o.limits.LogKey, o.environment, err)
	}
	wantRefused(t, []string{"-log-user-key-file", file}, "LOG_USER_KEY")
}

func must[T any](t *testing.T, f func() (T, error)) T {
	t.Helper()
	v, err := f()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestReadableSecretsAreWarnedOf(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("files have no modes on Windows")
	}
	const secret = "a secret that is long enough for HS256"
	for mode, warned := range map[os.FileMode]bool{0o600: false, 0o640: false, 0o644: true, 0o604: true} {
		cert, key, _ := certificateFiles(t)
		if err := os.Chmod(key, mode); err != nil {
			t.Fatal(err)
		}
		files := []string{secretFile(t, secret, mode), secretFile(t, "k", mode), key, secretFile(t, strings.ReplaceAll(secret, " ", "-"), mode)}
		s := start(t, "-auth", "jwt", "-jwt-secret-file", files[0], "-log-user-key-file", files[1], "-cert", cert, "-key", key,
			"-ice-servers", "turn:a", "-turn-secret-file", files[3])
		for _, file := range files {
			if got := strings.Contains(s.stderr.String(), `readable by others","file":"`+file); got != warned {
				t.Errorf("%v: warned of %s: %v, want %v\n%s", mode, file, got, warned, &s.stderr)
			}
		}
	}
}
