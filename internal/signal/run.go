package signal

import (
	"context"
	"errors"
	"slices"

	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// How a run is posted.
const (
	// receiversAtOnce is to how many receivers a run is posted side by side.
	receiversAtOnce = 8
	// maxRouted is how many messages are routed at once. A receiver that orders what
	// it gets by its numbers holds what others send until they are posted.
	maxRouted = MaxBatch
	// routeTries is how often a message is routed: once more if the receiver's
	// connection is found gone, for it may have come back on another.
	routeTries = 2
)

// posted is a run that was posted, and is to be finished.
type posted struct {
	run         []lane.Numbered
	fetched     []lane.Numbered // the same, until the store is told of it
	codes       []lane.Code     // how each frame ended
	undelivered []lane.Undelivered
	spent       int         // messages to take from the bucket
	taken       int64       // where the lane stood
	tried       []lane.Move // that may have been made
	answered    bool        // another invocation answers, which has expired the lease
}

// contradicted reports whether the lane has recorded another outcome.
func (p *posted) contradicted(l lane.Lane) bool {
	for i, f := range p.run {
		if l.Outcome(f.N) != p.codes[i] {
			return true
		}
	}
	return false
}

// stream is what a run has for one receiver. Its frames are posted one after the
// other.
type stream struct {
	to       UserName
	run      []lane.Numbered // in which its frames are
	codes    []lane.Code     // how each frame of the run ended
	left     int             // how many of its frames have not ended:
	next     int             // the first of them is here, or later in the run
	route    Route           // of the next frames
	routed   int             // how many of them may go by it
	routedAt lane.Instant    // since when
	tries    int             // how often the next frame was routed to a connection that was gone
	keeping  []*keeping      // what was posted, and is not known to be kept
	voids    []Event         // numbers that were not posted, of which the receiver is to be told
}

// frame returns the next frame, and its place in the run.
func (st *stream) frame() (int, lane.Numbered) {
	for !st.has(st.run[st.next]) {
		st.next++
	}
	return st.next, st.run[st.next]
}

func (st *stream) has(f lane.Numbered) bool { return f.Posts() && f.To == string(st.to) }

// ended notes how the next n frames ended.
func (st *stream) ended(n int, code lane.Code) {
	for range n {
		i, _ := st.frame()
		st.codes[i] = code
		st.next, st.left, st.tries = i+1, st.left-1, 0
	}
}

// event returns what goes into the next post, and of how many frames that is: of
// one, or, where the receiver's client takes that, of several, with voids before them.
func (st *stream) event(from Connection) (Event, int) {
	i, f := st.frame()
	first, voids := st.delivery(f, 0, from), len(st.voids)
	if !st.route.Peer.Batches || st.routed == 1 && voids == 0 {
		return first, 1
	}
	events := append(slices.Clone(st.voids), first)
	for _, f := range st.run[i+1:] {
		if n := len(events) - voids; n < st.routed && st.has(f) {
			events = append(events, st.delivery(f, n, from))
		}
	}
	n := together(events)
	if n <= voids {
		return first, 1
	}
	st.voids = nil
	return batch(events[:n]), n - voids
}

// delivery returns a frame as it is delivered, so many after the next.
func (st *stream) delivery(f lane.Numbered, after int, from Connection) Event {
	return Delivery{from.User, f.Data, st.route.Epoch, st.route.Seq + int64(after), from.Session, f.N}
}

// postRun posts a run: to one receiver one after the other, to several side by side.
// Whenever the lease is too old to start a post all wait for it to be renewed.
func (v *invocation) postRun(ctx context.Context, run []lane.Numbered) posted {
	run = v.fetch(ctx, run)
	p := posted{run: run, fetched: run, codes: make([]lane.Code, len(run)), taken: v.conn.Lane.Taken}
	now := v.Clock.Now()
	for open := v.streams(&p, now); len(open) > 0 && v.mayPost(ctx, now); now = v.Clock.Now() {
		if len(open) == 1 {
			v.postStream(ctx, v.conn, &open[0], v.conn.Lane.LeasedAt)
		} else {
			v.postSideBySide(ctx, v.conn, open)
		}
		open = slices.DeleteFunc(open, func(st stream) bool { return st.left == 0 })
	}
	for i, f := range run {
		if code := p.codes[i]; code != lane.OK {
			p.undelivered = append(p.undelivered, lane.Undelivered{From: f.N, To: f.N, Code: code})
		}
	}
	return p
}

// postSideBySide posts streams for as long as a post may start.
func (v *invocation) postSideBySide(ctx context.Context, from Connection, open []stream) {
	v.sideBySide(len(open), receiversAtOnce, func(i int) { v.postStream(ctx, from, &open[i], from.Lane.LeasedAt) })
}

// streams parts a run by receiver. Frames that the rate does not allow, which are
// the last ones, or that have nothing to post, have ended with that.
func (v *invocation) streams(p *posted, now lane.Instant) []stream {
	list := v.one[:0]
	for i := range p.run {
		f := &p.run[i]
		refuseTooLarge(v.conn.User, &f.Frame)
		switch {
		case !v.Rate.Allows(v.conn.Lane.TAT, p.spent, now):
			p.codes[i] = lane.CodeBusy
			continue
		case !f.Posts():
			p.codes[i] = f.Code
		default:
			p.codes[i] = lane.CodeServer // until it is posted
			j := slices.IndexFunc(list, func(st stream) bool { return string(st.to) == f.To })
			if j < 0 {
				j, list = len(list), append(list, stream{to: UserName(f.To), run: p.run, codes: p.codes, next: i})
			}
			list[j].left++
		}
		p.spent++
	}
	return list
}

// postUnnumbered posts a message without a number and returns how that ended. It
// needs no lease.
func (s *Service) postUnnumbered(ctx context.Context, from Connection, f lane.Frame) lane.Code {
	refuseTooLarge(from.User, &f)
	st := stream{to: UserName(f.To), run: []lane.Numbered{{N: NoNumber, Frame: f}}, codes: []lane.Code{f.Code}}
	if st.run[0].Posts() {
		st.left = 1
	}
	for st.left > 0 {
		s.postStream(ctx, from, &st, s.Clock.Now())
	}
	return st.codes[0]
}

// postStream posts the frames of a stream for as long as a post may start under a
// lease of that time. Numbers that were reserved and are not posted are gaps in the
// receiver's: those of frames that are not accepted, and what is left of a route if
// its connection is found gone, or if it is too old; one that recovers is told of
// them. A receiver need not wait for any number for longer than [lane.PostStartWithin]
// and [lane.PostWithin] together. What was posted to one that recovers is kept before
// postStream returns.
func (s *Service) postStream(ctx context.Context, from Connection, st *stream, leasedAt lane.Instant) {
	defer st.kept()
	for st.left > 0 {
		now, err := s.routeStream(ctx, st)
		if err != nil {
			st.ended(st.left, codeOf(err))
			return
		}
		if !mayStart(leasedAt, now) {
			return
		}
		to, voids := st.route.Peer, st.voids
		seq := st.route.Seq
		e, n := st.event(from)
		st.route.Seq, st.routed = st.route.Seq+int64(n), st.routed-n
		err = s.Pusher.Post(ctx, to, e)
		if err != nil {
			st.voids = voids
		}
		switch {
		case errors.Is(err, ErrGone):
			s.endGone(ctx, st.to, to.ID)
			st.abandon(seq, n+st.routed)
			st.routed = 0
			if st.tries++; st.tries < routeTries {
				continue
			}
		case err != nil:
			s.Log.WarnContext(ctx, "delivery failed", "user", st.to, "connection", to.ID, "error", err)
			if codeOf(err) != lane.CodeUnavailable {
				st.abandon(seq, n)
			}
		case to.Recovers && s.RecoverFor > 0:
			s.keepPost(ctx, st, e)
		}
		st.ended(n, codeOf(err))
		if st.left == 0 && !errors.Is(err, ErrGone) {
			s.post(ctx, to, st.voids...)
		}
	}
}

// routeStream routes the next frames of a stream, unless they are, and may still be
// posted by that. It returns the time.
func (s *Service) routeStream(ctx context.Context, st *stream) (now lane.Instant, err error) {
	if st.routed > 0 {
		if now = s.Clock.Now(); mayStart(st.routedAt, now) {
			return now, nil
		}
		st.abandon(st.route.Seq, st.routed)
	}
	st.routed = min(st.left, maxRouted)
	err = s.untilKnown(ctx, func(now lane.Instant) error {
		st.route, err = s.Store.Route(ctx, st.to, st.routed, now)
		return err
	})
	if err != nil && !errors.Is(err, ErrOffline) {
		s.Log.ErrorContext(ctx, "route failed", "user", st.to, "error", err)
	}
	st.routedAt = s.Clock.Now()
	return st.routedAt, err
}
