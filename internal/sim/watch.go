package sim

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// FirstWithWatches is the first seed of a world in which, if its last two bits are 1,
// clients watch each other, come and go more often, lose their link without anybody's
// knowledge, and keepalive visits them in the end.
const FirstWithWatches = 1 << 48

// sight is what a client knows of a user whom it watches.
type sight struct {
	on     *socket // on which it watches
	at     int64
	online bool
}

// state is one of a user's presence.
type state struct {
	user signal.UserName
	at   int64
}

// watchChecker sees what is told of users.
type watchChecker struct {
	states map[state]bool                        // whether that is online
	ends   map[signal.ConnectionID]time.Duration // of connections
}

// drawWatches draws who watches whom, and who comes and goes.
func (s *Sim) drawWatches(names []signal.UserName) (end time.Duration) {
	for range 4 + s.rng.IntN(8) {
		at, c := 200*time.Millisecond+s.upTo(3*time.Second), s.clients[s.rng.IntN(len(names))]
		end = max(end, at+time.Second)
		what := s.rng.IntN(8)
		s.after(at, func() {
			switch k := c.socket; {
			case k == nil || !k.open:
			case what == 0: // its link dies, and nobody hears of it
				s.count("cut links")
				c.left, k.open, k.abandoned = true, false, true
			case what == 1:
				s.newClient(c.user, s.generation()).connect()
			default:
				s.shut(k, true)
			}
		})
	}
	return end
}

// watchAll has a client watch some users once it is welcome, and those whom it has
// watched before.
func (s *Sim) watchAll(c *client) {
	k := c.socket
	if c.sights == nil {
		return
	}
	for _, other := range s.clients {
		if s.chance(0.6) || c.sights[other.user] != nil {
			s.watch(c, k, other.user)
		}
	}
	if s.chance(0.2) {
		user := s.clients[s.rng.IntN(len(s.clients))].user
		s.after(s.upTo(2*time.Second), func() {
			if c.socket == k && k.open {
				delete(c.sights, user)
				s.message(k, "unwatch by "+string(k.id), signal.Unwatch{User: user})
			}
		})
	}
}

// watch has a client watch a user, and ask again until it is answered.
func (s *Sim) watch(c *client, k *socket, user signal.UserName) {
	if c.socket != k || !k.open || c.left {
		return
	}
	if is := c.sights[user]; is == nil {
		c.sights[user] = &sight{}
	} else if is.on == k {
		return
	}
	s.count("watches")
	s.message(k, "watch of "+string(user)+" by "+string(k.id), signal.Watch{User: user})
	s.after(3*time.Second, func() {
		if is := c.sights[user]; is != nil && is.on != k {
			s.watch(c, k, user)
		}
	})
}

// sees takes in what a client is told of a user.
func (c *client) sees(k *socket, p signal.Presence) {
	is := c.sights[p.User]
	if is == nil || c.socket != k || !k.open {
		return
	}
	is.on = k
	if p.At > is.at {
		is.at, is.online = p.At, p.Online
	}
}

// told: a state has one meaning, and who has ended by the time when an invocation
// looks who watches is told nothing by it.
func (s *Sim) told(k *socket, p signal.Presence) {
	s.count("presences")
	is := state{p.User, p.At}
	if online, ok := s.states[is]; ok && online != p.Online {
		s.violate("watch", "number %d of %s is online %v and %v", p.At, p.User, online, p.Online)
	}
	s.states[is] = p.Online
	if s.current == nil {
		return // an answer
	}
	s.count("presences posted")
	looked, ok := s.current.looked[is]
	if ended, over := s.ends[k.id]; ok && over && ended < looked {
		s.violate("watch", "%s was told of %s, and had ended at %v, before it was looked who watches, at %v", k.id, p.User, ended, looked)
	}
}

// keepalive has a round begin.
func (s *Sim) keepalive() {
	s.invoke("keepalive", 1, func() { _ = s.service.Keepalive(context.Background()) })
}

// Scan implements [signal.ConnectionStore]. All is in the first segment, and in order,
// so that the seed alone decides what a round does.
func (s store) Scan(ctx context.Context, of signal.Segment, now lane.Instant, f func(signal.Connection), owed func(signal.UserName)) error {
	if of.Index > 0 {
		return nil
	}
	all, users := make(map[signal.ConnectionID]signal.Connection), make(map[signal.UserName]bool)
	err := s.Store.Scan(ctx, signal.Segment{Of: 1}, now, func(c signal.Connection) { all[c.ID] = c }, func(user signal.UserName) { users[user] = true })
	for _, user := range slices.Sorted(maps.Keys(users)) {
		owed(user)
	}
	for _, id := range sorted(all) {
		f(all[id])
	}
	return err
}

// Probe implements [signal.Prober].
func (s *Sim) Probe(_ context.Context, p signal.Peer) error {
	s.step()
	s.wait(s.latency(s.faults.Post))
	if k := s.sockets[p.ID]; k == nil || !k.open {
		return signal.ErrGone
	}
	return nil
}

