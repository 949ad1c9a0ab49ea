package explore

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/owt-signal/owt-signal/internal/memory"
	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// TestExploreLobby goes through every interleaving of the store's calls of the
// invocations for one lobby: WebSockets that race for it, posts, frames that are
// handled twice, and one answer that is lost, whichever.
func TestExploreLobby(t *testing.T) {
	two := []signal.ConnectionID{"A", "B"}
	for name, c := range map[string]lobbyConfig{
		"two upgrades":                         {sockets: two},
		"two upgrades, a lost answer":          {sockets: two, losses: 1},
		"two posts against an upgrade":         {sockets: two[:1], posts: 2},
		"two upgrades, a post":                 {sockets: two, posts: 1},
		"a post, an upgrade, a lost answer":    {sockets: two[:1], posts: 1, losses: 1},
		"a post, an upgrade handled twice":     {sockets: two[:1], posts: 1, twice: true},
		"a post, an upgrade, the client's end": {sockets: two[:1], posts: 1, ends: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := &chooser{}
			runs, taken := 0, 0
			for more := true; more; more = x.again() {
				w := newLobbyWorld(c, x)
				w.run()
				runs++
				if len(w.got) > 0 {
					taken++
				}
				if bad := w.judge(); bad != "" {
					t.Fatalf("%s\n%s", bad, strings.Join(w.trace, "\n"))
				}
			}
			t.Logf("%d runs, in %d of which something posted was taken over", runs, taken)
			if c.posts > 0 && taken == 0 {
				t.Error("nothing that was posted was ever taken over")
			}
		})
	}
}

// TestExploreLobbyFindsDefects builds the service with a defect, which must be
// found.
func TestExploreLobbyFindsDefects(t *testing.T) {
	if *explore != "all" {
		t.Skip("each is a build; for -explore=all")
	}
	for _, d := range []defect{
		{name: "a lobby is claimed twice", file: "lobby.go", old: "Through: LobbyWaiting, Handshakes: handshakes,", new: "Through: LobbyClaimed,"},
		{name: "posts go on after the upgrade", file: "lobby.go", old: "LobbyMove{Through: LobbyProbed, To: -1, Post: packets}", new: "LobbyMove{Through: LobbyUpgraded, To: -1, Post: packets}"},
		{name: "what was posted is taken over twice", file: "lobby.go", old: "LobbyMove{From: LobbyProbed, Through: LobbyProbed, Of: id, To: LobbyUpgraded, Upgrader: by, Empty: true}", new: "LobbyMove{From: LobbyProbed, Through: LobbyUpgraded, Of: id, To: LobbyUpgraded, Upgrader: by}"},
		{name: "a lost answer loses what was posted", file: "polling.go", old: "l.Upgrader == me:", new: "false:"},
		{name: "a claim whose answer is lost is refused", file: "polling.go", old: "l.Connection != h.Peer.ID {", new: "l.Connection != \"\" {"},
	} {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			out, err := exec.CommandContext(t.Context(), "go", "test", "-overlay", d.overlay(t), "-run", "^TestExploreLobby$", ".").CombinedOutput()
			if err == nil || !strings.Contains(string(out), "--- FAIL: TestExploreLobby/") {
				t.Errorf("not found: %v\n%s", err, out)
			}
		})
	}
}

// chooser makes all choices there are, in one run after the other.
type chooser struct {
	path []struct{ choice, of int }
	at   int
}

func (x *chooser) choose(of int) int {
	if x.at == len(x.path) {
		x.path = append(x.path, struct{ choice, of int }{0, of})
	}
	x.at++
	return x.path[x.at-1].choice
}

// again begins the next run, if there is one.
func (x *chooser) again() bool {
	x.at = 0
	for len(x.path) > 0 {
		last := &x.path[len(x.path)-1]
		if last.choice++; last.choice < last.of {
			return true
		}
		x.path = x.path[:len(x.path)-1]
	}
	return false
}

// lobbyConfig is what happens in a lobby.
type lobbyConfig struct {
	sockets []signal.ConnectionID // WebSockets that come for it
	posts   int                   // packets that are posted, one after the other
	losses  int                   // answers of the store that may be lost
	twice   bool                  // each frame is handled twice, at the same time
	ends    bool                  // its client gives up
}

