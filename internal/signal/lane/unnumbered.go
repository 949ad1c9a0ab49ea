package lane

import "slices"

// MaxUnnumbered is how many of the last messages without a number a lane
// remembers, lest they are delivered again by a repeated invocation. They fit,
// with the rest of a connection's record, into one of DynamoDB's write units of
// 1 KB.
const MaxUnnumbered = 16

// Unnumbered is a message without a number that was taken.
type Unnumbered struct {
	ID string // API Gateway's id of the message, the same in each invocation for it
	By string // the invocation that took it
}

// Taker returns which invocation took message id, if it is one of the last
// [MaxUnnumbered].
func (l Lane) Taker(id string) (by string, ok bool) {
	i := slices.IndexFunc(l.Unnumbered, func(u Unnumbered) bool { return u.ID == id })
	if i < 0 || id == "" {
		return "", false
	}
	return l.Unnumbered[i].By, true
}

// newest returns the id of the message that was taken last; empty if none was.
func (l Lane) newest() string {
	if len(l.Unnumbered) == 0 {
		return ""
	}
	return l.Unnumbered[0].ID
}

// TakeUnnumbered returns the move by which an invocation takes a message without
// a number, at no place in the order, from the bucket. One without an id is not
// remembered.
func (l Lane) TakeUnnumbered(id, by string, r Rate, now Instant) Move {
	m := Move{Kind: KindSpend, Guard: l.unmoved(), Change: Change{Done: l.Done, Taken: l.Taken}}
	if id != "" {
		m.Guard.Unnumbered = Is(l.newest())
		m.Change.Unnumbered = append([]Unnumbered{{id, by}}, l.Unnumbered[:min(len(l.Unnumbered), MaxUnnumbered-1)]...)
	}
	return l.Spending(m, r, 1, now)
}
