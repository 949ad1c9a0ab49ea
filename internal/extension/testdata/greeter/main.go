// Command greeter is a Lambda function that greets, and thinks about it after its response is out.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/owt-signal/owt-signal/internal/extension"
)

func main() {
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
