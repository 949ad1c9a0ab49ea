package e2e

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/owt-signal/owt-signal/internal/signal"
)

// TestWatch: who watches is told, over real sockets, when a user comes, is taken over,
// and leaves or is cut off; and by the binaries that are deployed.
func TestWatch(t *testing.T) {
	t.Parallel()
	for backend, flags := range map[string]func(*testing.T) []string{
		"memory": func(*testing.T) []string { return nil }, "functions": onFunctions,
	} {
		t.Run(backend, func(t *testing.T) {
			t.Parallel()
			s := serve(t, flags(t)...)
			alice, friends := join(t, s, plainJSON{}, "alice"), signal.MaxWatched-1
			for i := range friends {
				alice.watch(t, fmt.Sprint("friend", i))
			}
			at := alice.wantPresence(t, "bob", alice.watch(t, "bob"), false, 0)
			alice.send(t, `{"type":"watch","user":"carol"}`)
			want(t, alice, `{"type":"error","code":2102,"message":"server busy","user":"carol"}`)

			join(t, s, socketIO(4), "bob")
			at = alice.wantPresence(t, "bob", alice.said(t), true, at)
			again, cut := joinRaw(t, s, plainJSON{}, "bob") // no change
			again.tell(t, alice)
			_ = cut.Close()
			at = alice.wantPresence(t, "bob", alice.said(t), false, at)

			join(t, s, socketIO(3), "bob")
			alice.wantPresence(t, "bob", alice.said(t), true, at)
			alice.send(t, `{"type":"unwatch","user":"bob"}`)
			want(t, alice, `{"type":"presence","user":"bob","watched":false}`)
			alice.watch(t, "carol")
			join(t, s, plainJSON{}, "carol")
			if p := alice.said(t); p.User != "carol" || !p.Online {
				t.Errorf("in place of bob alice watches carol, and is told %+v", p)
			}
			alice.send(t, `{"type":"presence","user":"bob"}`)
			want(t, alice, `{"type":"presence","user":"bob","online":true}`)
		})
	}
}

// presence is what a JSON client is told of a user.
type presence struct {
	Type, User      string
	Online, Watched bool
	At              int64
}

// watch watches a user, and returns the answer.
func (u *user) watch(t *testing.T, name string) presence {
	t.Helper()
	u.send(t, fmt.Sprintf(`{"type":"watch","user":%q}`, name))
	p := u.said(t)
	if p.User != name || !p.Watched {
		t.Fatalf("a watch of %s is answered %+v", name, p)
	}
	return p
}

// said is what comes next, of somebody's presence.
func (u *user) said(t *testing.T) (p presence) {
	t.Helper()
	message, err := u.next()
	if err == nil {
		err = json.Unmarshal([]byte(message), &p)
	}
	if err != nil || p.Type != "presence" {
		t.Fatalf("%s is told %s, %v", u.name, message, err)
	}
	return p
}

// wantPresence compares what was said of a user, and returns its number, which is to be
// higher than the one before.
func (u *user) wantPresence(t *testing.T, name string, p presence, online bool, before int64) int64 {
	t.Helper()
	if p.User != name || p.Online != online || !p.Watched || p.At <= before {
		t.Fatalf("%s is told %+v; want %s, online %v, number above %d", u.name, p, name, online, before)
	}
	return p.At
}
