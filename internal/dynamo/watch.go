package dynamo

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// Who watches a user is in items of their own, shards, so that each is written as one
// unit, and a user's record is not. That has the numbers of the shards that there are:
// it comes with each claim and release, so a user whom nobody watches costs nothing. A
// watch writes it last: whoever changes the user's presence after that finds it.
//
// A connection that ends leaves its name in the shards; it is taken out by who next
// reads them. Whom a connection watches is in an item of its own, too, since it may
// watch only so many; of each name there is a hash, so that it is one unit.

const (
	watchersPrefix = "watchers#"
	watchingPrefix = "watching#"
	userPrefix     = "user#"

	// shardSize is how many connections are in a shard: so many of API Gateway's names
	// are less than 1 KB.
	shardSize = 50
	shards    = signal.MaxWatchers / shardSize
	// watchTries bounds how often a watch meets a shard that others fill, or a user's
	// record that expires under it.
	watchTries = 4
)

func shardKey(user signal.UserName, shard int) string {
	return watchersPrefix + strconv.Itoa(shard) + "#" + string(user)
}

// hashed returns what stands for a name among those that a connection watches.
func hashed(user signal.UserName) string {
	sum := sha256.Sum256([]byte(user))
	return base64.RawURLEncoding.EncodeToString(sum[:8])
}

func watchingKey(id signal.ConnectionID) string { return watchingPrefix + string(id) }

// Watch implements [signal.PresenceStore].
func (s *Store) Watch(ctx context.Context, user signal.UserName, by signal.ConnectionID, now lane.Instant) (signal.Presence, error) {
	was, full, err := s.addTo(ctx, watchingKey(by), hashed(user), signal.MaxWatched, now)
	if err != nil {
		return signal.Presence{}, fmt.Errorf("put watched: %w", err)
	}
	if full {
		return signal.Presence{}, fmt.Errorf("watch of connection %s: %w", by, signal.ErrTooManyWatches)
	}
	shard, full, err := s.addWatcher(ctx, user, by, now)
	if full && !slices.Contains(was, hashed(user)) {
		err = s.takeFrom(ctx, watchingKey(by), hashed(user))
	}
	if err != nil {
		return signal.Presence{}, fmt.Errorf("put watcher: %w", err)
	}
	if full {
		return signal.Presence{}, fmt.Errorf("watch of a user: %w", signal.ErrTooManyWatches)
	}
	it, err := s.markWatched(ctx, user, shard, now)
	if err != nil {
		return signal.Presence{}, fmt.Errorf("mark user as watched: %w", err)
	}
	var r reader
	return r.presence(it, user, now), r.err
}

// addTo adds a member to the set of an item, unless there are so many others, and
// returns the set as it was.
func (s *Store) addTo(ctx context.Context, pk, member string, most int, now lane.Instant) (was []string, full bool, err error) {
	e := newExpression()
	set := e.path(attrMembers)
	e.require("(attribute_not_exists("+set+") OR size("+set+") <", e.value(num(most)), "OR contains("+set+",", e.value(str(member))+"))")
	e.add(set, strs(member))
	e.set(e.path(attrExpires), e.value(num(seconds(now.Add(signal.ConnectionLife)))))
	in := e.update(s.table, pk)
	in.ReturnValues = types.ReturnValueAllOld
	out, err := s.client.UpdateItem(ctx, in)
	old, full := refused(err)
	if err != nil && !full {
		return nil, false, err
	}
	if !full {
		old = out.Attributes
	}
	var r reader
	return r.strs(old, attrMembers), full, r.err
}

// takeFrom takes members out of the set of an item.
func (s *Store) takeFrom(ctx context.Context, pk string, members ...string) error {
	e := newExpression()
	e.require("attribute_exists(" + attrKey + ")")
	e.take(e.path(attrMembers), strs(members...))
	_, err := s.client.UpdateItem(ctx, e.update(s.table, pk))
	if _, ok := refused(err); ok {
		return nil
	}
	return err
}

