package memory

import (
	"context"

	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// MaxLobbies is how many lobbies there are at most, the newest: 128 MB, if each
// were full.
const MaxLobbies = 4096

// CreateLobby implements [signal.LobbyStore]. It removes the lobbies that have
// expired, which are the oldest: all live equally long.
func (s *Store) CreateLobby(_ context.Context, l signal.Lobby) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := l.Expires.Add(-signal.LobbyLife)
	for e := s.inLobby.Front(); e != nil; e = s.inLobby.Front() {
		oldest, _ := e.Value.(signal.LobbyID)
		if old := s.lobbies.rows[oldest]; old.Expires > now && len(s.lobbies.rows) < MaxLobbies {
			break
		}
		s.lobbies.remove(oldest)
		s.inLobby.Remove(e)
	}
	s.lobbies.rows[l.ID] = &l
	s.inLobby.PushBack(l.ID)
	return nil
}

// GetLobby implements [signal.LobbyStore].
func (s *Store) GetLobby(_ context.Context, id signal.LobbyID, now lane.Instant) (signal.Lobby, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l, ok := s.lobbies.rows[id]
	if !ok || l.Expires <= now {
		return signal.Lobby{}, signal.ErrNoLobby
	}
	return *l, nil
}

// UpdateLobby implements [signal.LobbyStore].
func (s *Store) UpdateLobby(_ context.Context, id signal.LobbyID, m signal.LobbyMove, now lane.Instant) (signal.Lobby, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l, ok := s.lobbies.rows[id]
	if !ok || l.Expires <= now {
		return signal.Lobby{}, false, signal.ErrNoLobby
	}
	was, made := *l, l.Allows(m)
	if made {
		*l = l.Applied(m)
	}
	return was, made, nil
}
