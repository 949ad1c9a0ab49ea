package extension_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/owt-signal/owt-signal/internal/extension"
	"github.com/owt-signal/owt-signal/internal/lambdaenv"
)

// greet is a Lambda function that greets, and thinks about it after its response
// is out.
func greet() {
	ext, err := extension.Register(context.Background(), os.Getenv("AWS_LAMBDA_RUNTIME_API"), "greeter")
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	ext.Start(func(ctx context.Context, name string) (string, error) {
		ext.Go(func(ctx context.Context) {
			time.Sleep(50 * time.Millisecond)
			fmt.Println("greeted", name)
		})
		switch name {
		case "":
			return "", errors.New("nobody to greet")
		case "panic":
			panic("scared")
		}
		return "<hello> " + name, nil
	})
}

// With the real loop of aws-lambda-go, in a process of its own, as on Lambda.
func TestOnLambda(t *testing.T) {
	bootstrap, err := os.Executable() // which greets, see TestMain
	if err != nil {
		t.Fatal(err)
	}
	var logs buffer
	greeter, err := lambdaenv.New(lambdaenv.Config{Bootstrap: bootstrap, MaxConcurrency: 1, Logs: func(_ int, line []byte) { _, _ = logs.Write(line) }})
	if err != nil {
		t.Fatal(err)
	}
	defer greeter.Close(context.Background())
	// ask invokes the function as soon as the work of the invocation before is done.
	ask := func(payload string) (string, error) {
		for end := time.Now().Add(patience); ; {
			answer, err := greeter.Invoke(context.Background(), []byte(payload))
			if !errors.Is(err, lambdaenv.ErrThrottled) || time.Now().After(end) {
				return string(answer), err
			}
		}
	}

	answer, err := ask(`"ann"`)
	if answer != `"<hello> ann"` || err != nil { // as aws-lambda-go encodes it, byte for byte
		t.Errorf("got %s, %v", answer, err)
	}
	if logs.contain("greeted ann") {
		t.Error("the response came after the work")
	}
	var failure *lambdaenv.FunctionError
	if _, err := ask(`""`); !errors.As(err, &failure) || failure.Message != "nobody to greet" {
		t.Errorf("got error %v", err)
	}
	if !logs.contain("greeted ann") {
		t.Error("the next invocation came before the end of the work")
	}
	if _, err := ask(`1`); !errors.As(err, &failure) || failure.Type != "UnmarshalTypeError" {
		t.Errorf("an event of another type: got error %v", err)
	}
	if _, err := ask(`"panic"`); !errors.As(err, &failure) || failure.Message != "scared" {
		t.Errorf("got error %v", err)
	}
	if answer, err := ask(`"bob"`); answer != `"<hello> bob"` || err != nil {
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
