package sim

import (
	"context"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// In worlds in which rounds of keepalive delete history it is kept briefly, and clients
// are away for so long that some of it is over; and to keep it takes slowly at most.
const (
	briefly = 3 * time.Second
	slowly  = 200 * time.Millisecond
	away    = 2 * (briefly + signal.HistoryMargin)
)

// rounds has keepalive delete history now and then, while a client comes back to some
// of it after a long time.
func (s *Sim) rounds(c *client) (end time.Duration) {
	s.after(200*time.Millisecond+s.upTo(3*time.Second), func() { s.loseLink(c, away) })
	for range 6 {
		s.after(s.upTo(away), func() { s.burst(s.clients[s.rng.IntN(len(s.clients))], c.user) })
		s.after(briefly+s.upTo(away), s.keepalive)
	}
	return away + 5*time.Second
}

// loses judges that a client is told of a number that it is lost: no number is that
// was reserved within RecoverFor.
func (s *Sim) loses(c *client, n int64) {
	place := seqKey{c.user, c.inbox.epoch, n}
	if c.inbox.lost[place] = true; s.forgetful[c.user] {
		return
	}
	s.count("lost numbers")
	if r := s.seqs[place]; s.now-r.at < s.service.RecoverFor {
		s.violate("recovery", "%s has lost %d, which was reserved %v before", c.user, n, s.now-r.at)
	}
}

// Standing forgets that history was deleted, if the store is unmarked.
func (s mutatedStore) Standing(ctx context.Context, user signal.UserName, now lane.Instant) (signal.Claimed, error) {
	c, err := s.Store.Standing(ctx, user, now)
	if s.mutation == Unmarked {
		c.KeptAfter = 0
	}
	return c, err
}
