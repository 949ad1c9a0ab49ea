package auth

import (
	"time"

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
)

// NewJWTAt is the authenticator by an issuer's keys, by a clock of the test's.
func NewJWTAt(c Config, now func() time.Time) signal.Authenticator {
	return newJWT(c, newIssuer(c.KeySet, c.Issuer, now), now)
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
