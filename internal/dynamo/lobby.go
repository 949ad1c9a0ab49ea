package dynamo

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

const lobbyPrefix = "lobby#"

// The attributes of a lobby that other items have not.
const (
	attrHandshake  = "handshake"
	attrStage      = "stage"
	attrConnection = "connection"
	attrFollows    = "follows"
	attrPackets    = "packets"
	attrPolls      = "polls"
)

func lobbyKey(id signal.LobbyID) string { return lobbyPrefix + string(id) }

// maxPostedWithin is the longest packet, in bytes, that is kept in the record of a
// lobby. A longer one is an item of its own, named after what it says, of which the
// record has the name: each request of a client is charged by the whole record, which
// so has less than the 1 KiB of a write unit ([signal.MaxLobbyPackets]).
const maxPostedWithin = 20

func postedApart(packet []byte) bool { return len(packet) > maxPostedWithin }

// postedName returns the name of a packet, which is as long as [maxPostedWithin].
func postedName(packet []byte) string {
	sum := sha256.Sum256(packet)
	return base64.RawURLEncoding.EncodeToString(sum[:maxPostedWithin*6/8])
}

func postedKey(id signal.LobbyID, name string) string { return lobbyKey(id) + "#" + name }

// CreateLobby implements [signal.LobbyStore].
func (s *Store) CreateLobby(ctx context.Context, l signal.Lobby) error {
	_, err := s.client.PutItem(ctx, &dynamodb.PutItemInput{TableName: &s.table, Item: item{
		attrKey:       str(lobbyKey(l.ID)),
		attrHandshake: str(l.Handshake),
		attrExpires:   num(seconds(l.Expires)),
		attrStage:     num(l.Stage),
		attrPackets:   &types.AttributeValueMemberL{},
		attrSize:      num(l.Size),
		attrPolls:     num(l.Polls),
	}})
	if err != nil {
		return fmt.Errorf("put lobby: %w", err)
	}
	return nil
}

// GetLobby implements [signal.LobbyStore].
func (s *Store) GetLobby(ctx context.Context, id signal.LobbyID, now lane.Instant) (signal.Lobby, error) {
	it, err := s.get(ctx, lobbyKey(id))
	if err != nil {
		return signal.Lobby{}, fmt.Errorf("get lobby: %w", err)
	}
	return readLobby(it, now)
}

// UpdateLobby implements [signal.LobbyStore]. Before long packets are written it is
// looked whether they may be posted: a refusal would cost all that they say.
func (s *Store) UpdateLobby(ctx context.Context, id signal.LobbyID, m signal.LobbyMove, now lane.Instant) (signal.Lobby, bool, error) {
	if slices.ContainsFunc(m.Post, postedApart) {
		l, err := s.GetLobby(ctx, id, now)
		if err != nil || !l.Allows(m) {
			return l, false, err
		}
		if err := s.putPosted(ctx, l, m.Post); err != nil {
			return signal.Lobby{}, false, err
		}
	}
	e := newExpression()
	e.require(e.path(attrExpires), ">", e.value(num(seconds(now))))
	e.guardLobby(m)
	e.changeLobby(m)
	in := e.update(s.table, lobbyKey(id))
	in.ReturnValues = types.ReturnValueAllOld
	out, err := s.client.UpdateItem(ctx, in)
	if old, ok := refused(err); ok {
		l, err := readLobby(old, now)
		return l, false, err
	}
	if err != nil {
		return signal.Lobby{}, false, fmt.Errorf("update lobby: %w", err)
	}
	l, err := readLobby(out.Attributes, now)
	if err == nil && m.Empty {
		err = s.takePosted(ctx, &l, out.Attributes, m.Upgrader != "")
	}
	return l, err == nil, err
}

// putPosted writes the packets that are kept apart. What is not posted after all
// expires with the lobby.
func (s *Store) putPosted(ctx context.Context, l signal.Lobby, packets [][]byte) error {
	puts := make(map[string]types.WriteRequest) // a batch may not have an item twice
	for _, p := range packets {
		if postedApart(p) {
			it := key(postedKey(l.ID, postedName(p)))
			it[attrData], it[attrExpires] = &types.AttributeValueMemberB{Value: p}, num(seconds(l.Expires))
			puts[postedName(p)] = types.WriteRequest{PutRequest: &types.PutRequest{Item: it}}
		}
	}
	if err := s.write(ctx, slices.Collect(maps.Values(puts))); err != nil {
		return fmt.Errorf("put packets: %w", err)
	}
	return nil
}

