package dynamo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// What a held frame says is an item of its own, its body: each write of a
// connection's item is charged by all of it. The body is written before the frame is
// held, and deleted once it was fetched, or nobody will. It is named after
// the connection, the number and the invocation, so that no two frames that are
// submitted have the same.
//
// If the hold is refused, for there is no room, the body is deleted before that is
// answered. So a write of that hold that takes effect late holds a frame that cannot
// be posted, and is answered in the same way again.

const (
	bodyPrefix = "held#"
	// bodyLife is when DynamoDB deletes a body at the latest: no connection lasts
	// longer.
	bodyLife = signal.ConnectionLife
	// strayAfter is how old a body is at least that is taken for one that a crash has
	// left behind: by then whoever wrote it holds the frame, or does not know it,
	// by any clock.
	strayAfter = time.Minute

	// How many items DynamoDB takes at once ("BatchGetItem" and "BatchWriteItem",
	// Amazon DynamoDB API Reference).
	readAtOnce  = 100
	writeAtOnce = 25
)

// errUnprocessed: DynamoDB has refused all that was left of a batch.
var errUnprocessed = fmt.Errorf("%w: nothing was processed", signal.ErrBusy)

func bodyName(n int64, by string) string { return strconv.FormatInt(n, 10) + "#" + by }

func bodyKey(id signal.ConnectionID, name string) string { return bodyPrefix + string(id) + "#" + name }

// parseBodyKey returns whose body has that key.
func parseBodyKey(pk string) (id signal.ConnectionID, name string) {
	pk = strings.TrimPrefix(pk, bodyPrefix)
	by := strings.LastIndexByte(pk, '#')
	n := strings.LastIndexByte(pk[:max(by, 0)], '#')
	return signal.ConnectionID(pk[:max(n, 0)]), pk[n+1:]
}

// bodiesOf returns the keys of the bodies of frames.
func bodiesOf(id signal.ConnectionID, frames []lane.Numbered) (keys []string) {
	for _, f := range frames {
		if f.Apart() {
			keys = append(keys, bodyKey(id, f.Body.Name))
		}
	}
	return keys
}

// putBodies writes the bodies of frames to hold.
func (s *Store) putBodies(ctx context.Context, id signal.ConnectionID, frames []lane.HeldFrame) error {
	var puts []types.WriteRequest
	for _, f := range frames {
		it := key(bodyKey(id, bodyName(f.N, f.By)))
		it[attrTo], it[attrExpires] = str(f.To), num(seconds(f.At.Add(bodyLife)))
		if len(f.Data) > 0 {
			it[attrData] = &types.AttributeValueMemberB{Value: f.Data}
		}
		puts = append(puts, types.WriteRequest{PutRequest: &types.PutRequest{Item: it}})
	}
	if err := s.write(ctx, puts); err != nil {
		return fmt.Errorf("put bodies: %w", err)
	}
	return nil
}

// Fetch implements [signal.ConnectionStore].
func (s *Store) Fetch(ctx context.Context, id signal.ConnectionID, run []lane.Numbered) ([]lane.Numbered, error) {
	items, err := s.read(ctx, bodiesOf(id, run))
	if err != nil {
		return nil, fmt.Errorf("get bodies: %w", err)
	}
	var r reader
	fetched := slices.Clone(run)
	for i := range fetched {
		f := &fetched[i]
		if !f.Apart() {
			continue
		}
		it, ok := items[bodyKey(id, f.Body.Name)]
		if !ok {
			f.Code = lane.CodeBusy // as its sender was told
			continue
		}
		f.To, f.Data = r.str(it, attrTo), r.bytes(it, attrData)
	}
	return fetched, r.err
}

// givenUp returns the bodies of the frames that u takes out and does not run.
func givenUp(id signal.ConnectionID, u signal.Update) []string {
	return bodiesOf(id, slices.DeleteFunc(slices.Clone(u.Change.Unhold), func(f lane.Numbered) bool {
		return slices.ContainsFunc(u.Run, func(r lane.Numbered) bool { return r.N == f.N })
	}))
}

