package memory_test

import (
	"errors"
	"fmt"
	"runtime"
	"testing"

	"github.com/owt-signal/owt-signal/internal/memory"
	"github.com/owt-signal/owt-signal/internal/signal"
)

// Of many lobbies the newest are kept, whatever is posted in them, and their
// memory comes back.
func TestLobbiesAreBounded(t *testing.T) {
	const allowed = memory.MaxLobbies*(signal.MaxLobbyBytes+2048) + 10<<20
	store := memory.New()
	id := func(n int) signal.LobbyID { return signal.LobbyID(fmt.Sprint(n)) }
	before := heap()
	for n := range 3 * memory.MaxLobbies {
		if err := store.CreateLobby(t.Context(), signal.Lobby{ID: id(n), Expires: began.Add(signal.LobbyLife)}); err != nil {
			t.Fatal(err)
		}
		full := signal.LobbyMove{Through: signal.LobbyProbed, To: -1, Post: [][]byte{make([]byte, signal.MaxLobbyBytes)}}
		if _, made, err := store.UpdateLobby(t.Context(), id(n), full, began); err != nil || !made {
			t.Fatal(made, err)
		}
	}
	if after := heap(); after-before > allowed {
		t.Errorf("%d MB more than before, %d are allowed", (after-before)>>20, allowed>>20)
	}
	for n, want := range map[int]error{2*memory.MaxLobbies - 1: signal.ErrNoLobby, 2 * memory.MaxLobbies: nil, 3*memory.MaxLobbies - 1: nil} {
		if _, err := store.GetLobby(t.Context(), id(n), began); !errors.Is(err, want) {
			t.Errorf("lobby %d of %d: %v", n, 3*memory.MaxLobbies, err)
		}
	}
	if err := store.CreateLobby(t.Context(), signal.Lobby{ID: "late", Expires: began.Add(2 * signal.LobbyLife)}); err != nil {
		t.Fatal(err)
	}
	if after := heap(); after-before > 10<<20 {
		t.Errorf("%d MB more than before, though all but one have expired", (after-before)>>20)
	}
	runtime.KeepAlive(store)
}
