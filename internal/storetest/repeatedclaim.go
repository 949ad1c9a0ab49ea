package storetest

import (
	"testing"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal"
)

// RepeatedClaim lets the owner of a name claim it again, expecting itself.
// That changes nothing, as any claim that is repeated: not the time that a
// later claim has to beat, nor the ownership's end.
func RepeatedClaim(t *testing.T, store signal.Store) {
	t.Helper()
	h := newHistory(store, 0)
	c := newClient(h, newWorld(load{names: 1}), 0, 0)
	u, owner := c.users[0], c.names.peer()
	first := signal.Claim{User: u.name, Peer: owner, At: now, Until: now.Add(time.Hour), Epoch: "first"}
	again := first
	again.At, again.Until, again.Expect = now+10, first.Until.Add(time.Hour), owner.ID
	c.claim(first)
	c.claim(again)
	c.owner(u, first.Until)
	c.claim(signal.Claim{User: u.name, Peer: c.names.peer(), At: now + 5, Until: first.Until, Epoch: "next", Expect: owner.ID})
	judge(t, h)
}
