package signal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// leaveWithin is how long what was sent before a client left is waited for at most.
const leaveWithin = time.Second

// leave ends a connection as its client wishes.
func (s *Service) leave(ctx context.Context, p Peer) Reply {
	if err := s.disconnect(ctx, p.ID); err != nil {
		s.Log.WarnContext(ctx, "leave failed", "connection", p.ID, "error", err)
	}
	s.close(ctx, p)
	return Reply{}
}

// Disconnect ends a connection whose client has left, if that has not been done,
// once what that has sent before has come.
func (s *Service) Disconnect(ctx context.Context, id ConnectionID) (err error) {
	s.announcingIn(ctx, nil, func(ctx context.Context) { err = s.disconnect(ctx, id) })
	return err
}

func (s *Service) disconnect(ctx context.Context, id ConnectionID) error {
	s.awaitSent(ctx, id)
	_, err := s.endAndRelease(ctx, "", id)
	return err
}

// awaitSent waits until the lane of a connection is idle, holds nothing, and nothing
// has come for [lane.ReorderWindow], for [leaveWithin] at most: API Gateway may invoke
// a function with the end of a connection before it does with what was sent on it.
// It does not wait where nothing can be sent: on a connection that has ended, was
// revoked, or has not authenticated. Nor for longer than [LingerFreely] without a place.
func (s *Service) awaitSent(ctx context.Context, id ConnectionID) {
	v, began := s.invocation(Connection{}), s.Clock.Now()
	v.lingering.since = began
	defer v.leavePlace(ctx)
	for pause := watchFirst; ; pause = min(2*pause, watchMost) {
		c, err := s.Store.Get(ctx, id, s.Clock.Now())
		now, wait := s.Clock.Now(), pause
		switch {
		case errors.Is(err, ErrNoConnection):
			return
		case err == nil:
			v.see(&c)
			d := c.Lane.DecideLeave(v.observed, now)
			if d.Action == lane.Pending || c.Revoked(now) || !v.mayLinger(ctx) {
				return
			}
			if d.Wait > 0 {
				wait = d.Wait
			}
		}
		left := leaveWithin - now.Sub(began)
		if left <= 0 || s.Clock.Sleep(ctx, min(wait, left)) != nil {
			return
		}
	}
}

// endAndRelease ends a connection, and then releases its name. The other way
// round, an invocation that dies in between would leave a connection that can
// send under a name that another may claim. The user may be empty if it is not
// known; then it is that of the record, if there is one. It returns that record.
func (s *Service) endAndRelease(ctx context.Context, user UserName, id ConnectionID) (Connection, error) {
	c, err := s.end(ctx, id)
	if err != nil && !errors.Is(err, ErrNoConnection) {
		return c, fmt.Errorf("end connection %s: %w", id, err)
	}
	if user == "" {
		user = c.User
	}
	if user == "" && err != nil { // it has ended already, perhaps by an invocation that died then
		was, err := s.getEnded(ctx, id)
		if err != nil && !errors.Is(err, ErrNoConnection) {
			return c, fmt.Errorf("get connection %s: %w", id, err)
		}
		user = was.User
	}
	if user == "" {
		return c, nil
	}
	released, err := s.release(ctx, user, id, c.Lane.TAT)
	if err != nil {
		return c, fmt.Errorf("release the name of connection %s: %w", id, err)
	}
	s.Log.InfoContext(ctx, "connection ended", "connection", id, "user", user, "released", released)
	return c, nil
}

// end ends a connection.
func (s *Service) end(ctx context.Context, id ConnectionID) (c Connection, err error) {
	err = s.untilKnown(ctx, func(now lane.Instant) error {
		c, err = s.Store.End(ctx, id, now)
		return err
	})
	return c, err
}

// release releases a name, and reports whether it was the connection's until now.
func (s *Service) release(ctx context.Context, user UserName, id ConnectionID, tat lane.TAT) (bool, error) {
	var r Released
	err := s.untilKnown(ctx, func(lane.Instant) (err error) {
		r, err = s.Store.Release(ctx, user, id, tat)
		return err
	})
	if err == nil && r.Owed {
		s.changed(ctx, user)
	}
	return r.Owner, err
}

// endGone ends a connection whose socket was found gone. If that fails, whoever
// finds it next tries again.
func (s *Service) endGone(ctx context.Context, user UserName, id ConnectionID) {
	c, err := s.endAndRelease(ctx, user, id)
	if err != nil {
		s.Log.WarnContext(ctx, "ending a connection that is gone failed", "connection", id, "user", user, "error", err)
	}
	if c.ID != "" { // otherwise another invocation has found it
		s.Count(MetricGone, 1)
	}
}
