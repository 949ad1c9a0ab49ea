package lane

// Take returns the move for frames with consecutive numbers when nothing is out
// of the ordinary: the lane is idle just below them, and none is held: a repeated
// invocation may have held them before a gap below was skipped. It is made without
// a look at the lane; if it is refused, the lane comes back and
// [Lane.DecideArrival] decides.
func Take(run []Numbered, id string, now Instant) Move {
	below := run[0].N - 1
	return Move{
		Kind:   KindTake,
		Guard:  Guard{Done: Is(below), Taken: Is(below), Vacant: numbers(run)},
		Change: Change{Done: below, Taken: run[len(run)-1].N, Holder: id, LeasedAt: now, Taking: digests(run)},
		Run:    run,
	}
}

func numbers(run []Numbered) []int64 {
	all := make([]int64, len(run))
	for i, f := range run {
		all[i] = f.N
	}
	return all
}

// unmoved returns the guard that the lane stands where l does.
func (l Lane) unmoved() Guard { return Guard{Done: Is(l.Done), Taken: Is(l.Taken)} }

// sameHeld returns the guard that it holds the same frames, too. A move that takes
// frames out asks for it: only the holder of the lease takes them out, so an
// equal count means the same frames.
func (l Lane) sameHeld() Guard {
	g := l.unmoved()
	g.Held = Is(len(l.Held))
	return g
}

// take takes the lease of an idle lane for run, which leaves the lane at end.
func (l Lane) take(kind Kind, run []Numbered, end int64, id string, now Instant) Move {
	return Move{
		Kind:  kind,
		Guard: l.sameHeld(),
		Change: Change{
			Done: l.Done, Taken: end, Holder: id, LeasedAt: now, Taking: digests(run),
			Unhold: l.heldOf(run), Outcomes: l.passed(l.Taken, run, nil),
		},
		Run: run,
	}
}

// Finish returns the move that finishes the numbers taken, of which some were
// not delivered, and takes the unbroken run that follows, unless the holder
// wants no more.
func (l Lane) Finish(undelivered []Undelivered, more bool, id string, now Instant) Move {
	m := Move{Kind: KindFinish, Guard: l.sameHeld(), Change: Change{Done: l.Taken, Taken: l.Taken, Holder: id, Finished: l.Finished.and(l.Taking)}}
	m.Guard.Holder = Is(id)
	if more {
		if run, end := l.run(l.Taken); len(run) > 0 {
			m.Run, m.Change.Unhold = run, run
			m.Change.Taken, m.Change.LeasedAt, m.Change.Taking = end, now, digests(run)
		}
	}
	m.Change.Outcomes = l.passed(l.Taken, m.Run, undelivered)
	return m
}

// hold keeps frames. It asks only that they have not been taken, so that nothing that
// happens on the lane meanwhile hinders it; if that is idle by then, they are
// adopted.
func hold(frames []Numbered, id string, now Instant) Move {
	m := Move{Kind: KindHold, Guard: Guard{TakenBelow: Is(frames[0].N), Vacant: numbers(frames)}}
	for _, f := range frames {
		m.Change.Hold = append(m.Change.Hold, HeldFrame{f.N, Held{Frame: f.Frame, By: id, At: now}})
	}
	return m
}

// Renew returns the move that renews the lease. The lease's time is asked for,
// so that a write that takes effect late does not set it back.
func (l Lane) Renew(id string, now Instant) Move {
	m := Move{Kind: KindRenew, Guard: l.unmoved(), Change: Change{Done: l.Done, Taken: l.Taken, Holder: id, LeasedAt: now}}
	m.Guard.Holder, m.Guard.LeasedAt = Is(id), Is(l.LeasedAt)
	return m
}

// Expire returns the move that ends a lease that was not renewed in time. Its
// numbers count as undelivered: some may have been posted, and none is posted
// again.
func (l Lane) Expire(id string) Move {
	m := Move{
		Kind: KindExpire, Guard: l.unmoved(),
		Change: Change{Done: l.Taken, Taken: l.Taken, Holder: id,
			Finished: l.Finished.and(l.Taking), Outcomes: l.passed(l.Taken, nil, []Undelivered{{l.Done + 1, l.Taken, CodeServer}})},
	}
	m.Guard.Holder, m.Guard.LeasedAt = Is(l.Holder), Is(l.LeasedAt)
	return m
}

// skip gives up the numbers between those taken and lowest, which have not
// come in time.
func (l Lane) skip(lowest int64, id string) Move {
	return Move{
		Kind: KindSkip, Guard: l.sameHeld(),
		Change: Change{Done: lowest - 1, Taken: lowest - 1, Holder: id,
			Outcomes: l.passed(l.Taken, nil, []Undelivered{{l.Taken + 1, lowest - 1, CodeServer}})},
	}
}

// Skipped returns how many numbers a skip gives up. Those that may never have
// been sent on this connection do not count, and no client has more than
// MaxHeld on their way.
func (l Lane) Skipped(skip Move) int {
	if l.startUnknown() {
		return 0
	}
	return int(min(max(0, skip.Change.Done-max(l.Taken, l.Open)), MaxHeld))
}

// Resume returns the move by which another lane goes on from where this one
// stands: it asks that this one is still there.
func (l Lane) Resume() Move {
	return Move{Kind: KindResume, Guard: l.unmoved(), Change: Change{Done: l.Done, Taken: l.Taken}}
}

// Stay returns the move that changes nothing.
func (l Lane) Stay() Move {
	return Move{Kind: KindStay, Guard: l.unmoved(), Change: Change{Done: l.Done, Taken: l.Taken}}
}

// Revoke returns the move that gives up all that is held. What the holder of
// the lease has taken it may still finish.
func (l Lane) Revoke() Move {
	held := make([]Numbered, 0, len(l.Held))
	for n, h := range l.Held {
		held = append(held, Numbered{n, h.Frame})
	}
	sortByNumber(held)
	return Move{Kind: KindRevoke, Guard: l.sameHeld(), Change: Change{Done: l.Done, Taken: l.Taken, Unhold: held}}
}

// passed returns what the lane remembers once numbers were finished without
// delivery and run was taken after taken: numbers that run leaves out are too
// late from now on. Nil: no change.
func (l Lane) passed(taken int64, run []Numbered, undelivered []Undelivered) *Outcomes {
	for _, f := range run {
		if f.N > taken+1 {
			undelivered = append(undelivered, Undelivered{taken + 1, f.N - 1, CodeServer})
		}
		taken = f.N
	}
	if len(undelivered) == 0 {
		return nil
	}
	o := l.outcomes(undelivered...)
	return &o
}

// heldOf returns those of run that are held, not just submitted.
func (l Lane) heldOf(run []Numbered) []Numbered {
	held := make([]Numbered, 0, len(run))
	for _, f := range run {
		if _, ok := l.Held[f.N]; ok {
			held = append(held, f)
		}
	}
	return held
}
