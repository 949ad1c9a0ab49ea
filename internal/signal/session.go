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

// MaxSuccessors is how many connections in a row may go on with a session without
// their client's knowledge: it names the last on which it was welcome.
const MaxSuccessors = 32

// resume returns the lane at which the session stands, idle, and whether that is
// known. It is that of the connection before, or of the last that went on from
// there since. Whatever that connection had under way is over: it has ended, so
// it does nothing new, and its last lease was finished or has expired. And it is
// c's: nobody else goes on from it.
func (s *Service) resume(ctx context.Context, c Connection, user UserName, before ConnectionID) (lane.Lane, bool, error) {
	old, err := s.getEnded(ctx, before)
	switch {
	case errors.Is(err, ErrNoConnection), err == nil && (old.User != user || old.Session != c.Session || !old.Lane.Opened()):
		return lane.Lane{}, false, nil
	case err != nil:
		return lane.Lane{}, false, fmt.Errorf("get connection %s: %w", before, err)
	}
	c.User = user // as it will be
	for range MaxSuccessors + 1 {
		v := s.invocation(old)
		err := v.endOlder(ctx, c)
		if err == nil {
			err = v.awaitIdle(ctx)
		}
		var next Connection
		if err == nil {
			next, err = v.precede(ctx, c)
		}
		switch {
		case errors.Is(err, ErrNoConnection): // its time has passed meanwhile
			return lane.Lane{}, false, nil
		case err != nil:
			return lane.Lane{}, false, err
		case next.ID == c.ID:
			return v.conn.Lane, true, nil
		}
		old = next
	}
	s.Log.WarnContext(ctx, "session not resumed: too many connections since", "connection", c.ID, "user", user)
	return lane.Lane{}, false, nil
}

// endOlder ends the connection for c, which goes on with its session. A newer one
// is not ended: c has lost its name to it, or will.
func (v *invocation) endOlder(ctx context.Context, c Connection) error {
	switch {
	case v.conn.Ended:
		return nil
	case v.conn.Since > c.Since:
		return fmt.Errorf("resume connection %s: %w", v.conn.ID, ErrNewerClaim)
	}
	_, err := v.endAndRelease(ctx, c.User, v.conn.ID)
	return err
}

// precede makes c the next connection of the session, and returns it; or the one
// that has gone on from here. One that was about to, and has not opened its lane,
// is ended first: then it never will.
func (v *invocation) precede(ctx context.Context, c Connection) (Connection, error) {
	for range decideTries {
		switch v.conn.Next {
		case c.ID:
			return c, nil
		case "":
		default:
			next, err := v.getEnded(ctx, v.conn.Next)
			if err != nil || next.Lane.Opened() {
				return next, err
			}
			if !next.Ended {
				if err := v.Service.invocation(next).endOlder(ctx, c); err != nil {
					return next, err
				}
				continue // it may have opened its lane before
			}
		}
		u := updateBy(v.conn.Lane.Resume())
		u.Ended, u.Succession = true, &Succession{v.conn.Next, c.ID}
		if made, err := v.update(ctx, u, v.Clock.Now()); err != nil || made {
			return c, err
		}
	}
	return Connection{}, ErrContended
}

// awaitIdle waits until the lane of a connection that has ended is idle, and
// expires its lease if that is not renewed.
func (v *invocation) awaitIdle(ctx context.Context) error {
	for pause := watchFirst; ; pause = min(2*pause, watchMost) {
		c, err := v.getEnded(ctx, v.conn.ID)
		if err != nil {
			return fmt.Errorf("get connection %s: %w", v.conn.ID, err)
		}
		v.see(&c)
		d := c.Lane.DecideIdle(v.id, v.observed, v.Clock.Now())
		switch d.Action {
		case lane.MakeMove:
			u := updateBy(*d.Move)
			u.Ended = true
			made, err := v.update(ctx, u, v.Clock.Now())
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
