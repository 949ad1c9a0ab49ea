package dynamo

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// Create implements [signal.ConnectionStore].
func (s *Store) Create(ctx context.Context, c signal.Connection) error {
	it := item{
		attrKey:       str(connectionKey(c.ID)),
		attrProtocol:  str(c.Protocol),
		attrEndpoint:  str(c.Endpoint),
		attrSince:     num(c.Since),
		attrExpires:   num(seconds(c.Expires)),
		attrOpen:      num(c.Lane.Open),
		attrDone:      num(c.Lane.Done),
		attrTurn:      num(c.Lane.Taken),
		attrHeld:      &types.AttributeValueMemberM{Value: item{}},
		attrSize:      num(0),
		attrForgotten: num(c.Lane.OutcomesAfter),
	}
	if c.Lobby != "" {
		it[attrLobby] = str(c.Lobby)
	}
	if c.Batches {
		it[attrBatches] = boolean(true)
	}
	if c.Recovers {
		it[attrRecovers] = boolean(true)
	}
	if c.JoinsLate {
		it[attrEarly] = boolean(true)
	}
	if c.Until != 0 {
		it[attrUntil] = num(c.Until)
	}
	if c.Session != "" {
		it[attrSession], it[attrKept] = str(c.Session), it[attrExpires]
	}
	if c.Client.Len() > 0 {
		it[attrClient] = clientItem(c.Client)
	}
	_, err := s.client.PutItem(ctx, &dynamodb.PutItemInput{
		TableName:           &s.table,
		Item:                it,
		ConditionExpression: aws.String("attribute_not_exists(" + attrKey + ")"),
	})
	if _, there := refused(err); err != nil && !there {
		return fmt.Errorf("put connection: %w", err)
	}
	return nil
}

// GetEnded implements [signal.ConnectionStore].
func (s *Store) GetEnded(ctx context.Context, id signal.ConnectionID, now lane.Instant) (signal.Connection, error) {
	it, err := s.get(ctx, connectionKey(id))
	if err != nil {
		return signal.Connection{}, fmt.Errorf("get connection: %w", err)
	}
	return readConnection(it, now)
}

// Get implements [signal.ConnectionStore].
func (s *Store) Get(ctx context.Context, id signal.ConnectionID, now lane.Instant) (signal.Connection, error) {
	c, err := s.GetEnded(ctx, id, now)
	return unlessEnded(c, err, false)
}

// Update implements [signal.ConnectionStore].
func (s *Store) Update(ctx context.Context, id signal.ConnectionID, u signal.Update, now lane.Instant) (signal.Connection, bool, error) {
	if err := s.putBodies(ctx, id, u.Change.Hold); err != nil {
		return signal.Connection{}, false, fmt.Errorf("%s: %w", u.Kind, err)
	}
	defer s.discardBeside(ctx, bodiesOf(id, u.Spent))()
	e := newExpression()
	e.require("attribute_exists(" + attrKey + ")")
	e.require(e.path(attrExpires), ">", e.value(num(seconds(now))))
	e.guard(u, now)
	e.change(u)
	out, err := s.client.UpdateItem(ctx, e.update(s.table, connectionKey(id)))
	if old, ok := refused(err); ok {
		c, err := readConnection(old, now)
		s.discard(ctx, notHeld(id, u, c))
		c, err = unlessEnded(c, err, u.Ended)
		return c, false, err
	}
	if err != nil {
		return signal.Connection{}, false, fmt.Errorf("%s: %w", u.Kind, err)
	}
	s.discard(ctx, givenUp(id, u))
	c, err := readConnection(out.Attributes, now)
	return c, err == nil, err
}

