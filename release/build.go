package main

import (
	"context"
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"
)

// all is the platforms, as Go calls them.
var all = []string{"linux/amd64", "linux/arm64", "darwin/amd64", "darwin/arm64", "windows/amd64", "windows/arm64"}

// build is owt-signal for one platform.
type build struct {
	platform string
	path     string
	info     *buildinfo.BuildInfo
	at       time.Time // of the commit
}

// compile builds owt-signal without anything of this machine in it: no C library, no
// paths. Go writes version and commit into the binary.
func compile(ctx context.Context, source, platform, scratch string) (build, error) {
	system, processor, _ := strings.Cut(platform, "/")
	b := build{platform: platform, path: filepath.Join(scratch, system+"-"+processor, program(system))}
	path, err := filepath.Abs(b.path)
	if err != nil {
		return b, err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=true", "-ldflags", "-s -w", "-o", path, "./cmd/owt-signal")
	cmd.Dir = source
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+system, "GOARCH="+processor, "GOAMD64=v1", "GOARM64=v8.0", "GOFLAGS=", "GOWORK=off")
	if output, err := cmd.CombinedOutput(); err != nil {
		return b, fmt.Errorf("build for %s: %w\n%s", platform, err, output)
	}
	if b.info, err = buildinfo.ReadFile(path); err != nil {
		return b, err
	}
	if b.at, err = time.Parse(time.RFC3339, b.setting("vcs.time")); err != nil {
		return b, fmt.Errorf("build for %s: its commit is not known: %w", platform, err)
	}
	return b, nil
}

func program(system string) string {
	if system == "windows" {
		return "owt-signal.exe"
	}
	return "owt-signal"
}

func (b build) setting(key string) string {
	for _, s := range b.info.Settings {
		if s.Key == key {
			return s.Value
		}
	}
	return ""
}

// version is the tag of the commit, or what Go makes up for one that has none
// ("Pseudo-versions", Go Modules Reference).
func (b build) version() string { return b.info.Main.Version }

// isVersion reports whether somebody has given the version.
func (b build) isVersion() bool {
	v := b.version()
	return semver.IsValid(v) && !module.IsPseudoVersion(v) && semver.Build(v) == ""
}

func (b build) system() string    { return strings.Split(b.platform, "/")[0] }
func (b build) processor() string { return strings.Split(b.platform, "/")[1] }

// name is how what is released of it is called.
func (b build) name() string {
	return fmt.Sprintf("owt-signal_%s_%s_%s", strings.TrimPrefix(b.version(), "v"), b.system(), b.processor())
}
