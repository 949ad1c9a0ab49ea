package auth

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/owt-signal/owt-signal/internal/secret"
)

// hashSize is how long a secret must be at least, by the algorithm (RFC 7518,
// section 3.2), in bytes.
var hashSize = map[string]int{"HS256": 32, "HS384": 48, "HS512": 64}

// How long a secret is used. It is kept however long it cannot be read again.
const (
	secretFresh  = 5 * time.Minute
	secretWithin = 5 * time.Second // two tries of a service that does not answer
)

// newSharedSecret returns the secret that c names. It is an error if there is none
// yet that can be used; later, one that cannot leaves the one before in place.
func newSharedSecret(ctx context.Context, c Config, config aws.Config, now func() time.Time, random func() float64, log *slog.Logger) (*keySource, error) {
	s := newKeySource(&keySource{
		lifetimes: lifetimes{fresh: secretFresh, within: secretWithin, afterFailure: cooldown},
		of:        "the shared secret", now: now, random: random, log: log,
		read: func(ctx context.Context) ([]key, error) { return readSecret(ctx, c, config) },
	})
	return s, s.readNow(ctx).err
}

func readSecret(ctx context.Context, c Config, config aws.Config) ([]key, error) {
	s, err := secret.Read(ctx, config, c.SecretFile, c.Secret)
	if err != nil {
		return nil, err
	}
	if err := checkSecret(s, c.Algorithms); err != nil {
		return nil, fmt.Errorf("use secret: %w", err)
	}
	return []key{{verifier: s}}, nil
}

// checkSecret reports why s cannot be a secret for these algorithms, or, if none
// is given, for the least of them.
func checkSecret(s []byte, algorithms []string) error {
	if err := secret.CheckText(s); err != nil {
		return err
	}
	if algorithms == nil {
		algorithms = []string{"HS256"}
	}
	for _, algorithm := range algorithms {
		if least := hashSize[algorithm]; len(s) < least {
			return fmt.Errorf("%d bytes are too short for %s, which needs %d", len(s), algorithm, least)
		}
	}
	return nil
}