// guard adds [signal.Connection.Allows] as a condition.
func (e *expression) guard(u signal.Update, now lane.Instant) {
	if u.Ended {
		e.require("attribute_exists(" + e.path(attrEnded) + ")")
	} else {
		e.require("attribute_not_exists(" + e.path(attrEnded) + ")")
	}
	if s := u.Succession; s != nil {
		e.requireEqual(attrNext, s.From == "", str(s.From))
	}
	if len(u.Speaks) > 0 {
		e.require(e.path(attrProtocol), "IN", "("+list(e, u.Speaks)+")")
	}
	if u.NotRevoked || u.Revocation != nil {
		e.require("attribute_not_exists(" + e.path(attrBar) + ")")
	}
	if u.NotRevoked {
		until := e.path(attrUntil)
		e.require("(attribute_not_exists("+until+") OR", until, ">", e.value(num(now))+")")
	}
	g := u.Guard
	if done, ok := g.Done.Value(); ok {
		e.require(e.path(attrDone), "=", e.value(num(done)))
	}
	if taken, ok := g.Taken.Value(); ok {
		e.require(e.path(attrTurn), "=", e.value(num(taken)))
	}
	if holder, ok := g.Holder.Value(); ok {
		e.requireEqual(attrOwner, holder == "", str(holder))
	}
	if at, ok := g.LeasedAt.Value(); ok {
		e.requireEqual(attrTurnAt, at == 0, num(at))
	}
	if tat, ok := g.TAT.Value(); ok {
		e.requireEqual(attrFullAt, tat == 0, num(tat))
	}
	switch newest, ok := g.Unnumbered.Value(); {
	case !ok:
	case newest == lane.Unnumbered{}:
		e.require("attribute_not_exists(" + e.path(attrUnnumbered) + ")")
	default:
		e.require("begins_with("+e.path(attrUnnumbered)+",", e.value(unnumberedItem(newest))+")")
	}
	if held, ok := g.Held.Value(); ok {
		e.require("size("+e.path(attrHeld)+")", "=", e.value(num(held)))
	}
	if n, ok := g.TakenBelow.Value(); ok {
		e.require(e.path(attrTurn), "<", e.value(num(n)))
	}
	for _, n := range g.Vacant {
		e.require("attribute_not_exists(" + e.path(attrHeld, strconv.FormatInt(n, 10)) + ")")
	}
	if hold := u.Change.Hold; len(hold) > 0 {
		frames, bytes := g.Room()
		e.require("size("+e.path(attrHeld)+")", "<=", e.value(num(frames-len(hold))))
		e.require(e.path(attrSize), "<=", e.value(num(bytes-u.Change.Grows())))
	}
}

// change adds [signal.Connection.Applied] as an update.
func (e *expression) change(u signal.Update) {
	c := u.Change
	if len(c.Hold) == 0 {
		e.set(e.path(attrDone), e.value(num(c.Done)))
		e.set(e.path(attrTurn), e.value(num(c.Taken)))
	}
	if c.Holder != "" {
		e.set(e.path(attrOwner), e.value(str(c.Holder)))
	}
	if c.LeasedAt != 0 {
		e.set(e.path(attrTurnAt), e.value(num(c.LeasedAt)))
	}
	if c.Open != nil {
		e.set(e.path(attrOpen), e.value(num(*c.Open)))
	}
	if o := u.Opening; o != nil {
		e.set(e.path(attrUser), e.value(str(o.User)))
		e.setOrRemove(e.path(attrUntil), o.Until != 0, num(o.Until))
		e.setOrRemove(e.path(attrAttributes), len(o.Attributes) > 0, texts(o.Attributes))
	}
	if u.Joining {
		e.set(e.path(attrJoining), e.value(boolean(true)))
	}
	if u.Revocation != nil {
		e.set(e.path(attrBar), e.value(revocationItem(*u.Revocation)))
	}
	if s := u.Succession; s != nil {
		e.set(e.path(attrNext), e.value(str(s.To)))
	}
	for _, h := range c.Hold {
		e.set(e.path(attrHeld, strconv.FormatInt(h.N, 10)), e.value(heldItem(h.Held)))
	}
	for _, f := range c.Unhold {
		e.remove(e.path(attrHeld, strconv.FormatInt(f.N, 10)))
	}
	if grows := c.Grows(); grows != 0 {
		e.set(e.path(attrSize), e.path(attrSize)+" + "+e.value(num(grows)))
	}
	if c.TAT != 0 {
		e.set(e.path(attrFullAt), e.value(num(c.TAT)))
	}
	if c.Unnumbered != nil {
		e.set(e.path(attrUnnumbered), e.value(unnumberedItem(c.Unnumbered...)))
	}
	if len(c.Finished.Sums) > 0 {
		e.set(e.path(attrFinished), e.value(digestsItem(c.Finished)))
	}
	if len(c.Taking.Sums) > 0 {
		e.set(e.path(attrTaking), e.value(digestsItem(c.Taking)))
	}
	if o := c.Outcomes; o != nil {
		e.set(e.path(attrFaults), e.value(undeliveredItem(o.Undelivered)))
		e.set(e.path(attrForgotten), e.value(num(o.After)))
	}
}

