package lane

import (
	"cmp"
	"slices"
)

// Start says where a client's numbers begin. The zero value says that this
// is not known: its first frames wait for [ReorderWindow], and then the lowest is
// first.
type Start struct {
	known  bool
	number int64 // the lane's Open
	strict bool  // nothing at or below number is taken
}

// StartAt returns the start of a client that authenticates with a frame of
// number n: the next is n+1. Lower numbers may have been sent before on this
// connection, and are not waited for.
func StartAt(n int64) Start { return Start{known: true, number: n} }

// StartAfter returns the start of a client whose lowest number is n+1.
func StartAfter(n int64) Start { return Start{known: true, number: n, strict: true} }

// Lane returns an idle lane that begins there and knows nothing of lower
// numbers.
func (s Start) Lane() Lane {
	l := New()
	switch {
	case !s.known:
		l.Open, l.Done = beforeAll, beforeAll
	case s.strict:
		l.Open, l.Done, l.OutcomesAfter = s.number, s.number, s.number
	default:
		l.Open = s.number
		l.Done = l.past(beforeAll)
	}
	l.Taken = l.Done
	return l
}

// Began reports whether that is known to be where l began.
func (s Start) Began(l Lane) bool { return s.known && s.number == l.Open }

// Start returns the move that opens the lane. It goes on where from stands,
// which is idle, and takes what was sent before: the held frames that may
// follow. Those that from has finished are repeated.
func (l Lane) Start(from Lane, id string, now Instant) Move {
	held := len(l.Held)
	var repeated []Numbered
	for n, h := range l.Held {
		if n <= from.Done {
			repeated = append(repeated, Numbered{n, h.Frame})
		}
	}
	sortByNumber(repeated)
	from.Held = l.without(repeated)
	run, end := from.run(from.Done)
	m := Move{
		Kind:  KindOpen,
		Guard: Guard{Done: Is(unopened), Taken: Is(unopened), Held: Is(held)},
		Change: Change{
			Done: from.Done, Taken: end, Holder: id, LeasedAt: now, Open: new(from.Open),
			Unhold: slices.Concat(repeated, run), Outcomes: from.passed(from.Done, run, nil), TAT: from.TAT, Finished: from.Finished,
		},
		Run:      run,
		Repeated: repeated,
	}
	if len(run) > 0 {
		m.Change.Taking = digests(run)
	}
	if m.Change.Outcomes == nil && (len(from.Undelivered) > 0 || from.OutcomesAfter != unopened) {
		m.Change.Outcomes = &Outcomes{from.Undelivered, from.OutcomesAfter}
	}
	return m
}

func sortByNumber(frames []Numbered) {
	slices.SortFunc(frames, func(a, b Numbered) int { return cmp.Compare(a.N, b.N) })
}
