package sim

import (
	"context"
	"errors"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// FirstWithLeaving is the first seed of a world in which, if its last two bits are
// set, a client sends messages and leaves at once.
const FirstWithLeaving = 1 << 45

// leaving is what is known of the end of a connection.
type leaving struct {
	at      time.Duration // when an invocation first had it; 0: none
	early   time.Duration // when a message was first refused because the connection had ended; 0: none
	another bool          // somebody else may have ended it, who found the socket gone
}

// leave has a client send messages to another and leave at once; it may come back.
func (s *Sim) leave(c *client, to signal.UserName) {
	k := c.socket
	if !c.ready || !k.open || c.left {
		return
	}
	s.count("leaving")
	for range 1 + s.rng.IntN(4) {
		c.send(to)
	}
	says := s.chance(0.5)
	c.left = s.chance(0.5)
	s.after(0, func() { // what goes in one frame is out by then
		if says {
			s.message(k, "leave of "+string(k.id), signal.Leave{})
		}
		if k.open {
			s.shut(k, true)
		}
	})
}

// ends notes that an invocation has the end of a connection.
func (k *socket) ends(now time.Duration) {
	if k.leaving.at == 0 {
		k.leaving.at = now
	}
}

// disconnect is an invocation for $disconnect.
func (s *Sim) disconnect(k *socket) {
	k.ends(s.now)
	service := *s.service
	if s.mutation == Hurried {
		service.Clock = hurried{s.service.Clock}
	}
	_ = service.Disconnect(context.Background(), k.id)
}

// tried notes what came of a message that an invocation has tried to take or hold.
func (s *Sim) tried(id signal.ConnectionID, u signal.Update, err error) {
	k := s.sockets[id]
	if k == nil || k.leaving.early != 0 || !errors.Is(err, signal.ErrNoConnection) {
		return
	}
	if u.Kind == lane.KindTake || u.Kind == lane.KindHold {
		k.leaving.early = s.now
	}
}

// foundGone notes that a post found a socket gone. Acks leave it to its client's
// leaving to end the connection, but for those that a session repeats.
func (s *Sim) foundGone(k *socket, e signal.Event) {
	if batch, ok := e.(signal.Batch); ok {
		e = batch[0]
	}
	if _, ack := e.(signal.Ack); !ack || k.client.session != "" {
		k.leaving.another = k.leaving.another || k.leaving.early == 0
	}
}

// judgeLeaving: a message that is taken to its lane at most [lane.ReorderWindow] after
// an invocation has the end of its connection is in time.
func (s *Sim) judgeLeaving(k *socket) {
	l := k.leaving
	if s.faulty || l.at == 0 || l.early == 0 || l.another {
		return
	}
	c, err := s.records.GetEnded(context.Background(), k.id, 0)
	_, lost := s.superseded[k.id]
	if err != nil || lost || !c.Lane.Opened() || c.Revoked(s.Now()) {
		return
	}
	if l.early <= l.at+lane.ReorderWindow {
		s.violate("leaving", "%s had ended for a message at %v, though the end of the connection came at %v", k.id, l.early, l.at)
	}
}
