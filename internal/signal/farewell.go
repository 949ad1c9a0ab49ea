package signal

import (
	"context"
	"errors"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// FarewellPause is how long a socket stays open after the last event on it, for
// its client to close it. Where the server closes at once, zishang520's Go client
// loses the event. python-socketio 4 never closes, and comes back after a close
// that [Ended] does not precede.
const FarewellPause = 250 * time.Millisecond

// farewellTries is how often a connection is told that it has lost its name. The
// pauses between double from [FarewellPause] on: all tries take some 8 s.
const farewellTries = 6

// superseded is a connection that has lost its name, and is still to be closed.
type superseded struct {
	Peer
	told bool
}

// supersede tells connections that they have lost their name, and closes them.
func (s *Service) supersede(ctx context.Context, peers ...Peer) {
	s.closeSuperseded(ctx, s.tellSuperseded(ctx, peers))
}

// tellSuperseded ends connections and tells them that they have lost their name.
// It returns those whose sockets are still there.
func (s *Service) tellSuperseded(ctx context.Context, peers []Peer) []superseded {
	left := make([]superseded, 0, len(peers))
	for _, p := range peers {
		if _, err := s.end(ctx, p.ID); err != nil && !errors.Is(err, ErrNoConnection) {
			s.Log.ErrorContext(ctx, "end failed", "connection", p.ID, "error", err)
		}
		if err := s.tell(ctx, p, Superseded{}); !errors.Is(err, ErrGone) {
			left = append(left, superseded{p, err == nil})
		}
	}
	return left
}

// closeSuperseded closes connections that have lost their name, once they were
// told. One that cannot be told stays open: its client would take the end for a
// lost link, come back, and take the name from the newer connection. It can do
// nothing, and is told at its next frame.
func (s *Service) closeSuperseded(ctx context.Context, left []superseded) {
	for _, c := range left {
		pause := FarewellPause
		for try := 1; !c.told && try < farewellTries && s.Clock.Sleep(ctx, pause) == nil; try++ {
			err := s.tell(ctx, c.Peer, Superseded{})
			c.told = err == nil || errors.Is(err, ErrGone)
			pause *= 2
		}
		if !c.told {
			s.Log.WarnContext(ctx, "not told that it has lost its name", "connection", c.ID)
			continue
		}
		s.part(ctx, c.Peer, true)
	}
}

// farewell sends the last event on a connection, which may have been a user's, and
// closes it. It reports whether the socket was found gone.
func (s *Service) farewell(ctx context.Context, p Peer, user UserName, last Event) (gone bool) {
	if err := s.tell(ctx, p, last); errors.Is(err, ErrGone) {
		return true
	}
	s.part(ctx, p, user != "")
	return false
}

// part closes a socket on which the last event was sent, if its client has not.
// Where invocations are scarce, who lingers for that longer than [LingerFreely] needs
// a place, and a stranger gets none.
func (s *Service) part(ctx context.Context, p Peer, user bool) {
	if s.PlaceStore == nil {
		_ = s.Clock.Sleep(ctx, FarewellPause)
	} else if began := s.Clock.Now(); s.Clock.Sleep(ctx, LingerFreely) == nil && user {
		s.lingerOn(ctx, p, began, FarewellPause)
	}
	if err := s.Pusher.Post(ctx, p, Ended{}); !errors.Is(err, ErrGone) {
		s.close(ctx, p)
	}
}

// lingerOn waits until an invocation has lingered for so long, if it finds a place.
func (s *Service) lingerOn(ctx context.Context, p Peer, began lane.Instant, within time.Duration) {
	v := s.lingerer(Connection{Peer: p}, began, 0)
	if v.mayLinger(ctx) {
		_ = s.Clock.Sleep(ctx, within-s.Clock.Now().Sub(began))
		v.leavePlace(ctx)
	}
}
