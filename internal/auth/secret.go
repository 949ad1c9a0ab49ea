package auth

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/owt-signal/owt-signal/internal/secret"
)

// hashSize is how long a secret must be at least, by the algorithm (RFC 7518,
// section 3.2), in bytes.
var hashSize = map[string]int{"HS256": 32, "HS384": 48, "HS512": 64}

// sharedKey is a key that the issuer shares.
type sharedKey []byte

// find implements [keySource].
func (k sharedKey) find(context.Context, string, string) ([]any, error) { return []any{[]byte(k)}, nil }

// checkSecret says what keeps a secret from being one, if anything does.
func checkSecret(s []byte, algorithms []string) error {
	switch {
	case len(s) > 0 && s[0] == '{':
		return errors.New("it is JSON: keep the secret as it is, as plain text")
	case len(algorithms) == 0:
		return fmt.Errorf("%d bytes are too short, HS256 needs %d", len(s), hashSize["HS256"])
	}
	for _, algorithm := range algorithms {
		if least := hashSize[algorithm]; len(s) < least {
			return fmt.Errorf("%d bytes are too short for %s, which needs %d", len(s), algorithm, least)
		}
	}
	return nil
}

// longEnough are those of the algorithms that a secret is long enough for.
func longEnough(s []byte) []string {
	var fit []string
	for algorithm, least := range hashSize {
		if len(s) >= least {
			fit = append(fit, algorithm)
		}
	}
	slices.Sort(fit)
	return fit
}

// readSecretFile reads a secret from a file. A line break at its end is the
// editor's.
func readSecretFile(name string) ([]byte, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("read secret: %w", err)
	}
	if len(b) > secret.MaxSize {
		return nil, fmt.Errorf("read secret %s: more than %d bytes", name, secret.MaxSize)
	}
	return []byte(strings.TrimRight(string(b), "\r\n")), nil
}
