package signal

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// Session is that of a client whose numbers continue on its next connection:
// what it sends again there, under the same number, is delivered once.
type Session struct {
	// ID names the session, and is the same on each of its connections:
	// [CheckSessionID]. Receivers get it, so that they recognise a message that
	// was sent again where the server has forgotten the session.
	ID string
	// Resume is the connection to resume; empty: none. Where that is not possible
	// the client's numbers begin at the handshake's Start.
	Resume ConnectionID
}

// MaxSessionID is the longest session id, in bytes: a UUID, and some room.
const MaxSessionID = 64

// CheckSessionID returns an error if id does not name a session.
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

// startLane returns the lane that a connection begins with, idle, and whether
// that is where its session stands.
func (s *Service) startLane(ctx context.Context, c Connection, user UserName, in Authenticate) (l lane.Lane, resumed bool, err error) {
	if in.Session != nil && in.Session.Resume != "" {
		if l, resumed, err = s.resume(ctx, c, user, in.Session.Resume); resumed || err != nil {
			return l, resumed, err
		}
	}
	return in.start().Lane(), false, nil
}

// resume returns the lane of the session's connection before, idle, and whether
// there is one. Whatever that connection had under way is over then: it has
// ended, so it does nothing new, and its last lease was finished or has expired.
func (s *Service) resume(ctx context.Context, c Connection, user UserName, before ConnectionID) (lane.Lane, bool, error) {
	old, err := s.getEnded(ctx, before)
	switch {
	case errors.Is(err, ErrNoConnection), err == nil && (old.User != user || old.Session != c.Session || !old.Lane.Opened()):
		return lane.Lane{}, false, nil
	case err != nil:
		return lane.Lane{}, false, fmt.Errorf("get connection %s: %w", before, err)
	}
	if !old.Ended {
		if _, err := s.endAndRelease(ctx, user, before); err != nil {
			return lane.Lane{}, false, err
		}
	}
	v := s.invocation(old)
	err = v.awaitIdle(ctx)
	if errors.Is(err, ErrNoConnection) {
		return lane.Lane{}, false, nil
	}
	return v.conn.Lane, err == nil, err
}

// awaitIdle waits until the lane of a connection that has ended is idle, and
// expires its lease if that is not renewed.
func (v *invocation) awaitIdle(ctx context.Context) error {
	for pause := watchFirst; ; pause = min(2*pause, watchMost) {
		c, err := v.getEnded(ctx, v.conn.ID)
		if err != nil {
			return fmt.Errorf("get connection %s: %w", v.conn.ID, err)
		}
		v.see(c)
		d := c.Lane.DecideIdle(v.id, v.observed, v.Clock.Now())
		switch d.Action {
		case lane.MakeMove:
			u := updateBy(*d.Move)
			u.Ended = true
			made, err := v.update(ctx, u)
			if err != nil {
				return err
			}
			if made {
				v.Count(MetricExpired, 1)
			}
		case lane.LookAgain:
			if err := v.Clock.Sleep(ctx, min(d.Wait, pause)); err != nil {
				return err
			}
		default:
			return nil
		}
	}
}
