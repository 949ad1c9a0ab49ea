package apigw

import (
	"context"
	"sync"
	"time"

	"github.com/owt-signal/owt-signal/internal/recent"
	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// IdleRate is how many frames a connection may send that touch no record, pings,
// pongs, packets of foreign namespaces, JSON that cannot be read, or have it but
// read: what was refused, and what asks to join. Past it, it ends. Clients that ping every second need a fifth of it.
var IdleRate = lane.Rate{PerSecond: 5, Burst: 100}

// MaxBudgets is of how many connections, those that were heard last, a process
// knows what they have used of [IdleRate], some 140 bytes each; and of up to as
// many before them.
const MaxBudgets = 1 << 16

// MaxUpgrades is how many frames of a connection, in a process, may have its
// record read to take over from a lobby: a client sends two. Past it they touch no
// record.
const MaxUpgrades = 4

// budget is what a process knows of a connection that sends frames that touch no
// record. A record for that would cost what it is to save: on Lambda each
// environment has its own, and one machine has one.
type budget struct {
	tat   lane.TAT     // of IdleRate
	ended lane.Instant // when it had used that up, and was ended; zero: not
	// verified: its record was read, which need not be done again before that time;
	// zero: ever.
	verified bool
	until    lane.Instant
	speaks   signal.Protocol // as its record says; empty: that was not read
	upgrades int             // of MaxUpgrades
	spent    lane.TAT        // of the rate of messages, by queries, and by messages that were refused
	// seen: its record was, and look is whether its lane is to be looked at before a
	// message ([signal.Reply]).
	seen, look bool
}

// verdict is what comes of a frame that touches no record.
type verdict int

const (
	goesOn verdict = iota
	ends           // the connection has used up its budget
	ending         // it has done so before, and is being ended
)

// spend takes a frame from the budget. If a connection is still there some
// seconds after it was ended, that has failed, and it is ended again.
func (b *budget) spend(now lane.Instant) verdict {
	if b.ended == 0 {
		var ok bool
		if b.tat, ok = IdleRate.Spend(b.tat, now); ok {
			return goesOn
		}
	}
	if b.ending(now) {
		return ending
	}
	b.ended = now
	return ends
}

// ending reports whether the connection was ended just now.
func (b *budget) ending(now lane.Instant) bool {
	return b.ended != 0 && now.Sub(b.ended) <= lane.LeaseTimeout
}

// closesLate is by how much API Gateway may be late to close a silent connection:
// 4 s were seen.
const closesLate = time.Minute

// due reports whether the record of a connection since that time must be read:
// once it must have authenticated, and then when its token ends. A process that
// first hears of it after it would have been closed for its silence need not: it
// has been heard meanwhile, or visited by keepalive, and either would have ended it.
func (b *budget) due(since lane.Instant, within, idle time.Duration, now lane.Instant) bool {
	if b.verified {
		return b.until != 0 && b.until <= now
	}
	age := now.Sub(since)
	return since != 0 && within != 0 && within <= age && age < within+idle+closesLate
}

// budgets are those of many connections. The zero value is ready.
type budgets struct {
	mu sync.Mutex
	of recent.Map[signal.ConnectionID, budget]
}

// change changes the budget of a connection, and returns it.
func (b *budgets) change(id signal.ConnectionID, f func(*budget)) budget {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.of.Size = MaxBudgets
	one := b.of.Get(id)
	f(&one)
	b.of.Put(id, one)
	return one
}

// get returns the budget of a connection.
func (b *budgets) get(id signal.ConnectionID) budget {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.of.Get(id)
}

func (b *budgets) forget(id signal.ConnectionID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.of.Delete(id)
}

// speaks returns the protocol of a connection whose client has sent what cannot be
// understood in p's, or would end it. A process reads the record for that once.
func (h *Handler) speaks(ctx context.Context, p signal.Peer) signal.Protocol {
	if b := h.budgets.get(p.ID); b.speaks != "" {
		return b.speaks
	}
	speaks, err := h.Service.Speaks(ctx, p.ID)
	if err != nil {
		return p.Protocol
	}
	h.budgets.change(p.ID, func(b *budget) { b.speaks = speaks })
	return speaks
}

// mayUpgrade reports whether a frame may have the connection's record read to take
// over from a lobby.
func (h *Handler) mayUpgrade(id signal.ConnectionID) bool {
	return h.budgets.change(id, func(b *budget) { b.upgrades = min(b.upgrades, MaxUpgrades) + 1 }).upgrades <= MaxUpgrades
}

// spend takes a frame from the budget of its connection, and reports whether that
// is over, and what is answered then.
func (h *Handler) spend(ctx context.Context, p signal.Peer) (b budget, r signal.Reply, over bool) {
	var v verdict
	b = h.budgets.change(p.ID, func(b *budget) { v = b.spend(h.Service.Clock.Now()) })
	if v == ends {
		r = h.Service.Receive(ctx, p, signal.Unreadable{Code: lane.CodeBusy})
	}
	return b, r, v != goesOn
}

// idle answers a frame that touches no record, if the connection may go on: it
// has some of its budget left, and its record, which is read at the first such
// frame past the time to authenticate, says so.
func (h *Handler) idle(ctx context.Context, ev *request, p signal.Peer, answer []byte) (response, signal.After) {
	now := h.Service.Clock.Now()
	b, r, over := h.spend(ctx, p)
	switch {
	case over:
		return h.answer(ctx, p, r.Events), r.After
	case !b.due(lane.Instant(ev.RequestContext.ConnectedAt), h.Service.AuthenticateWithin, h.Idle, now):
		return frame(answer), nil
	}
	until, open := h.Service.Verify(ctx, p)
	if !open {
		answer, until = h.Protocols[p.Protocol].Nothing(), now.Add(lane.LeaseTimeout)
	}
	h.budgets.change(p.ID, func(b *budget) { b.verified, b.until = true, until })
	return frame(answer), nil
}
