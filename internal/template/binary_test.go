package template

import (
	"debug/elf"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Each operation of a service is a method of the SDK's client, and has a second
// one that sets it up, which is only used as a value and so is never inlined.
var (
	method = regexp.MustCompile(`^github\.com/aws/aws-sdk-go-v2/service/([a-z0-9]+)\.\(\*Client\)\.([A-Z]\w*)$`)
	// read is what reads secrets, by operations that are no client's of the SDK.
	read = "github.com/owt-signal/owt-signal/internal/secret.Fetch"
	// relays is what hands out credentials for TURN servers, by a secret.
	relays = "github.com/owt-signal/owt-signal/internal/ice.FromEnvironment"
	setup  = regexp.MustCompile(`^github\.com/aws/aws-sdk-go-v2/service/([a-z0-9]+)\.\(\*Client\)\.addOperation(\w+)Middlewares$`)
)

// never is the operations that the SDK can reach and does not call.
var never = map[string]bool{
	// Endpoint discovery is off unless it is asked for, and no client here does
	// (dynamodb.EndpointDiscoveryOptions).
	"dynamodb.DescribeEndpoints": true,
}

// operations is the operations of AWS services that a binary can call, such as
// dynamodb.GetItem. The linker leaves every method out that cannot be reached:
// those in the symbol table are those that can be.
func operations(binary string) ([]string, error) {
	file, err := elf.Open(binary)
	if err != nil {
		return nil, fmt.Errorf("read binary: %w", err)
	}
	defer func() { _ = file.Close() }()
	symbols, err := file.Symbols()
	if err != nil {
		return nil, fmt.Errorf("read symbols of %s: %w", binary, err)
	}
	methods, setups := make(map[string]bool), make(map[string]bool)
	for _, s := range symbols {
		if m := method.FindStringSubmatch(s.Name); m != nil {
			methods[m[1]+"."+m[2]] = true
		}
		if m := setup.FindStringSubmatch(s.Name); m != nil {
			setups[m[1]+"."+m[2]] = true
		}
	}
	maps.DeleteFunc(methods, func(name string, _ bool) bool { return strings.HasSuffix(name, ".Options") }) // no operation
	if len(setups) == 0 || !maps.Equal(methods, setups) {
		return nil, errors.New("the SDK's methods are not what they were: see how to tell its operations now")
	}
	if slices.ContainsFunc(symbols, func(s elf.Symbol) bool { return s.Name == read }) {
		setups["secret.Fetch"] = true
	}
	if slices.ContainsFunc(symbols, func(s elf.Symbol) bool { return s.Name == relays }) {
		setups["ice.FromEnvironment"] = true
	}
	maps.DeleteFunc(setups, func(operation string, _ bool) bool { return never[operation] })
	return slices.Sorted(maps.Keys(setups)), nil
}

// built builds all functions, once.
var built = sync.OnceValues(func() (map[string][]string, error) {
	dir, err := filepath.Abs(buildDir)
	if err != nil {
		return nil, err
	}
	build := exec.Command("go", "build", "-tags", "lambda.norpc", "-o", dir, "./functions/...")
	build.Dir = root
	build.Env = append(build.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build functions: %w\n%s", err, out)
	}
	binaries, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		return nil, err
	}
	reach := make(map[string][]string, len(binaries))
	for _, b := range binaries {
		if reach[filepath.Base(b)], err = operations(b); err != nil {
			return nil, err
		}
	}
	return reach, nil
})

// reached is the operations that the code of a function can call.
func reached(t *testing.T, function string) []string {
	t.Helper()
	all, err := built()
	if err != nil {
		t.Fatal(err)
	}
	found, ok := all[folder(function)]
	if !ok {
		t.Fatalf("no binary of %s", function)
	}
	return found
}
