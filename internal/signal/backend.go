package signal

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// Backends are programs that reach the service by an API: they ask, send and
// disconnect, and have no connection.

// Backend is the protocol of a backend's lane, to which nothing is posted.
const Backend Protocol = "backend"

// BackendPrefix begins each name that a backend sends under, and no other.
const BackendPrefix = "backend:"

// What backends may ask for.
const (
	// MaxRefusal is the longest time for which a user is refused.
	MaxRefusal = 30 * 24 * time.Hour
	// MaxOnline is how many users who are online are listed at a time.
	MaxOnline = 1000
	// KeyLife is for how long it is known what was sent under a key.
	KeyLife = time.Hour
	// MaxKey is the longest key, in bytes.
	MaxKey = 128
)

// Backend reports whether the name is one that a backend sends under.
func (u UserName) Backend() bool { return strings.HasPrefix(string(u), BackendPrefix) }

// CheckBackend returns an error if a backend may not send under the name: after
// [BackendPrefix] it has letters, digits and /_+=,.@- alone, so that it can be part of
// a longer key.
func CheckBackend(name UserName) error {
	const allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/_+=,.@-"
	rest, ok := strings.CutPrefix(string(name), BackendPrefix)
	switch {
	case !ok || rest == "" || strings.Trim(rest, allowed) != "":
		return fmt.Errorf("check backend's name: it is not %s and letters, digits and /_+=,.@-", BackendPrefix)
	case len(name) > MaxUserName:
		return fmt.Errorf("check backend's name: %d bytes, at most %d are allowed", len(name), MaxUserName)
	}
	return nil
}

// errReserved: only backends have such names.
var errReserved = errors.New("the name is reserved for backends")

// BackendStore keeps what is done for backends alone. Its calls are as strongly
// consistent as those of a [Store], but for Online.
type BackendStore interface {
	RefusalStore
	KeyStore
	// Online returns users who are online, in an order of its own, at most limit: those
	// behind the cursor; empty: the first. And the cursor behind them; empty: there are no
	// more. There may be fewer than limit, or none, before the end. What it reads may be
	// a little old.
	Online(ctx context.Context, cursor string, limit int, now lane.Instant) (users []UserName, next string, err error)
}

// RefusalStore keeps who is refused.
type RefusalStore interface {
	// Refuse has a user refused until then; zero: not any more.
	Refuse(ctx context.Context, user UserName, until lane.Instant) error
	// RefusedUntil returns until when a user is refused; zero: it is not.
	RefusedUntil(ctx context.Context, user UserName, now lane.Instant) (lane.Instant, error)
}

// KeyStore keeps what backends have sent under their keys.
type KeyStore interface {
	// BeginKey notes a message that is sent under a key of the sender, for [KeyLife],
	// unless there is one that is not [Keyed.Free]; and returns the one that is noted.
	BeginKey(ctx context.Context, from UserName, key string, k Keyed) (Keyed, error)
	// EndKey notes how a message has ended, unless that is noted; and returns what is. Of
	// a key that is not known it notes nothing, and returns the code.
	EndKey(ctx context.Context, from UserName, key string, code lane.Code) (lane.Code, error)
}

// Keyed is a message that was sent under a key.
type Keyed struct {
	Digest uint32       // of its frame
	By     string       // the invocation that sends it
	At     lane.Instant // when that began
	Ended  bool         // the Code is known
	Code   lane.Code
}

// Free reports whether another message may be sent under the key: its time has
// passed, or nothing was sent for want of room.
func (k Keyed) Free(now lane.Instant) bool {
	return k.At.Add(KeyLife) <= now || k.Ended && k.Code == lane.CodeBusy
}

// IsOnline reports whether a user is online.
func (s *Service) IsOnline(ctx context.Context, user UserName) (bool, error) {
	_, err := s.owner(ctx, user)
	if errors.Is(err, ErrOffline) {
		return false, nil
	}
	return err == nil, err
}

// owner reads who owns a name.
func (s *Service) owner(ctx context.Context, user UserName) (p Peer, err error) {
	err = s.untilKnown(ctx, func(now lane.Instant) error {
		p, err = s.Store.Owner(ctx, user, now)
		return err
	})
	return p, err
}

// Online lists users who are online; see [BackendStore].
func (s *Service) Online(ctx context.Context, cursor string, limit int) (users []UserName, next string, err error) {
	err = s.untilKnown(ctx, func(now lane.Instant) error {
		users, next, err = s.Backends.Online(ctx, cursor, limit, now)
		return err
	})
	return users, next, err
}

// Code returns what a client would be told of an error.
func Code(err error) lane.Code { return codeOf(err) }
