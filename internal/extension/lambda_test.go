package extension_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/owt-signal/owt-signal/internal/lambdaenv"
)

// With the real loop of aws-lambda-go, in a process of its own, as on Lambda.
func TestOnLambda(t *testing.T) {
	bootstrap := filepath.Join(t.TempDir(), "bootstrap")
	build := exec.Command("go", "build", "-tags", "lambda.norpc", "-o", bootstrap, "./testdata/greeter")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build greeter: %v\n%s", err, output)
	}
	var logs buffer
	greeter, err := lambdaenv.New(lambdaenv.Config{Bootstrap: bootstrap, MaxConcurrency: 1, Logs: func(_ int, line []byte) { _, _ = logs.Write(line) }})
	if err != nil {
		t.Fatal(err)
	}
	defer greeter.Close(context.Background())
	// greet invokes the function as soon as the work of the invocation before is done.
	greet := func(payload string) (string, error) {
		for end := time.Now().Add(patience); ; {
			answer, err := greeter.Invoke(context.Background(), []byte(payload))
			if !errors.Is(err, lambdaenv.ErrThrottled) || time.Now().After(end) {
				return string(answer), err
			}
		}
	}

	answer, err := greet(`"ann"`)
	if answer != `"<hello> ann"` || err != nil { // as aws-lambda-go encodes it, byte for byte
		t.Errorf("got %s, %v", answer, err)
	}
	if logs.contain("greeted ann") {
		t.Error("the response came after the work")
	}
	var failure *lambdaenv.FunctionError
	if _, err := greet(`""`); !errors.As(err, &failure) || failure.Message != "nobody to greet" {
		t.Errorf("got error %v", err)
	}
	if !logs.contain("greeted ann") {
		t.Error("the next invocation came before the end of the work")
	}
	if _, err := greet(`1`); !errors.As(err, &failure) || failure.Type != "UnmarshalTypeError" {
		t.Errorf("an event of another type: got error %v", err)
	}
	if _, err := greet(`"panic"`); !errors.As(err, &failure) || failure.Message != "scared" {
		t.Errorf("got error %v", err)
	}
	if answer, err := greet(`"bob"`); answer != `"<hello> bob"` || err != nil {
		t.Errorf("after the panic: got %s, %v", answer, err)
	}
	if logs.contain("greeted panic") {
		t.Error("the work of a handler that panicked was done")
	}
}

// buffer keeps a function's logs.
type buffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) contain(words string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Contains(b.text.String(), words)
}
