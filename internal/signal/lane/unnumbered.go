package lane

import (
	"hash/fnv"
	"slices"
)

// MaxUnnumbered is how many of the last messages without a number a lane
// remembers, lest they are delivered again by a repeated invocation. They fit,
// with the rest of a connection's record, into one of DynamoDB's write units of
// 1 KB.
const MaxUnnumbered = 48

// Unnumbered is a message without a number that was taken: hashes (FNV-1a) of
// API Gateway's id of the message, which is the same in each invocation for it,
// and of the invocation that took it.
type Unnumbered struct {
	ID uint64
	By uint32
}

func unnumbered(id, by string) Unnumbered {
	i, b := fnv.New64a(), fnv.New32a()
	_, _ = i.Write([]byte(id))
	_, _ = b.Write([]byte(by))
	return Unnumbered{i.Sum64(), b.Sum32()}
}

// TookUnnumbered reports whether message id was taken, if it is one of the last
// [MaxUnnumbered], and whether it was by that invocation.
func (l Lane) TookUnnumbered(id, by string) (taken, mine bool) {
	wanted := unnumbered(id, by)
	i := slices.IndexFunc(l.Unnumbered, func(u Unnumbered) bool { return u.ID == wanted.ID })
	if i < 0 || id == "" {
		return false, false
	}
	return true, l.Unnumbered[i] == wanted
}

// newest returns the message without a number that was taken last; zero if none
// was.
func (l Lane) newest() Unnumbered {
	if len(l.Unnumbered) == 0 {
		return Unnumbered{}
	}
	return l.Unnumbered[0]
}

// TakeUnnumbered returns the move by which an invocation takes a message without
// a number, at no place in the order, from the bucket. One without an id is not
// remembered.
func (l Lane) TakeUnnumbered(id, by string, r Rate, now Instant) Move {
	m := Move{Kind: KindSpend, Guard: l.unmoved(), Change: Change{Done: l.Done, Taken: l.Taken}}
	if id != "" {
		m.Guard.Unnumbered = Is(l.newest())
		kept := l.Unnumbered[:min(len(l.Unnumbered), MaxUnnumbered-1)]
		m.Change.Unnumbered = append([]Unnumbered{unnumbered(id, by)}, kept...)
	}
	return l.Spending(m, r, 1, now)
}
