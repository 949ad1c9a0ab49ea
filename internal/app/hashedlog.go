package app

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
)

// userKey is the key under which logs have a user's name.
const userKey = "user"

// hashed is a handler that logs users by a keyed hash of their names, so that
// one user's lines can be found by who has the key, and names by nobody.
type hashed struct {
	slog.Handler
	key []byte
}

// HashUsers is h with users' names hashed, if there is a key. It must see the
// attributes before any other handler does.
func HashUsers(h slog.Handler, key string) slog.Handler {
	if key == "" {
		return h
	}
	return hashed{h, []byte(key)}
}

// Handle implements [slog.Handler].
func (h hashed) Handle(ctx context.Context, r slog.Record) error {
	out := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	r.Attrs(func(a slog.Attr) bool {
		out.AddAttrs(h.hide(a))
		return true
	})
	return h.Handler.Handle(ctx, out)
}

// WithAttrs implements [slog.Handler].
func (h hashed) WithAttrs(attrs []slog.Attr) slog.Handler {
	hidden := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		hidden[i] = h.hide(a)
	}
	return hashed{h.Handler.WithAttrs(hidden), h.key}
}

// WithGroup implements [slog.Handler].
func (h hashed) WithGroup(name string) slog.Handler {
	return hashed{h.Handler.WithGroup(name), h.key}
}

// hide returns the attribute as it is logged.
func (h hashed) hide(a slog.Attr) slog.Attr {
	if a.Key != userKey {
		return a
	}
	mac := hmac.New(sha256.New, h.key)
	mac.Write([]byte(a.Value.String()))
	return slog.String(userKey, hex.EncodeToString(mac.Sum(nil)[:8]))
}
