package signal

import (
	"context"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// ICE is the servers by which a client finds a way to another.
type ICE struct {
	Servers []byte        // JSON: an array of RTCIceServer (W3C WebRTC 1.0, section 4.2.4); nil: none
	Expires time.Duration // how long their credentials are good; zero: they have none
}

// ICEServers returns those for a user at a time. It may be called concurrently.
type ICEServers func(user UserName, now lane.Instant) ICE

// ICEFor returns the ICE servers for a user, with credentials from now on.
func (s *Service) ICEFor(user UserName) ICE {
	if s.ICE == nil {
		return ICE{}
	}
	return s.ICE(user, s.Clock.Now())
}

// queryICE answers which ICE servers there are, to those who have authenticated.
func (s *Service) queryICE(ctx context.Context, p Peer) Reply {
	c, refused, ok := s.asker(ctx, p, "")
	if !ok {
		return refused
	}
	return reply(ICEAnswer{NoNumber, s.ICEFor(c.User)})
}
