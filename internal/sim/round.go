package sim

import (
	"context"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// briefly is how long history is kept in worlds in which rounds of keepalive delete
// it: so short, and clients are away for so long, that some of it is over.
const (
	briefly = 3 * time.Second
	away    = 2 * (briefly + signal.HistoryMargin)
)

// rounds has keepalive delete history now and then, while a client comes back to some
// of it after a long time.
func (s *Sim) rounds(c *client) (end time.Duration) {
	s.after(200*time.Millisecond+s.upTo(3*time.Second), func() { s.loseLink(c, away) })
	for range 6 {
		s.after(s.upTo(away), func() { s.burst(s.clients[s.rng.IntN(len(s.clients))], c.user) })
		s.after(briefly+s.upTo(away), s.round)
	}
	return away + 5*time.Second
}

// round is what a round of keepalive does to history.
func (s *Sim) round() {
	s.invoke("keepalive", 1, func() {
		err := s.service.Store.Scan(context.Background(), signal.Segment{Of: 1}, s.Now(), func(signal.Connection) {})
		if err == nil {
			s.count("rounds")
		}
	})
}

// Scan implements [signal.ConnectionStore].
func (s store) Scan(ctx context.Context, of signal.Segment, now lane.Instant, f func(signal.Connection)) (err error) {
	failed := s.call("scan", item{}, func() { err = s.Store.Scan(ctx, of, now, f) })
	if failed != nil {
		return failed
	}
	return err
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

// Scan deletes all history, if the store is impatient.
func (s mutatedStore) Scan(ctx context.Context, of signal.Segment, now lane.Instant, f func(signal.Connection)) error {
	if s.mutation == Impatient {
		now = now.Add(away)
	}
	return s.Store.Scan(ctx, of, now, f)
}

// Standing forgets that history was deleted, if the store is unmarked.
func (s mutatedStore) Standing(ctx context.Context, user signal.UserName, now lane.Instant) (signal.Claimed, error) {
	c, err := s.Store.Standing(ctx, user, now)
	if s.mutation == Unmarked {
		c.KeptAfter = 0
	}
	return c, err
}

// Claim does the same.
func (s mutatedStore) Claim(ctx context.Context, c signal.Claim) (signal.Claimed, error) {
	claimed, err := s.Store.Claim(ctx, c)
	if s.mutation == Unmarked {
		claimed.KeptAfter = 0
	}
	return claimed, err
}