// lobbyWorld is one run. It is the ports of the service, too.
type lobbyWorld struct {
	lobbyConfig
	*chooser
	*memory.Store
	id      signal.LobbyID
	running *coroutine
	random  byte

	claimed []signal.ConnectionID // who was let in
	refused []signal.ConnectionID // who was told that there is no such lobby
	kept    []string              // packets whose post was answered with success
	unsure  []string              // packets whose post has failed, perhaps after it was made
	got     []string              // packets that were taken over
	by      []signal.ConnectionID // who took over
	closed  []signal.ConnectionID // who was closed for a failure of the server
	lost    bool
	trace   []string
}

// coroutine is an invocation, which runs from one call of the store to the next.
type coroutine struct {
	name  string
	next  func() (struct{}, bool)
	yield func(struct{}) bool
}

func newLobbyWorld(c lobbyConfig, x *chooser) *lobbyWorld {
	w := &lobbyWorld{lobbyConfig: c, chooser: x, Store: memory.New()}
	id, err := (&signal.Service{Store: w.Store, Clock: w, Random: w.bytes, Log: slog.New(slog.DiscardHandler)}).OpenLobby(context.Background(), "hello")
	if err != nil {
		panic(err)
	}
	w.id = id
	return w
}

func (w *lobbyWorld) run() {
	var all []*coroutine
	begin := func(name string, body func()) {
		c := &coroutine{name: name}
		c.next, _ = iter.Pull(func(yield func(struct{}) bool) { c.yield = yield; body() })
		all = append(all, c)
	}
	var let []func() // the rest of a WebSocket's life, once it was let in
	for _, id := range w.sockets {
		frames := func(name string) { begin(name, func() { w.frames(id) }) }
		begin("connect "+string(id), func() {
			if w.connects(id) {
				let = append(let, func() {
					frames("frames of " + string(id))
					if w.twice {
						frames("the same again")
					}
				})
			}
		})
	}
	if w.posts > 0 {
		begin("post", w.post)
	}
	if w.ends {
		begin("end", func() { _ = w.service().EndLobby(context.Background(), w.id) })
	}
	for len(all) > 0 {
		i := w.choose(len(all))
		w.running = all[i]
		if _, more := all[i].next(); !more {
			all = slices.Delete(all, i, i+1)
		}
		for _, f := range let {
			f()
		}
		let = nil
	}
}

func (w *lobbyWorld) service() *signal.Service {
	return &signal.Service{Store: w, Pusher: w, Clock: w, Access: signal.OpenAccess, Random: w.bytes, Log: slog.New(slog.DiscardHandler)}
}

// connects is the invocation of a WebSocket's $connect.
func (w *lobbyWorld) connects(id signal.ConnectionID) bool {
	_, err := w.service().Connect(context.Background(), signal.Handshake{
		Peer: signal.Peer{ID: id, Protocol: signal.EIO4}, Lobby: &signal.LobbyHandshake{ID: w.id, Handshakes: []string{"hello"}},
	})
	w.notef("connect %s: %v", id, err)
	switch {
	case err == nil:
		w.claimed = append(w.claimed, id)
	case errors.Is(err, signal.ErrNoLobby):
		w.refused = append(w.refused, id)
	}
	return err == nil
}

// frames are the invocations of a WebSocket's 2probe and 5, the latter once the
// former was answered.
func (w *lobbyWorld) frames(id signal.ConnectionID) {
	p := signal.Peer{ID: id, Protocol: signal.EIO4}
	probed := w.service().Receive(context.Background(), p, signal.Probe{})
	w.notef("probe of %s: %v", id, probed.Events)
	if len(probed.Events) == 0 {
		return
	}
	upgraded := w.service().Receive(context.Background(), p, signal.Upgrade{})
	w.notef("upgrade of %s: %q", id, upgraded.Posted)
	if l, err := w.Store.GetLobby(context.Background(), w.id, present); err == nil && l.Stage == signal.LobbyUpgraded && upgraded.Posted != nil {
		w.by = append(w.by, id)
	}
	for _, p := range upgraded.Posted {
		w.got = append(w.got, string(p))
	}
}

