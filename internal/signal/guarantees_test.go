package signal_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	testName     = regexp.MustCompile(`\bTest[A-Z]\w*`)
	mutationName = regexp.MustCompile(`\*([a-z][a-z ]*)\*`)
	promiseRow   = regexp.MustCompile(`(?m)^\| \d+ \|.*$`)
)

// Every promise names a test that there is, and so does all else that
// docs/guarantees.md says is shown.
func TestGuaranteesNameTests(t *testing.T) {
	root := filepath.Join("..", "..")
	page, err := os.ReadFile(filepath.Join(root, "docs", "guarantees.md"))
	if err != nil {
		t.Fatal(err)
	}
	mutations, err := os.ReadFile(filepath.Join("..", "sim", "mutation.go"))
	if err != nil {
		t.Fatal(err)
	}
	tests := testsBelow(t, root)
	for _, name := range testName.FindAllString(string(page), -1) {
		if !tests[name] {
			t.Errorf("the page names %s, and there is no such test", name)
		}
	}
	rows := promiseRow.FindAllString(string(page), -1)
	if len(rows) < 8 {
		t.Errorf("%d promises", len(rows))
	}
	for _, row := range rows {
		cells := strings.Split(row, "|")
		shown := cells[len(cells)-2]
		mutated := mutationName.FindAllStringSubmatch(shown, -1)
		for _, m := range mutated {
			if !strings.Contains(string(mutations), `"`+m[1]+`"`) {
				t.Errorf("the simulator has no mutation %s", m[1])
			}
		}
		if len(mutated) == 0 && !testName.MatchString(shown) {
			t.Errorf("no test shows %s", row)
		}
	}
}

// testsBelow returns the names of the tests in a directory.
func testsBelow(t *testing.T, root string) map[string]bool {
	t.Helper()
	tests := make(map[string]bool)
	declared := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || path != root && strings.HasPrefix(d.Name(), ".")):
			return fs.SkipDir
		case !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		source, err := os.ReadFile(path)
		for _, m := range declared.FindAllSubmatch(source, -1) {
			tests[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return tests
}
