package dynamo

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

var _ signal.BackendStore = (*Store)(nil)

// attrDigest and attrCode are those of a key, and attrEnded that it has a code.
const attrDigest = "digest"

func refusalKey(name signal.UserName) string { return "refused#" + string(name) }

// keyKey returns the key of the item of a backend's key; the name of a backend has no #
// ([signal.CheckBackend]).
func keyKey(from signal.UserName, key string) string { return "key#" + string(from) + "#" + key }

// Refuse implements [signal.RefusalStore].
func (s *Store) Refuse(ctx context.Context, name signal.UserName, until lane.Instant) error {
	if until == 0 {
		if _, err := s.client.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: &s.table, Key: key(refusalKey(name))}); err != nil {
			return fmt.Errorf("delete refusal: %w", err)
		}
		return nil
	}
	_, err := s.client.PutItem(ctx, &dynamodb.PutItemInput{TableName: &s.table, Item: item{
		attrKey: str(refusalKey(name)), attrUntil: num(until), attrExpires: num(seconds(until) + 1),
	}})
	if err != nil {
		return fmt.Errorf("put refusal: %w", err)
	}
	return nil
}

// RefusedUntil implements [signal.RefusalStore].
func (s *Store) RefusedUntil(ctx context.Context, name signal.UserName, now lane.Instant) (lane.Instant, error) {
	it, err := s.get(ctx, refusalKey(name))
	if err != nil {
		return 0, fmt.Errorf("get refusal: %w", err)
	}
	var r reader
	if until := lane.Instant(r.num(it, attrUntil)); until > now {
		return until, r.err
	}
	return 0, r.err
}

// BeginKey implements [signal.KeyStore].
func (s *Store) BeginKey(ctx context.Context, from signal.UserName, key string, k signal.Keyed) (signal.Keyed, error) {
	e := newExpression()
	e.require("(attribute_not_exists("+attrKey+") OR", e.path(attrAt), "<=", e.value(num(k.At.Add(-signal.KeyLife))),
		"OR", e.path(attrCode), "=", e.value(num(lane.CodeBusy))+")")
	e.set(e.path(attrDigest), e.value(num(int64(k.Digest))))
	e.set(e.path(attrBy), e.value(str(k.By)))
	e.set(e.path(attrAt), e.value(num(k.At)))
	e.set(e.path(attrExpires), e.value(num(seconds(k.At.Add(signal.KeyLife))+1)))
	e.remove(e.path(attrCode))
	_, err := s.client.UpdateItem(ctx, e.update(s.table, keyKey(from, key)))
	if old, ok := refused(err); ok {
		return readKeyed(old)
	}
	if err != nil {
		return signal.Keyed{}, fmt.Errorf("begin key: %w", err)
	}
	return k, nil
}

// EndKey implements [signal.KeyStore].
func (s *Store) EndKey(ctx context.Context, from signal.UserName, key string, code lane.Code) (lane.Code, error) {
	e := newExpression()
	e.require("attribute_exists(" + attrKey + ") AND attribute_not_exists(" + e.path(attrCode) + ")")
	e.set(e.path(attrCode), e.value(num(code)))
	_, err := s.client.UpdateItem(ctx, e.update(s.table, keyKey(from, key)))
	old, ok := refused(err)
	switch {
	case ok && len(old) > 0:
		k, err := readKeyed(old)
		return k.Code, err
	case err != nil && !ok:
		return 0, fmt.Errorf("end key: %w", err)
	}
	return code, nil
}

func readKeyed(it item) (signal.Keyed, error) {
	var r reader
	_, ended := it[attrCode]
	return signal.Keyed{
		Digest: uint32(r.num(it, attrDigest)),
		By:     r.str(it, attrBy),
		At:     lane.Instant(r.num(it, attrAt)),
		Ended:  ended,
		Code:   lane.Code(r.num(it, attrCode)),
	}, r.err
}

// pagesOnline is how many pages of the table are read at most for one of the list.
const pagesOnline = 8

// Online implements [signal.BackendStore], in the table's order. It reads the table as
// keepalive does, eventually consistent; of each item that is not a user who is online
// nothing is handed over.
func (s *Store) Online(ctx context.Context, cursor string, limit int, now lane.Instant) (users []signal.UserName, next string, err error) {
	e := newExpression()
	e.require("begins_with("+e.path(attrKey)+",", e.value(str(userPrefix))+")")
	e.require("attribute_exists(" + e.path(attrOwner) + ")")
	e.require(e.path(attrUntil), ">", e.value(num(now)))
	in := &dynamodb.ScanInput{
		TableName:                 &s.table,
		Limit:                     aws.Int32(int32(2 * limit)), // a user who is online has another item, the connection
		FilterExpression:          aws.String(strings.Join(e.conditions, " AND ")),
		ProjectionExpression:      aws.String(attrKey),
		ExpressionAttributeNames:  e.names,
		ExpressionAttributeValues: e.values,
	}
	for range pagesOnline {
		if cursor != "" {
			in.ExclusiveStartKey = key(cursor)
		}
		page, err := s.client.Scan(ctx, in)
		if err != nil {
			return nil, "", fmt.Errorf("scan users: %w", err)
		}
		var r reader
		for _, it := range page.Items {
			cursor = r.str(it, attrKey)
			users = append(users, signal.UserName(strings.TrimPrefix(cursor, userPrefix)))
			if len(users) == limit {
				return users, cursor, r.err
			}
		}
		cursor = r.str(page.LastEvaluatedKey, attrKey)
		if r.err != nil || cursor == "" {
			return users, "", r.err
		}
	}
	return users, cursor, nil
}
