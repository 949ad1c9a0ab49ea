// Package dynamo keeps the records in a DynamoDB table: each change is one
// conditional write, and what a failed condition hands back is used instead of
// a read before it.
//
// The table has a string key, pk, and eleven kinds of items:
//
//	conn#<connectionId>   protocol, endpoint, client, lobby, early, joining, user, until, bar, attributes, since, expires, session, kept, ended, next, and the lane:
//	                      open, done, turn, owner, turnAt, held, size, faults, forgotten, fullAt, unnumbered
//	user#<name>           owner, claimedAt, until, epoch, seq, keptAfter, fullAt, changes, watched, watches, told, expires
//	lobby#<sid>           handshake, stage, connection, follows, claimedAt, by, packets, size, polls, expires
//	lobby#<sid>#<name>    a long packet that was posted there: data, expires
//	held#<connectionId>#<number>#<invocation>  the body of a held frame: to, data, expires
//	kept#<number>#<epoch>#<user>  what was posted from that number on: post, last, until, expires; without post: void
//	watchers#<shard>#<user>  members: connections that watch the user; expires
//	watching#<connectionId>  members: hashes of users whom it watches; expires
//	place#<number>        by, until, expires: of an invocation that lingers
//	refused#<name>        until, expires: of a user whom a backend has refused
//	key#<backend>#<key>   digest, by, at, code, expires: of what a backend has sent under a key
//
// Of the lane, turn is [lane.Lane.Taken], owner its Holder, turnAt its LeasedAt,
// faults its Undelivered, forgotten its OutcomesAfter and fullAt its TAT; bar is
// [signal.Connection.Revocation], early its JoinsLate, joining that its client has asked, and kept until when a session's
// record is kept once it has ended.
//
// The attribute expires is DynamoDB's time to live, in seconds since the Unix
// epoch. DynamoDB deletes expired items late, so every read and condition here
// judges it for itself. What was posted in a lobby that nobody came for is deleted
// by [Store.Scan].
package dynamo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/owt-signal/owt-signal/internal/signal"
)

// Store implements [signal.Store] on a table. It is safe for concurrent use.
type Store struct {
	client *dynamodb.Client
	table  string
}

var _ signal.Store = (*Store)(nil)

// New returns a Store backed by the named table.
func New(client *dynamodb.Client, table string) *Store {
	return &Store{client: client, table: table}
}

// createWait bounds how long a new table may take to become active.
const createWait = 30 * time.Second

// EnsureTable creates the table, on demand and with its time to live, unless
// there is one of that name.
func (s *Store) EnsureTable(ctx context.Context) error {
	_, err := s.client.CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName:            &s.table,
		BillingMode:          types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String(attrKey), AttributeType: types.ScalarAttributeTypeS}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String(attrKey), KeyType: types.KeyTypeHash}},
	})
	if _, exists := errors.AsType[*types.ResourceInUseException](err); exists {
		return nil
	}
	if err != nil {
		return fmt.Errorf("create table %s: %w", s.table, err)
	}
	waiter := dynamodb.NewTableExistsWaiter(s.client, func(o *dynamodb.TableExistsWaiterOptions) {
		o.MinDelay, o.MaxDelay = 50*time.Millisecond, time.Second
	})
	if err := waiter.Wait(ctx, &dynamodb.DescribeTableInput{TableName: &s.table}, createWait); err != nil {
		return fmt.Errorf("wait for table %s: %w", s.table, err)
	}
	_, err = s.client.UpdateTimeToLive(ctx, &dynamodb.UpdateTimeToLiveInput{
		TableName:               &s.table,
		TimeToLiveSpecification: &types.TimeToLiveSpecification{AttributeName: aws.String(attrExpires), Enabled: aws.Bool(true)},
	})
	if err != nil {
		return fmt.Errorf("set time to live of table %s: %w", s.table, err)
	}
	return nil
}

// get reads an item, strongly consistent; it is empty if there is none.
func (s *Store) get(ctx context.Context, pk string) (item, error) {
	out, err := s.client.GetItem(ctx, &dynamodb.GetItemInput{TableName: &s.table, Key: key(pk), ConsistentRead: aws.Bool(true)})
	if err != nil {
		return nil, err
	}
	return out.Item, nil
}

// refused returns the item that made a condition fail, and whether that is
// what err says. The item is empty if there was none.
func refused(err error) (item, bool) {
	failed, ok := errors.AsType[*types.ConditionalCheckFailedException](err)
	if !ok {
		return nil, false
	}
	return failed.Item, true
}