// post is a client that posts one packet after the other was answered.
func (w *lobbyWorld) post() {
	for i := range w.posts {
		packet := fmt.Sprint("packet ", i)
		err := w.service().PostInLobby(context.Background(), w.id, [][]byte{[]byte(packet)})
		w.notef("post %d: %v", i, err)
		switch {
		case err == nil:
			w.kept = append(w.kept, packet)
		case !errors.Is(err, signal.ErrNoLobby):
			w.unsure = append(w.unsure, packet)
		}
	}
}

// judge returns what is wrong at the end of a run.
func (w *lobbyWorld) judge() string {
	l, err := w.Store.GetLobby(context.Background(), w.id, present)
	if err != nil {
		return err.Error()
	}
	sure := slices.DeleteFunc(slices.Clone(w.got), func(p string) bool { return slices.Contains(w.unsure, p) })
	switch {
	case len(w.claimed) > 1:
		return fmt.Sprintf("%v were let in", w.claimed)
	case len(w.claimed) == 1 && l.Connection != w.claimed[0] || len(w.claimed) == 0 && len(w.got) > 0:
		return fmt.Sprintf("%v was let in, the lobby has %q", w.claimed, l.Connection)
	case len(w.by) > 1:
		return fmt.Sprintf("%v took over", w.by)
	case slices.Contains(w.refused, l.Connection):
		return fmt.Sprintf("%s has the lobby, and was refused", l.Connection)
	case len(w.claimed)+len(w.refused) == len(w.sockets) && len(w.claimed) == 0 && l.Stage != signal.LobbyEnded:
		return "nobody was let in"
	case l.Stage == signal.LobbyUpgraded && len(w.closed) == 0 && !slices.Equal(sure, w.kept):
		return fmt.Sprintf("%q was kept, and %q taken over", w.kept, w.got)
	case l.Stage != signal.LobbyUpgraded && len(w.got) > 0:
		return fmt.Sprintf("%q was taken over at stage %d", w.got, l.Stage)
	case len(w.closed) > 0 && !w.lost && !w.ends:
		return fmt.Sprintf("%v was closed, though nothing was at fault", w.closed)
	}
	return ""
}

func (w *lobbyWorld) notef(format string, args ...any) {
	w.trace = append(w.trace, fmt.Sprintf(format, args...))
}

// call is a call of the store by the invocation that runs, whose answer may be
// lost.
func (w *lobbyWorld) call(what string, effect func() error) error {
	c := w.running
	c.yield(struct{}{})
	err := effect()
	if w.losses > 0 && w.choose(2) == 1 {
		w.losses--
		w.lost = true
		w.notef("%s %s, answer lost", c.name, what)
		return errLost
	}
	w.notef("%s %s", c.name, what)
	return err
}

// bytes fills b with what no other invocation has.
func (w *lobbyWorld) bytes(b []byte) {
	w.random++
	clear(b)
	b[len(b)-1] = w.random
}

// Now implements [signal.Clock]. Time stands still.
func (*lobbyWorld) Now() lane.Instant { return present }

// Sleep implements [signal.Clock].
func (*lobbyWorld) Sleep(context.Context, time.Duration) error { return nil }

// Post implements [signal.Pusher].
func (*lobbyWorld) Post(context.Context, signal.Peer, signal.Event) error { return nil }

// Close implements [signal.Pusher].
func (w *lobbyWorld) Close(_ context.Context, p signal.Peer) error {
	w.closed = append(w.closed, p.ID)
	return nil
}

// Create implements [signal.ConnectionStore].
func (w *lobbyWorld) Create(ctx context.Context, c signal.Connection) error {
	return w.call("creates", func() error { return w.Store.Create(ctx, c) })
}

// Get implements [signal.ConnectionStore].
func (w *lobbyWorld) Get(ctx context.Context, id signal.ConnectionID, now lane.Instant) (c signal.Connection, err error) {
	err = w.call("gets", func() error { c, err = w.Store.Get(ctx, id, now); return err })
	return c, err
}

// UpdateLobby implements [signal.LobbyStore].
func (w *lobbyWorld) UpdateLobby(ctx context.Context, id signal.LobbyID, m signal.LobbyMove, now lane.Instant) (l signal.Lobby, made bool, err error) {
	err = w.call("updates", func() error { l, made, err = w.Store.UpdateLobby(ctx, id, m, now); return err })
	if err != nil {
		return signal.Lobby{}, false, err
	}
	return l, made, nil
}
