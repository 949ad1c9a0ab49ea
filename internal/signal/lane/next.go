package lane

// Has reports whether the lane knows this very frame, as far back as it remembers
// ([MaxDigests]).
func (l Lane) Has(f Numbered) bool { return l.known(f.N) == f.Digest() }

// Next returns the number above all that were taken or are held. A frame that gets it
// follows all that have come, for a sender that does not count by itself.
func (l Lane) Next() int64 {
	next := l.Taken + 1
	for n := range l.Held {
		next = max(next, n+1)
	}
	return next
}
