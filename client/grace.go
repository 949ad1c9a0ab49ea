package client

import "time"

// The pauses between two questions whether a receiver is back: the first, and
// the longest.
const (
	askFirst = 100 * time.Millisecond
	askMost  = 500 * time.Millisecond
)

// grace is the time after a lost connection in which a message waits until its
// receiver is back (clients/SPEC.md, Grace). Nil waits for nobody.
type grace struct {
	until   time.Time
	timeout time.Duration // a question that is not answered for so long counts as a no
	missing map[string]*receiver
}

type receiver struct {
	online bool          // as the server says, which may be wrong yet
	askAt  time.Time     // when to ask; zero: no message is held up for it
	pause  time.Duration // before asking again
}

// newGrace waits for the receivers of messages.
func newGrace(messages []*outgoing, until time.Time, timeout time.Duration) *grace {
	g := &grace{until, timeout, make(map[string]*receiver)}
	for _, m := range messages {
		if m.to != "" {
			g.missing[m.to] = &receiver{}
		}
	}
	return g
}

// allows reports whether a message to the user may go now. The first to each
// goes alone: with nothing else in flight.
func (g *grace) allows(user string, alone bool, now time.Time) bool {
	if g == nil || g.missing[user] == nil {
		return true
	}
	r := g.missing[user]
	if !r.online && r.askAt.IsZero() {
		r.askAt, r.pause = now, askFirst
	}
	return r.online && alone
}

// questions are the users to ask for now, and count as asked.
func (g *grace) questions(now time.Time) []string {
	var users []string
	if g == nil {
		return nil
	}
	for user, r := range g.missing {
		if !r.askAt.IsZero() && !now.Before(r.askAt) {
			r.askAt = now.Add(g.timeout + r.pause)
			users = append(users, user)
		}
	}
	return users
}

// presence takes the answer to a question.
func (g *grace) presence(user string, online bool, now time.Time) {
	if g == nil || g.missing[user] == nil || g.missing[user].askAt.IsZero() {
		return
	}
	r := g.missing[user]
	if r.online = online; online {
		r.askAt = time.Time{}
		return
	}
	r.askAt, r.pause = now.Add(r.pause), min(2*r.pause, askMost)
}

// answered is told how a message to the user has ended: zero is an ack. If the
// receiver was not there after all, the others wait on.
func (g *grace) answered(user string, code Code) {
	switch {
	case g == nil || g.missing[user] == nil || !g.missing[user].online:
	case code == 0:
		delete(g.missing, user)
	case code == CodeUnreachable:
		g.missing[user] = &receiver{}
	}
}

// deadline is when there is something to do: a question, or the end.
func (g *grace) deadline() time.Time {
	if g == nil {
		return time.Time{}
	}
	t := g.until
	for _, r := range g.missing {
		if !r.askAt.IsZero() && r.askAt.Before(t) {
			t = r.askAt
		}
	}
	return t
}
