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
	// routeTries is how often a message is routed: once more if the receiver's
	// connection is found gone, for it may have come back on another.
	routeTries = 2
)

// posted is a run that was posted, and is to be finished.
type posted struct {
	run         []lane.Numbered
	codes       []lane.Code // how each frame ended
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
	to     UserName
	frames []streamed // not ended yet, in order
	routed bool       // the frames have a route:
	route  Route      // with the number of the next one
	tries  int        // how often the first frame was routed in vain
}

// streamed is a frame of a run, and where it is noted how it ended.
type streamed struct {
	lane.Numbered
	code *lane.Code
}

// ended notes how the first n frames ended.
func (st *stream) ended(n int, code lane.Code) {
	for _, f := range st.frames[:n] {
		*f.code = code
	}
	st.frames, st.tries = st.frames[n:], 0
}

// postRun posts a run: to one receiver frame by frame, to several side by side.
// Whenever the lease is too old to start a post all wait for it to be renewed.
func (v *invocation) postRun(ctx context.Context, run []lane.Numbered) posted {
	p := posted{run: run, codes: make([]lane.Code, len(run)), taken: v.conn.Lane.Taken}
	open := v.streams(&p)
	for len(open) > 0 && v.mayPost(ctx) {
		from, leasedAt := v.conn, v.conn.Lane.LeasedAt
		v.sideBySide(len(open), receiversAtOnce, func(i int) {
			v.postStream(ctx, from, open[i], func() bool { return v.mayStart(leasedAt) })
		})
		open = slices.DeleteFunc(open, func(st *stream) bool { return len(st.frames) == 0 })
	}
	for i, f := range run {
		if code := p.codes[i]; code != lane.OK {
			p.undelivered = append(p.undelivered, lane.Undelivered{From: f.N, To: f.N, Code: code})
		}
	}
	return p
}

// streams parts a run by receiver. Frames that the rate does not allow, or that
// have nothing to post, have ended with that.
func (v *invocation) streams(p *posted) []*stream {
	var list []*stream
	to, now := make(map[UserName]*stream), v.Clock.Now()
	for i, f := range p.run {
		p.codes[i] = lane.CodeServer // until it is posted
		if !v.Rate.Allows(v.conn.Lane.TAT, p.spent, now) {
			p.codes[i] = lane.CodeBusy
			continue
		}
		p.spent++
		if f.Code != lane.OK || f.Confirm {
			p.codes[i] = f.Code
			continue
		}
		name := UserName(f.To)
		if to[name] == nil {
			to[name] = &stream{to: name}
			list = append(list, to[name])
		}
		to[name].frames = append(to[name].frames, streamed{f, &p.codes[i]})
	}
	return list
}

// postUnnumbered posts a message without a number and returns how that ended.
func (s *Service) postUnnumbered(ctx context.Context, from Connection, f lane.Frame) lane.Code {
	code := f.Code
	if code == lane.OK {
		frames := []streamed{{lane.Numbered{N: NoNumber, Frame: f}, &code}}
		s.postStream(ctx, from, &stream{to: UserName(f.To), frames: frames}, func() bool { return true })
	}
	return code
}

// postStream posts the frames of a stream for as long as a post may start, several
// in one to a client that takes that. They are routed at once; if the receiver's
// connection is found gone, those that are left are routed anew. Numbers that were
// reserved, and are not posted, are gaps in the receiver's.
func (s *Service) postStream(ctx context.Context, from Connection, st *stream, mayStart func() bool) {
	for len(st.frames) > 0 {
		if !st.routed {
			r, err := s.route(ctx, st.to, len(st.frames))
			if err != nil {
				if !errors.Is(err, ErrOffline) {
					s.Log.ErrorContext(ctx, "route failed", "user", st.to, "error", err)
				}
				st.ended(len(st.frames), codeOf(err))
				return
			}
			st.route, st.routed = r, true
		}
		if !mayStart() {
			return
		}
		to := st.route.Peer
		next, n := st.next(from)
		st.route.Seq += int64(n)
		err := s.Pusher.Post(ctx, to, next)
		switch {
		case errors.Is(err, ErrGone):
			s.endGone(ctx, st.to, to.ID)
			st.routed = false
			if st.tries++; st.tries < routeTries {
				continue
			}
		case err != nil:
			s.Log.WarnContext(ctx, "delivery failed", "user", st.to, "connection", to.ID, "error", err)
		}
		st.ended(n, codeOf(err))
	}
}

// next returns what goes into the next post, and how many frames that is.
func (st *stream) next(from Connection) (Event, int) {
	n := min(len(st.frames), MaxBatch)
	if n == 1 || !st.route.Peer.Batches {
		return st.delivery(0, from), 1
	}
	events := make([]Event, n)
	for i := range events {
		events[i] = st.delivery(i, from)
	}
	n = together(events)
	return batch(events[:n]), n
}

// delivery is frame i of those that have not ended.
func (st *stream) delivery(i int, from Connection) Event {
	f := st.frames[i]
	return Delivery{from.User, f.Data, st.route.Epoch, st.route.Seq + int64(i), from.Session, f.N}
}

// route reserves numbers for messages to a user and returns where they go. What
// was reserved in vain is a gap in the user's numbers.
func (s *Service) route(ctx context.Context, to UserName, messages int) (Route, error) {
	for t := s.tries(); ; {
		if r, err := s.Store.Route(ctx, to, messages, s.Clock.Now()); !t.another(ctx, err) {
			return r, err
		}
	}
}
