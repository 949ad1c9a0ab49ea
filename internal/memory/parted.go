package memory

import (
	"hash/maphash"
	"iter"

	"github.com/owt-signal/owt-signal/internal/signal"
)

// parted is a table in parts, one for each segment of a round of keepalive: who reads
// a segment does not go through all rows.
type parted[K ~string, V any] [signal.Segments]table[K, V]

// seed is what rows are put into parts by, in every store of the process.
var seed = maphash.MakeSeed()

// part returns the part that a row is in.
func (p *parted[K, V]) part(key K) *table[K, V] {
	return &p[maphash.String(seed, string(key))%signal.Segments]
}

func (p *parted[K, V]) get(key K) (V, bool) {
	v, ok := p.part(key).rows[key]
	return v, ok
}

func (p *parted[K, V]) put(key K, v V) { p.part(key).put(key, v) }

func (p *parted[K, V]) remove(key K) { p.part(key).remove(key) }

// segment returns the rows of a segment. It may be put to and removed from meanwhile.
func (p *parted[K, V]) segment(of signal.Segment) iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		for i := of.Index; i < len(p); i += of.Of {
			for key, v := range p[i].rows {
				if !yield(key, v) {
					return
				}
			}
		}
	}
}
