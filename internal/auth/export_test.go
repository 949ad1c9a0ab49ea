package auth

import (
	"context"
	"log/slog"
	"time"

	"github.com/owt-signal/owt-signal/internal/awsenv"
	"github.com/owt-signal/owt-signal/internal/signal"
)

// What tests look at from outside.
const (
	Fresh        = fresh
	Stale        = stale
	Cooldown     = cooldown
	AfterFailure = afterFailure
	MaxDocument  = maxDocument
	MaxKeys      = maxKeys
	SecretFresh  = secretFresh
)

// NewJWTAt is the authenticator by an issuer's keys, by a clock of the test's.
func NewJWTAt(c Config, now func() time.Time) signal.Authenticator {
	return newJWT(c, newIssuer(c.KeySet, c.Issuer, now, slog.New(slog.DiscardHandler)), now)
}

// ParseKeys counts the keys of a set that can be used.
func ParseKeys(document []byte) (int, error) {
	keys, err := parseKeys(document)
	return len(keys), err
}

// Fits lists the algorithms that the first key of a set goes with.
func Fits(document []byte) (fit []string) {
	keys, err := parseKeys(document)
	if err != nil {
		return nil
	}
	for _, algorithm := range append([]string{"HS256", "HS384", "HS512", "none", ""}, publicAlgorithms...) {
		if keys[0].fits(algorithm) {
			fit = append(fit, algorithm)
		}
	}
	return fit
}

// ReadVerdict, ReadDiscovery and ParseHeaders are for fuzzing.
var (
	ReadVerdict   = readVerdict
	ReadDiscovery = readDiscovery
	ParseHeaders  = headers
	ParseSources  = sources
	CheckURL      = checkURL
)

// NewSharedAt is the authenticator by a shared secret, by a clock of the test's.
func NewSharedAt(ctx context.Context, c Config, now func() time.Time) (signal.Authenticator, error) {
	log := slog.New(slog.DiscardHandler)
	s, err := newSharedSecret(ctx, c, awsenv.ConfigOr("us-east-1", "test"), now, log)
	if err != nil {
		return nil, err
	}
	c.Algorithms = []string{"HS256"}
	return newJWT(c, s, now), nil
}