// End implements [signal.ConnectionStore] as [signal.Connection.EndedAt] has it,
// in one write: only a session's record has the attribute kept.
func (s *Store) End(ctx context.Context, id signal.ConnectionID, now lane.Instant) (signal.Connection, error) {
	e := newExpression()
	e.require("attribute_exists(" + attrKey + ")")
	e.require("attribute_not_exists(" + e.path(attrEnded) + ")")
	e.set(e.path(attrEnded), e.value(boolean(true)))
	e.set(e.path(attrExpires), "if_not_exists("+e.path(attrKept)+", "+e.value(num(seconds(now.Add(signal.EndedLife))))+")")
	e.set(e.path(attrHeld), e.value(&types.AttributeValueMemberM{Value: item{}}))
	e.set(e.path(attrSize), e.value(num(0)))
	in := e.update(s.table, connectionKey(id))
	in.ReturnValues = types.ReturnValueAllOld
	out, err := s.client.UpdateItem(ctx, in)
	if _, ok := refused(err); ok {
		return signal.Connection{}, signal.ErrNoConnection
	}
	if err != nil {
		return signal.Connection{}, fmt.Errorf("end connection: %w", err)
	}
	c, err := readConnection(out.Attributes, 0)
	var bodies []string
	for _, h := range c.Lane.Held {
		if h.Apart() {
			bodies = append(bodies, bodyKey(id, h.Body.Name))
		}
	}
	s.discard(ctx, bodies)
	return c, err
}

// Delete implements [signal.ConnectionStore].
func (s *Store) Delete(ctx context.Context, id signal.ConnectionID, now lane.Instant) error {
	return s.deleteExpired(ctx, connectionKey(id), now)
}

// deleteExpired deletes an item, if it has expired.
func (s *Store) deleteExpired(ctx context.Context, pk string, now lane.Instant) error {
	e := newExpression()
	e.require(e.path(attrExpires), "<=", e.value(num(seconds(now))))
	_, err := s.client.DeleteItem(ctx, &dynamodb.DeleteItemInput{
		TableName: &s.table, Key: key(pk),
		ConditionExpression:       aws.String(strings.Join(e.conditions, " AND ")),
		ExpressionAttributeNames:  e.names,
		ExpressionAttributeValues: e.values,
	})
	if _, ok := refused(err); err != nil && !ok {
		return fmt.Errorf("delete item: %w", err)
	}
	return nil
}

