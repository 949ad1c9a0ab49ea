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
	maxRouted = 32
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
	to       UserName
	frames   []streamed   // not ended yet, in order
	route    Route        // of the first ones
	routed   int          // how many of them may go by it
	routedAt lane.Instant // since when
	tries    int          // how often the first frame was routed to a connection that was gone
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

// postStream posts the frames of a stream for as long as a post may start. Numbers
// that were reserved and are not posted are gaps in the receiver's: those of frames
// that are not accepted, and what is left of a route if its connection is found
// gone, or if it is too old. A receiver need not wait for any number for longer than
// [lane.PostStartWithin] and [lane.PostWithin] together.
func (s *Service) postStream(ctx context.Context, from Connection, st *stream, mayStart func() bool) {
	for len(st.frames) > 0 {
		if st.routed == 0 || !s.mayStart(st.routedAt) {
			if err := s.routeStream(ctx, st); err != nil {
				st.ended(len(st.frames), codeOf(err))
				return
			}
		}
		if !mayStart() {
			return
		}
		to, f := st.route, st.frames[0]
		st.route.Seq, st.routed = to.Seq+1, st.routed-1
		err := s.Pusher.Post(ctx, to.Peer, Delivery{from.User, f.Data, to.Epoch, to.Seq, from.Session, f.N})
		switch {
		case errors.Is(err, ErrGone):
			s.endGone(ctx, st.to, to.Peer.ID)
			st.routed = 0
			if st.tries++; st.tries < routeTries {
				continue
			}
		case err != nil:
			s.Log.WarnContext(ctx, "delivery failed", "user", st.to, "connection", to.Peer.ID, "error", err)
		}
		st.ended(1, codeOf(err))
	}
}

// routeStream routes the next frames of a stream.
func (s *Service) routeStream(ctx context.Context, st *stream) (err error) {
	st.routed = min(len(st.frames), maxRouted)
	for t := s.tries(); ; {
		st.route, err = s.Store.Route(ctx, st.to, st.routed, s.Clock.Now())
		if !t.another(ctx, err) {
			break
		}
	}
	if err != nil && !errors.Is(err, ErrOffline) {
		s.Log.ErrorContext(ctx, "route failed", "user", st.to, "error", err)
	}
	st.routedAt = s.Clock.Now()
	return err
}
