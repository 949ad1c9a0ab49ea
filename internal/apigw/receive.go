package apigw

import (
	"context"
	"slices"

	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// receive has the service do what a client asks, if its budget allows. What was
// refused is taken from the budget: a write to count it would cost what it is to
// save.
func (h *Handler) receive(ctx context.Context, ev *request, p signal.Peer, in signal.Input) signal.Reply {
	now := h.Service.Clock.Now()
	b := h.budgets.get(p.ID)
	if b.ending(now) {
		return signal.Reply{}
	}
	switch i := in.(type) {
	case signal.Join:
		if _, r, over := h.spend(ctx, p); over {
			return r
		}
	case signal.Query, signal.Watch, signal.Unwatch, signal.QueryICE:
		if !h.maySpend(p.ID, now) {
			_, r, over := h.spend(ctx, p)
			if !over {
				r.Events = []signal.Event{signal.RequestFailed{Code: lane.CodeBusy, User: signal.About(in)}}
			}
			return r
		}
	case signal.Send:
		if look, scarce := h.looks(b, ev, now), h.scarce(i, now); look || scarce {
			i.Look, i.Scarce = look, scarce
			in = i
		}
	case signal.Sends:
		i[0].Look, i[0].Scarce = h.looks(b, ev, now), slices.ContainsFunc(i, func(m signal.Send) bool { return h.scarce(m, now) })
	}
	r := h.Service.Receive(ctx, p, in)
	h.keeping.keep(h.Kept, r.Early, now)
	if r.Seen && (!b.seen || b.look != r.Look) {
		look := r.Look
		h.budgets.change(p.ID, func(b *budget) { b.seen, b.look = true, look })
	}
	if !r.Refused || r.User && h.maySpend(p.ID, now) {
		return r
	}
	if _, last, over := h.spend(ctx, p); over {
		for _, e := range r.Events {
			h.post(ctx, p, e)
		}
		r.Events = last.Events
	}
	return r
}

// scarce reports whether too much has been kept for clients that have not
// authenticated to keep this message, too.
func (h *Handler) scarce(m signal.Send, now lane.Instant) bool {
	return counted(m.Frame.Len()) > 0 && !h.keeping.may(h.Kept, now)
}

// maySpend reports whether a connection may ask for somebody's presence or ICE servers, or have a
// user's message refused, and takes that from its bucket: as often as a user may send.
func (h *Handler) maySpend(id signal.ConnectionID, now lane.Instant) (may bool) {
	h.budgets.change(id, func(b *budget) { b.spent, may = h.Service.Rate.Spend(b.spent, now) })
	return may
}

// looks reports whether a connection's lane is to be looked at before a message, as
// this process has seen it last; where it has not, if the connection is so young
// that it need not have authenticated.
func (h *Handler) looks(b budget, ev *request, now lane.Instant) bool {
	if b.seen {
		return b.look
	}
	since, within := lane.Instant(ev.RequestContext.ConnectedAt), h.Service.AuthenticateWithin
	return since != 0 && (within == 0 || now.Sub(since) < within)
}
