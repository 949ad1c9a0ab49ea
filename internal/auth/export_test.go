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
	MaxPause     = maxPause
	MaxUnknown   = maxPauseUnknown
	MaxDocument  = maxDocument
	MaxKeys      = maxKeys
	SecretFresh  = secretFresh
)

// NewAt is the authenticator of mode jwt, by a clock and a jitter of the test's.
func NewAt(ctx context.Context, c Config, now func() time.Time, random func() float64, log *slog.Logger) (signal.Authenticator, error) {
	return newJWTOf(ctx, c, awsenv.ConfigOr("us-east-1", "test"), now, random, log)
}

// NoJitter is that of tests that look at the very instant.
func NoJitter() float64 { return 0 }

// Pause is how long after so many failures an issuer is asked again.
func Pause(failures int, known bool, retryAfter time.Duration, jitter float64) time.Duration {
	return lifetimes{afterFailure: afterFailure}.pause(failures, known, retryAfter, jitter)
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
	RetryAfter    = readRetryAfter
)
