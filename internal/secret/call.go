package secret

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	signer "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/owt-signal/owt-signal/internal/awsenv"
)

// How an AWS service is asked: at init, which has 10 s in all, and now and then
// while a client waits for its authentication.
const (
	callTries  = 3
	callPause  = 100 * time.Millisecond
	callWithin = 2 * time.Second
	maxAnswer  = 128 << 10 // bytes; a secret in base64, and what is said of it
)

// operation is one of a service with the protocol AWS JSON 1.1.
type operation struct {
	service  string // as in its host's name, and in signatures
	target   string // the header X-Amz-Target
	endpoint string // as in the variable AWS_ENDPOINT_URL_…
}

// errTryAgain marks what may succeed another time.
var errTryAgain = errors.New("the service did not answer")

// call calls an operation, signed with the SDK's signer. The SDK's clients of
// the two services that are asked one question each, once, would add 1.4 MB to
// the functions and half as much again to what their start takes (measured:
// docs/decisions/0006-authentication.md).
func call(ctx context.Context, config aws.Config, op operation, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("call %s: %w", op.target, err)
	}
	for try := 0; ; try++ {
		err = callOnce(ctx, config, op, body, out)
		if err == nil {
			return nil
		}
		if !errors.Is(err, errTryAgain) || try == callTries-1 {
			return fmt.Errorf("call %s: %w", op.target, err)
		}
		select {
		case <-time.After(callPause << try):
		case <-ctx.Done():
			return fmt.Errorf("call %s: %w", op.target, ctx.Err())
		}
	}
}

func callOnce(ctx context.Context, config aws.Config, op operation, body []byte, out any) error {
	ctx, cancel := context.WithTimeout(ctx, callWithin)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint(op, config.Region), bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", op.target)
	credentials, err := config.Credentials.Retrieve(ctx)
	if err != nil {
		return fmt.Errorf("get credentials: %w", err)
	}
	hash := sha256.Sum256(body)
	if err := signer.NewSigner().SignHTTP(ctx, credentials, r, hex.EncodeToString(hash[:]), op.service, config.Region, time.Now()); err != nil {
		return fmt.Errorf("sign: %w", err)
	}
	response, err := config.HTTPClient.Do(r)
	if err != nil {
		return fmt.Errorf("%w: %w", errTryAgain, err)
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", errTryAgain, err)
	case len(answer) > maxAnswer:
		return fmt.Errorf("the answer has more than %d bytes", maxAnswer)
	case response.StatusCode != http.StatusOK:
		return failure(response.StatusCode, answer)
	case json.Unmarshal(answer, out) != nil:
		return errors.New("the answer cannot be read") // and not quoted: the secret is in it
	}
	return nil
}

// failure is an error answer of the protocol.
func failure(status int, answer []byte) error {
	var said struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
	}
	_ = json.Unmarshal(answer, &said)
	_, kind, qualified := strings.Cut(said.Type, "#")
	if !qualified {
		kind = said.Type
	}
	err := fmt.Errorf("status %d: %s: %s", status, kind, said.Message)
	if status >= http.StatusInternalServerError || status == http.StatusTooManyRequests || strings.Contains(kind, "Throttling") {
		return fmt.Errorf("%w: %w", errTryAgain, err)
	}
	return err
}

// endpoint is where a service is in a Region.
func endpoint(op operation, region string) string {
	if fixed := awsenv.Endpoint(op.endpoint); fixed != nil {
		return *fixed
	}
	return "https://" + op.service + "." + region + "." + awsenv.URLSuffix(region) + "/"
}
