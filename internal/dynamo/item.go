package dynamo

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// The attributes of the items.
const (
	attrKey     = "pk"
	attrExpires = "expires"

	attrProtocol   = "protocol"
	attrBatches    = "batches"
	attrRecovers   = "recovers"
	attrEndpoint   = "endpoint"
	attrClient     = "client"
	attrEarly      = "early"
	attrJoining    = "joining"
	attrLobby      = "lobby"
	attrUser       = "user"
	attrBar        = "bar"
	attrAttributes = "attributes"
	attrSince      = "since"
	attrSession    = "session"
	attrEnded      = "ended"
	attrKept       = "kept"
	attrNext       = "next"
	attrOpen       = "open"
	attrDone       = "done"
	attrTurn       = "turn"
	attrTurnAt     = "turnAt"
	attrHeld       = "held"
	attrSize       = "size"
	attrFaults     = "faults"
	attrForgotten  = "forgotten"
	attrFullAt     = "fullAt"
	attrUnnumbered = "unnumbered"
	attrFinished   = "finished"
	attrTaking     = "taking"

	attrOwner     = "owner"
	attrClaimedAt = "claimedAt"
	attrUntil     = "until" // of connections, too
	attrEpoch     = "epoch"
	attrSeq       = "seq"
	attrKeptAfter = "keptAfter"
	attrChanges   = "changes" // the number of the presence
	attrTold      = "told"
	attrWatched   = "watched"
	attrWatches   = "watches"
	attrHanded    = "handed" // since the owner changed nothing was routed

	// of history
	attrPost = "post"
	attrLast = "last"

	// of shards, and of whom a connection watches
	attrMembers = "members"

	// of bodies
	attrTo   = "to"
	attrData = "data"

	// within bars, and peers
	attrCode = "code"
	attrBy   = "by"
	attrAt   = "at"
	attrID   = "id"

	// within what is kept of a handshake
	attrType    = "type"
	attrVersion = "version"
	attrAddress = "address"
	attrHeaders = "headers"
)

type item = map[string]types.AttributeValue

func key(pk string) item { return item{attrKey: str(pk)} }

func connectionKey(id signal.ConnectionID) string { return connectionPrefix + string(id) }
func userKey(name signal.UserName) string         { return userPrefix + string(name) }

const connectionPrefix = "conn#"

func str[S ~string](s S) types.AttributeValue { return &types.AttributeValueMemberS{Value: string(s)} }

func num[N ~int | ~int64](n N) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(int64(n), 10)}
}

func strs(members ...string) types.AttributeValue {
	return &types.AttributeValueMemberSS{Value: members}
}

func boolean(b bool) types.AttributeValue { return &types.AttributeValueMemberBOOL{Value: b} }

// seconds returns an instant as DynamoDB's time to live has it.
func seconds(i lane.Instant) int64 { return int64(i) / 1000 }

// reader reads attributes and keeps the first thing that is wrong. Absent
// attributes are zero.
type reader struct{ err error }

func (r *reader) fail(name string, v types.AttributeValue) {
	if r.err == nil {
		r.err = fmt.Errorf("read attribute %s: unexpected %T", name, v)
	}
}

func (r *reader) str(it item, name string) string {
	switch v := it[name].(type) {
	case nil:
		return ""
	case *types.AttributeValueMemberS:
		return v.Value
	default:
		r.fail(name, v)
		return ""
	}
}

func (r *reader) num(it item, name string) int64 {
	switch v := it[name].(type) {
	case nil:
		return 0
	case *types.AttributeValueMemberN:
		return r.parse(name, v)
	default:
		r.fail(name, v)
		return 0
	}
}

func (r *reader) parse(name string, v *types.AttributeValueMemberN) int64 {
	n, err := strconv.ParseInt(v.Value, 10, 64)
	if err != nil {
		r.fail(name, v)
	}
	return n
}

func (r *reader) strs(it item, name string) []string {
	switch v := it[name].(type) {
	case nil:
		return nil
	case *types.AttributeValueMemberSS:
		return v.Value
	default:
		r.fail(name, v)
		return nil
	}
}

func (r *reader) nums(it item, name string) (all []int) {
	switch v := it[name].(type) {
	case nil:
	case *types.AttributeValueMemberNS:
		for _, n := range v.Value {
			all = append(all, int(r.parse(name, &types.AttributeValueMemberN{Value: n})))
		}
	default:
		r.fail(name, v)
	}
	return all
}

func (r *reader) bytes(it item, name string) []byte {
	switch v := it[name].(type) {
	case nil:
		return nil
	case *types.AttributeValueMemberB:
		return v.Value
	default:
		r.fail(name, v)
		return nil
	}
}

func (r *reader) bool(it item, name string) bool {
	v, ok := it[name].(*types.AttributeValueMemberBOOL)
	return ok && v.Value
}

