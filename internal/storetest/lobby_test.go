package storetest

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// The moves of a lobby, as the service makes them.
func lobbyClaim(id signal.ConnectionID, handshakes ...string) signal.LobbyMove {
	return signal.LobbyMove{Handshakes: handshakes, To: signal.LobbyClaimed, Claim: &signal.LobbyClaim{Connection: id, Follows: true, At: now}}
}

func lobbyPost(packets ...string) signal.LobbyMove {
	m := signal.LobbyMove{Through: signal.LobbyProbed, To: -1}
	for _, p := range packets {
		m.Post = append(m.Post, []byte(p))
	}
	return m
}

func lobbyProbe(id signal.ConnectionID) signal.LobbyMove {
	return signal.LobbyMove{From: signal.LobbyClaimed, Through: signal.LobbyProbed, Of: id, To: signal.LobbyProbed}
}

func lobbyUpgrade(id signal.ConnectionID, by string) signal.LobbyMove {
	return signal.LobbyMove{From: signal.LobbyProbed, Through: signal.LobbyProbed, Of: id, To: signal.LobbyUpgraded, Upgrader: by, Empty: true}
}

func (s *suite) lobby(t testing.TB) signal.Lobby {
	t.Helper()
	l := signal.Lobby{ID: signal.LobbyID(s.unique()), Handshake: "hello", Expires: now.Add(signal.LobbyLife)}
	if err := s.CreateLobby(ctx, l); err != nil {
		t.Fatal(err)
	}
	return l
}

// lobbies: the life of one, as a client leads it.
func (s *suite) lobbies(t *testing.T) {
	l, long := s.lobby(t), strings.Repeat("long", 1000)
	got, err := s.GetLobby(ctx, l.ID, now)
	equalLobby(t, got, l, err)
	for _, step := range []struct {
		move signal.LobbyMove
		made bool
	}{
		{lobbyPost("40", "\x00\xff"), true},
		{lobbyPost(long, "42", long, long[1:]), true},
		{lobbyProbe("A"), false},
		{lobbyClaim("A", "other"), false},
		{lobbyClaim("A", "other", "hello"), true},
		{lobbyClaim("B", "hello"), false},
		{lobbyPost("41"), true},
		{lobbyUpgrade("A", "me"), false},
		{lobbyProbe("B"), false},
		{lobbyProbe("A"), true},
		{lobbyProbe("A"), true},
		{signal.LobbyMove{Through: signal.LobbyProbed, To: -1, Poll: true}, true},
		{lobbyUpgrade("B", "you"), false},
		{lobbyUpgrade("A", "me"), true},
		{lobbyUpgrade("A", "again"), false},
		{lobbyPost("42"), false},
		{signal.LobbyMove{Through: signal.LobbyProbed, To: -1, Poll: true}, false},
	} {
		was, made, err := s.UpdateLobby(ctx, l.ID, step.move, now)
		equalLobby(t, was, l, err)
		if step.move.Upgrader != "" && made && slices.ContainsFunc(was.Packets, func(p []byte) bool { return p == nil }) {
			t.Errorf("taken over: %.20q", was.Packets)
		}
		if made != step.made {
			t.Fatalf("%+v on %+v: made %v", step.move, l, made)
		}
		if made {
			l = l.Applied(step.move)
		}
	}
	got, err = s.GetLobby(ctx, l.ID, now)
	equalLobby(t, got, l, err)
	if l.Upgrader != "me" || l.Connection != "A" || len(l.Packets) != 0 || l.Handshake != "" {
		t.Errorf("at the end: %+v", l)
	}
}

// lobbiesEnd: one that has expired, or never was, is absent.
func (s *suite) lobbiesEnd(t *testing.T) {
	l := s.lobby(t)
	for at, want := range map[lane.Instant]error{l.Expires - 1000: nil, l.Expires: signal.ErrNoLobby} { // a second: dynamo's
		_, read := s.GetLobby(ctx, l.ID, at)
		_, made, wrote := s.UpdateLobby(ctx, l.ID, lobbyPost("40"), at)
		if !errors.Is(read, want) || !errors.Is(wrote, want) || made != (want == nil) {
			t.Errorf("%v before its end: %v, %v", l.Expires.Sub(at), read, wrote)
		}
	}
	none := signal.LobbyID(s.unique())
	_, read := s.GetLobby(ctx, none, now)
	_, _, wrote := s.UpdateLobby(ctx, none, lobbyPost("40"), now)
	if !errors.Is(read, signal.ErrNoLobby) || !errors.Is(wrote, signal.ErrNoLobby) {
		t.Errorf("one that never was: %v, %v", read, wrote)
	}
}

// lobbiesAsPure: any moves do what the pure record does, within its limits.
func (s *suite) lobbiesAsPure(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := signal.Lobby{ID: signal.LobbyID(s.unique()), Handshake: "hello", Expires: now.Add(signal.LobbyLife)}
		if err := s.CreateLobby(ctx, l); err != nil {
			t.Fatal(err)
		}
		ctx, lost := watched(ctx)
		for range rapid.IntRange(1, 12).Draw(t, "moves") {
			m := drawLobbyMove(t)
			was, made, err := s.UpdateLobby(ctx, l.ID, m, now)
			if lost.Load() > 0 {
				return // it was made twice, perhaps
			}
			equalLobby(t, was, l, err)
			if made != l.Allows(m) {
				t.Fatalf("%+v on %+v: made %v", m, l, made)
			}
			if made {
				l = l.Applied(m)
			}
		}
	})
}

