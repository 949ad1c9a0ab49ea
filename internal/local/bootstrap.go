package local

import (
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
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

// goarch is what Go calls the processors of ELF binaries that Lambda, or this
// machine, may have.
var goarch = map[elf.Machine]string{
	elf.EM_X86_64: "amd64", elf.EM_AARCH64: "arm64", elf.EM_386: "386", elf.EM_ARM: "arm", elf.EM_RISCV: "riscv64",
}

// checkMachine refuses a binary that this machine cannot run.
func checkMachine(path string) error {
	file, err := elf.Open(path)
	if _, unread := errors.AsType[*fs.PathError](err); unread {
		return fmt.Errorf("find functions: %w", err)
	}
	if err != nil { // it is of another format
		if runtime.GOOS == "linux" {
			return fmt.Errorf("%s is no program for linux: %s", path, howToBuild())
		}
		return nil // for the system to judge
	}
	defer func() { _ = file.Close() }()
	arch, known := goarch[file.Machine]
	if !known {
		arch = file.Machine.String()
	}
	if runtime.GOOS != "linux" || arch != runtime.GOARCH {
		return fmt.Errorf("%s is for linux/%s, and this machine is %s/%s: %s", path, arch, runtime.GOOS, runtime.GOARCH, howToBuild())
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
