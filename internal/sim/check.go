package sim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// checker sees what really happened, and judges it.
type checker struct {
	violations []string
	order      map[orderKey]acceptedLast               // the last accepted of a sender's connection, by receiver
	seqs       map[seqKey]reserved                     // the numbers of the receivers' messages
	owner      map[signal.UserName]signal.ConnectionID // by the claims that were committed
	superseded map[signal.ConnectionID]time.Duration   // when another connection claimed its name
	forgetful  map[signal.UserName]bool                // a client has claimed the name that does not recover
	processes  []*process
	calm       bool   // no faults any more
	faulty     bool   // faults that may silence an ack were possible
	gentle     bool   // no faults at all but reordering
	prompt     bool   // no faults but reordering, skew, and an outage of the store; a gap is one, too
	outage     window // of the store
	watchChecker
	nudged time.Duration // when the last messages were sent
}

type orderKey struct {
	from string // a connection, or a session
	to   signal.UserName
}

// acceptedLast is the last message accepted, and its sequence number.
type acceptedLast struct {
	*message
	epoch string
	seq   int64
}

// reserved is a number that was reserved, and what was accepted under it.
type reserved struct {
	at time.Duration
	by *message // nil: nothing yet
}

// seqKey is a place among the messages to a receiver.
type seqKey struct {
	to    signal.UserName
	epoch string
	seq   int64
}

func newChecker() checker {
	return checker{
		order:      make(map[orderKey]acceptedLast),
		seqs:       make(map[seqKey]reserved),
		owner:      make(map[signal.UserName]signal.ConnectionID),
		superseded: make(map[signal.ConnectionID]time.Duration),
		forgetful:  make(map[signal.UserName]bool),
		watchChecker: watchChecker{
			states: make(map[state]bool),
			ends:   make(map[signal.ConnectionID]time.Duration),
		},
	}
}

func (s *Sim) violate(promise, format string, args ...any) {
	v := fmt.Sprintf("%s: at %v: ", promise, s.now) + fmt.Sprintf(format, args...)
	s.tracef("VIOLATION %s", v)
	s.violations = append(s.violations, v)
}

// accept returns an event that API Gateway has accepted for a socket.
func (s *Sim) accept(k *socket, e signal.Event) {
	s.tracef("%s gets %s", k.id, show(e))
	batch, several := e.(signal.Batch)
	if several {
		s.count("several in a post")
	} else {
		batch = signal.Batch{e}
	}
	for _, e := range batch {
		s.accepted(k, e)
		if k.client.inbox != nil && !k.dead {
			s.recover(k.client, k, e)
		}
	}
	s.after(s.latency(s.faults.Post)/2, func() {
		for _, e := range batch {
			if k.dead {
				return
			}
			k.client.receive(k, e)
		}
	})
}

func (s *Sim) accepted(k *socket, e signal.Event) {
	switch e := e.(type) {
	case signal.Delivery:
		s.delivered(k, e)
	case signal.Ack:
		if k.client.session == "" {
			s.acked(k, e)
		}
	case signal.Presence:
		s.told(k, e)
	case signal.Closing:
		if e.Code == lane.CodeWrongToken {
			s.count("ended tokens")
		}
	}
	k.told[fmt.Sprintf("%T", e)] = true
}

func (s *Sim) delivered(k *socket, d signal.Delivery) {
	id, err := strconv.Atoi(string(d.Data))
	if err != nil || id >= len(s.messages) {
		s.violate("bytes", "%s got %q", k.id, d.Data)
		return
	}
	m := s.messages[id]
	if m.to != k.client.user || d.From != m.from.client.user {
		s.violate("address", "%s got message %d of %s for %s, from %s", k.id, id, m.from.id, m.to, d.From)
	}
	if place := (seqKey{m.to, d.Epoch, d.Seq}); k.client.inbox != nil && s.seqs[place].by == m {
		s.count("replayed")
		return
	}
	m.accepted = append(m.accepted, acceptance{k, s.now})
	if len(m.accepted) > 1 {
		s.violate("once", "message %d (number %d of %s) was accepted %d times", id, m.n, m.from.id, len(m.accepted))
	}
	s.numbered(m, d)
	if m.n == signal.NoNumber {
		return
	}
	key := orderKey{m.from.lane(), m.to}
	last := s.order[key]
	if last.message != nil && last.n >= m.n {
		s.violate("order", "%s got number %d of %s after %d", k.id, m.n, m.from.id, last.n)
	}
	if last.epoch == d.Epoch && last.seq >= d.Seq {
		s.violate("seq", "%s got number %d of %s under the sequence number %d, and one before it under %d", k.id, m.n, m.from.id, d.Seq, last.seq)
	}
	s.order[key] = acceptedLast{m, d.Epoch, d.Seq}
}

// postedSoon is how long after it was reserved a sequence number is posted at most.
const postedSoon = lane.PostStartWithin + lane.PostWithin + stepTime