// takePosted deletes the packets of l, whose record was it, that are kept apart. If
// they are needed it reads them before.
func (s *Store) takePosted(ctx context.Context, l *signal.Lobby, it item, needed bool) error {
	packets := it[attrPackets].(*types.AttributeValueMemberL).Value // as readLobby has seen
	var keys []string
	for _, p := range packets {
		if name, apart := p.(*types.AttributeValueMemberS); apart {
			keys = append(keys, postedKey(l.ID, name.Value))
		}
	}
	slices.Sort(keys)
	keys = slices.Compact(keys)
	if len(keys) == 0 {
		return nil
	}
	if needed {
		items, err := s.read(ctx, keys)
		if err != nil {
			return fmt.Errorf("get packets: %w", err)
		}
		if len(items) < len(keys) {
			return errNotPosted
		}
		var r reader
		for i, p := range packets {
			if name, apart := p.(*types.AttributeValueMemberS); apart {
				l.Packets[i] = r.bytes(items[postedKey(l.ID, name.Value)], attrData)
			}
		}
		if r.err != nil {
			return r.err
		}
	}
	s.discard(ctx, keys)
	return nil
}

var errNotPosted = errors.New("get packets: some are not there")

// guardLobby adds [signal.Lobby.Allows] as a condition.
func (e *expression) guardLobby(m signal.LobbyMove) {
	e.require(e.path(attrStage), "BETWEEN", e.value(num(m.From)), "AND", e.value(num(m.Through)))
	if m.Of != "" {
		e.require(e.path(attrConnection), "=", e.value(str(m.Of)))
	}
	if m.Handshakes != nil {
		e.require(e.path(attrHandshake), "IN", "("+list(e, m.Handshakes)+")")
	}
	if m.Post != nil {
		e.require("size("+e.path(attrPackets)+")", "<=", e.value(num(signal.MaxLobbyPackets-len(m.Post))))
		e.require(e.path(attrSize), "<=", e.value(num(signal.MaxLobbyBytes-m.PostSize())))
	}
	if m.Poll {
		e.require(e.path(attrPolls), "<", e.value(num(signal.MaxPolls)))
	}
}

// changeLobby adds [signal.Lobby.Applied] as an update.
func (e *expression) changeLobby(m signal.LobbyMove) {
	if m.To >= m.From {
		e.set(e.path(attrStage), e.value(num(m.To)))
	}
	if m.Handshakes != nil {
		e.remove(e.path(attrHandshake))
	}
	if c := m.Claim; c != nil {
		e.set(e.path(attrConnection), e.value(str(c.Connection)))
		e.set(e.path(attrFollows), e.value(boolean(c.Follows)))
		e.set(e.path(attrClaimedAt), e.value(num(c.At)))
	}
	if m.Upgrader != "" {
		e.set(e.path(attrBy), e.value(str(m.Upgrader)))
	}
	if m.Post != nil {
		packets := make([]types.AttributeValue, len(m.Post))
		for i, p := range m.Post {
			packets[i] = &types.AttributeValueMemberB{Value: p}
			if postedApart(p) {
				packets[i] = str(postedName(p))
			}
		}
		path := e.path(attrPackets)
		e.set(path, "list_append("+path+", "+e.value(&types.AttributeValueMemberL{Value: packets})+")")
		e.set(e.path(attrSize), e.path(attrSize)+" + "+e.value(num(m.PostSize())))
	}
	if m.Empty {
		e.set(e.path(attrPackets), e.value(&types.AttributeValueMemberL{}))
		e.set(e.path(attrSize), e.value(num(0)))
	}
	if m.Poll {
		e.set(e.path(attrPolls), e.path(attrPolls)+" + "+e.value(num(1)))
	}
}

// readLobby reads the record of an item; [signal.ErrNoLobby] if there is none,
// or its time has passed.
func readLobby(it item, now lane.Instant) (signal.Lobby, error) {
	var r reader
	expires := lane.Instant(r.num(it, attrExpires) * 1000)
	if r.err == nil && (len(it) == 0 || expires <= now) {
		return signal.Lobby{}, signal.ErrNoLobby
	}
	l := signal.Lobby{
		ID:         signal.LobbyID(strings.TrimPrefix(r.str(it, attrKey), lobbyPrefix)),
		Handshake:  r.str(it, attrHandshake),
		Expires:    expires,
		Stage:      signal.Stage(r.num(it, attrStage)),
		Connection: signal.ConnectionID(r.str(it, attrConnection)),
		Follows:    r.bool(it, attrFollows),
		ClaimedAt:  lane.Instant(r.num(it, attrClaimedAt)),
		Upgrader:   r.str(it, attrBy),
		Size:       int(r.num(it, attrSize)),
		Polls:      int(r.num(it, attrPolls)),
	}
	packets, _ := it[attrPackets].(*types.AttributeValueMemberL)
	if packets == nil {
		r.fail(attrPackets, it[attrPackets])
		return l, r.err
	}
	for _, p := range packets.Value {
		switch p := p.(type) {
		case *types.AttributeValueMemberB:
			l.Packets = append(l.Packets, p.Value)
		case *types.AttributeValueMemberS: // is apart
			l.Packets = append(l.Packets, nil)
		default:
			r.fail(attrPackets, p)
			return l, r.err
		}
	}
	return l, r.err
}
