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
		s.ackUnserved(ctx, p, in, lane.CodeUnknownUser)
		return s.rejectEnded(ctx, p).refused()
	case err != nil:
		return v.failed(in, codeOf(err))
	case s.misread(p, c):
		return Reply{Speaks: c.Protocol}
	case c.Revoked(s.Clock.Now()):
		s.ackUnserved(ctx, p, in, lane.CodeWrongToken)
		return s.endRevoked(ctx, c, closing).refused()
	case c.User == "":
		return v.failed(in, lane.CodeUnknownUser).refused()
	}
	r := v.reply()
	for i, m := range in {
		code, mine, err := v.sendOne(ctx, m)
		if errors.Is(err, errRevoked) {
			s.ackUnserved(ctx, p, in[i:], lane.CodeWrongToken)
			return r.and(s.endRevoked(ctx, v.conn, closing))
		}
		if mine {
			r.Events = append(r.Events, v.answerUnnumbered(m, code)...)
		}
		if code == lane.CodeUnavailable { // the others would take as long to fail
			return r.and(v.failed(in[i+1:], code))
		}
	}
	return r
}

// sendOne sends a message without a number, and returns how that ended, and whether
// this invocation answers it.
func (v *invocation) sendOne(ctx context.Context, m Send) (code lane.Code, mine bool, err error) {
	if m.Frame.Code != lane.OK {
		return m.Frame.Code, true, nil
	}
	taken, err := v.takeUnnumbered(ctx, m.ID)
	if err != nil || !taken { // not taken: a repeated invocation was first, and answers
		return codeOf(err), err != nil, err
	}
	if !m.Frame.Posts() {
		return lane.OK, true, nil
	}
	return v.postUnnumbered(ctx, v.conn, m.Frame), true, nil
}

// answerUnnumbered returns the answer to a message without a number: none to one
// that has arrived, unless it is to be answered in any case.
func (v *invocation) answerUnnumbered(m Send, code lane.Code) []Event {
	switch {
	case m.AckAs != nil:
		return []Event{v.ack(lane.Numbered{N: *m.AckAs, Frame: m.Frame}, code)}
	case code != lane.OK:
		return []Event{RequestFailed{Code: code}}
	default:
		return nil
	}
}

// ackUnserved answers the messages without a number that are to be answered in any
// case, on a connection that ends.
func (s *Service) ackUnserved(ctx context.Context, p Peer, in Sends, code lane.Code) {
	for _, m := range in {
		if m.AckAs != nil {
			s.post(ctx, p, Ack{*m.AckAs, code})
		}
	}
}

// failed answers messages without a number that have failed.
func (v *invocation) failed(in Sends, code lane.Code) Reply {
	r := v.reply()
	for _, m := range in {
		if m.Frame.Code != lane.OK {
			r.Events = append(r.Events, v.answerUnnumbered(m, m.Frame.Code)...)
			continue
		}
		r.Events = append(r.Events, v.answerUnnumbered(m, code)...)
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