// addWatcher adds a connection to a shard that has room, the first if it has, and
// returns which. If all are full, it takes out of one who has ended.
func (s *Store) addWatcher(ctx context.Context, user signal.UserName, by signal.ConnectionID, now lane.Instant) (shard int, full bool, err error) {
	for range watchTries {
		if _, full, err = s.addTo(ctx, shardKey(user, shard), string(by), shardSize, now); err != nil || !full {
			return shard, false, err
		}
		all := make([]int, shards)
		for i := range all {
			all[i] = i
		}
		members, err := s.shards(ctx, user, all)
		if err != nil {
			return 0, false, err
		}
		shard = slices.IndexFunc(members, func(ids []string) bool { return slices.Contains(ids, string(by)) || len(ids) < shardSize })
		if shard >= 0 {
			continue
		}
		shard = int(now % shards)
		if _, dead, err := s.living(ctx, members[shard], now); err != nil || len(dead) == 0 {
			return 0, err == nil, err
		} else if err := s.takeFrom(ctx, shardKey(user, shard), dead...); err != nil {
			return 0, false, err
		}
	}
	return 0, true, nil
}

// shards returns who is in shards of a user.
func (s *Store) shards(ctx context.Context, user signal.UserName, which []int) ([][]string, error) {
	keys := make([]string, len(which))
	for i, shard := range which {
		keys[i] = shardKey(user, shard)
	}
	items, err := s.read(ctx, keys)
	if err != nil {
		return nil, err
	}
	var r reader
	members := make([][]string, len(which))
	for i, pk := range keys {
		members[i] = r.strs(items[pk], attrMembers)
	}
	return members, r.err
}

// living returns those of connections that have not ended and are not revoked, and
// the names of those that have ended.
func (s *Store) living(ctx context.Context, ids []string, now lane.Instant) (peers []signal.Peer, dead []string, err error) {
	keys := make([]string, len(ids))
	for i, id := range ids {
		keys[i] = connectionKey(signal.ConnectionID(id))
	}
	items, err := s.read(ctx, keys)
	if err != nil {
		return nil, nil, err
	}
	for i, id := range ids {
		switch c, err := readConnection(items[keys[i]], now); {
		case err != nil || c.Ended:
			dead = append(dead, id)
		case !c.Revoked(now):
			peers = append(peers, c.Peer)
		}
	}
	return peers, dead, nil
}

// markWatched says in a user's record that a shard has somebody in it, and returns
// the record. One that is there for less long than a watch may last is prolonged.
func (s *Store) markWatched(ctx context.Context, user signal.UserName, shard int, now lane.Instant) (item, error) {
	for try := range watchTries {
		e := newExpression()
		expires, needed := e.path(attrExpires), e.value(num(seconds(now.Add(signal.ConnectionLife))))
		if try%2 == 0 {
			e.require(expires, ">", needed)
		} else {
			e.require("(attribute_not_exists("+expires+") OR", expires, "<=", needed+")")
			e.set(expires, needed)
		}
		changes, begin := e.path(attrChanges), e.value(num(now))
		at := "if_not_exists(" + changes + ", " + begin + ")"
		told := e.path(attrTold)
		e.set(changes, at)
		e.set(told, "if_not_exists("+told+", "+at+")")
		e.add(e.path(attrWatched), &types.AttributeValueMemberNS{Value: []string{strconv.Itoa(shard)}})
		e.add(e.path(attrWatches), num(1))
		out, err := s.client.UpdateItem(ctx, e.update(s.table, userKey(user)))
		if err == nil {
			return out.Attributes, nil
		}
		if _, ok := refused(err); !ok {
			return nil, err
		}
	}
	return nil, signal.ErrBusy
}

