package memory

import (
	"context"

	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// MaxLobbies is how many lobbies there are at most, the newest: 128 MB, if each
// were full.
const MaxLobbies = 4096

// CreateLobby implements [signal.LobbyStore].
func (s *Store) CreateLobby(_ context.Context, l signal.Lobby) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endLobbies(l.Expires.Add(-signal.LobbyLife), MaxLobbies-1)
	s.lobbies.put(l.ID, &l)
	s.inLobby.PushBack(l.ID)
	return nil
}

// endLobbies removes the lobbies that have expired, and the oldest of more than
// there may be. All live equally long. The lock is held.
func (s *Store) endLobbies(now lane.Instant, most int) {
	for e := s.inLobby.Front(); e != nil; e = s.inLobby.Front() {
		oldest, _ := e.Value.(signal.LobbyID)
		if s.lobbies.rows[oldest].Expires > now && len(s.lobbies.rows) <= most {
			return
		}
		s.lobbies.remove(oldest)
		s.inLobby.Remove(e)
	}
}

// GetLobby implements [signal.LobbyStore].
func (s *Store) GetLobby(_ context.Context, id signal.LobbyID, now lane.Instant) (signal.Lobby, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l, ok := s.lobby(id, now)
	if !ok {
		return signal.Lobby{}, signal.ErrNoLobby
	}
	return *l, nil
}

// lobby returns a lobby that has not expired. The lock is held.
func (s *Store) lobby(id signal.LobbyID, now lane.Instant) (l *signal.Lobby, ok bool) {
	l, ok = s.lobbies.rows[id]
	return l, ok && l.Expires > now
}

// UpdateLobby implements [signal.LobbyStore].
func (s *Store) UpdateLobby(_ context.Context, id signal.LobbyID, m signal.LobbyMove, now lane.Instant) (signal.Lobby, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l, ok := s.lobby(id, now)
	if !ok {
		return signal.Lobby{}, false, signal.ErrNoLobby
	}
	was, made := *l, l.Allows(m)
	if made {
		*l = l.Applied(m)
	}
	return was, made, nil
}
