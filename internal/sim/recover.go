package sim

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// FirstWithRecovery is the first seed of worlds of which two in three have JSON clients
// that may recover, and that lose their link without anybody's knowledge.
const FirstWithRecovery = 1 << 47

// inbox is what a client that recovers has of what was posted to it.
type inbox struct {
	epoch  string
	began  time.Duration    // when it was first welcome: nothing is promised before
	since  int64            // it has all up to there
	known  map[int64]int    // what it has above: messages by their numbers
	upTo   int64            // what was missing when it was welcome
	handed map[int]bool     // messages that it has handed out
	last   map[string]int64 // the last number of each sender among them
	void   map[seqKey]bool  // what it was told never comes
	lost   map[seqKey]bool  // what it was told is not kept any more
	on     *socket          // on which it was told from where on it is replayed
	asks   *socket          // on which it is about to ask for what is missing
}

// notMessage is what an inbox has of a number that never comes.
const notMessage = -1

func newInbox() *inbox {
	return &inbox{known: make(map[int64]int), handed: make(map[int]bool), last: make(map[string]int64), void: make(map[seqKey]bool), lost: make(map[seqKey]bool)}
}

// given is what the client says of it when it connects.
func (b *inbox) given() *signal.Since {
	if b.epoch == "" {
		return nil
	}
	return &signal.Since{Epoch: b.epoch, Seq: b.since}
}

// missing is whether there is something to ask for.
func (b *inbox) missing() bool {
	return b.since < b.upTo || len(b.known) > 0
}

// recovers has a client take in what its link brings it.
func (s *Sim) recover(c *client, k *socket, e signal.Event) {
	b := c.inbox
	switch e := e.(type) {
	case signal.Welcome:
		s.welcomes(c, k, e)
	case signal.Delivery:
		id, _ := strconv.Atoi(string(e.Data))
		b.take(e.Epoch, e.Seq, e.Seq, id)
	case signal.Void:
		for n := e.Seq; n <= e.Last; n++ {
			b.void[seqKey{c.user, e.Epoch, n}] = true
		}
		s.count("void numbers")
		b.take(e.Epoch, e.Seq, e.Last, notMessage)
	case signal.Lost:
		for n := e.Seq; n <= e.Last && e.Epoch == b.epoch; n++ {
			s.loses(c, n)
		}
		b.take(e.Epoch, e.Seq, e.Last, notMessage)
	case signal.Replayed:
		s.count("replays")
		if e.Epoch == b.epoch && b.since < e.Seq && b.on == k {
			s.violate("recovery", "%s is told that all up to %d was replayed, and has what is up to %d", k.id, e.Seq, b.since)
		}
	}
	s.handOut(c)
	if b.missing() && b.asks != c.socket && c.socket != nil {
		s.asks(c, c.socket)
	}
}

// welcomes: all that a client has missed is replayed to it.
func (s *Sim) welcomes(c *client, k *socket, w signal.Welcome) {
	b := c.inbox
	switch {
	case w.Recovery.For == 0: // it is not that of a connection, but of an authentication
		return
	case b.epoch == "":
		b.epoch, b.since, b.began = w.Epoch, w.Seq, s.now
	case w.Recovery.Whole && w.Recovery.From > b.since+1:
		s.violate("recovery", "%s comes back with %d, and is told %+v", c.user, b.since, w.Recovery)
	default: // what it has lost was deleted, or another client got it that does not recover
		for n := b.since + 1; n < w.Recovery.From; n++ {
			s.loses(c, n)
		}
		b.since = max(b.since, w.Recovery.From-1)
		maps.DeleteFunc(b.known, func(n int64, _ int) bool { return n <= b.since })
	}
	b.upTo, b.on = max(b.upTo, w.Seq), k
}

func (b *inbox) take(epoch string, first, last int64, id int) {
	for n := first; n <= last && epoch == b.epoch; n++ {
		if _, ok := b.known[n]; n > b.since && (!ok || id != notMessage) {
			b.known[n] = id
		}
	}
}

// handOut hands out what is next: once, and in the order in which it was sent.
func (s *Sim) handOut(c *client) {
	b := c.inbox
	for {
		id, ok := b.known[b.since+1]
		if !ok {
			return
		}
		b.since++
		delete(b.known, b.since)
		if id == notMessage {
			continue
		}
		m := s.messages[id]
		if b.handed[id] {
			s.violate("recovery", "%s hands out message %d twice", c.user, id)
		}
		b.handed[id] = true
		from := m.from.lane()
		if m.n == signal.NoNumber {
			continue
		}
		if last, some := b.last[from]; some && m.n <= last {
			s.violate("recovery", "%s hands out number %d of %s after %d", c.user, m.n, from, b.last[from])
		}
		b.last[from] = m.n
	}
}

// asks has a client ask for what is missing, again and again.
func (s *Sim) asks(c *client, k *socket) {
	c.inbox.asks = k
	s.after(lane.GapTimeout, func() {
		if c.socket != k || !k.open || c.left || !c.inbox.missing() {
			c.inbox.asks = nil
			return
		}
		if c.ready && !k.dead {
			s.count("questions")
			s.message(k, "question on "+string(k.id), signal.Recover{Since: *c.inbox.given()})
		}
		s.asks(c, k)
	})
}

