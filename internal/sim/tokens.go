package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal"
)

// tokens is the issuer and the authenticator of a world. A token is a name and
// its end; in one world of four many end while their connection lives.
type tokens struct {
	*Sim
	rng *rand.Rand // its own, so that the other worlds are what they were before there were tokens that end
	end bool
	// last is how long those last that do not end meanwhile; 0: for good.
	last time.Duration
}

func newTokens(s *Sim, seed uint64) *tokens {
	return &tokens{Sim: s, rng: rand.New(rand.NewPCG(seed, 0x746f6b656e)), end: seed%4 == 1}
}

// issue makes a token for a user.
func (t *tokens) issue(user signal.UserName) string {
	if t.last > 0 {
		return fmt.Sprintf("%s %d", user, epoch.Add(t.now+t.last))
	}
	if !t.end || t.rng.IntN(3) == 0 {
		return string(user) + " 0"
	}
	return fmt.Sprintf("%s %d", user, epoch.Add(t.now+time.Duration(t.rng.Int64N(int64(3*time.Second)))))
}

// Authenticate implements [signal.Authenticator].
func (*tokens) Authenticate(_ context.Context, c signal.Credentials) (id signal.Identity, err error) {
	_, err = fmt.Sscanf(c.Token, "%s %d", &id.User, &id.Expires)
	return id, err
}

// Needs implements [signal.Authenticator].
func (*tokens) Needs() signal.Needs { return signal.Needs{} }
