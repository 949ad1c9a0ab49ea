package local

import (
	"debug/buildinfo"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// findBootstraps finds the functions' binaries in a folder: as `sam build` lays
// them out, or as `make build` does.
func findBootstraps(dir string) (map[function]string, error) {
	for _, layout := range []func(function) string{
		func(f function) string { return f.logicalID },
		func(f function) string { return f.name },
	} {
		at := func(f function) string { return filepath.Join(dir, layout(f), "bootstrap") }
		if _, err := os.Stat(at(allFunctions[0])); err != nil {
			continue
		}
		found := make(map[function]string)
		for _, f := range allFunctions {
			found[f] = at(f)
			if err := checkMachine(found[f]); err != nil {
				return nil, err
			}
		}
		return found, nil
	}
	return nil, fmt.Errorf("find functions: neither %s nor %s is in %s: build them by `make build` (bin/functions) or `sam build` (.aws-sam/build)",
		filepath.Join(connect.logicalID, "bootstrap"), filepath.Join(connect.name, "bootstrap"), dir)
}

// checkMachine refuses a binary that this machine cannot run, by what Go has
// written into it.
func checkMachine(path string) error {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return fmt.Errorf("find functions: %w: %s", err, howToBuild())
	}
	built := make(map[string]string)
	for _, s := range info.Settings {
		built[s.Key] = s.Value
	}
	if built["GOOS"] != runtime.GOOS || built["GOARCH"] != runtime.GOARCH {
		return fmt.Errorf("%s is for %s/%s, and this machine is %s/%s: %s",
			path, built["GOOS"], built["GOARCH"], runtime.GOOS, runtime.GOARCH, howToBuild())
	}
	return nil
}

// howToBuild says how to build the functions for this machine.
func howToBuild() string {
	if runtime.GOOS == "linux" {
		architecture := strings.ReplaceAll(runtime.GOARCH, "amd64", "x86_64") // as Lambda has it
		return fmt.Sprintf("build for it by `make build` or `sam build --parameter-overrides Architecture=%s`", architecture)
	}
	return "build for it by `make build`"
}