// numbered: a sequence number was reserved, not long ago, and is of one message.
func (s *Sim) numbered(m *message, d signal.Delivery) {
	place := seqKey{m.to, d.Epoch, d.Seq}
	r, ok := s.seqs[place]
	switch {
	case !ok:
		s.violate("seq", "%s got message %d under the sequence number %d, which was not reserved", m.to, m.id, d.Seq)
	case r.by != nil:
		s.violate("seq", "%s got messages %d and %d under the sequence number %d", m.to, r.by.id, m.id, d.Seq)
	case s.now-r.at > postedSoon:
		s.violate("seq", "%s got message %d under a sequence number that was reserved %v before", m.to, m.id, s.now-r.at)
	}
	s.seqs[place] = reserved{r.at, m}
}

func (s *Sim) acked(k *socket, a signal.Ack) {
	m := s.sent(k, a.Number)
	if m == nil {
		return // an authentication's, or what an expired lease says of numbers that were never sent here
	}
	m.acks = append(m.acks, ack{a.Code, s.now})
	if a.Code == lane.OK && len(m.accepted) == 0 {
		s.violate("truth", "%s was told that number %d was delivered", k.id, a.Number)
	}
}

// lane returns what a sender's order is kept in.
func (k *socket) lane() string {
	if k.client.session != "" {
		return k.client.session
	}
	return string(k.id)
}

// sent returns the message that a connection sent under a number.
func (s *Sim) sent(k *socket, n int64) *message {
	for _, m := range slices.Backward(s.messages) {
		if m.from == k && m.n == n && n != signal.NoNumber {
			return m
		}
	}
	return nil
}

func (s *Sim) arrived(in signal.Input, k *socket) {
	for _, send := range sends(in) {
		m := s.sent(k, send.Number)
		if m == nil {
			continue
		}
		if m.invocations++; m.arrived == 0 {
			m.arrived = s.now
		}
	}
}

func (s *Sim) lost(in signal.Input, k *socket) {
	for _, send := range sends(in) {
		if m := s.sent(k, send.Number); m != nil {
			m.lost = true
		}
	}
}

// sends are the messages of a frame.
func sends(in signal.Input) signal.Sends {
	switch in := in.(type) {
	case signal.Send:
		return signal.Sends{in}
	case signal.Sends:
		return in
	default:
		return nil
	}
}

// moved: a connection that lost its name, or whose token has ended, does nothing new any
// more. By which clock it has is open to doubt, and a write may take effect late.
func (s *Sim) moved(c signal.Connection, u signal.Update) {
	s.count(string(u.Kind))
	if slices.ContainsFunc(u.Run, func(f lane.Numbered) bool { return f.To != u.Run[0].To }) {
		s.count("runs to several")
	}
	id := c.ID
	doubt := s.faults.Skew + s.faults.LateEffect + stepTime + s.outage.to - s.outage.from
	if u.Opening == nil && (len(u.Run) > 0 || len(u.Change.Hold) > 0) && c.Revoked(epoch.Add(s.now-doubt)) {
		s.violate("expiry", "%s made the move %s, although its token ended at %v", id, u.Kind, c.Until.Sub(epoch))
	}
	if at, lost := s.superseded[id]; lost && len(u.Run) > 0 {
		s.violate("owner", "%s made the move %s, although it lost its name at %v", id, u.Kind, at)
	}
}

// stepTime is the longest that a store call is under way.
const stepTime = time.Second

func (s *Sim) claimed(c signal.Claim) {
	s.forgetful[c.User] = s.forgetful[c.User] || !c.Peer.Recovers
	before := s.owner[c.User]
	if before == c.Peer.ID {
		return
	}
	if before != "" {
		s.superseded[before] = s.now
		s.count("takeovers")
	}
	s.owner[c.User] = c.Peer.ID
}

// routed: messages go to the name's owner only.
func (s *Sim) routed(user signal.UserName, r signal.Route, messages int) {
	if s.owner[user] != r.Peer.ID {
		s.violate("owner", "a message for %s was routed to %s, but %s owns the name", user, r.Peer.ID, s.owner[user])
	}
	for i := range int64(messages) {
		s.seqs[seqKey{user, r.Epoch, r.Seq + i}] = reserved{at: s.now}
	}
}

// stall is the longest that a frame may take where nothing fails but the one
// number that never comes: it is waited for, and those that wait are posted.
const stall = lane.GapTimeout + 3*time.Second

// judge judges what can be judged only in the end.
func (s *Sim) judge() {
	for _, m := range s.messages {
		s.judgeMessage(m)
	}
	s.judgeRequests()
	for _, id := range sorted(s.sockets) {
		s.judgeSocket(s.sockets[id])
		s.judgeLeaving(s.sockets[id])
	}
	for _, c := range s.clients {
		s.judgeUser(c)
		s.judgeRecovery(c)
		s.judgeWatches(c)
	}
}

