// Package auth is who may connect, and as what: the authenticators, and the
// configuration that chooses one. docs/authentication.md describes them.
package auth

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/owt-signal/owt-signal/internal/awsenv"
	"github.com/owt-signal/owt-signal/internal/secret"
	"github.com/owt-signal/owt-signal/internal/signal"
)

// FromEnvironment is the access that the environment of a Lambda function
// configures.
func FromEnvironment(ctx context.Context) (signal.Access, error) {
	c, err := ReadEnvironment(os.Getenv)
	if err != nil {
		return signal.Access{}, err
	}
	return New(ctx, c, awsenv.Config())
}

// New is the access that c configures.
func New(ctx context.Context, c Config, config aws.Config) (signal.Access, error) {
	if err := c.Check(); err != nil {
		return signal.Access{}, fmt.Errorf("configure authentication: %w", err)
	}
	access := signal.Access{Anonymous: c.anonymous(), Sources: c.Sources, Versions: c.Versions}
	switch c.Mode {
	case ModeJWT:
		a, err := newJWTOf(ctx, c, config)
		if err != nil {
			return signal.Access{}, fmt.Errorf("configure authentication: %w", err)
		}
		access.Authenticator = a
		if c.Audience == nil {
			access.Caution = "no audience is configured: a token that was meant for another service of the issuer is accepted"
		}
	case ModeLambda:
		access.Authenticator = newFunction(c, config)
	default:
		access.Authenticator = signal.TokenIsName{}
		access.Caution = "the token is the user's name: anyone can be anyone"
	}
	return access, nil
}

func newJWTOf(ctx context.Context, c Config, config aws.Config) (*JWT, error) {
	if !c.shared() {
		return newJWT(c, newIssuer(c.KeySet, c.Issuer, time.Now), time.Now), nil
	}
	s, err := readSecret(ctx, c, config)
	if err != nil {
		return nil, err
	}
	if c.Algorithms == nil {
		c.Algorithms = longEnough(s)
	}
	if err := checkSecret(s, c.Algorithms); err != nil {
		return nil, fmt.Errorf("use secret: %w", err)
	}
	return newJWT(c, sharedKey(s), time.Now), nil
}

func readSecret(ctx context.Context, c Config, config aws.Config) ([]byte, error) {
	if c.SecretFile != "" {
		return readSecretFile(c.SecretFile)
	}
	return secret.Fetch(ctx, config, c.Secret)
}
