// Package lambdatest builds the functions for tests.
package lambdatest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// Functions are the folders in functions/.
var Functions = []string{"connect", "disconnect", "message", "lobby", "keepalive", "events", "api"}

// Release is the flags by which `make build` makes the functions smaller.
var Release = []string{"-trimpath", "-ldflags", "-s -w"}

// Build builds the functions as `make build` does for this machine, into
// dir/{name}/bootstrap. It leaves out [Release], unless that is in flags, and
// nothing else.
func Build(dir string, flags ...string) error {
	_, file, _, _ := runtime.Caller(0)
	args := append([]string{"build", "-tags", "lambda.norpc", "-o", dir + string(filepath.Separator)}, flags...)
	for _, name := range Functions {
		args = append(args, "./functions/"+name)
	}
	build := exec.Command("go", args...)
	build.Dir = filepath.Join(filepath.Dir(file), "..", "..")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build functions: %w\n%s", err, out)
	}
	for _, name := range Functions {
		built := filepath.Join(dir, name)
		if err := os.Rename(built, built+".built"); err != nil {
			return err
		}
		if err := os.Mkdir(built, 0o750); err != nil {
			return err
		}
		if err := os.Rename(built+".built", filepath.Join(built, "bootstrap")); err != nil {
			return err
		}
	}
	return nil
}