// Unwatch implements [signal.PresenceStore].
func (s *Store) Unwatch(ctx context.Context, user signal.UserName, by signal.ConnectionID) error {
	it, err := s.get(ctx, userKey(user))
	if err != nil {
		return fmt.Errorf("get user: %w", err)
	}
	var r reader
	which := r.nums(it, attrWatched)
	members, err := s.shards(ctx, user, which)
	for i, ids := range members {
		if err == nil && slices.Contains(ids, string(by)) {
			err = s.takeFrom(ctx, shardKey(user, which[i]), string(by))
		}
	}
	if err == nil {
		err = s.takeFrom(ctx, watchingKey(by), hashed(user))
	}
	if err != nil {
		return fmt.Errorf("delete watcher: %w", err)
	}
	return r.err
}

// Watchers implements [signal.PresenceStore]. If there are none, the user's record
// says so from then on, unless somebody has begun to watch meanwhile.
func (s *Store) Watchers(ctx context.Context, user signal.UserName, now lane.Instant) (signal.Presence, []signal.Peer, error) {
	it, err := s.get(ctx, userKey(user))
	if err != nil {
		return signal.Presence{}, nil, fmt.Errorf("get user: %w", err)
	}
	var r reader
	is, which := r.presence(it, user, 0), r.nums(it, attrWatched)
	members, err := s.shards(ctx, user, which)
	if err != nil {
		return is, nil, fmt.Errorf("get watchers: %w", err)
	}
	peers, dead, err := s.living(ctx, unique(members), now)
	if err != nil {
		return is, nil, fmt.Errorf("get connections of watchers: %w", err)
	}
	left := 0
	for i, ids := range members {
		gone := slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return !slices.Contains(dead, id) })
		left += len(ids) - len(gone)
		if len(gone) == 0 {
			continue
		}
		if err := s.takeFrom(ctx, shardKey(user, which[i]), gone...); err != nil {
			return is, nil, fmt.Errorf("delete watchers that have ended: %w", err)
		}
	}
	if left == 0 && len(which) > 0 {
		if err := s.unmark(ctx, user, r.num(it, attrWatches)); err != nil {
			return is, nil, err
		}
	}
	return is, peers, r.err
}

// unique returns the members of all shards, each once.
func unique(shards [][]string) []string {
	all := slices.Concat(shards...)
	slices.Sort(all)
	return slices.Compact(all)
}

// unmark says in a user's record that nobody watches, unless there was a watch since
// it was read.
func (s *Store) unmark(ctx context.Context, user signal.UserName, watches int64) error {
	e := newExpression()
	e.require(e.path(attrWatches), "=", e.value(num(watches)))
	e.remove(e.path(attrWatched))
	e.remove(e.path(attrTold))
	_, err := s.client.UpdateItem(ctx, e.update(s.table, userKey(user)))
	if _, ok := refused(err); err != nil && !ok {
		return fmt.Errorf("mark user as not watched: %w", err)
	}
	return nil
}

// Told implements [signal.PresenceStore].
func (s *Store) Told(ctx context.Context, user signal.UserName, at int64) error {
	e := newExpression()
	told, to := e.path(attrTold), e.value(num(at))
	e.require(told, "<", to)
	e.set(told, to)
	_, err := s.client.UpdateItem(ctx, e.update(s.table, userKey(user)))
	if _, ok := refused(err); err != nil && !ok {
		return fmt.Errorf("note that watchers were told: %w", err)
	}
	return nil
}

// presence reads a user's presence; at time zero, whether or not its owner's time has
// passed.
func (r *reader) presence(it item, user signal.UserName, now lane.Instant) signal.Presence {
	p := signal.Presence{User: user, Watched: true, At: r.num(it, attrChanges)}
	if it[attrOwner] != nil {
		if p.Online = lane.Instant(r.num(it, attrUntil)) > now; !p.Online {
			p.At++ // as its release will say
		}
	}
	return p
}

// owed reads whether those who watch a user have not all been told of its presence.
func (r *reader) owed(it item) bool {
	return it[attrWatched] != nil && r.num(it, attrTold) < r.num(it, attrChanges)
}
