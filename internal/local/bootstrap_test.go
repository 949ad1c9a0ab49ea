package local

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"
)

// build builds the functions, once for all tests, and returns their folder.
var build func() (dir string, err error)

// layouts are the folders' names of the functions, by what builds them.
var layouts = map[string]func(function) string{
	"make build": func(f function) string { return f.name },
	"sam build":  func(f function) string { return f.logicalID },
}

// lay puts the functions into a folder.
func lay(t *testing.T, layout string) (dir string) {
	t.Helper()
	if testing.Short() {
		t.Skip("builds the functions; not in -short")
	}
	from, err := build()
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	for _, f := range allFunctions {
		folder := filepath.Join(dir, layouts[layout](f))
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(filepath.Join(from, f.name, "bootstrap"), filepath.Join(folder, "bootstrap")); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestFindBootstraps(t *testing.T) {
	for layout, folder := range layouts {
		dir := lay(t, layout)
		found, err := findBootstraps(dir)
		if err != nil {
			t.Errorf("%s: %v", layout, err)
		}
		for _, f := range allFunctions {
			if want := filepath.Join(dir, folder(f), "bootstrap"); found[f] != want {
				t.Errorf("%s: %s is %q, want %s", layout, f.name, found[f], want)
			}
		}
	}
}

// TestBadFunctions: nothing is asked of the DynamoDB, which is not there.
func TestBadFunctions(t *testing.T) {
	refused := func(dir string, parts ...string) {
		t.Helper()
		wantRefused(t, loopback("-functions", dir, "-dynamodb", "http://127.0.0.1:1"), parts...)
	}
	refused(filepath.Join(t.TempDir(), "nowhere"), "find functions", "nowhere", "make build")
	refused(t.TempDir(), "find functions", "connect/bootstrap", "ConnectFunction/bootstrap", "make build", "sam build")
	for layout, folder := range layouts {
		dir := lay(t, layout)
		lacks := filepath.Join(dir, folder(message), "bootstrap")
		replace := func(content []byte) {
			t.Helper()
			if err := os.Remove(lacks); err != nil {
				t.Fatal(err)
			}
			if content != nil {
				if err := os.WriteFile(lacks, content, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
		program, err := os.ReadFile(lacks)
		if err != nil {
			t.Fatal(err)
		}
		replace(foreign(program))
		refused(dir, lacks, "is for linux/", "this machine is "+runtime.GOOS+"/"+runtime.GOARCH, "make build", "sam build --parameter-overrides Architecture=")
		for _, nonsense := range []string{"", "#!", "nonsense that is longer than the head of a program is"} {
			replace([]byte(nonsense))
			refused(dir, lacks, "find functions", "Go build info", "make build")
		}
		replace(nil)
		refused(dir, "find functions", lacks)
	}
}

// foreign is a program of this machine, said to be for another processor.
func foreign(program []byte) []byte {
	other := map[string]string{"amd64": "arm64", "arm64": "amd64"}[runtime.GOARCH]
	return bytes.ReplaceAll(program, []byte("GOARCH="+runtime.GOARCH), []byte("GOARCH="+other))
}

func TestBootstrapThatMayNotRun(t *testing.T) {
	dir := lay(t, "make build")
	lacks := filepath.Join(dir, message.name, "bootstrap")
	program, err := os.ReadFile(lacks)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(lacks); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(lacks, program, 0o600); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, loopback("-functions", dir, "-dynamodb", engine(t)), lacks, "not an executable file")
}

// TestFunctionsAreTheTemplates holds names and timeouts to template.yaml.
func TestFunctionsAreTheTemplates(t *testing.T) {
	template, err := os.ReadFile(filepath.Join("..", "..", "template.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	globals, resources, _ := strings.Cut(string(template), "\nResources:\n")
	timeout := regexp.MustCompile(`\n +Timeout: (\d+)\n`)
	for _, f := range allFunctions {
		_, section, _ := strings.Cut(resources, "\n  "+f.logicalID+":\n    Type: AWS::Serverless::Function\n")
		section = regexp.MustCompile(`(?s)\n  [\w#].*`).ReplaceAllString(section, "\n") // what follows
		m := timeout.FindStringSubmatch(section)
		if m == nil {
			m = timeout.FindStringSubmatch(globals)
		}
		if section == "" || m == nil {
			t.Errorf("%s is not in the template, or has no timeout", f.logicalID)
			continue
		}
		if want, _ := time.ParseDuration(m[1] + "s"); f.timeout != want {
			t.Errorf("%s: timeout %v, in the template %v", f.logicalID, f.timeout, want)
		}
	}
}
