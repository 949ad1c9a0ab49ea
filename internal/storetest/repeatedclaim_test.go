package storetest

import (
	"testing"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal"
)

// claimsRepeatedly lets the owner of a name claim it again: expecting itself, and
// when its ownership has ended. That changes nothing, as any claim that is
// repeated: not the time that a later claim has to beat, nor the ownership's
// end.
func claimsRepeatedly(t *testing.T, store signal.Store) {
	t.Helper()
	h := newHistory(store, 0)
	c := newClient(h, newWorld(load{names: 2}), 0, 0)
	over := now.Add(time.Hour)
	for i, again := range []signal.Claim{{At: now + 10, Expect: c.last.ID}, {At: over}} {
		name := c.users[i].name
		again.User, again.Peer, again.Until, again.Epoch = name, c.last, over.Add(time.Hour), "again"
		c.do(claim{signal.Claim{User: name, Peer: c.last, At: now, Until: over, Epoch: "first"}})
		c.do(claim{again})
		c.do(owner{name, over})
		c.do(claim{signal.Claim{User: name, Peer: c.names.peer(), At: now + 5, Until: over, Epoch: "next", Expect: c.last.ID}})
	}
	check(t, h)
}
