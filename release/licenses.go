package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
)

// modules returns those that the builds have, in the order of their paths. Some are
// for one system only.
func modules(builds []build) (all []*debug.Module) {
	for _, b := range builds {
		all = append(all, b.info.Deps...)
	}
	slices.SortFunc(all, func(a, b *debug.Module) int { return cmp.Compare(a.Path, b.Path) })
	return slices.CompactFunc(all, func(a, b *debug.Module) bool { return a.Path == b.Path })
}

// conditions is what files of a module that have to come along with a binary are called,
// whatever comes after a dot or a hyphen.
var conditions = []string{"LICENSE", "NOTICE", "COPYING"}

// thirdParty returns the licenses and notices of Go and of the modules, each text once
// under the names of those that it is of. A module without a license is an error.
func thirdParty(ctx context.Context, source string, all []*debug.Module) ([]byte, error) {
	format := []string{"list", "-m", "-f", "{{.Dir}}"}
	for _, m := range all {
		format = append(format, m.Path)
	}
	folders, err := goLines(ctx, source, format...)
	if err != nil {
		return nil, err
	}
	goroot, err := goLines(ctx, source, "env", "GOROOT")
	if err != nil {
		return nil, err
	}
	names, folders := []string{"Go"}, append(goroot, folders...)
	for _, m := range all {
		names = append(names, m.Path)
	}
	var texts []string
	of := make(map[string][]string)
	for i, folder := range folders {
		found, err := licenses(folder)
		if err != nil {
			return nil, fmt.Errorf("read the license of %s: %w", names[i], err)
		}
		for _, text := range found {
			if of[text] == nil {
				texts = append(texts, text)
			}
			of[text] = append(of[text], names[i])
		}
	}
	var file bytes.Buffer
	for _, text := range texts {
		fmt.Fprintf(&file, "%s\n%s\n\n%s\n\n", strings.Repeat("=", 80), strings.Join(of[text], "\n"), text)
	}
	return file.Bytes(), nil
}

// licenses returns what the files of a module's folder say, in the order of their names.
func licenses(folder string) (texts []string, err error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		kind, _, _ := strings.Cut(strings.ReplaceAll(e.Name(), "-", "."), ".")
		if e.IsDir() || !slices.Contains(conditions, kind) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(folder, e.Name()))
		if err != nil {
			return nil, err
		}
		texts = append(texts, strings.TrimSpace(string(text)))
	}
	if len(texts) == 0 {
		return nil, fmt.Errorf("there is none in %s", folder)
	}
	return texts, nil
}

// goLines returns the lines that the go command writes in the folder of the source.
func goLines(ctx context.Context, source string, args ...string) ([]string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Env = source, append(os.Environ(), "GOFLAGS=", "GOWORK=off")
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go %s: %w", args[0], err)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n"), nil
}
