package explore

import (
	"context"
	"fmt"

	"github.com/owt-signal/owt-signal/internal/memory"
	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// In a world with recovery the receivers' records have numbers, and history. Bob's
// first connection, X, looks open and is not: what is posted to it is accepted, and lost,
// but for the first few numbers of config.since. Amid what is sent his client comes back
// on Y and says what it has. In worlds with faults it asks once more when all has come
// to rest. Then it must have all that was acknowledged.

// maxPlaces is how many numbers are reserved for a user at most, and one.
const maxPlaces = 16

// places are the numbers of a user, and what is under them.
type places [maxPlaces]place

// place is what is under a number: a message, which the sender's line and its number
// tell, in two halves.
type place uint8

const (
	nothing place = 0
	never   place = 0xf // it is void
)

func placeOf(d signal.Delivery) place { return place(d.Data[0]+1)<<4 | place(d.Data[1]) }

func (p place) message() (line int, n int64, ok bool) {
	return int(p>>4) - 1, int64(p & 0xf), p>>4 != 0
}

// has is what bob's client has when it comes back.
func (x *explorer) has(w *world) *signal.Since {
	if !x.recovers {
		return nil
	}
	return &signal.Since{Epoch: w.users[user(bob)].Epoch, Seq: x.since}
}

// carols is the connection on which carol receives.
func (x *explorer) carols() int {
	if x.recovers {
		return connC
	}
	return connY
}

// asksAgain reports whether bob's client asks in the end: its replay may have failed.
func (x *explorer) asksAgain() bool { return x.recovers && (x.config.faults != 0 || x.slow > 0) }

// asks is the invocation of a question for all that bob's client has missed.
func (x *explorer) asks(w *world) *program {
	in := signal.Recover{Since: *x.has(w)}
	return newProgram(string(connName[connY])+" asks", connY, func(r *replay) { r.receive(peer(connY), in) })
}

// commitRecovering makes a call of the store that has no connection's record, on one
// that has all users and their history.
func (k *walker) commitRecovering(w *world, e effect) observation {
	ctx, s, u := context.Background(), memory.New(), user(e.user)
	for i, o := range w.users {
		if o != nil {
			o.restore(s, userName[i])
		}
	}
	o := e.call(s)
	now := owner{}
	if w.users[u] != nil {
		now = *w.users[u]
	}
	switch {
	case o.err != nil:
		return o
	case e.claim != nil && o.claimed.Owner.ID == e.claim.Peer.ID:
		if now.Peer.ID != "" && now.Peer.ID != e.claim.Peer.ID {
			w.lost[w.conn(now.Peer.ID)] = true
		}
		now.Claim, now.free, now.seq = *e.claim, false, o.claimed.Seq
		now.Epoch = o.claimed.Epoch
	case e.claim == nil && e.write && o.made: // it is released
		now.free = true
	case e.numbers > 0:
		now.seq = o.route.Seq + int64(e.numbers) - 1
	case e.keeps:
		now.history, _ = s.History(ctx, e.user, now.Epoch, 1, maxPlaces)
	case e.reads:
		o.of = w.users[u].hash
		return o
	default:
		return o
	}
	w.users[u] = newOwner(now)
	return o
}

// restore has a store be as a user's record and history are.
func (o *owner) restore(s *memory.Store, name signal.UserName) {
	ctx := context.Background()
	_, err := s.Claim(ctx, o.Claim)
	if err == nil && o.seq > 0 {
		_, err = s.Route(ctx, name, int(o.seq), present)
	}
	for _, k := range o.history {
		if k.Post == nil {
			_ = s.Void(ctx, name, o.Epoch, k.Seq, present)
		} else {
			_, _ = s.Keep(ctx, name, k.Post, present)
		}
	}
	if err == nil && o.free {
		_, err = s.Release(ctx, name, o.Peer.ID, 0)
	}
	if err != nil {
		panic(err)
	}
}

// place puts a message that a socket was posted under its number, and what bob's client
// gets into its inbox. It reports whether the message is new.
func (k *walker) place(w *world, i int, d signal.Delivery) bool {
	p, at := placeOf(d), &w.posted[user(bob)]
	switch {
	case i == k.carols():
		at = &w.posted[user(carol)]
	case i == connY || d.Seq <= k.since:
		k.gets(w, d.Seq, p)
	}
	line, n, _ := p.message()
	if to := k.to(n); (to == carol) != (i == k.carols()) {
		k.breaks(w, "recovery: %d for %s is posted to %s", n, to, connName[i])
	}
	before := at[d.Seq]
	at[d.Seq] = p
	for seq, other := range at {
		l, m, ok := other.message()
		if ok && l == line && m != n && (m < n) != (int64(seq) < d.Seq) {
			k.breaks(w, "recovery: %d is posted under the sequence number %d, and %d under %d", n, d.Seq, m, seq)
		}
	}
	if before != nothing && before != p {
		k.breaks(w, "recovery: two messages are posted under the sequence number %d", d.Seq)
	}
	return before != p
}

// gets notes what bob's client gets of a number.
func (k *walker) gets(w *world, seq int64, p place) {
	if w.inbox[seq] == nothing || p != never {
		w.inbox[seq] = p
	}
	k.voidOrAcked(w)
}

// voidOrAcked: a client is told that a number never comes only if nothing was
// acknowledged under it, before or after.
func (x *explorer) voidOrAcked(w *world) {
	for seq, p := range w.posted[user(bob)] {
		if line, n, ok := p.message(); ok && w.inbox[seq] == never && w.told[line].ok&bit(n) != 0 {
			x.breaks(w, "recovery: %d is acked, and its sequence number %d void", n, seq)
		}
	}
}

// announced judges what bob's client is told of numbers.
func (k *walker) announced(w *world, i int, e signal.Event) {
	if i != connY {
		return
	}
	switch e := e.(type) {
	case signal.Void:
		for n := e.Seq; n <= e.Last; n++ {
			k.gets(w, n, never)
		}
	case signal.Lost:
		k.breaks(w, "recovery: %d to %d are lost, though all is kept", e.Seq, e.Last)
	case signal.Replayed:
		for n := k.since + 1; n <= e.Seq; n++ {
			if w.inbox[n] == nothing {
				k.breaks(w, "recovery: all up to %d was replayed, says the server, and %d was not", e.Seq, n)
			}
		}
	}
}

// missed says what bob's client has not got in a world at rest: a message that was
// acknowledged, or word of a number, if it has asked.
func (x *explorer) missed(w *world) string {
	if o := w.users[user(bob)]; !x.recovers || !w.welcomed[connY] || w.gone[connY] || o.free || o.Peer.ID != connName[connY] {
		return ""
	}
	for seq := int64(1); seq <= w.users[user(bob)].seq; seq++ {
		line, n, ok := w.posted[user(bob)][seq].message()
		if ok && w.told[line].ok&bit(n) != 0 && w.inbox[seq] != w.posted[user(bob)][seq] {
			return fmt.Sprintf("recovery: %d, sequence number %d, is acked, and the receiver has not got it", n, seq)
		}
		if w.inbox[seq] == nothing && x.asksAgain() {
			return fmt.Sprintf("recovery: the receiver is never told of the sequence number %d", seq)
		}
	}
	return ""
}

// Keep implements [signal.HistoryStore].
func (r *replay) Keep(ctx context.Context, user signal.UserName, post []signal.Delivery, until lane.Instant) (bool, error) {
	o := r.wait(effect{kind: storeCall, name: fmt.Sprintf("keeps %d of %s", post[0].Seq, user), keeps: true, user: user, call: func(s *memory.Store) observation {
		kept, err := s.Keep(ctx, user, post, until)
		return observation{made: kept, err: err}
	}})
	return o.made, o.err
}

// Void implements [signal.HistoryStore].
func (r *replay) Void(ctx context.Context, user signal.UserName, epoch string, seq int64, until lane.Instant) error {
	return r.wait(effect{kind: storeCall, name: fmt.Sprintf("voids %d of %s", seq, user), keeps: true, user: user, call: func(s *memory.Store) observation {
		return observation{err: s.Void(ctx, user, epoch, seq, until)}
	}}).err
}

// History implements [signal.HistoryStore].
func (r *replay) History(ctx context.Context, user signal.UserName, epoch string, first, last int64) ([]signal.Kept, error) {
	o := r.wait(effect{kind: storeCall, name: fmt.Sprintf("reads history from %d to %d", first, last), reads: true, user: user, call: func(s *memory.Store) observation {
		kept, err := s.History(ctx, user, epoch, first, last)
		return observation{kept: kept, err: err}
	}})
	return o.kept, o.err
}

// Standing implements [signal.HistoryStore].
func (r *replay) Standing(ctx context.Context, user signal.UserName, now lane.Instant) (signal.Claimed, error) {
	o := r.wait(effect{kind: storeCall, name: "stands", user: user, call: func(s *memory.Store) observation {
		claimed, err := s.Standing(ctx, user, now)
		return observation{claimed: claimed, err: err}
	}})
	return o.claimed, o.err
}
