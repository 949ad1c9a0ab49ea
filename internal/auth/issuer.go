package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// How long an issuer's keys are used.
const (
	fresh        = 15 * time.Minute
	stale        = 2 * time.Hour
	afterFailure = 5 * time.Second
)

// newIssuer returns the keys that somebody publishes at the URL keySet, or at
// the one that is discovered by the issuer's identifier.
func newIssuer(keySet, identifier string, now func() time.Time, random func() float64, log *slog.Logger) *keySource {
	return newKeySource(&keySource{
		// Two documents, each bounded by itself.
		lifetimes: lifetimes{fresh: fresh, stale: stale, within: 2 * fetchWithin, afterFailure: afterFailure},
		of:        "the issuer", now: now, random: random, log: log,
		read: func(ctx context.Context) ([]key, error) { return fetchKeys(ctx, keySet, identifier) },
	})
}

func fetchKeys(ctx context.Context, address, identifier string) ([]key, error) {
	if address == "" {
		var err error
		if address, err = discover(ctx, identifier); err != nil {
			return nil, fmt.Errorf("discover issuer: %w", err)
		}
	}
	document, err := fetch(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("get the issuer's keys: %w", err)
	}
	keys, err := parseKeys(document)
	if err != nil {
		return nil, fmt.Errorf("read the issuer's keys at %s: %w", address, err)
	}
	return keys, nil
}

// discover finds the address of an issuer's keys (OpenID Connect Discovery 1.0,
// section 4).
func discover(ctx context.Context, identifier string) (string, error) {
	address := strings.TrimSuffix(identifier, "/") + "/.well-known/openid-configuration"
	document, err := fetch(ctx, address)
	if err != nil {
		return "", err
	}
	return readDiscovery(document, identifier)
}

func readDiscovery(document []byte, identifier string) (string, error) {
	var found struct {
		Issuer string `json:"issuer"`
		KeySet string `json:"jwks_uri"`
	}
	switch err := json.Unmarshal(document, &found); {
	case err != nil:
		return "", errors.New("its configuration is no JSON object")
	case found.Issuer != identifier: // section 4.3
		return "", errors.New("its configuration is that of another issuer")
	case found.KeySet == "":
		return "", errors.New("its configuration has no jwks_uri")
	}
	return found.KeySet, nil
}