func (s *Sim) judgeMessage(m *message) {
	if m.from == nil {
		return
	}
	if m.arrived != 0 && len(m.acks) == 0 && m.from.open && m.from.client.ready && (!s.faulty || m.arrived >= s.nudged && s.nudged > 0) {
		s.violate("truth", "number %d of %s, message %d, was never answered", m.n, m.from.id, m.id)
	}
	ok, failed := false, false
	for _, a := range m.acks {
		ok, failed = ok || a.code == lane.OK, failed || a.code != lane.OK
		if a.code != lane.OK && !unknowing(a.code) && len(m.accepted) > 0 && !s.refusedOneOf(m, a.code) {
			s.violate("truth", "number %d of %s was delivered, and %d told, which promises that it was not", m.n, m.from.id, int(a.code))
		}
	}
	if s.gentle && failed && (ok || len(m.accepted) > 0) {
		s.violate("truth", "number %d of %s was delivered, and an error told: %v", m.n, m.from.id, m.acks)
	}
	s.judgeAnswers(m)
	if !s.faulty && len(m.acks) > 0 && m.from.open {
		limit := stall + s.outage.to - s.outage.from // what nobody could see does not count as waited for
		if took := m.acks[0].at - m.arrived; took > limit && m.arrived > 0 {
			s.violate("stall", "number %d of %s took %v", m.n, m.from.id, took)
		}
	}
}

// promptly is how long an answer may take on a connection that nothing
// disturbs but an outage of the store of 2 s at most.
const promptly = 4 * time.Second

// judgeAnswers: a number is answered in one way, and where nothing else goes wrong
// soon, though the store be out for a while.
func (s *Sim) judgeAnswers(m *message) {
	if !s.outages || len(m.acks) == 0 || m.from.client.kind == generationBackend { // which asks again if nothing is known
		return
	}
	for _, a := range m.acks[1:] {
		first := m.acks[0].code
		if a.code != first && (unknowing(first) || unknowing(a.code)) && !s.refusedOneOf(m, first) && !s.refusedOneOf(m, a.code) {
			s.violate("answer", "number %d of %s was answered twice: %v", m.n, m.from.id, m.acks)
			return
		}
	}
	if took := m.acks[0].at - m.arrived; s.prompt && s.counts["skip"] == 0 && m.from.open && m.arrived > 0 && took > promptly {
		s.violate("answer", "number %d of %s was answered after %v", m.n, m.from.id, took)
	}
}

// refusedOneOf reports whether a message that was told code may have been delivered
// nevertheless: it ran twice, and of a record that is written too much one invocation
// was refused for good, and the other was not. That two things go wrong at once is
// beyond the promise.
func (s *Sim) refusedOneOf(m *message, code lane.Code) bool {
	return code == lane.CodeBusy && m.invocations > 1 && s.counts["throttled calls"] > 0
}

// unknowing reports whether a code is one of a server that did not know better.
func unknowing(code lane.Code) bool { return code == lane.CodeServer || code == lane.CodeUnavailable }

// judgeSocket: in the end every lane is idle.
func (s *Sim) judgeSocket(k *socket) {
	if _, lost := s.superseded[k.id]; k.told["signal.Superseded"] && !lost && s.gentle {
		s.violate("owner", "%s was told that it lost its name, which nobody took", k.id)
	}
	c, err := s.records.Get(context.Background(), k.id, s.Now())
	if err != nil || !k.open || !c.Lane.Opened() || c.Revocation.Code != lane.OK {
		return
	}
	if atRest := c.Lane.Idle() && len(c.Lane.Held) == 0; !atRest && !k.client.left { // who has left sends nothing that would set it going
		s.violate("stall", "the lane of %s does not come to rest: done %d, turn %d, held %d", k.id, c.Lane.Done, c.Lane.Taken, len(c.Lane.Held))
	}
	if _, lost := s.superseded[k.id]; lost && s.gentle {
		s.violate("owner", "%s lost its name and was not closed", k.id)
	}
}

// judgeUser: who is connected and welcome is online, and whoever was sent a
// message and is not, is offline.
func (s *Sim) judgeUser(c *client) {
	owner, err := s.records.Owner(context.Background(), c.user, s.Now())
	if err == nil && s.owner[c.user] == owner.ID {
		if k := s.sockets[owner.ID]; !k.open && s.triedInVain(c.user) {
			s.violate("online", "%s is online on %s, which is closed and was sent a message", c.user, owner.ID)
		}
	}
	if _, lost := s.superseded[c.socketID()]; c.ready && c.socket.open && !lost && !s.over(c.socket) && (errors.Is(err, signal.ErrOffline) || owner.ID != c.socket.id) {
		s.violate("online", "%s is connected on %s, and owned by %q", c.user, c.socket.id, owner.ID)
	}
}

// over reports whether a connection's token has ended.
func (s *Sim) over(k *socket) bool {
	c, err := s.records.Get(context.Background(), k.id, s.Now())
	return err == nil && c.Revoked(s.Now())
}

// triedInVain reports whether a message for user was answered in the calm.
func (s *Sim) triedInVain(user signal.UserName) bool {
	for _, m := range s.messages {
		if m.to == user && m.arrived >= s.nudged && len(m.acks) > 0 && m.acks[0].code == lane.CodeUnreachable {
			return true
		}
	}
	return false
}

func (c *client) socketID() signal.ConnectionID {
	if c.socket == nil {
		return ""
	}
	return c.socket.id
}
