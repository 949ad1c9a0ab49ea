package sim

import (
	"math"
	"time"

	"github.com/owt-signal/owt-signal/internal/capacity"
	"github.com/owt-signal/owt-signal/internal/signal"
)

// How large the items of a table on DynamoDB are, in bytes, on average.
// internal/costs compares them with those that are written.
const (
	ConnectionItem = 250
	UserItem       = 200
	HeldFrame      = 25 // what a connection's item has of a frame that it holds
	Digest         = 4  // what it has of each of the last numbers
	BodyItem       = 60 // what an item has around the data of a held frame
)

// units reckons what the calls of the store would consume of the keys of a table on
// DynamoDB, and refuses what a key does not serve. Nil does not.
type units struct {
	bytes         int // of a message's data
	limit         int // write units that a key serves in a second; 0: any
	buckets       map[string]*capacity.Bucket
	writes, reads float64
}

func newUnits(bytes, limit int) *units {
	return &units{bytes: bytes, limit: limit, buckets: make(map[string]*capacity.Bucket)}
}

// item is what a call of the store reads or writes.
type item struct {
	key  string
	size func() int
}

func (s *Sim) connectionItem(id signal.ConnectionID) item {
	return item{"connection " + string(id), func() int {
		c, _ := s.records.GetEnded(nil, id, 0) //nolint:staticcheck // memory asks no context
		return ConnectionItem + len(c.Lane.Held)*HeldFrame + len(c.Lane.Finished.Sums)*Digest
	}}
}

func (s *Sim) userItem(name signal.UserName) item {
	return item{"user " + string(name), func() int { return UserItem }}
}

// dataBytes is how much data a message has at least.
func (u *units) dataBytes() int {
	if u == nil {
		return 0
	}
	return u.bytes
}

// together returns how many messages a client puts into a frame at most.
func (u *units) together() int {
	return min(signal.MaxBatch, max(1, signal.MaxBatchBytes/(u.dataBytes()+sendRoom)))
}

// sendRoom is what a message in a frame has around its data, in bytes.
const sendRoom = 60

// body is the size of what a held frame says.
func (u *units) body() int {
	if u == nil {
		return 0
	}
	return u.bytes + BodyItem
}

// bucket returns the bucket of a key, and how much it is filled in a second.
func (u *units) bucket(key string, write bool) (*capacity.Bucket, int) {
	perSecond := u.limit
	if !write {
		key, perSecond = key+", read", perSecond*capacity.ReadsToWrite
	}
	if u.buckets[key] == nil {
		u.buckets[key] = new(capacity.Bucket)
	}
	return u.buckets[key], perSecond
}

// serves reports whether a key has units left.
func (u *units) serves(key string, write bool, now time.Duration) bool {
	if u == nil || u.limit == 0 {
		return true
	}
	b, _ := u.bucket(key, write)
	return b.Allows(time.Time{}.Add(now))
}

// charge notes that items of a size were written or read.
func (u *units) charge(key string, write bool, items, size int, now time.Duration) {
	if u == nil {
		return
	}
	unit, total := 4<<10, &u.reads
	if write {
		unit, total = 1<<10, &u.writes
	}
	n := float64(items) * math.Ceil(float64(size)/float64(unit))
	*total += n
	if u.limit > 0 && key != "" {
		b, perSecond := u.bucket(key, write)
		b.Take(n, perSecond, time.Time{}.Add(now))
	}
}

// charged returns a call's effect with what it consumes: by the larger of the item
// before and after.
func (s *Sim) charged(it item, write bool, effect func()) func() {
	if s.units == nil || it.size == nil {
		return effect
	}
	return func() {
		before := it.size()
		effect()
		s.units.charge(it.key, write, 1, max(before, it.size()), s.now)
	}
}
