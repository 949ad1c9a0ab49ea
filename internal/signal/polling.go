package signal

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// lookFirst and lookMost are the shortest and the longest pause between two
// looks at a lobby. In between a pause is a part of what has been waited, so that
// no look comes much later, by comparison, than it could have.
const (
	lookFirst = 10 * time.Millisecond
	lookMost  = 500 * time.Millisecond
	lookPart  = 5
)

// OpenLobby opens a lobby for a client, whose WebSocket must repeat the
// handshake.
func (s *Service) OpenLobby(ctx context.Context, handshake string) (LobbyID, error) {
	var random [15]byte // as long as Engine.IO's own: 20 characters
	s.Random(random[:])
	id := LobbyID(base64.RawURLEncoding.EncodeToString(random[:]))
	l := Lobby{ID: id, Handshake: digest(id, handshake), Expires: s.Clock.Now().Add(LobbyLife)}
	if err := s.Store.CreateLobby(ctx, l); err != nil {
		s.Count(MetricFailures, 1)
		return "", fmt.Errorf("create lobby: %w", err)
	}
	return id, nil
}

// digest returns what is kept of a handshake, which may have a token in it.
func digest(id LobbyID, handshake string) string {
	sum := sha256.Sum256([]byte(string(id) + "\n" + handshake))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// PostInLobby keeps packets until the WebSocket has taken over. [ErrNoLobby] if
// it has, and [ErrLobbyFull] if there is no room.
func (s *Service) PostInLobby(ctx context.Context, id LobbyID, packets [][]byte) error {
	l, made, err := s.Store.UpdateLobby(ctx, id, postInLobby(packets), s.Clock.Now())
	switch {
	case err != nil:
		return fmt.Errorf("post in lobby: %w", err) // not again: it might be kept twice
	case !made && l.full(postInLobby(packets)):
		return ErrLobbyFull
	case !made:
		return ErrNoLobby
	}
	return nil
}

// EndLobby ends a lobby as its client wishes.
func (s *Service) EndLobby(ctx context.Context, id LobbyID) error {
	_, _, err := s.updateLobby(ctx, id, endLobby())
	return err
}

// PollLobby waits until the WebSocket has probed, or [PollWithin], and reports
// whether the client's time is over. Of several polls the latest waits.
// [ErrNoLobby] if there is nothing to wait for.
func (s *Service) PollLobby(ctx context.Context, id LobbyID) (over bool, err error) {
	l, made, err := s.updateLobby(ctx, id, pollLobby())
	switch {
	case err != nil:
		return false, err
	case !made:
		return false, ErrNoLobby
	}
	turn := l.Polls + 1
	l, err = s.awaitLobby(ctx, id, PollWithin, func(l Lobby) bool {
		return l.Stage >= LobbyProbed || l.Polls > turn || l.abandoned(s.Clock.Now())
	})
	switch now := s.Clock.Now(); {
	case errors.Is(err, ErrNoLobby):
		s.Log.InfoContext(ctx, "lobby closed", "reason", "no WebSocket came in time", "time", LobbyLife.String())
		return true, nil
	case err != nil:
		return false, err
	case l.abandoned(now):
		s.Log.InfoContext(ctx, "lobby closed", "reason", "the WebSocket did not take over in time", "connection", l.Connection)
		return true, nil
	}
	return l.Stage == LobbyEnded, nil
}

// claimLobby makes the connection the one that takes over from its lobby.
func (s *Service) claimLobby(ctx context.Context, h Handshake, follows bool) error {
	var digests []string
	for _, repeated := range h.Lobby.Handshakes {
		digests = append(digests, digest(h.Lobby.ID, repeated))
	}
	m := claimLobby(LobbyClaim{h.Peer.ID, follows, s.Clock.Now()}, digests...)
	l, made, err := s.updateLobby(ctx, h.Lobby.ID, m)
	if err == nil && !made && l.Connection != h.Peer.ID { // which has it if an answer was lost
		err = ErrNoLobby
	}
	if err != nil {
		return fmt.Errorf("claim lobby: %w", err)
	}
	return nil
}

// awaitUpgrade waits until the connection has taken over from its lobby. What does not in
// time, or finds no place to wait, ends the lobby. A client that was told that its
// WebSocket carries frames does not see that closed until it has said that it takes over
// (engine.io-client, Socket._probe): there it waits for minutes.
func (s *Service) awaitUpgrade(ctx context.Context, h Handshake) beginning {
	l, err := s.awaitLobby(ctx, h.Lobby.ID, UpgradeWithin, func(l Lobby) bool { return l.Stage >= LobbyUpgraded })
	ended := false
	if err == nil && l.Stage < LobbyUpgraded {
		l, ended, err = s.updateLobby(ctx, h.Lobby.ID, endLobby())
	}
	if err == nil && l.Stage == LobbyUpgraded {
		return begun
	}
	s.Log.InfoContext(ctx, "lobby closed", "reason", "the WebSocket did not take over in time", "connection", h.Peer.ID, "error", err)
	if ended && l.Stage == LobbyProbed {
		return leftToUpgrade
	}
	return notBegun
}

// awaitLobby looks at a lobby until it is done, the time is over, or it may not
// linger.
func (s *Service) awaitLobby(ctx context.Context, id LobbyID, within time.Duration, done func(Lobby) bool) (Lobby, error) {
	began := s.Clock.Now()
	v := s.awaiting()
	defer v.leavePlace(ctx)
	for {
		l, err := s.Store.GetLobby(ctx, id, s.Clock.Now())
		waited := s.Clock.Now().Sub(began)
		if waited >= within || errors.Is(err, ErrNoLobby) || err == nil && done(l) || !v.mayLinger(ctx) {
			return l, err
		}
		pause := min(max(waited/lookPart, lookFirst), lookMost, within-waited)
		if err := s.Clock.Sleep(ctx, pause); err != nil {
			return l, err
		}
	}
}

// probe answers a WebSocket that tries whether it carries frames. One that has
// claimed a lobby releases the poll there.
func (s *Service) probe(ctx context.Context, p Peer) Reply {
	c, err := s.get(ctx, p.ID)
	if err == nil && c.Revoked(s.Clock.Now()) {
		return s.endRevoked(ctx, c, closing)
	}
	made := c.Lobby == ""
	if err == nil && !made {
		_, made, err = s.updateLobby(ctx, c.Lobby, probeLobby(p.ID))
	}
	switch {
	case err != nil:
		return s.failUpgrade(ctx, p, err)
	case !made:
		return Reply{}
	}
	return reply(Probed{})
}

// upgrade has a WebSocket take over from its lobby: what was posted there comes
// first.
func (s *Service) upgrade(ctx context.Context, p Peer) Reply {
	c, err := s.get(ctx, p.ID)
	switch {
	case err == nil && c.Revoked(s.Clock.Now()):
		return s.endRevoked(ctx, c, closing)
	case err == nil && c.Lobby == "":
		return Reply{}
	}
	me := s.randomID()
	var l Lobby
	var made bool
	if err == nil {
		l, made, err = s.updateLobby(ctx, c.Lobby, upgradeLobby(p.ID, me))
	}
	switch {
	case err == nil && !made && l.Upgrader == me:
		err = errPostedLost
		fallthrough
	case err != nil:
		return s.failUpgrade(ctx, p, err)
	case !made && l.Stage == LobbyEnded:
		return s.failUpgrade(ctx, p, ErrNoLobby)
	case !made: // it has taken over already, or has not probed
		return Reply{}
	}
	if !l.Follows {
		s.post(ctx, c.Peer, Admitted{p.ID})
	}
	return Reply{Posted: l.Packets}
}

// failUpgrade closes a WebSocket that cannot take over; its client begins anew.
func (s *Service) failUpgrade(ctx context.Context, p Peer, err error) Reply {
	s.Log.WarnContext(ctx, "upgrade failed", "connection", p.ID, "error", err)
	if !errors.Is(err, ErrNoConnection) && !errors.Is(err, ErrNoLobby) {
		s.Count(MetricFailures, 1)
	}
	s.close(ctx, p)
	return Reply{}
}

// updateLobby makes a move that may be tried again. It returns the record before
// it.
func (s *Service) updateLobby(ctx context.Context, id LobbyID, m LobbyMove) (l Lobby, made bool, err error) {
	err = s.untilKnown(ctx, func(now lane.Instant) error {
		l, made, err = s.Store.UpdateLobby(ctx, id, m, now)
		return err
	})
	return l, made, err
}

// LobbyHandshake is what the handshake of a WebSocket says of the lobby that it
// takes over from.
type LobbyHandshake struct {
	ID         LobbyID
	Handshakes []string // any of which the handshake of the lobby may have been
}