func (r *reader) child(it item, name string) item {
	switch v := it[name].(type) {
	case nil:
		return nil
	case *types.AttributeValueMemberM:
		return v.Value
	default:
		r.fail(name, v)
		return nil
	}
}

// connection reads the record of a connection.
func (r *reader) connection(it item) signal.Connection {
	pk := r.str(it, attrKey)
	if len(pk) < len(connectionPrefix) {
		r.fail(attrKey, it[attrKey])
		return signal.Connection{}
	}
	return signal.Connection{
		Peer: signal.Peer{
			ID:       signal.ConnectionID(pk[len(connectionPrefix):]),
			Endpoint: r.str(it, attrEndpoint),
			Protocol: signal.Protocol(r.str(it, attrProtocol)),
			Batches:  r.bool(it, attrBatches),
			Recovers: r.bool(it, attrRecovers),
		},
		Client:     r.client(r.child(it, attrClient)),
		Lobby:      signal.LobbyID(r.str(it, attrLobby)),
		JoinsLate:  r.bool(it, attrEarly),
		Joining:    r.bool(it, attrJoining),
		User:       signal.UserName(r.str(it, attrUser)),
		Until:      lane.Instant(r.num(it, attrUntil)),
		Revocation: r.revocation(r.child(it, attrBar)),
		Attributes: r.texts(r.child(it, attrAttributes)),
		Since:      lane.Instant(r.num(it, attrSince)),
		Expires:    lane.Instant(r.num(it, attrExpires) * 1000),
		Session:    r.str(it, attrSession),
		Ended:      r.bool(it, attrEnded),
		Next:       signal.ConnectionID(r.str(it, attrNext)),
		Lane: lane.Lane{
			Open:          r.num(it, attrOpen),
			Done:          r.num(it, attrDone),
			Taken:         r.num(it, attrTurn),
			Holder:        r.str(it, attrOwner),
			LeasedAt:      lane.Instant(r.num(it, attrTurnAt)),
			Held:          r.held(r.child(it, attrHeld)),
			Size:          int(r.num(it, attrSize)),
			Undelivered:   r.undelivered(it[attrFaults]),
			OutcomesAfter: r.num(it, attrForgotten),
			TAT:           lane.TAT(r.num(it, attrFullAt)),
			Unnumbered:    readUnnumbered(r.bytes(it, attrUnnumbered)),
			Finished:      readDigests(r.bytes(it, attrFinished)),
			Taking:        readDigests(r.bytes(it, attrTaking)),
		},
	}
}

func (r *reader) held(frames item) map[int64]lane.Held {
	held := make(map[int64]lane.Held, len(frames))
	for number, v := range frames {
		n, err := strconv.ParseInt(number, 10, 64)
		h, ok := readHeld(n, r.bytes(frames, number))
		if err != nil || !ok {
			r.fail(attrHeld, v)
			continue
		}
		held[n] = h
	}
	return held
}

// questionBits is how many bits a [lane.Question] takes.
const questionBits = 2

// heldItem returns what the lane keeps of a held frame, what it says being in its
// body: as few bytes as may be, since there may be many. The invocation's name is
// packed, if it is hexadecimal.
func heldItem(h lane.Held) types.AttributeValue {
	head, by := (uint64(h.Code)<<questionBits|uint64(h.Asks))<<1, []byte(h.By)
	if packed, _ := hex.DecodeString(h.By); hex.EncodeToString(packed) == h.By {
		head, by = head|heldPacked, packed
	}
	b := binary.BigEndian.AppendUint32(nil, h.Digest())
	for _, v := range []uint64{head, uint64(h.At), uint64(h.Len())} {
		b = binary.AppendUvarint(b, v)
	}
	return &types.AttributeValueMemberB{Value: append(b, by...)}
}

// heldPacked is the lowest bit of the first number of a held frame: its invocation's
// name is packed.
const heldPacked = 1

func readHeld(number int64, b []byte) (h lane.Held, ok bool) {
	if len(b) < 4 {
		return h, false
	}
	digest := binary.BigEndian.Uint32(b)
	b = b[4:]
	var values [3]uint64
	for i := range values {
		v, size := binary.Uvarint(b)
		if size <= 0 {
			return h, false
		}
		values[i], b = v, b[size:]
	}
	head := values[0] >> 1
	h.Code, h.Asks = lane.Code(head>>questionBits), lane.Question(head&(1<<questionBits-1))
	h.At, h.By = lane.Instant(values[1]), string(b)
	if values[0]&heldPacked != 0 {
		h.By = hex.EncodeToString(b)
	}
	h.Body = lane.Body{Name: bodyName(number, h.By), Len: int(values[2]), Digest: digest}
	return h, true
}

