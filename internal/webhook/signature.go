// Package webhook asks and tells servers of the user's own by HTTP: what it posts is
// signed, so that a server can tell it from anybody else's. docs/webhooks.md describes
// it.
package webhook

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/owt-signal/owt-signal/internal/secret"
)

// Header has the signature: t=T,v1=H. T is when it was made, in seconds since 1970,
// and H the HMAC-SHA256 of T, a dot and the body, in hexadecimal.
const Header = "Owt-Signature"

// MinSecret is the shortest secret, in bytes: as many as its hash has (RFC 2104,
// section 3).
const MinSecret = sha256.Size

// sign returns the signature of a body at a time.
func sign(key []byte, at time.Time, body []byte) string {
	t := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(t + "."))
	mac.Write(body)
	return "t=" + t + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}

// ReadSecret reads the secret to sign with, from a file if one is named, and
// otherwise by its ARN or name in AWS.
func ReadSecret(ctx context.Context, config aws.Config, file, id string) ([]byte, error) {
	key, err := secret.Read(ctx, config, file, id)
	switch {
	case err != nil:
		return nil, err
	case len(key) < MinSecret:
		return nil, fmt.Errorf("use secret: it has %d bytes, at least %d are needed", len(key), MinSecret)
	}
	if err := secret.CheckText(key); err != nil {
		return nil, fmt.Errorf("use secret: %w", err)
	}
	return key, nil
}
