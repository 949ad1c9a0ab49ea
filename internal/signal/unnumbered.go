package signal

import (
	"context"
	"errors"

	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// sendUnnumbered sends messages without a place in any order, one after the other.
func (s *Service) sendUnnumbered(ctx context.Context, p Peer, in Sends) Reply {
	c, err := s.get(ctx, p.ID)
	v := s.invocation(c)
	switch {
	case errors.Is(err, ErrNoConnection):
		return s.rejectEnded(ctx, p).refused()
	case err != nil:
		return v.failed(in, codeOf(err))
	case c.Revoked(s.Clock.Now()):
		return s.endRevoked(ctx, c, closing).refused()
	case c.User == "":
		return v.failed(in, lane.CodeUnknownUser).refused()
	}
	r := v.reply()
	for i, m := range in {
		code, err := v.sendOne(ctx, m)
		if errors.Is(err, errRevoked) {
			return r.and(s.endRevoked(ctx, v.conn, closing))
		}
		if code != lane.OK {
			r.Events = append(r.Events, RequestFailed{code})
		}
		if code == lane.CodeUnavailable { // the others would take as long to fail
			return r.and(v.failed(in[i+1:], code))
		}
	}
	return r
}

// sendOne sends a message without a number, and returns how that ended.
func (v *invocation) sendOne(ctx context.Context, m Send) (lane.Code, error) {
	if m.Frame.Code != lane.OK {
		return m.Frame.Code, nil
	}
	taken, err := v.takeUnnumbered(ctx, m.ID)
	if err != nil || !taken { // not taken: a repeated invocation was first, and answers
		return codeOf(err), err
	}
	return v.postUnnumbered(ctx, v.conn, m.Frame), nil
}

// failed answers messages without a number that have failed.
func (v *invocation) failed(in Sends, code lane.Code) Reply {
	r := v.reply()
	for _, m := range in {
		if m.Frame.Code != lane.OK {
			r.Events = append(r.Events, RequestFailed{m.Frame.Code})
			continue
		}
		r.Events = append(r.Events, RequestFailed{code})
	}
	return r
}

// takeUnnumbered takes a message without a number, and from the sender's bucket.
// It reports false if another invocation for the same message has taken it;
// [ErrBusy] if the bucket is empty.
func (v *invocation) takeUnnumbered(ctx context.Context, id string) (bool, error) {
	for range decideTries {
		l, now := v.conn.Lane, v.Clock.Now()
		taken, mine := l.TookUnnumbered(id, v.id)
		switch {
		case taken:
			return mine, nil
		case !v.Rate.Allows(l.TAT, 0, now):
			return false, ErrBusy
		case id == "" && !v.Rate.Limited():
			return true, nil
		}
		if made, err := v.update(ctx, updateBy(l.TakeUnnumbered(id, v.id, v.Rate, now))); err != nil || made {
			return made, err
		}
	}
	return false, ErrContended
}
