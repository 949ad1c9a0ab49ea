// Package capacity reckons in DynamoDB's capacity units: what each request
// consumes of a partition key, by the real size of its item, and no more of a
// key than DynamoDB serves in a second. An emulator knows neither.
package capacity

import (
	"context"
	"math"
	"net/http"
	"sync"
	"time"
)

// What DynamoDB serves of one partition key in a second, in every capacity mode:
// writes of up to 1 KB, and strongly consistent reads of up to 4 KB ("Partitions
// and data distribution in DynamoDB", Developer Guide).
const (
	WritesPerKey = 1000
	ReadsToWrite = 3 // read units for each write unit
)

// Charge is what a request has consumed of one partition key.
type Charge struct {
	Key       string // its value
	Write     bool   // write units, or else read units
	Units     float64
	Throttled bool // the request was refused, and has consumed nothing
}

// Limit is a way to a DynamoDB, for one process or many, which charges each
// request to its partition key and refuses what a key has no units left for, as
// DynamoDB does: with HTTP 400 and a ThrottlingException of the reason
// TableWriteKeyRangeThroughputExceeded or TableReadKeyRangeThroughputExceeded.
//
// Each key has a bucket of one second's units ([Bucket]), for writes and for
// reads. A request is let through while there is something in it, and takes what
// it consumes when that is known, so the last one may leave it in debt. DynamoDB's
// burst capacity, which it does not promise, there is not. The requests for one key
// go through one after the other.
//
// A batch is charged and refused by its items; what was refused is returned as not
// processed, and if that is all, the batch is refused. Scans are not charged: they
// go over all keys. Requests change on the way, and so their signature is void.
type Limit struct {
	Next func(*http.Request) (*http.Response, error)
	// WriteUnits is what a key serves in a second, and three times as many read
	// units: 0 is no limit.
	WriteUnits int
	// Charged, unless nil, is told of each request. It may be called concurrently.
	Charged func(Charge)

	mu      sync.Mutex
	buckets map[bucketKey]*keyBucket
	sweepAt int // at how many buckets those that are full are forgotten
}

type bucketKey struct {
	table, key string
	write      bool
}

type keyBucket struct {
	Bucket
	inHand chan struct{} // has one: a request has the bucket in hand
}

// sweepFrom is from how many buckets on it is worth it.
const sweepFrom = 1000

// bucket returns the bucket of a key.
func (l *Limit) bucket(of bucketKey) *keyBucket {
	l.mu.Lock()
	defer l.mu.Unlock()
	if b := l.buckets[of]; b != nil {
		return b
	}
	if len(l.buckets) >= l.sweepAt {
		l.sweep(time.Now())
	}
	b := &keyBucket{inHand: make(chan struct{}, 1)}
	l.buckets[of] = b
	return b
}

// sweep forgets the buckets that are full and that no request has in hand.
func (l *Limit) sweep(now time.Time) {
	left := make(map[bucketKey]*keyBucket)
	for of, b := range l.buckets {
		select {
		case b.inHand <- struct{}{}:
			if b.full.After(now) {
				left[of] = b
			}
			<-b.inHand
		default:
			left[of] = b
		}
	}
	l.buckets, l.sweepAt = left, max(sweepFrom, 2*len(left))
}

// perSecond returns the units of a kind that a key serves in a second.
func (l *Limit) perSecond(write bool) int {
	if write {
		return l.WriteUnits
	}
	return ReadsToWrite * l.WriteUnits
}

// charge makes a request for a key, unless its bucket is empty, and takes from it
// what that has consumed.
func (l *Limit) charge(ctx context.Context, of bucketKey, request func() (answer, error)) (answer, error) {
	b := l.bucket(of)
	select {
	case b.inHand <- struct{}{}:
		defer func() { <-b.inHand }()
	case <-ctx.Done():
		return answer{}, ctx.Err()
	}
	c := Charge{Key: of.key, Write: of.write}
	if l.WriteUnits > 0 && !b.Allows(time.Now()) {
		c.Throttled = true
		l.tell(c)
		return throttled(of), nil
	}
	a, err := request()
	if err != nil {
		return a, err
	}
	if c.Units = a.consumed(); l.WriteUnits > 0 {
		b.Take(c.Units, l.perSecond(of.write), time.Now())
	}
	l.tell(c)
	return a, nil
}

func (l *Limit) tell(c Charge) {
	if l.Charged != nil {
		l.Charged(c)
	}
}

// Bucket holds the units of one second, and is filled at that rate. It is kept as
// the time at which it is full again (GCRA, ITU-T I.371). The zero value is full.
type Bucket struct{ full time.Time }

// Allows reports whether there is something in the bucket.
func (b *Bucket) Allows(now time.Time) bool { return b.full.Sub(now) < time.Second }

// Take takes units from a bucket of so many; it may then be in debt.
func (b *Bucket) Take(units float64, perSecond int, now time.Time) {
	if b.full.Before(now) {
		b.full = now
	}
	b.full = b.full.Add(time.Duration(math.Ceil(units / float64(perSecond) * float64(time.Second))))
}
