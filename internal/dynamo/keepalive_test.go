package dynamo_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/owt-signal/owt-signal/internal/awsenv"
	"github.com/owt-signal/owt-signal/internal/dynamo"
	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
	"github.com/owt-signal/owt-signal/internal/storetest"
)

// TestKeepalive is a round on a real engine, of connections that were made as
// clients make them. Every connection is visited once, and those that are gone
// are dropped. What connections hold is not handed over.
func TestKeepalive(t *testing.T) {
	const (
		connections = 2000
		held        = 100 << 10 // bytes, by one connection in 100
		handed      = 500       // bytes for a connection at most
	)
	s := newSockets(t)
	s.connect(connections, held)
	s.scans.Store(0)
	began := time.Now()
	if err := s.service.Keepalive(t.Context()); err != nil {
		t.Fatal(err)
	}
	lines := bytes.Split(bytes.TrimSpace(s.logs.Bytes()), []byte("\n"))
	t.Logf("%d connections in %v; scans handed over %d bytes; %s", connections, time.Since(began), s.scans.Load(), lines[len(lines)-1])
	if s.scans.Load() > handed*connections {
		t.Errorf("the scans handed over %d bytes for each connection, more than %d", s.scans.Load()/connections, handed)
	}
	now := lane.At(time.Now())
	for i := range connections {
		id := connectionID(i)
		if n := s.visits[id]; n != 1 {
			t.Errorf("connection %d was visited %d times", i, n)
		}
		_, there := s.service.Store.Get(t.Context(), id, now)
		_, online := s.service.Store.Owner(t.Context(), userOf(i), now)
		if gone := isGone(id); errors.Is(there, signal.ErrNoConnection) != gone || errors.Is(online, signal.ErrOffline) != gone {
			t.Errorf("connection %d, gone %v: %v, its user: %v", i, gone, there, online)
		}
	}
	t.Logf("as DynamoDB charges it, the item of a connection has %d bytes, that of a user %d",
		s.size("conn#"+string(connectionID(0))), s.size("user#"+string(userOf(0))))
}

func connectionID(i int) signal.ConnectionID {
	return signal.ConnectionID(fmt.Sprintf("L0SM9cOF%07d=", i))
}
func userOf(i int) signal.UserName { return signal.UserName(fmt.Sprintf("user-%d@example.com", i)) }

// isGone is of one connection in 50, of any protocol.
func isGone(id signal.ConnectionID) bool {
	return strings.HasSuffix(string(id), "13=") || strings.HasSuffix(string(id), "67=")
}

// sockets are those of many connections, and the service with its records on a
// real engine.
type sockets struct {
	t       *testing.T
	service *signal.Service
	client  *dynamodb.Client
	network dynamodb.HTTPClient
	table   string
	logs    bytes.Buffer
	scans   atomic.Int64 // bytes that scans handed over

	mu     sync.Mutex
	visits map[signal.ConnectionID]int
}

func newSockets(t *testing.T) *sockets {
	endpoint := storetest.Engine(t)
	config := awsenv.ConfigOr("us-east-1", "test")
	config.BaseEndpoint = &endpoint
	s := &sockets{t: t, network: config.HTTPClient, table: fmt.Sprintf("owt-signal-test-%d", time.Now().UnixNano()), visits: make(map[signal.ConnectionID]int)}
	config.HTTPClient = s
	s.client = dynamodb.NewFromConfig(config)
	store := dynamo.New(s.client, s.table)
	if err := store.EnsureTable(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := s.client.DeleteTable(context.Background(), &dynamodb.DeleteTableInput{TableName: &s.table}); err != nil {
			t.Errorf("delete table: %v", err)
		}
	})
	random := func(b []byte) { _, _ = rand.Read(b) }
	s.service = &signal.Service{
		Store: store, Pusher: s, Prober: s, Access: signal.OpenAccess,
		Pings: func(p signal.Protocol) bool { return p == signal.EIO4 },
		Clock: signal.SystemClock{}, Random: random, Log: slog.New(slog.DiscardHandler),
	}
	return s
}

// connect connects clients, each with a user of its own.
func (s *sockets) connect(connections, held int) {
	s.t.Helper()
	next := make(chan int)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for i := range next {
				s.connectOne(i, held)
			}
		})
	}
	for i := range connections {
		next <- i
	}
	close(next)
	wg.Wait()
	s.service.Log = slog.New(slog.NewJSONHandler(&s.logs, nil))
	if s.t.Failed() {
		s.t.FailNow()
	}
}

func (s *sockets) connectOne(i, held int) {
	protocols := []signal.Protocol{signal.EIO3, signal.EIO4, signal.JSON}
	token, ctx := string(userOf(i)), s.t.Context()
	peer := signal.Peer{ID: connectionID(i), Endpoint: "https://a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com/prod", Protocol: protocols[i%len(protocols)]}
	h := signal.Handshake{Peer: peer, Token: &token}
	if peer.Protocol == signal.JSON {
		h.Start = lane.StartAfter(0)
	}
	after, err := s.service.Connect(ctx, h)
	if err != nil {
		s.t.Errorf("connect %d: %v", i, err)
		return
	}
	after(ctx)
	s.service.Receive(ctx, peer, signal.Send{Number: 1, Frame: lane.Frame{To: "nobody"}})
	if i%100 == 1 { // it waits for numbers that never come
		r := s.service.Receive(ctx, peer, signal.Send{Number: 9, Frame: lane.Frame{To: "nobody", Data: make([]byte, held)}})
		if len(r.Events) != 1 || r.Events[0] != (signal.Stored{Number: 9}) {
			s.t.Errorf("connection %d holds nothing: %v", i, r.Events)
		}
	}
}

// Post implements [signal.Pusher].
func (s *sockets) Post(_ context.Context, p signal.Peer, e signal.Event) error {
	if e == (signal.Ping{}) {
		if p.Protocol != signal.EIO4 {
			s.t.Errorf("connection %s speaks %s and was pinged", p.ID, p.Protocol)
		}
		return s.visit(p)
	}
	return nil
}

// Probe implements [signal.Prober].
func (s *sockets) Probe(_ context.Context, p signal.Peer) error { return s.visit(p) }

// Close implements [signal.Pusher].
func (s *sockets) Close(context.Context, signal.Peer) error { return nil }

func (s *sockets) visit(p signal.Peer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.visits[p.ID]++
	if isGone(p.ID) {
		return signal.ErrGone
	}
	return nil
}

// Do implements [dynamodb.HTTPClient]. It counts what scans hand over.
func (s *sockets) Do(r *http.Request) (*http.Response, error) {
	resp, err := s.network.Do(r)
	if err == nil && strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".Scan") {
		resp.Body = &counted{resp.Body, &s.scans}
	}
	return resp, err
}

type counted struct {
	io.ReadCloser
	total *atomic.Int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.total.Add(int64(n))
	return n, err
}

// size is the size of an item.
func (s *sockets) size(pk string) int {
	s.t.Helper()
	out, err := s.client.GetItem(s.t.Context(), &dynamodb.GetItemInput{
		TableName: &s.table, Key: map[string]types.AttributeValue{"pk": &types.AttributeValueMemberS{Value: pk}},
	})
	if err != nil || len(out.Item) == 0 {
		s.t.Fatalf("get item %s: %v", pk, err)
	}
	return storetest.ItemSize(out.Item)
}
