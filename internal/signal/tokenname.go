package signal

import (
	"context"
	"encoding/hex"
	"fmt"
)

// TokenIsName is the authenticator of OWT's reference server: the token is the
// user's name, and without one the user is anonymous. Anyone can be anyone.
type TokenIsName struct {
	// Random fills a slice with unpredictable bytes.
	Random func([]byte)
}

// Authenticate implements [Authenticator].
func (a TokenIsName) Authenticate(_ context.Context, token string) (UserName, error) {
	if token == "" {
		var id [16]byte
		a.Random(id[:])
		return UserName(hex.EncodeToString(id[:]) + anonymous), nil
	}
	if err := CheckUserName(UserName(token)); err != nil {
		return "", fmt.Errorf("authenticate: %w: %w", ErrRefused, err)
	}
	return UserName(token), nil
}
