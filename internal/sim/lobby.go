package sim

import (
	"context"
	"errors"
	"slices"
	"strconv"

	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// FirstWithLobbies is the first seed of a world in which, if its second bit is
// set, Socket.IO's clients may begin by long polling.
const FirstWithLobbies = 1 << 44

// lobby is a client's way in by long polling.
type lobby struct {
	id       signal.LobbyID
	polling  bool
	probed   bool
	upgraded bool
	posting  int // packets that are still to be posted
	posts    int
	kept     []string // those whose post was answered with success
	unsure   []string // those of which that is not known
	taken    bool
}

// handshakeOfAll is what all clients say twice: to their lobby, and by WebSocket.
const handshakeOfAll = "hello"

// begin has a client connect, by a WebSocket alone or by way of a lobby.
func (s *Sim) begin(k *socket, token *string) {
	polls := k.client.kind == generationA || k.client.kind == generationB || k.client.kind == generationJava
	if !s.lobbies || !polls || s.chance(0.4) {
		s.connect(k, token)
		return
	}
	s.count("lobbies")
	s.sockets[k.id] = k
	s.timeOut(k)
	s.invoke("open lobby for "+string(k.id), 1, func() {
		id, err := s.service.OpenLobby(context.Background(), handshakeOfAll)
		s.step()
		s.after(s.latency(s.faults.Post)/2, func() {
			if k.abandoned {
				return
			}
			if err != nil {
				s.shut(k, true)
				return
			}
			k.lobby = &lobby{id: id, posting: s.rng.IntN(4)}
			s.poll(k)
			s.postInLobby(k)
			s.after(s.latency(s.faults.Post), func() {
				if !k.abandoned {
					s.connect(k, token)
				}
			})
		})
	})
}

// poll has a client poll until its WebSocket has taken over.
func (s *Sim) poll(k *socket) {
	l := k.lobby
	if k.abandoned || l.upgraded {
		return
	}
	l.polling = true
	s.invoke("poll of "+string(k.id), 1, func() {
		over, err := s.service.PollLobby(context.Background(), l.id)
		s.step()
		s.after(s.latency(s.faults.Post)/2, func() {
			l.polling = false
			switch {
			case k.abandoned:
			case err != nil || over:
				s.shut(k, true)
			case l.probed:
				s.mayUpgrade(k)
			default:
				s.poll(k)
			}
		})
	})
}

// postInLobby has a client post what it has to, one packet after the other was
// answered.
func (s *Sim) postInLobby(k *socket) {
	l := k.lobby
	if k.abandoned || l.posting == 0 || l.upgraded {
		return
	}
	packet := string(k.id) + " " + strconv.Itoa(l.posts)
	l.posts++
	l.unsure = append(l.unsure, packet)
	s.invoke("post of "+packet, 1, func() {
		err := s.service.PostInLobby(context.Background(), l.id, [][]byte{[]byte(packet)})
		s.step()
		s.after(s.latency(s.faults.Post)/2, func() {
			if err != nil || k.abandoned {
				if !k.abandoned {
					s.shut(k, true)
				}
				return
			}
			l.unsure = l.unsure[:len(l.unsure)-1]
			l.kept = append(l.kept, packet)
			l.posting--
			s.postInLobby(k)
			s.mayUpgrade(k)
		})
	})
}

// probed is how a client learns that its WebSocket carries frames: it polls and
// posts no more.
func (s *Sim) probed(k *socket) {
	if k.lobby != nil {
		k.lobby.probed = true
		s.mayUpgrade(k)
	}
}

// mayUpgrade has a client's WebSocket take over, once nothing is under way that
// is not by it.
func (s *Sim) mayUpgrade(k *socket) {
	l := k.lobby
	if !l.probed || l.polling || len(l.unsure) > 0 || l.upgraded || k.abandoned {
		return
	}
	l.upgraded = true
	s.message(k, "upgrade of "+string(k.id), signal.Upgrade{})
	k.client.greeted(k)
}

// tookOver judges what was taken over from a lobby.
func (s *Sim) tookOver(k *socket, posted [][]byte) {
	var got []string
	for _, p := range posted {
		got = append(got, string(p))
	}
	s.count("taken over")
	l := k.lobby
	switch {
	case l == nil || l.taken:
		s.violate("lobby", "%s has taken over %q, again or from nowhere", k.id, got)
	case !slices.Equal(got, l.kept):
		s.violate("lobby", "%s has taken over %q, and %q was kept", k.id, got, l.kept)
	}
	if l != nil {
		l.taken = true
	}
}

// CreateLobby implements [signal.LobbyStore].
func (s store) CreateLobby(ctx context.Context, l signal.Lobby) (err error) {
	return errors.Join(s.call("create lobby", item{}, func() { err = s.Store.CreateLobby(ctx, l) }), err)
}

// GetLobby implements [signal.LobbyStore].
func (s store) GetLobby(ctx context.Context, id signal.LobbyID, now lane.Instant) (l signal.Lobby, err error) {
	if failed := s.call("get", item{}, func() { l, err = s.Store.GetLobby(ctx, id, now) }); failed != nil {
		return signal.Lobby{}, failed
	}
	return l, err
}

// UpdateLobby implements [signal.LobbyStore].
func (s store) UpdateLobby(ctx context.Context, id signal.LobbyID, m signal.LobbyMove, now lane.Instant) (l signal.Lobby, made bool, err error) {
	failed := s.call("update lobby", item{}, func() {
		l, made, err = s.Store.UpdateLobby(ctx, id, m, now)
		s.tracef("lobby %s: to %d post %d poll %v: made %v at stage %d %v", id, m.To, len(m.Post), m.Poll, made, l.Stage, err)
	})
	if failed != nil {
		return signal.Lobby{}, false, failed
	}
	return l, made, err
}
