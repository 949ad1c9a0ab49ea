// Package auth is who may connect, and as what: the authenticators, and the
// configuration that chooses one. docs/authentication.md describes them.
package auth

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/owt-signal/owt-signal/internal/awsenv"
	"github.com/owt-signal/owt-signal/internal/signal"
)

// FromEnvironment is the access that the environment of a Lambda function
// configures.
func FromEnvironment(ctx context.Context, log *slog.Logger) (signal.Access, error) {
	c, err := ReadEnvironment(os.Getenv)
	if err != nil {
		return signal.Access{}, err
	}
	return New(ctx, c, awsenv.Config(), log)
}

// New is the access that c configures. It logs when keys cannot be renewed.
func New(ctx context.Context, c Config, config aws.Config, log *slog.Logger) (signal.Access, error) {
	if err := c.Check(); err != nil {
		return signal.Access{}, fmt.Errorf("configure authentication: %w", err)
	}
	access := signal.Access{Anonymous: c.anonymous(), Sources: c.Sources, Versions: c.Versions}
	switch c.Mode {
	case ModeJWT:
		a, err := newJWTOf(ctx, c, config, time.Now, rand.Float64, log)
		if err != nil {
			return signal.Access{}, fmt.Errorf("configure authentication: %w", err)
		}
		access.Authenticator = a
		if c.Audience == nil {
			access.Caution = "no audience is configured: a token that was meant for another service of the issuer is accepted"
		}
	case ModeLambda:
		access.Authenticator = newFunction(c, config)
	case ModeHTTP:
		a, err := newServer(ctx, c, config)
		if err != nil {
			return signal.Access{}, err
		}
		access.Authenticator = a
	default:
		access.Authenticator = signal.TokenIsName{}
		access.Caution = "the token is the user's name: anyone can be anyone"
	}
	return access, nil
}

func newJWTOf(ctx context.Context, c Config, config aws.Config, now func() time.Time, random func() float64, log *slog.Logger) (*JWT, error) {
	if !c.shared() {
		return newJWT(c, newIssuer(c.KeySet, c.Issuer, now, random, log), now), nil
	}
	s, err := newSharedSecret(ctx, c, config, now, random, log)
	if err != nil {
		return nil, err
	}
	if c.Algorithms == nil { // those that the secret of the time is long enough for
		c.Algorithms = slices.Collect(maps.Keys(hashSize))
	}
	return newJWT(c, s, now), nil
}
