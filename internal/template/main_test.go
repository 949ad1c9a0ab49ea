package template

import (
	"fmt"
	"os"
	"testing"
)

// buildDir is where the functions are built.
var buildDir string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "owt-signal-template")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	buildDir = dir
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}