func drawLobbyMove(t *rapid.T) signal.LobbyMove {
	id := rapid.SampledFrom([]signal.ConnectionID{"A", "B"}).Draw(t, "connection")
	size := rapid.SampledFrom([]int{1, 100, signal.MaxLobbyBytes/2 - 1, signal.MaxLobbyBytes / 2, signal.MaxLobbyBytes}).Draw(t, "size")
	count := rapid.SampledFrom([]int{1, 2, signal.MaxLobbyPackets - 1, signal.MaxLobbyPackets}).Draw(t, "count")
	switch rapid.IntRange(0, 6).Draw(t, "kind") {
	case 0:
		return lobbyClaim(id, rapid.SampledFrom([]string{"hello", "other"}).Draw(t, "handshake"))
	case 1:
		return lobbyProbe(id)
	case 2:
		return lobbyUpgrade(id, string(id))
	case 3:
		return signal.LobbyMove{Through: signal.LobbyProbed, To: -1, Poll: true}
	case 4:
		return signal.LobbyMove{Through: signal.LobbyProbed, To: signal.LobbyEnded, Empty: true}
	case 5:
		return lobbyPost(string(make([]byte, size)))
	default:
		packets := make([]string, count)
		for i := range packets {
			packets[i] = fmt.Sprint(i)
		}
		return lobbyPost(packets...)
	}
}

// lobbyPolls: no more polls than the limit.
func (s *suite) lobbyPolls(t *testing.T) {
	l := s.lobby(t)
	for i := range signal.MaxPolls + 1 {
		_, made, err := s.UpdateLobby(ctx, l.ID, signal.LobbyMove{Through: signal.LobbyProbed, To: -1, Poll: true}, now)
		if err != nil || made != (i < signal.MaxPolls) {
			t.Fatalf("poll %d: %v, %v", i+1, made, err)
		}
	}
}

// lobbyRace: of many that claim one is let in, and what is posted meanwhile is
// taken over once, or refused.
func (s *suite) lobbyRace(t *testing.T) {
	l := s.lobby(t)
	var let, kept, taken atomic.Int64
	var all sync.WaitGroup
	for i := range 20 {
		id := signal.ConnectionID(fmt.Sprint(i))
		all.Go(func() {
			if _, made, _ := s.UpdateLobby(ctx, l.ID, lobbyClaim(id, "hello"), now); !made {
				return
			}
			let.Add(1)
			_, _, _ = s.UpdateLobby(ctx, l.ID, lobbyProbe(id), now)
			was, made, err := s.UpdateLobby(ctx, l.ID, lobbyUpgrade(id, "me"), now)
			if err != nil || !made {
				t.Errorf("upgrade: %v, %v", made, err)
			}
			taken.Store(int64(len(was.Packets)))
		})
		all.Go(func() {
			_, made, err := s.UpdateLobby(ctx, l.ID, lobbyPost("x"), now)
			if err != nil {
				t.Errorf("post: %v", err)
			}
			if made {
				kept.Add(1)
			}
		})
	}
	all.Wait()
	if let.Load() != 1 || kept.Load() != taken.Load() {
		t.Errorf("%d were let in, %d packets kept and %d taken over", let.Load(), kept.Load(), taken.Load())
	}
}

// lobbiesGo: a scan, which ends what has expired, hands over no lobby, and leaves
// those that have not.
func (s *suite) lobbiesGo(t *testing.T) {
	l := s.lobby(t)
	for _, at := range []lane.Instant{l.Expires - 1000, l.Expires + 1000} {
		if err := s.Scan(ctx, signal.Segment{Index: 0, Of: 1}, at, func(c signal.Connection) {
			if string(c.ID) == string(l.ID) {
				t.Errorf("scan hands over %+v", c)
			}
		}, func(signal.UserName) {}); err != nil {
			t.Fatal(err)
		}
		_, err := s.GetLobby(ctx, l.ID, now) // by a clock that is behind
		if want := at < l.Expires; want != (err == nil) {
			t.Errorf("scanned at %v of its life: %v", at.Sub(now), err)
		}
	}
}

func equalLobby(t interface {
	Helper()
	Fatalf(format string, args ...any)
}, got, want signal.Lobby, err error,
) {
	t.Helper()
	if err != nil {
		t.Fatalf("%v", err)
	}
	if len(got.Packets) == 0 && len(want.Packets) == 0 {
		got.Packets, want.Packets = nil, nil
	}
	if want.Packets = slices.Clone(want.Packets); len(got.Packets) == len(want.Packets) {
		for i, p := range got.Packets {
			if p == nil { // is not needed
				want.Packets[i] = nil
			}
		}
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got  %+v\nwant %+v", got, want)
	}
}
