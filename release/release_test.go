package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"debug/buildinfo"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// version is what the tests release.
const version = "0.1.0"

// repository returns a repository with the files of this working copy in its only
// commit, which is tagged.
func repository(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	files, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	git := func(args ...string) {
		cmd := exec.Command("git", append([]string{
			"--git-dir=" + filepath.Join(dir, ".git"), "--work-tree=" + files,
			"-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false", "-c", "gc.auto=0",
		}, args...)...)
		cmd.Dir = files
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_DATE=2026-11-30T12:00:00Z", "GIT_COMMITTER_DATE=2026-11-30T12:00:00Z")
		if output, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %s: %v\n%s", args[0], err, output)
		}
	}
	git("init", "--quiet", "--initial-branch=main")
	git("add", "--all", ".")
	git("commit", "--quiet", "--message=Everything")
	git("tag", "v"+version)
	return dir
}

// TestRelease releases for Linux on this machine's processor, twice.
func TestRelease(t *testing.T) {
	source, platform := repository(t), "linux/"+runtime.GOARCH
	out, again := filepath.Join(t.TempDir(), "dist"), filepath.Join(t.TempDir(), "dist")
	for _, to := range []string{out, again} {
		if err := run(t.Context(), []string{"-source", source, "-out", to, "-platforms", platform}); err != nil {
			t.Fatal(err)
		}
	}
	if err := run(t.Context(), []string{"-source", source, "-out", out, "-platforms", platform}); err == nil {
		t.Error("releases over what is there")
	}
	stem := filepath.Join(out, "owt-signal_"+version)
	archive := unzipped(t, stem+"_linux_"+runtime.GOARCH+".tar.gz")
	program := archive["owt-signal"]

	t.Run("same bytes", func(t *testing.T) { same(t, out, again) })
	t.Run("checksums", func(t *testing.T) { checksums(t, out, 3) })
	t.Run("archive", func(t *testing.T) { holdsAll(t, archive, "owt-signal") })
	t.Run("program", func(t *testing.T) {
		name := filepath.Join(t.TempDir(), "owt-signal")
		if err := os.WriteFile(name, program.data, program.mode); err != nil {
			t.Fatal(err)
		}
		want := regexp.MustCompile(`^owt-signal v0\.1\.0 revision [0-9a-f]{40} of 2026-11-30T12:00:00Z go\S+ ` + platform + `\n$`)
		if said, err := commandHere(t, name, "-version").Output(); err != nil || !want.Match(said) {
			t.Errorf("says %q, %v", said, err)
		}
	})
	t.Run("components", func(t *testing.T) { components(t, stem+"_sbom.cdx.json", program.data) })
	t.Run("image", func(t *testing.T) { containerImage(t, stem+"_image.tar", program.data) })
}

// commandHere is a command for Linux; elsewhere the test is skipped.
func commandHere(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("runs on Linux only")
	}
	return exec.Command(name, args...)
}

// same compares the files of two folders.
func same(t *testing.T, a, b string) {
	t.Helper()
	first, second := digests(t, a), digests(t, b)
	for name, digest := range first {
		if second[name] != digest {
			t.Errorf("%s: %s at first, then %s", name, digest, second[name])
		}
	}
	if len(first) != len(second) {
		t.Errorf("%d files at first, then %d", len(first), len(second))
	}
}

// digests returns the SHA-256 of the files of a folder, by name.
func digests(t *testing.T, folder string) map[string]string {
	t.Helper()
	names, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	of := make(map[string]string)
	for _, e := range names {
		data, err := os.ReadFile(filepath.Join(folder, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		of[e.Name()] = fmt.Sprintf("%x", sha256.Sum256(data))
	}
	return of
}

// checksums holds SHA256SUMS to the n files beside it.
func checksums(t *testing.T, folder string, n int) {
	t.Helper()
	of := digests(t, folder)
	list, err := os.ReadFile(filepath.Join(folder, "SHA256SUMS"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(list), "\n"), "\n")
	if len(lines) != n || len(of) != n+1 {
		t.Errorf("%d lines for %d files, want %d", len(lines), len(of)-1, n)
	}
	for _, line := range lines {
		if digest, name, _ := strings.Cut(line, "  "); of[name] != digest {
			t.Errorf("%q, but it is %s", line, of[name])
		}
	}
}

// unzipped returns the files of a compressed tar or a zip, by their names in its folder.
func unzipped(t *testing.T, name string) map[string]entry {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var entries []entry
	folder, isZip := strings.CutSuffix(filepath.Base(name), ".zip")
	if isZip {
		entries = zipEntries(t, data)
	} else {
		folder = strings.TrimSuffix(folder, ".tar.gz")
		r, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		entries = tarEntries(t, r)
	}
	files := make(map[string]entry)
	for _, e := range entries {
		inside, ok := strings.CutPrefix(e.name, folder+"/")
		if !ok {
			t.Errorf("%s is not in the folder %s", e.name, folder)
		}
		files[inside] = e
	}
	return files
}

func zipEntries(t *testing.T, data []byte) (entries []entry) {
	t.Helper()
	archive, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range archive.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, entry{f.Name, f.Mode(), data})
	}
	return entries
}

func tarEntries(t *testing.T, r io.Reader) (entries []entry) {
	t.Helper()
	for archive := tar.NewReader(r); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return entries
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, entry{header.Name, os.FileMode(header.Mode), data})
	}
}

