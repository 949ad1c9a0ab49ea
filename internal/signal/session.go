package signal

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Session is what a client has that goes on with its numbers on a connection
// after the one before: what it sends again there, under the same number, is
// delivered once.
type Session struct {
	// ID names the session, and is the same on each of its connections:
	// [CheckSessionID]. Receivers are told, so that they know a message again
	// that was sent again where the server has forgotten the session.
	ID string
	// Resume is the connection to go on with; empty: none.
	Resume ConnectionID
	// First is the lowest number that the client may send, where there is
	// nothing to go on with.
	First int64
}

// MaxSessionID is the longest session id, in bytes: a UUID, and some room.
const MaxSessionID = 64

// CheckSessionID says what keeps id from being one, if anything does.
func CheckSessionID(id string) error {
	const allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
	switch {
	case id == "":
		return errors.New("check session id: it is empty")
	case len(id) > MaxSessionID:
		return fmt.Errorf("check session id: %d bytes, at most %d are allowed", len(id), MaxSessionID)
	case strings.Trim(id, allowed) != "":
		return errors.New("check session id: letters, digits, - and _ only")
	}
	return nil
}

// lane is where a client's session stands, and whether that is where it stood
// before.
func (s *Service) lane(ctx context.Context, c Connection, user UserName, in Session) (Lane, bool, error) {
	if in.Resume != "" {
		if lane, ok, err := s.resume(ctx, c, user, in.Resume); ok || err != nil {
			return lane, ok, err
		}
	}
	return startAfter(in.First - 1), false, nil
}

// resume is the lane of the session's connection before, at rest, and whether
// there is one. Whatever that connection had under way is over then: it has
// ended, so it takes nothing more on, and its last owner has finished or was
// dead and overtaken.
func (s *Service) resume(ctx context.Context, c Connection, user UserName, before ConnectionID) (Lane, bool, error) {
	old, err := s.Store.Recall(ctx, before, s.Clock.Now())
	switch {
	case errors.Is(err, ErrNoConnection), err == nil && (old.User != user || old.Session != c.Session || !old.Lane.Opened()):
		return Lane{}, false, nil
	case err != nil:
		return Lane{}, false, fmt.Errorf("recall connection %s: %w", before, err)
	}
	if !old.Ended {
		if _, err := s.end(ctx, user, before); err != nil {
			return Lane{}, false, err
		}
	}
	w := s.work(old)
	err = w.rest(ctx)
	if errors.Is(err, ErrNoConnection) {
		return Lane{}, false, nil
	}
	return w.conn.Lane, err == nil, err
}

// rest waits until the lane of a connection that has ended is idle, and
// overtakes an owner that is dead.
func (w *work) rest(ctx context.Context) error {
	for pause := watchFirst; ; pause = min(2*pause, watchMost) {
		c, err := w.Store.Recall(ctx, w.conn.ID, w.Clock.Now())
		if err != nil {
			return fmt.Errorf("recall connection %s: %w", w.conn.ID, err)
		}
		w.conn = c
		now := w.Clock.Now()
		switch {
		case c.Lane.Idle():
			return nil
		case c.Lane.dead(now):
			m := c.Lane.overtake(w.me)
			m.Guard.Ended = true
			made, err := w.move(ctx, m)
			if err != nil {
				return err
			}
			if made {
				w.Count(MetricOvertaken, 1)
			}
		default:
			if err := w.Clock.Sleep(ctx, pause); err != nil {
				return err
			}
		}
	}
}