// loseLink has a client's link die: what is posted to it is accepted, and lost. The
// client notices after a while, and connects anew.
func (s *Sim) loseLink(c *client, within time.Duration) {
	k := c.socket
	if k == nil || !k.open || !c.ready || c.left || c.inbox == nil {
		return
	}
	s.count("dead links")
	k.dead = true
	renew := func() {
		if c.socket == k {
			c.renew()
		}
	}
	s.after(s.upTo(within), func() {
		if !s.deletes {
			renew()
			return
		}
		s.burst(s.clients[s.rng.IntN(len(s.clients))], c.user) // it comes back amid that
		s.after(s.upTo(100*time.Millisecond), renew)
	})
}

// judgeRecovery: what is acknowledged, and was accepted for a client that recovers and
// is there in the end, it has handed out.
func (s *Sim) judgeRecovery(c *client) {
	if c.inbox == nil || s.forgetful[c.user] {
		return
	}
	places := make(map[*message]seqKey)
	for place, r := range s.seqs {
		if r.by != nil && place.to == c.user {
			places[r.by] = place
		}
	}
	for _, m := range s.messages {
		if !slices.ContainsFunc(m.acks, func(a ack) bool { return a.code == lane.OK }) {
			continue
		}
		place := places[m]
		if c.inbox.void[place] {
			s.violate("recovery", "%s was told that %d never comes, and message %d was acknowledged", c.user, place.seq, m.id)
		}
		its := slices.ContainsFunc(m.accepted, func(a acceptance) bool { return a.by.client == c && a.at >= c.inbox.began })
		if its && place.epoch == c.inbox.epoch && !c.inbox.lost[place] && c.ready && c.socket.open && !c.left && !c.inbox.handed[m.id] {
			s.violate("recovery", "%s has not got message %d, number %d, which was acknowledged; it has all up to %d", c.user, m.id, place.seq, c.inbox.since)
		}
	}
}

// Keep implements [signal.HistoryStore].
func (s store) Keep(ctx context.Context, user signal.UserName, post []signal.Delivery, until lane.Instant) (kept bool, err error) {
	if s.deletes { // where what is missing is often on its way
		s.wait(s.upTo(slowly))
	}
	failed := s.call("keep post", item{}, func() {
		kept, err = s.Store.Keep(ctx, user, post, until)
		s.tracef("keep %d of %s: %v", post[0].Seq, user, kept)
		if !kept {
			s.count("too late for history")
		}
	})
	if failed != nil {
		return false, failed
	}
	return kept, err
}

// Void implements [signal.HistoryStore].
func (s store) Void(ctx context.Context, user signal.UserName, epoch string, seq int64, until lane.Instant) (err error) {
	failed := s.call("void", item{}, func() {
		err = s.Store.Void(ctx, user, epoch, seq, until)
		s.tracef("void %d of %s", seq, user)
	})
	if failed != nil {
		return failed
	}
	return err
}

// History implements [signal.HistoryStore].
func (s store) History(ctx context.Context, user signal.UserName, epoch string, first, last int64) (all []signal.Kept, err error) {
	if failed := s.call("history", item{}, func() { all, err = s.Store.History(ctx, user, epoch, first, last) }); failed != nil {
		return nil, failed
	}
	return all, err
}

// Standing implements [signal.HistoryStore].
func (s store) Standing(ctx context.Context, user signal.UserName, now lane.Instant) (c signal.Claimed, err error) {
	if failed := s.call("standing", s.userItem(user), func() { c, err = s.Store.Standing(ctx, user, now) }); failed != nil {
		return signal.Claimed{}, failed
	}
	return c, err
}

// Keep says that it has, if the store is careless, and has lost it; or keeps what
// is everybody's, if it mixes.
func (s mutatedStore) Keep(ctx context.Context, user signal.UserName, post []signal.Delivery, until lane.Instant) (bool, error) {
	if s.mutation == Mixing {
		user, post = "", slices.Clone(post)
		for i := range post {
			post[i].Epoch = ""
		}
	}
	kept, err := s.Store.Keep(ctx, user, post, until)
	if s.mutation == Careless && err != nil {
		return true, nil //nolint:nilerr // that is the fault
	}
	return kept, err
}

// History has what is everybody's, if the store mixes; if it is hopeless, what is
// missing never comes.
func (s mutatedStore) History(ctx context.Context, user signal.UserName, epoch string, first, last int64) ([]signal.Kept, error) {
	if s.mutation == Mixing {
		all, err := s.Store.History(ctx, "", "", first, last)
		for i := range all {
			all[i].Post = slices.Clone(all[i].Post)
			for j := range all[i].Post {
				all[i].Post[j].Epoch = epoch
			}
		}
		return all, err
	}
	all, err := s.Store.History(ctx, user, epoch, first, last)
	if s.mutation == Hopeless && err == nil {
		there := make(map[int64]signal.Kept)
		for n := first; n <= last; n++ {
			there[n] = signal.Kept{Seq: n}
		}
		for _, k := range all {
			there[k.Seq] = k
		}
		all = slices.SortedFunc(maps.Values(there), func(a, b signal.Kept) int { return int(a.Seq - b.Seq) })
	}
	return all, err
}

// brief leaves out the first of what is replayed at once.
type brief struct{ signal.Pusher }

func (b brief) Post(ctx context.Context, p signal.Peer, e signal.Event) error {
	if batch, ok := e.(signal.Batch); ok {
		if _, replayed := batch[len(batch)-1].(signal.Replayed); replayed {
			e = batch[1:]
		}
	}
	return b.Pusher.Post(ctx, p, e)
}