// holdsAll checks what an archive has beside the program.
func holdsAll(t *testing.T, archive map[string]entry, program string) {
	t.Helper()
	if archive[program].mode != 0o755 {
		t.Errorf("%s has mode %o", program, archive[program].mode)
	}
	for _, name := range documents {
		here, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			t.Fatal(err)
		}
		if e := archive[name]; !bytes.Equal(e.data, here) || e.mode != 0o644 {
			t.Errorf("%s has %d bytes and mode %o", name, len(e.data), e.mode)
		}
	}
	if len(archive) != len(documents)+2 {
		t.Errorf("%d files", len(archive))
	}
	foreign := string(archive[notices].data)
	for _, of := range []string{"\nGo\n", "\ngithub.com/aws/aws-sdk-go-v2\n", "\ngithub.com/gobwas/ws\n", "The Go Authors", "Sergey Kamardin"} {
		if !strings.Contains(foreign, of) {
			t.Errorf("the licenses have no %q", of)
		}
	}
}

// components holds the list of components to what the program says it is built of.
func components(t *testing.T, name string, program []byte) {
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	bom := new(cdx.BOM)
	if err := cdx.NewBOMDecoder(file, cdx.BOMFileFormatJSON).Decode(bom); err != nil {
		t.Fatal(err)
	}
	info, err := buildinfo.Read(bytes.NewReader(program))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"pkg:golang/std@" + strings.TrimPrefix(info.GoVersion, "go")}
	for _, m := range info.Deps {
		want = append(want, "pkg:golang/"+m.Path+"@"+m.Version)
	}
	var listed []string
	for _, c := range *bom.Components {
		listed = append(listed, c.PackageURL)
	}
	if !slices.Equal(listed, want) || len(listed) < 10 {
		t.Errorf("lists %q, want %q", listed, want)
	}
	if main := bom.Metadata.Component.PackageURL; main != "pkg:golang/github.com/owt-signal/owt-signal@v"+version {
		t.Errorf("is of %s", main)
	}
}

// TestPlatforms publishes one program under the names of all platforms: what they are
// put into differs.
func TestPlatforms(t *testing.T) {
	scratch, out := t.TempDir(), filepath.Join(t.TempDir(), "dist")
	info := &debug.BuildInfo{GoVersion: runtime.Version(), Main: debug.Module{Path: "example.com/program", Version: "v" + version}, Deps: []*debug.Module{{Path: "github.com/gobwas/ws"}}}
	var builds []build
	for _, platform := range all {
		b := build{platform: platform, info: info}
		b.path = filepath.Join(scratch, b.system()+b.processor(), program(b.system()))
		if err := os.MkdirAll(filepath.Dir(b.path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(b.path, []byte(platform), 0o600); err != nil {
			t.Fatal(err)
		}
		builds = append(builds, b)
	}
	if err := publish(t.Context(), "..", out, builds); err != nil {
		t.Fatal(err)
	}
	for name, file := range map[string]string{
		"linux_amd64.tar.gz": "owt-signal", "linux_arm64.tar.gz": "owt-signal",
		"darwin_amd64.tar.gz": "owt-signal", "darwin_arm64.tar.gz": "owt-signal",
		"windows_amd64.zip": "owt-signal.exe", "windows_arm64.zip": "owt-signal.exe",
	} {
		platform, _, _ := strings.Cut(strings.Replace(name, "_", "/", 1), ".")
		got := unzipped(t, filepath.Join(out, "owt-signal_"+version+"_"+name))[file]
		if string(got.data) != platform || got.mode != 0o755 {
			t.Errorf("%s has %q, mode %o", name, got.data, got.mode)
		}
	}
	checksums(t, out, len(all)+2)
	var processors []string
	for _, image := range images(t, filepath.Join(out, "owt-signal_"+version+"_image.tar")) {
		config, err := image.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		processors = append(processors, config.OS+"/"+config.Architecture)
	}
	if !slices.Equal(processors, []string{"linux/amd64", "linux/arm64"}) {
		t.Errorf("images for %q", processors)
	}
}

// Some modules are for one system only.
func TestModules(t *testing.T) {
	of := func(paths ...string) (b build) {
		b.info = new(debug.BuildInfo)
		for _, path := range paths {
			b.info.Deps = append(b.info.Deps, &debug.Module{Path: path})
		}
		return b
	}
	var paths []string
	for _, m := range modules([]build{of("a", "d"), of("a", "b", "d"), of("c")}) {
		paths = append(paths, m.Path)
	}
	if !slices.Equal(paths, []string{"a", "b", "c", "d"}) {
		t.Errorf("%q", paths)
	}
}

// A module that does not say under which conditions it is given is not passed on.
func TestLicenses(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("README", "no license")
	put("LICENSES", "of something else")
	if got, err := licenses(dir); err == nil {
		t.Errorf("found %q", got)
	}
	put("LICENSE.txt", "one\n")
	put("LICENSE-OTHER", "two")
	put("NOTICE", "three")
	if got, err := licenses(dir); err != nil || !slices.Equal(got, []string{"two", "one", "three"}) {
		t.Errorf("found %q, %v", got, err)
	}
}

// TestIsVersion: pseudo-versions are none (Go Modules Reference).
func TestIsVersion(t *testing.T) {
	for v, want := range map[string]bool{
		"v0.1.0": true, "v1.2.3": true, "v1.0.0-rc.1": true,
		"(devel)": false, "v0.0.0-20261129034824-f2586296c843": false,
		"v0.1.1-0.20261129034824-f2586296c843": false, "v1.0.0-rc.1.0.20261129034824-f2586296c843": false,
		"v0.1.0+dirty": false,
	} {
		if got := (build{info: &debug.BuildInfo{Main: debug.Module{Version: v}}}).isVersion(); got != want {
			t.Errorf("%s: %v, want %v", v, got, want)
		}
	}
}