// judgeWatches: after keepalive's round who watches knows who is online.
func (s *Sim) judgeWatches(c *client) {
	if !c.ready || !c.socket.open || c.left || s.over(c.socket) {
		return
	}
	if _, lost := s.superseded[c.socket.id]; lost {
		return
	}
	for _, user := range slices.Sorted(maps.Keys(c.sights)) {
		is := c.sights[user]
		if is.on != c.socket {
			s.violate("watch", "%s has no answer about %s", c.socket.id, user)
			continue
		}
		now, _, _ := s.records.Watchers(context.Background(), user, s.Now())
		owner, err := s.records.Owner(context.Background(), user, s.Now()) // if its time has not passed
		if is.online != now.Online && is.online != (err == nil) {
			s.violate("watch", "%s takes %s for online %v by number %d, and is %+v", c.socket.id, user, is.online, is.at, now)
		}
		if k := s.sockets[owner.ID]; err == nil && is.online && !k.open && s.ends[k.id] == 0 {
			s.violate("watch", "%s takes %s for online on %s, which is closed", c.socket.id, user, k.id)
		}
	}
}

// Watch implements [signal.PresenceStore].
func (s store) Watch(ctx context.Context, user signal.UserName, by signal.ConnectionID, now lane.Instant) (p signal.Presence, err error) {
	failed := s.call("watch", s.userItem(user), func() {
		p, err = s.Store.Watch(ctx, user, by, now)
		s.tracef("%s watches %s: %+v %v", by, user, p, err)
	})
	if failed != nil {
		return signal.Presence{}, failed
	}
	return p, err
}

// Unwatch implements [signal.PresenceStore].
func (s store) Unwatch(ctx context.Context, user signal.UserName, by signal.ConnectionID) (err error) {
	if failed := s.call("unwatch", s.userItem(user), func() { err = s.Store.Unwatch(ctx, user, by) }); failed != nil {
		return failed
	}
	return err
}

// Watchers implements [signal.PresenceStore].
func (s store) Watchers(ctx context.Context, user signal.UserName, now lane.Instant) (p signal.Presence, peers []signal.Peer, err error) {
	failed := s.call("watchers", s.userItem(user), func() {
		p, peers, err = s.Store.Watchers(ctx, user, now)
		s.tracef("%d watch %+v", len(peers), p)
		if s.current == nil { // the answer will not come
			return
		}
		if is := (state{user, p.At}); s.current.looked[is] == 0 {
			if s.current.looked == nil {
				s.current.looked = make(map[state]time.Duration)
			}
			s.current.looked[is] = s.now
		}
	})
	if failed != nil {
		return signal.Presence{}, nil, failed
	}
	return p, peers, err
}

// Told implements [signal.PresenceStore].
func (s store) Told(ctx context.Context, user signal.UserName, at int64) (err error) {
	if failed := s.call("told", s.userItem(user), func() { err = s.Store.Told(ctx, user, at) }); failed != nil {
		return failed
	}
	return err
}

// Scan owes nobody anything, if the store is mute; it deletes all history, if it is
// impatient.
func (s mutatedStore) Scan(ctx context.Context, of signal.Segment, now lane.Instant, f func(signal.Connection), owed func(signal.UserName)) error {
	if s.mutation == Mute {
		owed = func(signal.UserName) {}
	}
	if s.mutation == Impatient {
		now = now.Add(away)
	}
	return s.Store.Scan(ctx, of, now, f, owed)
}

// Claim owes nobody anything, if the store is mute, and forgets that history was
// deleted, if it is unmarked.
func (s mutatedStore) Claim(ctx context.Context, c signal.Claim) (signal.Claimed, error) {
	claimed, err := s.Store.Claim(ctx, c)
	claimed.Owed = claimed.Owed && s.mutation != Mute
	if s.mutation == Unmarked {
		claimed.KeptAfter = 0
	}
	return claimed, err
}

// Watch returns what was before the connection was noted, if the store looks back.
func (s mutatedStore) Watch(ctx context.Context, user signal.UserName, by signal.ConnectionID, now lane.Instant) (signal.Presence, error) {
	if s.mutation != Hindsight {
		return s.Store.Watch(ctx, user, by, now)
	}
	before, _, err := s.Store.Watchers(ctx, user, now)
	if err == nil {
		_, err = s.Store.Watch(ctx, user, by, now)
	}
	return before, err
}

// Watchers counts them as told before they are, if the store is hopeful, and those who
// have ended among them, if it is haunted.
func (s mutatedStore) Watchers(ctx context.Context, user signal.UserName, now lane.Instant) (signal.Presence, []signal.Peer, error) {
	p, peers, err := s.Store.Watchers(ctx, user, now)
	inner := s.Store.(store) //nolint:forcetypeassert // it is that under every mutation
	switch {
	case err != nil:
	case s.mutation == Hopeful:
		err = s.Store.Told(ctx, user, p.At)
	case s.mutation == Haunted:
		for _, id := range sorted(inner.sockets) {
			if k := inner.sockets[id]; inner.ends[id] != 0 && k.client.sights[user] != nil {
				peers = append(peers, signal.Peer{ID: id, Protocol: k.protocol})
			}
		}
	}
	return p, peers, err
}