// undelivered reads runs of numbers, which are kept flat, three numbers each:
// from, to, code.
func (r *reader) undelivered(v types.AttributeValue) []lane.Undelivered {
	list, ok := v.(*types.AttributeValueMemberL)
	if !ok {
		return nil
	}
	var numbers []int64
	for _, e := range list.Value {
		n, ok := e.(*types.AttributeValueMemberN)
		if !ok {
			r.fail(attrFaults, e)
			return nil
		}
		numbers = append(numbers, r.parse(attrFaults, n))
	}
	var runs []lane.Undelivered
	for ; len(numbers) >= 3; numbers = numbers[3:] {
		runs = append(runs, lane.Undelivered{From: numbers[0], To: numbers[1], Code: lane.Code(numbers[2])})
	}
	return runs
}

func undeliveredItem(undelivered []lane.Undelivered) types.AttributeValue {
	list := make([]types.AttributeValue, 0, 3*len(undelivered))
	for _, f := range undelivered {
		list = append(list, num(f.From), num(f.To), num(f.Code))
	}
	return &types.AttributeValueMemberL{Value: list}
}

// unnumberedSize is what a message without a number takes: the hashes of its id
// and of who took it, one message after the other.
const unnumberedSize = 8 + 4

func readUnnumbered(b []byte) (all []lane.Unnumbered) {
	for ; len(b) >= unnumberedSize; b = b[unnumberedSize:] {
		all = append(all, lane.Unnumbered{ID: binary.BigEndian.Uint64(b), By: binary.BigEndian.Uint32(b[8:])})
	}
	return all
}

func unnumberedItem(all ...lane.Unnumbered) types.AttributeValue {
	b := make([]byte, 0, unnumberedSize*len(all))
	for _, u := range all {
		b = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(b, u.ID), u.By)
	}
	return &types.AttributeValueMemberB{Value: b}
}

// readDigests reads the highest of some numbers, and the digest of each.
func readDigests(b []byte) (d lane.Digests) {
	if len(b) < 8 {
		return d
	}
	d.Last = int64(binary.BigEndian.Uint64(b))
	for b = b[8:]; len(b) >= 4; b = b[4:] {
		d.Sums = append(d.Sums, binary.BigEndian.Uint32(b))
	}
	return d
}

func digestsItem(d lane.Digests) types.AttributeValue {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 8+4*len(d.Sums)), uint64(d.Last))
	for _, sum := range d.Sums {
		b = binary.BigEndian.AppendUint32(b, sum)
	}
	return &types.AttributeValueMemberB{Value: b}
}

// texts reads a map of strings; nil if there is none.
func (r *reader) texts(it item) map[string]string {
	if len(it) == 0 {
		return nil
	}
	all := make(map[string]string, len(it))
	for name := range it {
		all[name] = r.str(it, name)
	}
	return all
}

func texts(all map[string]string) types.AttributeValue {
	it := make(item, len(all))
	for name, text := range all {
		it[name] = str(text)
	}
	return &types.AttributeValueMemberM{Value: it}
}

func (r *reader) client(it item) signal.Client {
	return signal.Client{
		Type:    r.str(it, attrType),
		Version: r.str(it, attrVersion),
		Address: r.str(it, attrAddress),
		Headers: r.texts(r.child(it, attrHeaders)),
	}
}

func clientItem(c signal.Client) types.AttributeValue {
	it := make(item)
	for name, text := range map[string]string{attrType: c.Type, attrVersion: c.Version, attrAddress: c.Address} {
		if text != "" {
			it[name] = str(text)
		}
	}
	if len(c.Headers) > 0 {
		it[attrHeaders] = texts(c.Headers)
	}
	return &types.AttributeValueMemberM{Value: it}
}

func (r *reader) revocation(it item) signal.Revocation {
	return signal.Revocation{Code: lane.Code(r.num(it, attrCode)), By: r.str(it, attrBy), At: lane.Instant(r.num(it, attrAt))}
}

func revocationItem(b signal.Revocation) types.AttributeValue {
	return &types.AttributeValueMemberM{Value: item{attrCode: num(b.Code), attrBy: str(b.By), attrAt: num(b.At)}}
}

func (r *reader) peer(it item) *signal.Peer {
	if len(it) == 0 {
		return nil
	}
	return &signal.Peer{
		ID:       signal.ConnectionID(r.str(it, attrID)),
		Endpoint: r.str(it, attrEndpoint),
		Protocol: signal.Protocol(r.str(it, attrProtocol)),
		Batches:  r.bool(it, attrBatches),
		Recovers: r.bool(it, attrRecovers),
	}
}

func peerItem(p signal.Peer) types.AttributeValue {
	it := item{attrID: str(p.ID), attrEndpoint: str(p.Endpoint), attrProtocol: str(p.Protocol)}
	if p.Batches {
		it[attrBatches] = boolean(true)
	}
	if p.Recovers {
		it[attrRecovers] = boolean(true)
	}
	return &types.AttributeValueMemberM{Value: it}
}
