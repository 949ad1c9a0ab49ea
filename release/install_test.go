package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"
)

// TestInstall installs the program from a module proxy that has the version, as its
// users do.
func TestInstall(t *testing.T) {
	source, proxy, bin := repository(t), t.TempDir(), t.TempDir()
	m := module.Version{Path: "github.com/owt-signal/owt-signal", Version: "v" + version}
	versions := filepath.Join(proxy, filepath.FromSlash(m.Path), "@v")
	if err := os.MkdirAll(versions, 0o750); err != nil {
		t.Fatal(err)
	}
	mod, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"list": []byte(m.Version + "\n"), m.Version + ".info": []byte(`{"Version":"` + m.Version + `"}`), m.Version + ".mod": mod} {
		if err := os.WriteFile(filepath.Join(versions, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	archive, err := os.Create(filepath.Join(versions, m.Version+".zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	if err := zip.CreateFromVCS(archive, m, source, m.Version, ""); err != nil {
		t.Fatal(err)
	}

	env, err := goLines(t.Context(), ".", "env", "GOMODCACHE", "GOPROXY")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "install", "-trimpath", "-ldflags", "-s -w", m.Path+"/cmd/owt-signal@"+m.Version)
	cmd.Dir = t.TempDir()
	// A module cache of its own, so that the version is not kept; what else is needed
	// comes from the usual one. The checksums of a version that is not public are not.
	cmd.Env = append(os.Environ(), "GOBIN="+bin, "GOMODCACHE="+t.TempDir(), "GOFLAGS=-modcacherw", "CGO_ENABLED=0", "GOWORK=off", "GOSUMDB=off",
		"GOPROXY="+strings.Join([]string{"file://" + filepath.ToSlash(proxy), "file://" + filepath.ToSlash(env[0]) + "/cache/download", env[1]}, ","))
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	said, err := exec.Command(filepath.Join(bin, program("")), "-version").Output()
	if err != nil || !strings.HasPrefix(string(said), "owt-signal v"+version+" go") {
		t.Errorf("says %q, %v", said, err)
	}
}
