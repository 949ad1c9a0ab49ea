package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal"
)

// How long an issuer's keys are used. There is nobody to refresh them in the
// background: between two invocations a Lambda is frozen. Whoever needs a key
// fetches them, and all that come meanwhile wait for that, or are refused.
const (
	// fresh is how long keys are used without a question. A key that its issuer
	// has withdrawn is accepted for as long.
	fresh = 15 * time.Minute
	// stale is how long they are used when the issuer cannot be reached.
	stale = 2 * time.Hour
	// cooldown is how long after an answer an unknown key is not asked for
	// again, whoever makes them up; afterFailure, after none.
	cooldown     = 30 * time.Second
	afterFailure = 5 * time.Second
)

// issuer is a set of keys that somebody publishes.
type issuer struct {
	keySet    string // the URL of the JSON Web Key Set; empty: to be discovered
	discovery string // the issuer's identifier, if it is to be discovered
	now       func() time.Time

	turn chan struct{} // holds one; who has it fetches

	mu      sync.Mutex
	keys    []key
	fetched time.Time // when the keys came
	asked   time.Time // when they were asked for last
	err     error     // what came of that
}

func newIssuer(keySet, discovery string, now func() time.Time) *issuer {
	return &issuer{keySet: keySet, discovery: discovery, now: now, turn: make(chan struct{}, 1)}
}

// known is what an issuer's keys are at some time.
type known struct {
	keys  []key
	age   time.Duration
	since time.Duration // the last question
	err   error
	asked time.Time
}

func (i *issuer) known() known {
	i.mu.Lock()
	defer i.mu.Unlock()
	now := i.now()
	return known{i.keys, now.Sub(i.fetched), now.Sub(i.asked), i.err, i.asked}
}

// find returns the keys by which a token may be signed. [signal.ErrRefused] if
// there are none; any other error means that the issuer has not said.
func (i *issuer) find(ctx context.Context, algorithm, id string) ([]any, error) {
	k := i.known()
	found := k.fitting(algorithm, id)
	if len(found) == 0 || k.age >= fresh {
		k = i.refresh(ctx, k, len(found) == 0)
		found = k.fitting(algorithm, id)
	}
	switch {
	case len(found) > 0:
		return found, nil
	case k.err != nil:
		return nil, k.err
	default:
		return nil, fmt.Errorf("%w: it is signed by no key of the issuer", signal.ErrRefused)
	}
}

// fitting are the keys that a token may be signed by: the one that it names, or,
// if it names none, any that its algorithm goes with.
func (k known) fitting(algorithm, id string) []any {
	if k.age >= stale {
		return nil
	}
	var found []any
	for _, key := range k.keys {
		if key.fits(algorithm) && (id == "" || id == key.id) {
			found = append(found, key.public)
		}
	}
	return found
}

// refresh asks the issuer, unless that has been done since, or not long ago, or
// is being done and need not be waited for.
func (i *issuer) refresh(ctx context.Context, seen known, wait bool) known {
	select {
	case i.turn <- struct{}{}:
	default:
		if !wait {
			return seen
		}
		select {
		case i.turn <- struct{}{}:
		case <-ctx.Done():
			seen.err = fmt.Errorf("wait for the issuer's keys: %w", ctx.Err())
			return seen
		}
	}
	defer func() { <-i.turn }()
	k := i.known()
	pause := cooldown
	if k.err != nil {
		pause = afterFailure
	}
	if k.asked != seen.asked || !k.asked.IsZero() && k.since < pause {
		return k
	}
	keys, err := i.ask(ctx)
	i.mu.Lock()
	i.asked, i.err = i.now(), err
	if err == nil {
		i.keys, i.fetched = keys, i.asked
	}
	i.mu.Unlock()
	return i.known()
}

func (i *issuer) ask(ctx context.Context) ([]key, error) {
	address := i.keySet
	if address == "" {
		var err error
		if address, err = discover(ctx, i.discovery); err != nil {
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
