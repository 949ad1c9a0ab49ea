package lane

import (
	"cmp"
	"hash/crc32"
)

// MaxDigests is for how many of the last numbers a lane remembers which messages
// they were: as many as a client may have on their way.
const MaxDigests = MaxHeld

// Digests tell which messages some consecutive numbers were.
type Digests struct {
	Last int64    // the highest of the numbers
	Sums []uint32 // of each number, by [Frame.Digest]; 0: no message is known under it
}

// Digest returns a hash of what the frame says, which is not zero: CRC-32C of the data,
// begun with FNV-1a of the rest. By it a repeated message is told from another one
// under the same number.
func (f Frame) Digest() uint32 {
	if f.Apart() {
		return f.Body.Digest
	}
	const basis, prime = 2166136261, 16777619 // of FNV-1a, 32 bits
	rest := (basis ^ uint32(f.Asks)) * prime
	for _, said := range [...]string{f.To, f.Mark} {
		for i := range len(said) {
			rest = (rest ^ uint32(said[i])) * prime
		}
		rest *= prime // as if a zero followed
	}
	return max(1, crc32.Update(rest, castagnoli, f.Data))
}

// castagnoli is the polynomial for which processors have an instruction.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// of returns the digest of number n, 0 if none is known.
func (d Digests) of(n int64) uint32 {
	if n < d.first() || n > d.Last {
		return 0
	}
	return d.Sums[n-d.first()]
}

// first returns the lowest of the numbers.
func (d Digests) first() int64 { return d.Last - int64(len(d.Sums)) + 1 }

// and returns the digests of the last numbers of d and, above those, of more.
func (d Digests) and(more Digests) Digests {
	first := d.first()
	switch {
	case len(d.Sums) == 0:
		first = more.first()
	case more.Last <= d.Last:
		return d
	}
	first = max(first, more.Last-MaxDigests+1)
	sums := make([]uint32, more.Last-first+1)
	if len(d.Sums) > 0 && first <= d.Last {
		copy(sums, d.Sums[first-d.first():])
	}
	for i, sum := range more.Sums {
		if at := more.first() + int64(i) - first; at >= 0 && sum != 0 {
			sums[at] = sum
		}
	}
	return Digests{more.Last, sums}
}

// digests returns those of a run. Of one that leaves out many numbers, as it may
// below the opening number, the last ones.
func digests(run []Numbered) Digests {
	first, last := run[0].N, run[len(run)-1].N
	d := Digests{last, make([]uint32, min(last-first+1, 2*MaxDigests))}
	for _, f := range run {
		if f.N >= d.first() {
			d.Sums[f.N-d.first()] = f.Digest()
		}
	}
	return d
}

// known returns the digest of what the lane has under number n; 0: it knows of none.
func (l Lane) known(n int64) uint32 {
	h, held := l.Held[n]
	switch {
	case held:
		return h.Digest()
	case n <= l.Done:
		return l.Finished.of(n)
	default:
		return l.Taking.of(n)
	}
}

// Reused reports whether a frame comes under a number that is another's. It is never
// taken, and ends with [Lane.Answer].
func (l Lane) Reused(f Numbered) bool {
	known := l.known(f.N)
	return known != 0 && known != f.Digest()
}

// Answer returns how a frame has ended whose number is finished, or another's. While
// the other has no answer, this one may be taken for that, and promises nothing.
func (l Lane) Answer(f Numbered) Code {
	code := l.Outcome(f.N)
	switch reused := l.Reused(f); {
	case reused && f.N > l.Done:
		return cmp.Or(f.Code, CodeServer)
	case reused:
		return cmp.Or(f.Code, CodeClient)
	case code == OK && l.known(f.N) == 0:
		return CodeServer // it is no longer known what was delivered
	default:
		return code
	}
}
