package signal

import (
	"cmp"
	"context"
	"slices"

	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// sendBatch sends the messages of a frame: those with consecutive numbers together.
func (s *Service) sendBatch(ctx context.Context, p Peer, in Sends) (r Reply) {
	numbered, others := parted(in)
	look := slices.ContainsFunc(in, func(m Send) bool { return m.Look })
	if look && len(numbered) > 1 {
		c, err := s.get(ctx, p.ID)
		if err == nil && !s.misread(p, c) && !c.Lane.Opened() && !c.Revoked(s.Clock.Now()) {
			return s.invocation(c).refuseBatch(numbered)
		}
	}
	all, reused := runs(numbered)
	for _, f := range reused {
		r.Events = append(r.Events, Ack{f.N, cmp.Or(f.Code, lane.CodeServer)})
	}
	for i, run := range all {
		v := s.invocation(Connection{Peer: p, Lane: lane.New()})
		v.scarce = in[0].Scarce
		r = r.and(v.sendRun(ctx, p, run, look || i > 0)) // there is a gap
	}
	if len(others) > 0 {
		r = r.and(s.sendUnnumbered(ctx, p, others))
	}
	return r
}

// refuseBatch refuses several messages of a frame from a client that has not
// authenticated: each would be held by a write of its own.
func (v *invocation) refuseBatch(batch []lane.Numbered) Reply {
	refused := make([]lane.Finished, len(batch))
	for i, f := range batch {
		refused[i] = lane.Finished{Numbered: f, Code: lane.CodeBusy}
	}
	return v.finished(refused).refused()
}

// parted returns the messages of a frame that have a number, and those that have
// none.
func parted(in Sends) (numbered []lane.Numbered, others Sends) {
	for _, m := range in {
		if m.Number == NoNumber {
			others = append(others, m)
		} else {
			numbered = append(numbered, lane.Numbered{N: m.Number, Frame: m.Frame})
		}
	}
	return numbered, others
}

// runs returns messages in the order of their numbers, those together that have
// consecutive ones. Of several under one number the first counts; those that are not
// the same as it are reused.
func runs(frames []lane.Numbered) (runs [][]lane.Numbered, reused []lane.Numbered) {
	slices.SortStableFunc(frames, func(a, b lane.Numbered) int { return cmp.Compare(a.N, b.N) })
	for _, f := range frames {
		last := len(runs) - 1
		switch {
		case last < 0 || f.N > runs[last][len(runs[last])-1].N+1:
			runs = append(runs, []lane.Numbered{f})
		case f.N > runs[last][len(runs[last])-1].N:
			runs[last] = append(runs[last], f)
		case f.Digest() != runs[last][len(runs[last])-1].Digest():
			reused = append(reused, f)
		}
	}
	return runs, reused
}

// batched returns events as they go out to the peer: as many in one as may be, if
// its client takes that.
func (p Peer) batched(events []Event) (out []Event) {
	if !p.Batches || len(events) < 2 {
		return events
	}
	for len(events) > 0 {
		n := together(events)
		out = append(out, batch(events[:n]))
		events = events[n:]
	}
	return out
}

// batch returns events as one.
func batch(events []Event) Event {
	if len(events) == 1 {
		return events[0]
	}
	return Batch(events)
}

// together returns how many of the events, one at least, go in one frame.
func together(events []Event) int {
	size := 0
	for n, e := range events {
		if size += Room(e); n > 0 && (n == MaxBatch || size > MaxBatchBytes) {
			return n
		}
	}
	return len(events)
}

// Room returns how many bytes a protocol may take at most for answers and deliveries
// in one frame: 128 are around each, and a byte of a name is escaped by 6.
func Room(events ...Event) int {
	size := 0
	for _, e := range events {
		d, _ := e.(Delivery)
		size += 128 + len(d.Data) + 6*len(d.From) + len(d.Epoch) + len(d.Session)
	}
	return size
}
