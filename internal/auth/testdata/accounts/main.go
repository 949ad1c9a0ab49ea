// Command accounts is a Lambda function that says who a client is, for the
// tests of package auth: as any function of a user's would, and in every way
// that it must not. The token is what it is to do.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
)

// question is what the function is asked (docs/authentication.md).
type question struct {
	Token         string            `json:"token"`
	ClientType    string            `json:"clientType"`
	ClientVersion string            `json:"clientVersion"`
	SourceIP      string            `json:"sourceIp"`
	Headers       map[string]string `json:"headers"`
}

func main() { lambda.Start(answer) }

// answer lets users in by "user:NAME", refuses what it does not know, and
// answers "raw:…" as it is.
func answer(_ context.Context, q question) (json.RawMessage, error) {
	what, rest, _ := strings.Cut(q.Token, ":")
	switch what {
	case "user":
		return encode(map[string]any{"user": rest, "attributes": map[string]string{"role": "doctor"}})
	case "until":
		return encode(map[string]any{"user": "alice", "expires": json.Number(rest)})
	case "echo": // as the name, whatever was asked
		asked, err := json.Marshal(q)
		if err != nil {
			return nil, err
		}
		return encode(map[string]any{"user": string(asked)})
	case "raw":
		return json.RawMessage(rest), nil
	case "large":
		return encode(map[string]any{"user": "alice", "padding": strings.Repeat("x", 16<<10)})
	case "error":
		return nil, errors.New("no idea what to do with " + q.Token)
	case "panic":
		panic(q.Token)
	case "exit":
		os.Exit(1)
	case "slow":
		time.Sleep(time.Minute)
	}
	return encode(map[string]any{"refused": true})
}

func encode(v any) (json.RawMessage, error) { return json.Marshal(v) }