// notHeld returns the bodies of the frames that u has not held, as the record that
// refused it shows. A number that was taken it may have held before, with an answer
// that was lost.
func notHeld(id signal.ConnectionID, u signal.Update, c signal.Connection) (keys []string) {
	for _, f := range u.Change.Hold {
		if taken := c.ID != "" && f.N <= c.Lane.Taken; !taken && c.Lane.Held[f.N].By != f.By {
			keys = append(keys, bodyKey(id, bodyName(f.N, f.By)))
		}
	}
	return keys
}

// discard deletes bodies. What it leaves, [Store.Scan] finds.
func (s *Store) discard(ctx context.Context, keys []string) { _ = s.delete(ctx, keys) }

// discardBeside deletes bodies beside what its caller does, and returns what
// waits until that is done.
func (s *Store) discardBeside(ctx context.Context, keys []string) (wait func()) {
	var wg sync.WaitGroup
	if len(keys) > 0 {
		wg.Go(func() { s.discard(ctx, keys) })
	}
	return wg.Wait
}

// sweep deletes, of bodies that are old enough, those that nobody needs: the
// record of their connection does not hold them, and no run is under way that may
// not have been fetched.
func (s *Store) sweep(ctx context.Context, bodies []string, now lane.Instant) error {
	var keys []string
	for _, pk := range bodies {
		id, _ := parseBodyKey(pk)
		keys = append(keys, connectionKey(id))
	}
	slices.Sort(keys)
	items, err := s.read(ctx, slices.Compact(keys))
	if err != nil {
		return fmt.Errorf("get connections of bodies: %w", err)
	}
	stray := slices.DeleteFunc(bodies, func(pk string) bool {
		id, name := parseBodyKey(pk)
		c, err := readConnection(items[connectionKey(id)], now)
		if err != nil {
			return !errors.Is(err, signal.ErrNoConnection)
		}
		for _, h := range c.Lane.Held {
			if h.Body.Name == name {
				return true
			}
		}
		return !c.Lane.Idle() && !c.Lane.LooksExpired(now.Add(-lane.ClockBound))
	})
	if err := s.delete(ctx, stray); err != nil {
		return fmt.Errorf("delete bodies: %w", err)
	}
	return nil
}

// read reads items by their keys.
func (s *Store) read(ctx context.Context, keys []string) (map[string]item, error) {
	items := make(map[string]item, len(keys))
	for some := range slices.Chunk(keys, readAtOnce) {
		ask := types.KeysAndAttributes{ConsistentRead: aws.Bool(true)}
		for _, pk := range some {
			ask.Keys = append(ask.Keys, key(pk))
		}
		for len(ask.Keys) > 0 {
			out, err := s.client.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{s.table: ask}})
			if err != nil {
				return nil, err
			}
			var r reader
			for _, it := range out.Responses[s.table] {
				items[r.str(it, attrKey)] = it
			}
			left := out.UnprocessedKeys[s.table]
			if len(left.Keys) == len(ask.Keys) {
				return nil, errUnprocessed
			}
			ask = left
		}
	}
	return items, nil
}

// delete deletes items by their keys.
func (s *Store) delete(ctx context.Context, keys []string) error {
	var deletes []types.WriteRequest
	for _, pk := range keys {
		deletes = append(deletes, types.WriteRequest{DeleteRequest: &types.DeleteRequest{Key: key(pk)}})
	}
	return s.write(ctx, deletes)
}

// write puts and deletes items.
func (s *Store) write(ctx context.Context, requests []types.WriteRequest) error {
	for ask := range slices.Chunk(requests, writeAtOnce) {
		for len(ask) > 0 {
			out, err := s.client.BatchWriteItem(ctx, &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{s.table: ask}})
			if err != nil {
				return err
			}
			left := out.UnprocessedItems[s.table]
			if len(left) == len(ask) {
				return errUnprocessed
			}
			ask = left
		}
	}
	return nil
}
