package dynamo

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// Each post that is kept is an item of its own, named after the user, the epoch and
// the first number, so that no key is written more than once. Nothing lists a user's
// items: the numbers are known, and are asked for. A number that is void has an item
// without a post, which keeps a late one out.
//
// Nothing that is missing may be taken for void once it was deleted. So before an item is
// deleted, the user's record says how far that has got.

const (
	historyPrefix = "kept#"
	// historyLife is when DynamoDB deletes an item that no round of keepalive has: late
	// enough that one will have.
	historyLife = signal.ConnectionLife
)

func historyKey(user signal.UserName, epoch string, seq int64) string {
	return historyPrefix + strconv.FormatInt(seq, 10) + "#" + epoch + "#" + string(user)
}

// Keep implements [signal.HistoryStore].
func (s *Store) Keep(ctx context.Context, user signal.UserName, post []signal.Delivery, until lane.Instant) (bool, error) {
	first := post[0]
	there, err := s.putHistory(ctx, user, first.Epoch, first.Seq, post, until)
	if err != nil {
		return false, fmt.Errorf("keep post: %w", err)
	}
	return there == nil || there[attrPost] != nil, nil // made by a call before, whose answer was lost
}

// Void implements [signal.HistoryStore].
func (s *Store) Void(ctx context.Context, user signal.UserName, epoch string, seq int64, until lane.Instant) error {
	if _, err := s.putHistory(ctx, user, epoch, seq, nil, until); err != nil {
		return fmt.Errorf("void number: %w", err)
	}
	return nil
}

// putHistory puts an item, unless there is one under its number, which it returns.
func (s *Store) putHistory(ctx context.Context, user signal.UserName, epoch string, seq int64, post []signal.Delivery, until lane.Instant) (there item, err error) {
	it := key(historyKey(user, epoch, seq))
	it[attrUntil], it[attrExpires] = num(until), num(seconds(until.Add(historyLife)))
	it[attrLast] = num(seq + int64(max(len(post), 1)) - 1)
	if post != nil {
		it[attrPost] = postItem(post)
	}
	_, err = s.client.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: &s.table, Item: it,
		ConditionExpression:                 aws.String("attribute_not_exists(" + attrKey + ")"),
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	if there, ok := refused(err); ok {
		return there, nil
	}
	return nil, err
}

// History implements [signal.HistoryStore].
func (s *Store) History(ctx context.Context, user signal.UserName, epoch string, first, last int64) ([]signal.Kept, error) {
	var keys []string
	for n := max(first, 1); n <= last; n++ {
		keys = append(keys, historyKey(user, epoch, n))
	}
	items, err := s.read(ctx, keys)
	if err != nil {
		return nil, fmt.Errorf("get history: %w", err)
	}
	var all []signal.Kept
	var r reader
	for n := max(first, 1); n <= last; n++ {
		it, ok := items[historyKey(user, epoch, n)]
		if !ok {
			continue
		}
		k := signal.Kept{Seq: n}
		if b := r.bytes(it, attrPost); b != nil {
			k.Post = r.post(b, epoch, n)
		}
		all = append(all, k)
	}
	return all, r.err
}

// postItem returns the messages of a post, which say who sent them, the session and
// the number, and the data; each text after its length.
func postItem(post []signal.Delivery) types.AttributeValue {
	var b []byte
	for _, d := range post {
		for _, text := range [][]byte{[]byte(d.From), []byte(d.Session), d.Data} {
			b = append(binary.AppendUvarint(b, uint64(len(text))), text...)
		}
		b = binary.AppendVarint(b, d.Number)
	}
	return &types.AttributeValueMemberB{Value: b}
}

var errPost = errors.New("read attribute " + attrPost + ": it is not whole")

// post reads the messages of a post, from a number on.
func (r *reader) post(b []byte, epoch string, seq int64) (post []signal.Delivery) {
	for ; len(b) > 0; seq++ {
		var texts [3][]byte
		for i := range texts {
			n, size := binary.Uvarint(b)
			if size <= 0 || n > uint64(len(b)-size) {
				r.err = errPost
				return nil
			}
			texts[i], b = b[size:size+int(n)], b[size+int(n):]
		}
		number, size := binary.Varint(b)
		if size <= 0 {
			r.err = errPost
			return nil
		}
		b = b[size:]
		post = append(post, signal.Delivery{From: signal.UserName(texts[0]), Session: string(texts[1]), Data: texts[2], Epoch: epoch, Seq: seq, Number: number})
	}
	return post
}

// keptKey is what the key of an item says, and the last number in it.
type keptKey struct {
	pk, epoch string
	user      signal.UserName
	last      int64
}

func readKeptKey(it item) keptKey {
	var r reader
	pk := r.str(it, attrKey)
	_, rest, _ := strings.Cut(strings.TrimPrefix(pk, historyPrefix), "#")
	epoch, user, _ := strings.Cut(rest, "#")
	return keptKey{pk, epoch, signal.UserName(user), r.num(it, attrLast)}
}

// forget deletes history, once the users' records say so.
func (s *Store) forget(ctx context.Context, old []keptKey) error {
	type numbers struct {
		user  signal.UserName
		epoch string
	}
	through := make(map[numbers]int64)
	for _, k := range old {
		n := numbers{k.user, k.epoch}
		through[n] = max(through[n], k.last)
	}
	var failed error
	for n, last := range through {
		if err := s.raiseKept(ctx, n.user, n.epoch, last); err != nil {
			failed = err
			old = slices.DeleteFunc(old, func(k keptKey) bool { return k.user == n.user && k.epoch == n.epoch })
		}
	}
	var keys []string
	for _, k := range old {
		keys = append(keys, k.pk)
	}
	if err := s.delete(ctx, keys); err != nil {
		failed = fmt.Errorf("delete history: %w", err)
	}
	return failed
}

// raiseKept says in a user's record that history is deleted up to a number, if it
// has that epoch, and history at all.
func (s *Store) raiseKept(ctx context.Context, user signal.UserName, epoch string, last int64) error {
	e := newExpression()
	to := e.value(num(last))
	e.require(e.path(attrEpoch), "=", e.value(str(epoch)))
	e.require(e.path(attrKeptAfter), "<", to)
	e.set(e.path(attrKeptAfter), to)
	_, err := s.client.UpdateItem(ctx, e.update(s.table, userKey(user)))
	if _, ok := refused(err); err != nil && !ok {
		return fmt.Errorf("raise end of history: %w", err)
	}
	return nil
}
