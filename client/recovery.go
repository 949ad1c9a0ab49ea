package client

import (
	"maps"
	"slices"
	"time"
)

const (
	// maxAsked is how often in a row the server is asked for the same.
	maxAsked = 3
	// maxHeld is how many messages that came early are held where those that come
	// after can be asked for, so that there is room for those that come before.
	maxHeld = maxUnreceived / 2
)

// recovery is how an inbox gets back what has not come (clients/SPEC.md, Recovery):
// the server keeps for a while what it has sent, and is asked for it.
type recovery struct {
	keeps    time.Duration // how long; zero: not at all
	offline  bool          // there is no connection to ask on
	timeout  time.Duration // for an answer; doubles with each time that it is asked again
	question question
}

// question is what the server was asked for: what is missing up to a number. The
// zero value is none.
type question struct {
	since int64 // what it was asked for last begins after that
	last  int64
	asked int // how often; zero: it is about to be
	due   time.Time
}

func (q question) open() bool { return q.last != 0 }

// welcome begins with a new connection, whose handshake has asked for what is missing.
func (r *recovery) welcome(s standing, now time.Time) {
	r.keeps, r.offline, r.question = s.keeps, false, question{}
	if s.keeps > 0 {
		r.question = question{since: s.from - 1, last: s.seq, asked: 1, due: now.Add(r.timeout)}
	}
}

// lost is told that there is no connection any more.
func (r *recovery) lost() { r.offline, r.question = true, question{} }

// asks reports whether what is missing is asked for, rather than given up.
func (r *recovery) asks() bool { return r.keeps > 0 && !r.offline }

// patience is how long what is missing is waited for: so long, or, until it can be
// asked for, as the server keeps it.
func (r *recovery) patience(wait time.Duration) time.Duration {
	if r.keeps > 0 && r.offline {
		return r.keeps
	}
	return wait
}

// progress notes that something new has come: if that was asked for, its answer is on
// the way.
func (r *recovery) progress(seq int64, now time.Time) {
	if r.question.open() && seq <= r.question.last {
		r.hold(now)
	}
}

// unanswered reports whether a question has been asked often enough.
func (r *recovery) unanswered(now time.Time) bool {
	return r.question.asked == maxAsked && !now.Before(r.question.due)
}

// hold lets the wait for an answer begin anew.
func (r *recovery) hold(now time.Time) {
	if r.question.asked > 0 {
		r.question.due = now.Add(r.timeout << (r.question.asked - 1))
	}
}

// replayed is told that everything up to seq was sent again, or announced.
func (b *inbox) replayed(epoch string, seq int64, now time.Time) arrivals {
	var a arrivals
	if epoch == b.epoch && b.question.open() && seq > b.question.since {
		b.question.asked, b.question.due = 0, now // there may be more
		b.noMore(&a, min(seq, b.question.last))
	}
	return a
}

// ask reports whether the question is to be asked now, and counts it as asked.
func (b *inbox) ask(now time.Time) (q question, ok bool) {
	switch {
	case !b.asks():
		return question{}, false
	case b.overdue(now):
		b.question.last = b.lowest() - 1
	case !b.question.open() || now.Before(b.question.due):
		return question{}, false
	}
	b.question.since = max(b.next-1, b.routed)
	b.question.asked++
	b.hold(now)
	return b.question, true
}

// makeRoom drops what came last by its number, if too much is held that waits for
// what the server is asked for. It is asked for, too.
func (b *inbox) makeRoom(a *arrivals, now time.Time) {
	if !b.asks() || len(b.held) <= maxHeld {
		return
	}
	highest := slices.Max(slices.Collect(maps.Keys(b.held)))
	delete(b.held, highest)
	a.dropped++
	if !b.question.open() {
		b.question = question{due: now}
	}
	b.question.last = max(b.question.last, highest)
}