// Scan implements [signal.ConnectionStore]. A scan reads all that there is, and
// is charged for the whole items, users' too; only what is asked for of the
// connections is handed over, not what they hold. It deletes bodies that nobody
// needs, history whose time is over, and lobbies, watches, and users who were but
// watched, that have expired, in passing.
func (s *Store) Scan(ctx context.Context, of signal.Segment, now lane.Instant, f func(signal.Connection), owed func(signal.UserName)) error {
	var unswept error
	pages := dynamodb.NewScanPaginator(s.client, s.scan(of, now))
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("scan connections: %w", err)
		}
		var bodies []string
		var old []keptKey
		for _, it := range page.Items {
			var r reader
			switch pk := r.str(it, attrKey); {
			case strings.HasPrefix(pk, userPrefix):
				if expired := r.num(it, attrExpires) <= seconds(now); expired {
					unswept = cmp.Or(unswept, s.deleteExpired(ctx, pk, now))
				} else {
					owed(signal.UserName(strings.TrimPrefix(pk, userPrefix)))
				}
				continue
			case strings.HasPrefix(pk, lobbyPrefix), strings.HasPrefix(pk, watchersPrefix), strings.HasPrefix(pk, watchingPrefix):
				unswept = cmp.Or(unswept, s.deleteExpired(ctx, pk, now))
				continue
			case strings.HasPrefix(pk, historyPrefix):
				old = append(old, readKeptKey(it))
				continue
			case strings.HasPrefix(pk, bodyPrefix):
				bodies = append(bodies, pk)
				continue
			}
			if c, err := readConnection(it, 0); err == nil {
				c.Lane = lane.Lane{}
				f(c)
			}
		}
		unswept = cmp.Or(unswept, s.sweep(ctx, bodies, now), s.forget(ctx, old))
	}
	return unswept
}

// scan reads the connections of a segment and its bodies that are not young,
// eventually consistent, which costs half: what it misses is too young to be
// visited, and what it sees too late is found gone, which changes nothing.
func (s *Store) scan(of signal.Segment, now lane.Instant) *dynamodb.ScanInput {
	e := newExpression()
	expired := e.path(attrExpires) + " <= " + e.value(num(seconds(now)))
	e.require("begins_with("+e.path(attrKey)+",", e.value(str(connectionPrefix))+")",
		"AND (attribute_not_exists("+e.path(attrEnded)+") OR", expired+")",
		"OR (begins_with("+e.path(attrKey)+",", e.value(str(lobbyPrefix))+") OR begins_with("+e.path(attrKey)+",", e.value(str(watchersPrefix))+")",
		"OR begins_with("+e.path(attrKey)+",", e.value(str(watchingPrefix))+")) AND", expired,
		"OR begins_with("+e.path(attrKey)+",", e.value(str(historyPrefix))+") AND", e.path(attrUntil), "<=", e.value(num(now.Add(-signal.HistoryMargin))),
		"OR begins_with("+e.path(attrKey)+",", e.value(str(userPrefix))+") AND (attribute_not_exists("+e.path(attrEpoch)+") AND", expired,
		"OR", e.path(attrTold), "<", e.path(attrChanges)+")",
		"OR begins_with("+e.path(attrKey)+",", e.value(str(bodyPrefix))+")",
		"AND", e.path(attrExpires), "<=", e.value(num(seconds(now.Add(bodyLife-strayAfter)))))
	var paths []string
	for _, name := range []string{attrKey, attrEndpoint, attrProtocol, attrBatches, attrRecovers, attrSession, attrUser, attrSince, attrExpires, attrUntil, attrBar, attrLast} {
		paths = append(paths, e.path(name))
	}
	return &dynamodb.ScanInput{
		TableName:                 &s.table,
		Segment:                   aws.Int32(int32(of.Index)),
		TotalSegments:             aws.Int32(int32(of.Of)),
		FilterExpression:          aws.String(strings.Join(e.conditions, " AND ")),
		ProjectionExpression:      aws.String(strings.Join(paths, ", ")),
		ExpressionAttributeNames:  e.names,
		ExpressionAttributeValues: e.values,
	}
}

// unlessEnded returns a record that was read, unless its connection has ended
// and ended ones are not asked for.
func unlessEnded(c signal.Connection, err error, ended bool) (signal.Connection, error) {
	if err == nil && c.Ended && !ended {
		return signal.Connection{}, signal.ErrNoConnection
	}
	return c, err
}

// readConnection reads the record of an item; [signal.ErrNoConnection] if there
// is none, or its time has passed.
func readConnection(it item, now lane.Instant) (signal.Connection, error) {
	if len(it) == 0 {
		return signal.Connection{}, signal.ErrNoConnection
	}
	var r reader
	c := r.connection(it)
	if r.err == nil && c.Expires <= now {
		return signal.Connection{}, signal.ErrNoConnection
	}
	return c, r.err
}
