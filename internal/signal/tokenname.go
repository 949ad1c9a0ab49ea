package signal

import (
	"context"
	"fmt"
)

// TokenIsName is the authenticator of OWT's reference server: the token is the
// user's name. Anyone can be anyone.
type TokenIsName struct{}

var _ Authenticator = TokenIsName{}

// Authenticate implements [Authenticator].
func (TokenIsName) Authenticate(_ context.Context, c Credentials) (Identity, error) {
	id := Identity{User: UserName(c.Token)}
	if err := CheckUserName(id.User); err != nil {
		return Identity{}, fmt.Errorf("authenticate: %w: %w", ErrRefused, err)
	}
	return id, nil
}

// Needs implements [Authenticator].
func (TokenIsName) Needs() Needs { return Needs{} }
