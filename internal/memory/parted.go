package memory

import (
	"hash/maphash"
	"iter"

	"github.com/owt-signal/owt-signal/internal/signal"
)

// parted is a table in parts, one for each segment of a round of keepalive: who reads
// a segment does not go through all rows.
type parted[K ~string, V any] struct {
	seed  maphash.Seed
	parts [signal.Segments]table[K, V]
}

func newParted[K ~string, V any]() parted[K, V] {
	p := parted[K, V]{seed: maphash.MakeSeed()}
	for i := range p.parts {
		p.parts[i] = newTable[K, V]()
	}
	return p
}

// part returns the part that a row is in.
func (p *parted[K, V]) part(key K) *table[K, V] {
	return &p.parts[maphash.String(p.seed, string(key))%signal.Segments]
}

func (p *parted[K, V]) get(key K) (V, bool) {
	v, ok := p.part(key).rows[key]
	return v, ok
}

func (p *parted[K, V]) put(key K, v V) { p.part(key).rows[key] = v }

func (p *parted[K, V]) remove(key K) { p.part(key).remove(key) }

// segment returns the rows of a segment. It may be put to and removed from meanwhile.
func (p *parted[K, V]) segment(of signal.Segment) iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		for i := of.Index; i < len(p.parts); i += of.Of {
			for key, v := range p.parts[i].rows {
				if !yield(key, v) {
					return
				}
			}
		}
	}
}
