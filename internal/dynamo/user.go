package dynamo

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// claimTries bounds how often a claim meets a record that expires under it.
const claimTries = 4

// Claim implements [signal.UserStore].
func (s *Store) Claim(ctx context.Context, c signal.Claim) (signal.Claimed, error) {
	expired, takesOver := false, c.Expect != ""
	for range claimTries {
		out, err := s.client.UpdateItem(ctx, s.claim(c, expired, takesOver))
		if err == nil {
			return readClaimed(out.Attributes)
		}
		old, ok := refused(err)
		if !ok {
			return signal.Claimed{}, fmt.Errorf("claim name: %w", err)
		}
		var r reader
		owner := r.str(r.child(old, attrOwner), attrID)
		if now := len(old) > 0 && r.num(old, attrExpires) <= seconds(c.At); now != expired || takesOver && (owner == "" || owner == string(c.Expect)) {
			expired, takesOver = now, false
			continue
		}
		claimed, err := readClaimed(old)
		if err == nil && claimed.Owner.ID != c.Peer.ID && lane.Instant(r.num(old, attrClaimedAt)) > c.At {
			return signal.Claimed{}, signal.ErrNewerClaim
		}
		return claimed, err
	}
	return signal.Claimed{}, fmt.Errorf("claim name: %w", signal.ErrBusy)
}

// claim returns the write that claims a name: over a record that is valid, or
// absent, or over one that has expired, whose epoch ends with it. One that takes over,
// from an owner whose time has not passed by any clock, leaves the user online.
func (s *Store) claim(c signal.Claim, expired, takesOver bool) *dynamodb.UpdateItemInput {
	e := newExpression()
	owner := e.path(attrOwner)
	now, at := e.value(num(seconds(c.At))), e.value(num(c.At))
	epoch, zero := e.value(str(c.Epoch)), e.value(num(0))
	if takesOver {
		e.require(e.path(attrUntil), ">", e.value(num(c.Now.Add(2*lane.ClockBound))))
		e.require("attribute_exists(" + owner + ")")
	} else {
		changes := e.path(attrChanges)
		e.set(changes, "if_not_exists("+changes+", "+at+") + "+e.value(num(2)))
	}
	if expired {
		e.require(e.path(attrExpires), "<=", now)
		e.set(e.path(attrEpoch), epoch)
		e.set(e.path(attrSeq), zero)
		e.remove(e.path(attrFullAt))
		e.setOrRemove(e.path(attrKeptAfter), c.Peer.Recovers, num(0))
	} else {
		ownerID, expect := e.path(attrOwner, attrID), e.value(str(c.Expect))
		over := e.value(num(c.At.Add(-signal.FenceAfter)))
		e.require("(attribute_not_exists("+attrKey+") OR", e.path(attrExpires), ">", now,
			"AND (attribute_not_exists("+owner+") OR", ownerID, "<>", e.value(str(c.Peer.ID)),
			"AND (", e.path(attrUntil), "<=", over, "OR", ownerID, "=", expect, "AND", e.path(attrClaimedAt), "<=", at+")))")
		e.set(e.path(attrEpoch), "if_not_exists("+e.path(attrEpoch)+", "+epoch+")")
		seq := "if_not_exists(" + e.path(attrSeq) + ", " + zero + ")"
		e.set(e.path(attrSeq), seq)
		if c.Peer.Recovers {
			e.set(e.path(attrKeptAfter), "if_not_exists("+e.path(attrKeptAfter)+", "+seq+")")
		} else {
			e.remove(e.path(attrKeptAfter))
		}
	}
	e.set(owner, e.value(peerItem(c.Peer)))
	e.set(e.path(attrClaimedAt), at)
	e.set(e.path(attrHanded), e.value(str("1")))
	e.set(e.path(attrUntil), e.value(num(c.Until)))
	e.set(e.path(attrExpires), e.value(num(seconds(c.Until.Add(signal.EpochLife)))))
	return e.update(s.table, userKey(c.User))
}

func readClaimed(it item) (signal.Claimed, error) {
	var r reader
	owner := r.peer(r.child(it, attrOwner))
	if owner == nil {
		return signal.Claimed{}, errors.New("read claim: the record has no owner")
	}
	return signal.Claimed{
		Owner: *owner, Epoch: r.str(it, attrEpoch), Seq: r.num(it, attrSeq), KeptAfter: r.num(it, attrKeptAfter),
		TAT: lane.TAT(r.num(it, attrFullAt)), Owed: r.owed(it),
	}, r.err
}

// Release implements [signal.UserStore].
func (s *Store) Release(ctx context.Context, name signal.UserName, id signal.ConnectionID, full lane.TAT) (signal.Released, error) {
	e := newExpression()
	e.require(e.path(attrOwner, attrID), "=", e.value(str(id)))
	e.remove(e.path(attrOwner))
	e.set(e.path(attrHanded), e.value(str("1")))
	e.setOrRemove(e.path(attrFullAt), full != 0, num(full))
	changes := e.path(attrChanges)
	e.set(changes, "if_not_exists("+changes+", "+e.value(num(0))+") + "+e.value(num(1)))
	out, err := s.client.UpdateItem(ctx, e.update(s.table, userKey(name)))
	var r reader
	if old, ok := refused(err); ok {
		return signal.Released{Owed: old[attrOwner] == nil && r.owed(old)}, r.err
	}
	if err != nil {
		return signal.Released{}, fmt.Errorf("release name: %w", err)
	}
	return signal.Released{Owner: true, Owed: r.owed(out.Attributes)}, r.err
}

// Route implements [signal.UserStore].
func (s *Store) Route(ctx context.Context, name signal.UserName, messages int, now lane.Instant) (signal.Route, error) {
	e := newExpression()
	e.require("attribute_exists(" + e.path(attrOwner) + ")")
	e.require(e.path(attrUntil), ">", e.value(num(now)))
	e.set(e.path(attrSeq), e.path(attrSeq)+" + "+e.value(num(messages)))
	e.remove(e.path(attrHanded)) // by which who reads the stream tells claims and releases from this: template.yaml
	out, err := s.client.UpdateItem(ctx, e.update(s.table, userKey(name)))
	if _, ok := refused(err); ok {
		return signal.Route{}, signal.ErrOffline
	}
	if err != nil {
		return signal.Route{}, fmt.Errorf("route: %w", err)
	}
	var r reader
	owner := r.peer(r.child(out.Attributes, attrOwner))
	if owner == nil {
		return signal.Route{}, errors.New("read route: the record has no owner")
	}
	first := r.num(out.Attributes, attrSeq) - int64(messages) + 1
	return signal.Route{Peer: *owner, Epoch: r.str(out.Attributes, attrEpoch), Seq: first}, r.err
}

// Owner implements [signal.UserStore].
func (s *Store) Owner(ctx context.Context, name signal.UserName, now lane.Instant) (signal.Peer, error) {
	c, err := s.Standing(ctx, name, now)
	return c.Owner, err
}

// Standing implements [signal.HistoryStore].
func (s *Store) Standing(ctx context.Context, name signal.UserName, now lane.Instant) (signal.Claimed, error) {
	it, err := s.get(ctx, userKey(name))
	if err != nil {
		return signal.Claimed{}, fmt.Errorf("get user: %w", err)
	}
	var r reader
	if until := lane.Instant(r.num(it, attrUntil)); r.err == nil && (it[attrOwner] == nil || until <= now) {
		return signal.Claimed{}, signal.ErrOffline
	}
	if r.err != nil {
		return signal.Claimed{}, r.err
	}
	return readClaimed(it)
}
